import copy
import math

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.graph_pairs import GraphPairs
from pyg_samsa.nn.conv.san_attention import OtherPairs, SANAttention, other_pairs

SIZES = [4, 0, 1, 9, 2]
# Edges of the first graph with a loop and parallel ones, some of the third, and all of the last.
EDGES = torch.tensor([[0, 1, 1, 2, 2, 1, 5, 6, 7, 13, 14, 15], [1, 0, 2, 1, 2, 2, 6, 7, 5, 6, 15, 14]])


def literal(layer, x, edges, edge_attr, sizes, features):
    """Every node, head and other node, one after the other, from the equations of both papers' codes."""
    heads, width = layer.heads, layer.channels // layer.heads
    gamma = layer.gamma
    rows, begin = [], 0
    for size in sizes:
        for i in range(begin, begin + size):
            out = []
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)

                def score(j, of_edge, query, key, part=part, i=i):
                    product = query(x[i])[part] * key(x[j])[part]
                    return (product if of_edge is None else product * of_edge[part]).sum() / math.sqrt(width)

                own = [number for number, (_, target) in enumerate(edges.t().tolist()) if target == i]
                sources = [int(edges[0, number]) for number in own]
                of_edges = [None if edge_attr is None else layer.edge(edge_attr[number]) for number in own]
                terms = [
                    (source, score(source, of_edge, layer.query, layer.key))
                    for source, of_edge in zip(sources, of_edges, strict=True)
                ]
                among = [j for j in range(begin, begin + size) if j != i and j not in sources]
                if features is None:
                    among = []
                others = [(j, score(j, layer.other_edge(features), layer.other_query, layer.other_key)) for j in among]
                mixed, total = torch.zeros(width, dtype=x.dtype), torch.zeros((), dtype=x.dtype)
                for scores, factor in ((terms, 1 / (1 + gamma)), (others, gamma / (1 + gamma))):
                    if layer.learned:
                        norm = sum(value.exp() for _, value in scores)
                        weights = [value.exp() / norm for _, value in scores]
                    else:
                        weights = [value.clamp(-5, 5).exp() for _, value in scores]
                    for (j, _), weight in zip(scores, weights, strict=True):
                        mixed = mixed + factor * weight * layer.value(x[j])[part]
                        total = total + factor * weight
                out.append(mixed if layer.learned else mixed / (total + 1e-6))
            rows.append(torch.cat(out))
        begin += size
    return torch.stack(rows)


def made(sizes=SIZES, edges=EDGES, **options):
    torch.manual_seed(0)
    layer = SANAttention(8, heads=2, **{"gamma": 0.1, **options}).double()
    for weight in layer.parameters():
        if weight.dim():
            torch.nn.init.normal_(weight, std=0.5)
    pairs = GraphPairs(RaggedIndex.from_sizes(sizes))
    x = torch.randn(sum(sizes), 8, dtype=torch.float64, requires_grad=True)
    attr = torch.randn(edges.size(1), 8, dtype=torch.float64, requires_grad=True)
    features = torch.randn(8, dtype=torch.float64, requires_grad=True)
    return layer, x, attr, OtherPairs(pairs, other_pairs(pairs, edges), features)


KINDS = [{}, {"gamma": 3.0}, {"full_graph": False}, {"learned": True}, {"learned": True, "full_graph": False}]


@pytest.mark.parametrize("has_features", [True, False])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_values_and_gradients_are_those_of_the_equations(options, has_features):
    layer, x, attr, others = made(**options)
    full = options.get("full_graph", True)
    found = layer(x, EDGES, attr if has_features else None, others if full else None)
    expected = literal(layer, x, EDGES, attr if has_features else None, SIZES, others.features if full else None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    inputs = [x, *layer.parameters(), *([attr] if has_features else []), *([others.features] if full else [])]
    weight = torch.randn_like(found)
    gradients = [torch.autograd.grad((out * weight).sum(), inputs, allow_unused=True) for out in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_large_scores_are_bounded():
    layer, x, attr, others = made()
    with torch.no_grad():
        layer.query.weight.mul_(1e4)
        layer.other_query.weight.mul_(1e4)
    found = layer(x, EDGES, attr, others)
    torch.testing.assert_close(found, literal(layer, x, EDGES, attr, SIZES, others.features), rtol=0, atol=1e-10)
    assert bool(found.isfinite().all())


def test_other_pairs_are_those_without_an_edge():
    pairs = GraphPairs(RaggedIndex.from_sizes(SIZES))
    edges, begin, expected = set(map(tuple, EDGES.t().tolist())), 0, {}
    for graph, size in enumerate(SIZES):
        nodes = range(begin, begin + size)
        expected[graph] = [[i != j and (j, i) not in edges for j in nodes] for i in nodes]
        begin += size
    found = 0
    for layout, table in zip(pairs.layouts, other_pairs(pairs, EDGES), strict=True):
        for row, graph in enumerate(layout.graphs.tolist()):
            size = SIZES[graph]
            assert table[row, :size, :size].tolist() == expected[graph]
            assert int(table[row].sum()) == int(table[row, :size, :size].sum())
            found += 1
    assert found == 4


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(("sizes", "ends"), [([3], [[], []]), ([1], [[0], [0]]), ([2], [[0, 1], [1, 0]])])
def test_no_edges_no_other_pairs_and_loops(sizes, ends, learned):
    edges = torch.tensor(ends, dtype=torch.long)
    layer, x, attr, others = made(sizes, edges, learned=learned)
    found = layer(x, edges, attr, others)
    torch.testing.assert_close(found, literal(layer, x, edges, attr, sizes, others.features), rtol=0, atol=1e-10)
    found.sum().backward()
    assert bool(x.grad.isfinite().all())


def test_half_precision_and_copies():
    layer, x, attr, others = made()
    layer, others = layer.float(), others._replace(features=others.features.detach().float())
    x, attr = x.detach().float(), attr.detach().float()
    expected = layer(x, EDGES, attr, others)
    for learned in (layer, SANAttention(8, heads=2, learned=True)):
        with torch.autocast("cpu", torch.bfloat16):
            assert bool(learned(x, EDGES, attr, others).isfinite().all())
    other = copy.deepcopy(layer)
    assert torch.equal(other(x, EDGES, attr, others), expected)
    other.reset_parameters()
    assert not torch.allclose(other(x, EDGES, attr, others), expected)
    assert "gamma=0.1" in repr(layer)


def test_the_learned_weight_starts_at_one_half():
    layer = SANAttention(8, heads=2, learned=True)
    torch.nn.init.zeros_(layer.gamma)
    layer.reset_parameters()
    assert layer.gamma.item() == 0.5
    assert SANAttention(8, heads=2, learned=True, full_graph=False).gamma == 0


@pytest.mark.parametrize(
    "options", [{"heads": 3}, {"heads": 0}, {"heads": 2, "gamma": -1.0}, {"heads": 2, "gamma": "a"}]
)
def test_what_does_not_fit_is_named(options):
    with pytest.raises(ConfigError, match=next(reversed(options))):
        SANAttention(8, **options)
    with pytest.raises(ConfigError, match="other pairs"):
        SANAttention(8, heads=2)(torch.randn(2, 8), EDGES[:, :2])


def test_defaults_are_those_of_graphgps(defaults):
    assert {"gamma": 1e-5, "full_graph": True, "learned": False}.items() <= defaults(SANAttention).items()


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_float16_holds_the_weights_of_many_nodes(learned, autocast):
    """All weights are exp(5), whose sum over 500 nodes is more than float16 holds."""
    layer, x, attr, others = made([500], torch.stack([torch.arange(499), torch.full((499,), 499)]), learned=learned)
    with torch.no_grad():
        for linear in (layer.query, layer.key, layer.edge, layer.other_query, layer.other_key, layer.other_edge):
            linear.weight.copy_(4 * torch.eye(8))
    x, attr = x.detach().abs(), torch.ones_like(attr)
    edges, others = torch.stack([torch.arange(499), torch.full((499,), 499)]), others._replace(features=attr[0])
    expected = layer(x, edges, attr, others)
    halved = [part.float() if autocast else part.half() for part in (x, attr, others.features)]
    layer = layer.float() if autocast else layer.half()
    with torch.autocast("cpu", torch.float16, enabled=autocast):
        found = layer(halved[0], edges, halved[1], others._replace(features=halved[2]))
    assert found.dtype == torch.float16
    assert bool(found.isfinite().all())
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=0.02)


def test_a_batch_without_nodes():
    edges = torch.empty(2, 0, dtype=torch.long)
    layer, x, attr, others = made([0], edges)
    assert layer(x, edges, attr, others).shape == (0, 8)
    pairs = GraphPairs(RaggedIndex(torch.tensor([0])))
    assert layer(x, edges, None, OtherPairs(pairs, other_pairs(pairs, edges), others.features)).shape == (0, 8)


def test_edges_between_two_graphs_are_named():
    with pytest.raises(ShapeError, match="an edge between two graphs of the batch"):
        other_pairs(GraphPairs(RaggedIndex.from_sizes([2, 2])), torch.tensor([[0], [2]]))
