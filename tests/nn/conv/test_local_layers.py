import copy

import pytest
import torch
from torch_geometric.nn import GINEConv, GraphConv

from pyg_samsa.errors import ConfigError
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
