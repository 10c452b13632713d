import copy

import pytest
import torch
from torch_geometric.nn import GINEConv, GraphConv

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.node_encodings import node_encodings
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn import LOCAL_LAYERS, SAMSA, LocalLayer, SAMSABlock, register_local_layer

EDGES = torch.tensor([[0, 1, 1, 2, 3, 4, 5, 5], [1, 0, 2, 1, 4, 3, 5, 6]])
BATCH = torch.tensor([0, 0, 0, 1, 1, 2, 2])
SIZE = {"channels": 16, "num_layers": 2, "heads": 2, "num_samples": 4, "edge_channels": 3}
COMBINATIONS = [(local, bridge) for local in LOCAL_LAYERS for bridge in (True, False) if bridge or local != "incidence"]


def network(local, bridge=False, **options):
    torch.manual_seed(0)
    model = SAMSA.from_options(5, 2, local=local, bridge=bridge, **{**SIZE, **options}).double().eval()
    torch.nn.init.constant_(model.encoder.alpha, 0.5)
    return model


def inputs():
    torch.manual_seed(1)
    return torch.randn(7, 5, dtype=torch.float64), torch.randn(8, 3, dtype=torch.float64)


@pytest.mark.parametrize(("local", "bridge"), COMBINATIONS)
def test_no_graph_sees_its_batch_mates(local, bridge):
    model, (x, e) = network(local, bridge), inputs()
    together = model(x, EDGES, e, BATCH)
    for graph in range(3):
        nodes = graph == BATCH
        edges = nodes[EDGES[0]]
        alone = model(x[nodes], EDGES[:, edges] - int(nodes.nonzero()[0]), e[edges])
        torch.testing.assert_close(alone[0], together[graph], rtol=0, atol=1e-11)


@pytest.mark.parametrize(("local", "bridge"), COMBINATIONS)
def test_permuting_nodes_and_edges_changes_nothing(local, bridge):
    model, (x, e) = network(local, bridge), inputs()
    perm, order = torch.randperm(7), torch.randperm(8)
    rank = torch.empty_like(perm).scatter_(0, perm, torch.arange(7))
    out = model(x[perm], rank[EDGES][:, order], e[order], BATCH[perm])
    torch.testing.assert_close(out, model(x, EDGES, e, BATCH), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("local", "bridge"), COMBINATIONS)
def test_the_layer_sees_edges_and_every_weight_learns(local, bridge):
    model, (x, e) = network(local, bridge).train(), inputs()
    model(x, EDGES, e, BATCH).square().sum().backward()
    for name, weight in model.encoder.named_parameters():
        if ".local." in name and not (local == "gine" and bridge and name.endswith("eps")):
            assert weight.grad is not None, name
    model.eval()
    assert not torch.allclose(model(x, EDGES, e, BATCH), model(x, EDGES[:, 1:], e[1:], BATCH))


@pytest.mark.parametrize(("local", "bridge"), COMBINATIONS)
def test_large_batches_are_cut_without_change(local, bridge, monkeypatch):
    model, (x, e) = network(local, bridge), inputs()
    whole = model(x, EDGES, e, BATCH)
    monkeypatch.setattr("pyg_samsa.nn.encoder._PART_ELEMENTS", 16)
    with torch.no_grad():
        torch.testing.assert_close(model(x, EDGES, e, BATCH), whole, rtol=0, atol=1e-12)


def test_without_edges_and_without_edge_features():
    x = torch.randn(7, 5, dtype=torch.float64)
    for local, bridge in COMBINATIONS:
        model = network(local, bridge, edge_channels=None)
        assert model(x, batch=BATCH).shape == model(x, EDGES, batch=BATCH).shape == (3, 2)


def test_a_block_takes_a_module_and_permutes_its_edges():
    conv = GraphConv(16, 16)
    block = SAMSABlock(16, heads=2, num_samples=4, local=conv).double().eval()
    torch.nn.init.ones_(block.alpha)
    assert block.local.conv is conv
    x, perm = torch.randn(7, 16, dtype=torch.float64), torch.randperm(7)
    rank = torch.empty_like(perm).scatter_(0, perm, torch.arange(7))
    shuffled = block(x[perm], rank[EDGES], BATCH[perm])
    torch.testing.assert_close(shuffled, block(x, EDGES, BATCH)[perm], rtol=0, atol=1e-11)


def test_the_branch_is_added_to_that_of_the_attention():
    block = SAMSABlock(16, heads=2, num_samples=4, local="gcn", rezero="shared").double().eval()
    plain = copy.deepcopy(block)
    plain.local = None
    x, one = torch.randn(7, 16, dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for module in (block, plain):  # without the feed-forward branch, only the first sum is left
        torch.nn.init.zeros_(module.ffn.lin2.weight)
        torch.nn.init.zeros_(module.ffn.lin2.bias)
    added = block(x, EDGES, BATCH, alpha=one) - plain(x, EDGES, BATCH, alpha=one)
    torch.testing.assert_close(added, block.local(block.conv_norm(x), EDGES), rtol=0, atol=1e-12)


def test_gine_sees_edge_features_and_takes_none():
    layer = LocalLayer("gine", 4)
    assert isinstance(layer.conv, GINEConv)
    x, edges, e = torch.randn(3, 4), torch.tensor([[0, 1], [1, 2]]), torch.randn(2, 4)
    torch.testing.assert_close(layer(x, edges), layer(x, edges, torch.zeros(2, 4)))
    assert not torch.allclose(layer(x, edges), layer(x, edges, e))


@pytest.mark.parametrize("local", [name for name in LOCAL_LAYERS if name != "incidence"])
def test_missing_edge_features_are_zeros(local):
    block = SAMSABlock(16, heads=2, num_samples=4, local=local).eval()
    torch.nn.init.ones_(block.alpha)
    x = torch.randn(7, 16)
    torch.testing.assert_close(block(x, EDGES), block(x, EDGES, edge_attr=torch.zeros(8, 16)))
    assert block(x).shape == (7, 16)


def test_registered_layers_are_found_by_name():
    @register_local_layer("graph")
    def graph(channels, edge_features):
        return GraphConv(channels, channels)

    try:
        assert isinstance(network("graph").encoder.blocks[0].local.conv, GraphConv)
        with pytest.raises(ConfigError, match="local layer: got 'graph', expected an unused name"):
            register_local_layer("graph")(lambda channels, edge_features: None)
    finally:
        del LOCAL_LAYERS["graph"]


def test_wrong_layers_are_refused():
    with pytest.raises(ConfigError, match="local: got 'gnie'") as caught:
        SAMSABlock(16, local="gnie")
    assert "gine" in caught.value.hint
    with pytest.raises(ConfigError, match="bridge is False"):
        SAMSA.from_options(5, 2, local="incidence", bridge=False)
    with pytest.raises(ConfigError, match="edges of this graph are not tokens"):
        LocalLayer("incidence", 4)(torch.randn(3, 4), torch.tensor([[0], [1]]))


@pytest.mark.parametrize(("channels", "heads"), [(16, 8), (12, 4), (6, 2), (5, 1), (9, 1)])
@pytest.mark.parametrize("edge_features", [True, False])
def test_heads_of_graph_attention_divide_the_channels(channels, heads, edge_features):
    conv = LocalLayer("gatv2", channels, edge_features).conv
    assert (conv.heads, conv.out_channels) == (heads, channels // heads)
    assert conv.edge_dim == (channels if edge_features else None)


GATES = [(local, bridge, role) for local in ("gine", "gatedgcn") for bridge in (True, False)
         for role in ("gate", "mapped_gate")]  # fmt: skip
# A square has two equal eigenvalues, the path and the pair have none; columns that a graph does not have are zero.
SQUARE = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0, 4, 5, 5, 6, 7, 8], [1, 0, 2, 1, 3, 2, 0, 3, 5, 4, 6, 5, 8, 7]])
OF_GRAPH = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2])


def gated(local, bridge, role, **options):
    return network(local, bridge, pe_channels=2, pe_role=role, edge_channels=None, **options)


def with_encodings():
    torch.manual_seed(1)
    square = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]) / 2**0.5
    return torch.randn(9, 5).double(), torch.cat([square, torch.randn(5, 2)]).double()


@pytest.mark.parametrize(("local", "bridge", "role"), GATES)
def test_gates_see_no_batch_mates_and_follow_their_nodes(local, bridge, role, monkeypatch):
    model, (x, pe) = gated(local, bridge, role), with_encodings()
    together = model(x, SQUARE, batch=OF_GRAPH, pe=pe)
    for graph in range(3):
        nodes = graph == OF_GRAPH
        edges = SQUARE[:, nodes[SQUARE[0]]] - int(nodes.nonzero()[0])
        torch.testing.assert_close(model(x[nodes], edges, pe=pe[nodes])[0], together[graph], rtol=0, atol=1e-11)
    perm, order = torch.randperm(9), torch.randperm(14)
    rank = torch.empty_like(perm).scatter_(0, perm, torch.arange(9))
    moved = model(x[perm], rank[SQUARE][:, order], batch=OF_GRAPH[perm], pe=pe[perm])
    torch.testing.assert_close(moved, together, rtol=0, atol=1e-11)
    monkeypatch.setattr("pyg_samsa.nn.encoder._PART_ELEMENTS", 16)
    with torch.no_grad():
        torch.testing.assert_close(model(x, SQUARE, batch=OF_GRAPH, pe=pe), together, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("local", "bridge", "role"), GATES)
def test_signs_and_rotations_of_equal_eigenvalues_change_nothing_without_a_map(local, bridge, role):
    model, (x, pe) = gated(local, bridge, role), with_encodings()
    before = model(x, SQUARE, batch=OF_GRAPH, pe=pe)
    angle = torch.tensor(0.7).double()
    rotation = torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])])
    rotated = torch.cat([pe[:4] @ rotation, pe[4:7] * torch.tensor([1.0, -1.0]), -pe[7:]])
    change = (model(x, SQUARE, batch=OF_GRAPH, pe=rotated) - before).abs().amax(1)
    if role == "gate":
        assert change.max().item() < 1e-11
    else:
        assert change[:2].min().item() > 1e-8
    # Other distances do change it.
    assert not torch.allclose(model(x, SQUARE, batch=OF_GRAPH, pe=2 * pe), before)


@pytest.mark.parametrize(("local", "bridge", "role"), GATES)
def test_every_weight_of_a_gate_learns(local, bridge, role):
    model, (x, pe) = gated(local, bridge, role).train(), with_encodings()
    model(x, SQUARE, batch=OF_GRAPH, pe=pe).square().sum().backward()
    for name, weight in model.named_parameters():
        if ".gate." in name or "pe_distance" in name:
            assert weight.grad.abs().sum() > 0, name
    assert (model.tokenizer.pe_distance.lin is None) == (role == "gate")
    assert model.inputs >= {"pe"}


@pytest.mark.parametrize("bridge", [True, False])
@pytest.mark.parametrize("kind", ["lap", "lap1", "rwse", "lap+rwse"])
def test_encodings_of_gates_are_computed_from_the_edges(kind, bridge):
    signs = 1 if "+" in kind else False
    model = gated("gine", bridge, "gate", pe_kind=kind, flip_signs=signs)
    x, _ = with_encodings()
    index = RaggedIndex(torch.tensor([0, 4, 7, 9]))
    pe = node_encodings(kind, 2, SQUARE, index, eigenvectors=1).double()
    torch.testing.assert_close(model(x, SQUARE, batch=OF_GRAPH), model(x, SQUARE, batch=OF_GRAPH, pe=pe))
    assert model(x, batch=OF_GRAPH).shape == model(x, SQUARE[:, :0], batch=OF_GRAPH).shape == (3, 2)
    perm = torch.randperm(9)
    rank = torch.empty_like(perm).scatter_(0, perm, torch.arange(9))
    if kind == "rwse":  # eigenvectors of the square are not unique, and a cut through them is no distance
        moved = model(x[perm], rank[SQUARE], batch=OF_GRAPH[perm])
        torch.testing.assert_close(moved, model(x, SQUARE, batch=OF_GRAPH))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"local": "gcn", "pe_channels": 2}, r"pe_role: got 'gate', expected 'add', because no messages of local 'g"),
        ({"local": None, "pe_channels": 2}, r"pe_role: got 'gate', expected 'add', because no messages of local None"),
        ({"local": "gine"}, r"pe_role: got 'gate', expected the default 'add', because pe_channels is 0"),
        ({"local": "gine", "pe_channels": 2, "flip_signs": True}, r"flip_signs: got True, expected False with pe_role"),
        ({"local": "gine", "pe_channels": 2, "pe_role": "gates"}, r"pe_role: got 'gates'"),
        (
            {"local": "gine", "pe_channels": 2, "coordinate_free": True, "attention": "sft", "num_samples": None,
             "attention_options": {"encoding": "dist"}},
            r"pe_role: got 'gate', expected 'add' with coordinate_free",
        ),
    ],
)  # fmt: skip
def test_gates_without_messages_or_encodings_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        SAMSA.from_options(5, 2, **{**SIZE, "bridge": False, "pe_role": "gate", **options})


def test_a_block_passes_distances_to_layers_that_take_them():
    class Scaled(torch.nn.Module):
        def forward(self, x, edge_index, edge_distance):
            weighted = x[edge_index[0]] * edge_distance
            return torch.zeros_like(x).index_add(0, edge_index[1], weighted)

    x, distance = torch.randn(7, 16), torch.rand(8, 1)
    layer = LocalLayer(Scaled(), 16, distance_gate=True)
    expected = torch.zeros(7, 16)
    for number, (source, target) in enumerate(EDGES.T.tolist()):
        expected[target] += x[source] * distance[number]
    torch.testing.assert_close(layer(x, EDGES, edge_distance=distance), expected)
    block = SAMSABlock(16, heads=2, num_samples=4, local=Scaled(), distance_gate=True).eval()
    torch.nn.init.ones_(block.alpha)
    zero, one = (block(x, EDGES, BATCH, edge_distance=value) for value in (0 * distance, distance))
    assert not torch.allclose(zero, one)
    assert block(x).shape == (7, 16)
    with pytest.raises(ConfigError, match="local: got 'GraphConv', expected a module whose forward takes"):
        LocalLayer(GraphConv(16, 16), 16, distance_gate=True)
    with pytest.raises(ConfigError, match="local: got 'gcn', expected one of"):
        LocalLayer("gcn", 16, distance_gate=True)
    with pytest.raises(ConfigError, match="distance_gate: got True"):
        SAMSABlock(16, distance_gate=True)
    with pytest.raises(ShapeError, match="edge_distance: got None"):
        SAMSABlock(16, local="gine", distance_gate=True)(x, EDGES)
