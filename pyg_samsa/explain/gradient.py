"""Input times gradient, a baseline for explanations."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.explain._passes import Found, of_nodes_and_edges, open_passes, run_from
from pyg_samsa.nn.models.samsa import SAMSA


def gradient_scores(model: SAMSA, batch: object, target: Tensor, *, draw: int = 0) -> Found:
    r"""Multiply each token before the first block by the gradient of the prediction, straight-through for sampling.

    Edges that carry messages and are not tokens are scored in the same way by their encoded features.

    .. math::
        s_t = \bigl\langle x_t, \partial y / \partial x_t \bigr\rangle

    Args:
        model: The network, in evaluation.
        batch: A PyG batch of B graphs.
        target: Number of the prediction of each graph [B].
        draw: Number of the deterministic draw of codes.

    Returns:
        Scores [N + E] of nodes and edges, and the predictions [B, out_channels].

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, num_samples=4).eval()
        >>> batch = Batch.from_data_list([Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1], [1, 0]]))])
        >>> gradient_scores(model, batch, torch.tensor([0])).scores.shape
        torch.Size([5])

    Cost: three passes through the network.
    """
    with torch.no_grad():
        passes = open_passes(model, batch, draw)
    tokens = passes.tokens
    x = passes.inputs[0].detach().requires_grad_()
    edges = model.encoder.edges_of(tokens)
    inputs = [x]
    if (edge_attr := edges.get("edge_attr")) is not None:
        inputs.append(edge_attr.detach().requires_grad_())
        edges["edge_attr"] = inputs[1]
    with torch.enable_grad():
        predictions = run_from(model, x, tokens.index, edges=edges, graph_features=passes.graph_features)
        chosen = predictions.gather(1, target[:, None]).sum()
        gradients = torch.autograd.grad(chosen, inputs, allow_unused=True, materialize_grads=True)
    scores = [(value * gradient).sum(1).detach() for value, gradient in zip(inputs, gradients, strict=True)]
    return Found(of_nodes_and_edges(scores[0], tokens, *scores[1:]), predictions.detach())
