"""Explanations of networks that pass messages beside the attention."""

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.explain import token_importance
from pyg_samsa.functional.ragged import RaggedIndex


def predict(model, data, node=None, bond=None):
    """The network on the graph without a node, or without a bond."""
    keep = torch.ones(data.num_nodes, dtype=torch.bool)
    if node is not None:
        keep[node] = False
    edge = keep[data.edge_index[0]] & keep[data.edge_index[1]]
    if bond is not None:
        edge &= (data.edge_index.sort(0).values != torch.tensor(bond)[:, None]).any(0)
    row = keep.cumsum(0) - 1
    with torch.no_grad():
        return model.eval()(data.x[keep], row[data.edge_index[:, edge]], data.edge_attr[edge])[0]


@pytest.mark.parametrize("local", ["gine", "gatedgcn", "gcn"])
def test_occlusion_of_nodes_and_bonds_is_the_difference_they_make(local, network, graphs):
    model, data = network(local=local, bridge=False), graphs[0]
    full = predict(model, data)
    (found,) = token_importance(model, data, "occlusion", target=1)
    torch.testing.assert_close(found.prediction, full)
    wanted = torch.stack([full - predict(model, data, node=node) for node in range(data.num_nodes)])
    torch.testing.assert_close(found.node, wanted[:, 1])
    bonds = found.bond_index.T.tolist()
    wanted = torch.stack([full - predict(model, data, bond=sorted(bond)) for bond in bonds])
    torch.testing.assert_close(found.bond, wanted[:, 1])


@pytest.mark.parametrize("local", ["gine", "gatedgcn"])
def test_occlusion_of_a_bond_keeps_the_distances_of_the_others(local, network, graphs):
    walks = {"pe_channels": 3, "pe_kind": "rwse", "pe_role": "gate"}
    model, data = network(local=local, bridge=False, **walks), graphs[0]
    (found,) = token_importance(model, data, "occlusion")
    bond = found.bond_index[:, 0].sort().values[:, None]

    def without_it(module, args, tokens):
        kept = (data.edge_index.sort(0).values != bond).any(0)
        names = ("edge_attr", "edge_distance")
        rest = {name: getattr(tokens, name)[kept] for name in names}
        return tokens._replace(edge_index=tokens.edge_index[:, kept], **rest)

    full = predict(model, data)[0]
    hook = model.tokenizer.register_forward_hook(without_it)
    without = predict(model, data)[0]
    hook.remove()
    torch.testing.assert_close(found.bond[0], full - without)
    assert float((full - without).abs()) > 0


def test_occlusion_takes_an_edge_token_and_its_messages_away(network, graphs):
    model, data = network(local="incidence"), graphs[0]

    def without_first_bond(module, args, tokens):
        keep = torch.ones(tokens.x.size(0), dtype=torch.bool)
        keep[tokens.edge_rows[:2]] = False
        row = keep.cumsum(0) - 1
        index = RaggedIndex(torch.tensor([0, int(keep.sum())]))
        edges = {"edge_rows": row[tokens.edge_rows[2:]], "edge_index": tokens.edge_index[:, 2:]}
        return tokens._replace(x=tokens.x[keep], index=index, **edges)

    (found,) = token_importance(model, data, "occlusion")
    full = predict(model, data)[0]
    hook = model.tokenizer.register_forward_hook(without_first_bond)
    without = predict(model, data)[0]
    hook.remove()
    torch.testing.assert_close(found.bond[0], full - without)


@pytest.mark.parametrize("options", [{"local": "gine", "bridge": False}, {"local": "incidence"}], ids=str)
@pytest.mark.parametrize("method", ["gradient", "sampled", "contribution", "chosen", "random"])
def test_every_method_explains_them_and_does_not_see_batch_mates(method, options, network, graphs):
    model = network(**options)
    together = token_importance(model, graphs, method)
    for data, found in zip(graphs, together, strict=True):
        (alone,) = token_importance(model, data, method)
        assert found.node.shape == (data.num_nodes,)
        assert found.edge.shape == (data.num_edges,)
        torch.testing.assert_close(found.node, alone.node)
        torch.testing.assert_close(found.edge, alone.edge)
        torch.testing.assert_close(found.prediction, predict(model, data))


def test_the_gradient_of_edges_is_that_of_their_features(network, graphs):
    model, data = network(local="gine", bridge=False, attention="full", num_samples=None).eval(), graphs[0]
    (found,) = token_importance(model, data, "gradient")
    encoded = model.tokenizer.edge_encoder(data.edge_attr)
    step = 1e-6

    def scaled(edge, factor):
        changed = encoded.clone()
        changed[edge] *= factor
        hook = model.tokenizer.register_forward_hook(lambda module, args, tokens: tokens._replace(edge_attr=changed))
        value = predict(model, data)[0]
        hook.remove()
        return value

    for edge in range(0, data.num_edges, 5):
        slope = (scaled(edge, 1 + step) - scaled(edge, 1 - step)) / (2 * step)
        torch.testing.assert_close(found.edge[edge], slope, rtol=1e-5, atol=1e-8)


def test_nodes_alone_are_refused(network, graphs):
    with pytest.raises(ConfigError, match="carry messages"):
        token_importance(network(bridge=False, edge_channels=None), graphs[0], "occlusion")
