import torch
from torch_geometric.data import Batch

from pyg_samsa.explain import token_importance
from pyg_samsa.explain.gradient import gradient_scores


def predict_scaled(model, data, factors):
    """Predictions [V, out_channels] with the tokens of Graph-Bridge scaled by factors [V, T]."""
    batch = Batch.from_data_list([data] * len(factors))

    def scale(module, args, tokens):
        return tokens._replace(x=tokens.x * factors.flatten()[:, None])

    hook = model.tokenizer.bridge.register_forward_hook(scale)
    with torch.no_grad():
        out = model.eval()(batch.x, batch.edge_index, batch.edge_attr, batch.batch)
    hook.remove()
    return out


def test_gradient_is_the_first_order_effect_of_scaling_a_token(data, network, detached):
    model = detached(network())
    (found,) = token_importance(model, data, "gradient", target=1)
    scores, step = torch.cat([found.node, found.edge]), 1e-6
    change = step * torch.eye(scores.numel(), dtype=torch.float64)
    more, less = (predict_scaled(model, data, 1 + sign * change)[:, 1] for sign in (1, -1))
    torch.testing.assert_close(scores, (more - less) / (2 * step), rtol=1e-5, atol=1e-8)


def test_every_graph_of_a_batch_has_its_own_target(network, graphs):
    model, batch = network().eval(), Batch.from_data_list(graphs)
    first, second, mixed = (
        gradient_scores(model, batch, torch.tensor(target)) for target in ([0] * 5, [1] * 5, [1, 0, 0, 0, 0])
    )
    torch.testing.assert_close(first.predictions, second.predictions)
    nodes = batch.batch == 0
    edges = batch.batch[batch.edge_index[0]] == 0
    expected = torch.where(torch.cat([nodes, edges]), second.scores, first.scores)
    torch.testing.assert_close(mixed.scores, expected)
    assert not torch.allclose(first.scores[:6], second.scores[:6])


def test_gradients_leave_no_trace(network, graphs):
    model = network().eval()
    found = gradient_scores(model, Batch.from_data_list(graphs[:1]), torch.tensor([0]))
    assert not found.scores.requires_grad
    assert not found.predictions.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_frozen_networks_have_gradients(network, graphs):
    model = network()
    (free,) = token_importance(model, graphs[0], "gradient")
    (frozen,) = token_importance(model.requires_grad_(False), graphs[0], "gradient")
    torch.testing.assert_close(frozen.node, free.node)
