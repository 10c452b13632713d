"""Input times gradient, a baseline for explanations."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.explain._passes import Found, open_passes, run_from
from pyg_samsa.nn.models.samsa import SAMSA


def gradient_scores(model: SAMSA, batch: object, target: Tensor, *, draw: int = 0) -> Found:
    r"""Multiply each token before the first block by the gradient of the prediction, straight-through for sampling.

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
    with torch.enable_grad():
        predictions = run_from(model, x, tokens.index)
        (gradient,) = torch.autograd.grad(predictions.gather(1, target[:, None]).sum(), x)
    scores = (x * gradient).sum(1).detach()
    return Found(torch.cat([scores[tokens.node_rows], scores[tokens.edge_rows]]), predictions.detach())
