import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.shortest_paths import batch_paths, edge_types
from pyg_samsa.nn.encoding.graphormer_encoding import GraphormerEncoding
from tests.functional.test_shortest_paths import literal as literal_paths

SIZES = [5, 0, 1, 4]
# A ring with two kinds of edges and a tail; a node alone; two nodes and two more in one direction only.
EDGES = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 0, 3, 6, 7, 8], [1, 2, 3, 0, 0, 1, 2, 3, 4, 7, 6, 9]])
ATTR = torch.tensor([1, 2, 1, 2, 1, 2, 1, 2, 3, 1, 0, 2])[:, None]
K = 4


def encoding(**options):
    torch.manual_seed(0)
    options = {"num_spatial_types": K, "num_in_degrees": 4, "num_out_degrees": 5, "edge_types": [4], **options}
    made = GraphormerEncoding(6, heads=2, **options).double()
    for weight in made.parameters():
        torch.nn.init.normal_(weight)
    return made


def inputs():
    torch.manual_seed(1)
    return torch.randn(10, 6, dtype=torch.float64, requires_grad=True), EDGES, RaggedIndex.from_sizes(SIZES), ATTR


def literal(made, x, edges, sizes, attr):
    """The tokens of each graph and the bias [H, n, n] between them, from the equations."""
    tokens, tables, begin = [], [], 0
    for size in sizes:
        own = [
            (int(i) - begin, int(j) - begin, int(kind))
            for (i, j), kind in zip(edges.t(), attr.flatten(), strict=True)
            if begin <= i < begin + size
        ]
        rows = []
        for node in range(size):
            out, into = (sum(edge[end] == node for edge in own) for end in (0, 1))
            rows.append(x[begin + node] + made.in_degree.weight[into] + made.out_degree.weight[out])
        spatial, along = literal_paths([edge[:2] for edge in own], [edge[2] for edge in own], size, K)
        first = made.graph_token is not None
        pairs = []
        for i in range(-first, size):
            for j in range(-first, size):
                if i < 0 or j < 0:
                    pairs.append(made.token_bias)
                    continue
                bias = made.spatial.weight[spatial[i, j]]
                if made.edge is not None:
                    steps = sum(made.edge.weight[kind] @ made.steps[k] for k, kind in enumerate(along[i, j]))
                    bias = bias + steps / max(spatial[i, j], 1)
                pairs.append(bias)
        tokens += ([made.graph_token] if first else []) + rows
        if size + first:
            tables.append(torch.stack(pairs).view(size + first, size + first, 2).permute(2, 0, 1))
        begin += size
    return torch.stack(tokens), tables


def tables_of(found):
    """The bias [H, n, n] of each graph that has tokens, without padding."""
    graphs = {}
    for layout, table in zip(found.bias.pairs.layouts, found.bias.tables, strict=True):
        for row, graph in enumerate(layout.graphs.tolist()):
            size = found.index.sizes[graph]
            graphs[graph] = table[row, :, :size, :size]
    return [graphs[graph] for graph in sorted(graphs)]


@pytest.mark.parametrize("use_graph_token", [True, False])
@pytest.mark.parametrize("types", [[4], None])
def test_values_and_gradients_are_those_of_the_equations(use_graph_token, types):
    made, (x, edges, index, attr) = encoding(use_graph_token=use_graph_token, edge_types=types), inputs()
    found = made(x, edges, index, attr)
    tokens, tables = literal(made, x, edges, SIZES, attr)
    torch.testing.assert_close(found.x, tokens, rtol=0, atol=1e-12)
    for one, other in zip(tables_of(found), tables, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    first = found.index.ptr[:-1].tolist() if use_graph_token else []
    assert found.node_rows.tolist() == [row for row in range(len(found.x)) if row not in first]
    weights = [torch.randn_like(table) for table in tables]
    gradients = []
    for out, biases in ((found.x, tables_of(found)), (tokens, tables)):
        total = out.square().sum() + sum((bias * weight).sum() for bias, weight in zip(biases, weights, strict=True))
        gradients.append(torch.autograd.grad(total, [x, *made.parameters()]))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_paths_that_were_computed_before_are_the_same():
    made, (x, edges, index, attr) = encoding(), inputs()
    paths = batch_paths(edges, index, K, edge_types(attr, [4]))
    given, before = made(x, edges, index, None, paths), made(x, edges, index, attr)
    for one, other in zip(tables_of(given), tables_of(before), strict=True):
        assert torch.equal(one, other)


def test_degrees_alone():
    made, (x, edges, index, _) = encoding(node_degrees_only=True), inputs()
    found = made(x, edges, index)
    assert found.bias is None
    assert {name.partition(".")[0] for name, _ in made.named_parameters()} == {"in_degree", "out_degree", "graph_token"}
    assert found.index.sizes == [size + 1 for size in SIZES]
    with pytest.raises(ConfigError, match="node_degrees_only"):
        made.pair_values(None, edges)


def test_dropout_and_new_weights():
    made, given = encoding(input_dropout=0.5), inputs()
    assert bool((made(*given).x == 0).any())
    assert torch.equal(made.eval()(*given).x, made(*given).x)
    made.reset_parameters()
    deviations = [float(weight.detach().std()) for weight in made.parameters() if weight.numel() > 20]
    assert deviations
    assert all(0.01 < deviation < 0.03 for deviation in deviations)
    assert repr(made) == "GraphormerEncoding(6, heads=2, num_spatial_types=4, edge_types=(4,))"


def test_no_edges_and_no_nodes():
    made = encoding()
    empty, index = torch.empty(2, 0, dtype=torch.long), RaggedIndex.from_sizes([2])
    found = made(torch.zeros(2, 6, dtype=torch.float64), empty, index)
    bias = found.bias.tables[0][0, :, 1:, 1:].permute(1, 2, 0)
    steps = sum(made.edge.weight[0] @ step for step in made.steps)
    torch.testing.assert_close(bias[0, 1], made.spatial.weight[K] + steps / K)
    torch.testing.assert_close(bias[0, 0], made.spatial.weight[0] + steps)
    found = made(torch.zeros(0, 6, dtype=torch.float64), empty, RaggedIndex.from_sizes([0]))
    assert found.x.tolist() == [made.graph_token.tolist()]


def test_what_does_not_fit_is_named():
    x, edges, index, attr = inputs()
    with pytest.raises(ShapeError, match=r"in-degree: got 2, expected at most 1: num_in_degrees is 2"):
        encoding(num_in_degrees=2)(x, edges, index, attr)
    with pytest.raises(ShapeError, match="num_out_degrees is 1"):
        encoding(num_out_degrees=1)(x, edges, index, attr)
    with pytest.raises(ShapeError, match="edge_attr"):
        encoding()(x, edges, index)
    with pytest.raises(ShapeError, match=r"paths: got \[3, 1\], expected \[42, 3\]"):
        encoding()(x, edges, index, attr, torch.zeros(3, 1, dtype=torch.int16))
    wrong = {"num_spatial_types": 0, "edge_types": [300, 300], "input_dropout": 1.0, "num_in_degrees": 0}
    types = [{"edge_types": kinds} for kinds in ([-1, -2], [], "ab", [2.0], [True])]
    for options in [*({name: value} for name, value in wrong.items()), *types]:
        with pytest.raises(ConfigError, match=next(iter(options))):
            encoding(**options)


def test_paths_of_other_graphs_and_features_of_other_edges_are_named():
    x, edges, index, attr = inputs()
    paths = batch_paths(edges, index, K, edge_types(attr, [4]))
    for column, value in ((0, K + 1), (0, -1), (1, 4), (2, 5)):
        wrong = paths.clone()
        wrong[0, column] = value
        with pytest.raises(ShapeError, match="paths: got lengths, types or nodes out of range"):
            encoding()(x, edges, index, attr, wrong)
    with pytest.raises(ShapeError, match=r"paths: got torch.float32, expected integers"):
        encoding()(x, edges, index, attr, paths.float())
    with pytest.raises(ShapeError, match=r"edge_attr: got \[11, 1\], expected \[12, ...\], one row per edge"):
        encoding()(x, edges, index, attr[:-1])


@pytest.mark.slow
def test_compiled_code_computes_the_same():
    made, (x, edges, index, attr) = encoding(), inputs()
    compiled = torch.compile(made, backend="eager", dynamic=True)
    found, expected = compiled(x, edges, index, attr), made(x, edges, index, attr)
    torch.testing.assert_close(found.x, expected.x)
    for one, other in zip(tables_of(found), tables_of(expected), strict=True):
        torch.testing.assert_close(one, other)


def test_defaults_are_those_of_the_paper_or_of_graphgps(defaults):
    expected = {"num_spatial_types": 20, "num_in_degrees": 64, "num_out_degrees": 64, "node_degrees_only": False}
    assert {**expected, "use_graph_token": True, "input_dropout": 0.0}.items() <= defaults(GraphormerEncoding).items()
