"""Importance by the tokens that the heads of a network sampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.explain._passes import Found, Passes, of_nodes_and_edges, open_passes, read_out, run_from, sample
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.ragged_sampling import Samples
from pyg_samsa.nn.models.samsa import SAMSA


@torch.no_grad()
def chosen_scores(model: SAMSA, batch: object, target: Tensor, *, draw: int = 0) -> Found:
    r"""Compute the share of the H heads of all L layers that sampled each token.

    .. math::
        s_t = \frac{1}{L H} \sum_{l, h} \bigl[t \in \mathrm{Sample}_{l, h}\bigr]

    Arguments and result as in :func:`sampled_scores`.

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, num_samples=4).eval()
        >>> batch = Batch.from_data_list([Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1], [1, 0]]))])
        >>> scores = chosen_scores(model, batch, torch.tensor([0])).scores
        >>> bool(((scores >= 0) & (scores <= 1)).all())
        True
    """
    passes = open_passes(model, batch, draw)
    heads = passes.tokens.x.new_zeros(passes.tokens.x.size(0))
    for block, x in zip(model.encoder.blocks, passes.inputs, strict=False):
        samples = sample(block, x, passes.tokens.index)
        heads += _to_tokens(samples, torch.ones_like(samples.scores), x.size(0)) / samples.candidates.size(1)
    return _found(model, passes, heads / len(model.encoder.blocks))


@torch.no_grad()
def sampled_scores(model: SAMSA, batch: object, target: Tensor, *, draw: int = 0) -> Found:
    r"""Compute the share of all attention that each token receives.

    .. math::
        s_t = \frac{1}{L H} \sum_{l, h} \; \sum_{k \,:\, \mathrm{Sample}_{l, h}(k) = t} \;
              \frac{1}{n} \sum_{q=1}^{n} A^{l,h}_{qk}

    with :math:`A^{l,h}` the attention of the n queries of a graph to the K keys that head h of layer l sampled.
    Attention to the learned support pairs belongs to no token, so the scores of a graph sum to at most 1.

    Args:
        model: The network, in evaluation.
        batch: A PyG batch of B graphs.
        target: Number of the prediction of each graph [B]; not used here.
        draw: Number of the deterministic draw of codes.

    Returns:
        Scores [N + E] of nodes and edges, and the predictions [B, out_channels].

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, num_samples=4).eval()
        >>> batch = Batch.from_data_list([Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1], [1, 0]]))])
        >>> scores = sampled_scores(model, batch, torch.tensor([0])).scores
        >>> scores.shape, bool(0 <= scores.sum() <= 1)
        (torch.Size([5]), True)

    Cost: two passes through the attention of the network; memory O(n K H) for the largest graph.
    """
    passes = open_passes(model, batch, draw)
    index = passes.tokens.index
    share = passes.tokens.x.new_zeros(passes.tokens.x.size(0))
    for block, x in zip(model.encoder.blocks, passes.inputs, strict=False):
        samples = sample(block, x, index)
        received = attention_received(block, x, index, samples)
        share += _to_tokens(samples, received, x.size(0)) / received.size(1)
    return _found(model, passes, share / len(model.encoder.blocks))


def contribution_scores(model: SAMSA, batch: object, target: Tensor, *, draw: int = 0) -> Found:
    r"""Compute the contribution of the attention to each token to the prediction, to first order.

    .. math::
        s_t = \sum_{l, h} \; \sum_{k \,:\, \mathrm{Sample}_{l, h}(k) = t} \; \sum_{q=1}^{n}
              A^{l,h}_{qk} \Bigl\langle \tilde{v}^{l,h}_k, \frac{\partial y}{\partial o^{l,h}_q} \Bigr\rangle

    with :math:`o_q = \sum_k A_{qk} \tilde{v}_k` the output of a head. A positive score means that the token raises the
    prediction.

    Arguments and result as in :func:`sampled_scores`.

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, num_samples=4).eval()
        >>> batch = Batch.from_data_list([Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1], [1, 0]]))])
        >>> contribution_scores(model, batch, torch.tensor([0])).scores.shape
        torch.Size([5])

    Cost: four passes through the network; memory of a backward pass.
    """
    with torch.no_grad():
        passes = open_passes(model, batch, draw)
    index, count = passes.tokens.index, passes.tokens.x.size(0)
    edges = model.encoder.edges_of(passes.tokens)
    outputs: list[Tensor] = []
    convs: list[Any] = [block.conv for block in model.encoder.blocks]
    hooks = [conv.register_forward_hook(lambda _, args, output: outputs.append(output)) for conv in convs]
    try:
        with torch.enable_grad():
            # The tokens need a gradient, because a frozen network has none elsewhere.
            predictions = run_from(
                model,
                passes.inputs[0].detach().requires_grad_(),
                index,
                edges=edges,
                graph_features=passes.graph_features,
            )
            gradients = torch.autograd.grad(predictions.gather(1, target[:, None]).sum(), outputs)
    finally:
        for hook in hooks:
            hook.remove()
    scores = passes.tokens.x.new_zeros(count)
    with torch.no_grad():
        for block, conv, x, gradient in zip(model.encoder.blocks, convs, passes.inputs, gradients, strict=False):
            samples = sample(block, x, index)
            of_heads = (gradient @ conv.out.weight).unflatten(1, (conv.heads, -1))
            mixed = [
                weights.transpose(1, 2) @ slope.transpose(0, 1)
                for weights, slope in zip(
                    _attention(block, x, index, samples), of_heads.split(index.sizes), strict=True
                )
            ]
            value = samples.values[..., samples.values.size(-1) // 2 :]
            scores += _to_tokens(samples, (torch.stack(mixed) * value).sum(-1), count)
    return _found(model, passes, scores)


def attention_received(block: Module, x: Tensor, index: RaggedIndex, samples: Samples) -> Tensor:
    """Return the mean attention [B, H, K] of the queries of each graph to each sampled key; 0 for an empty graph."""
    return torch.stack([weights.sum(1) / max(1, weights.size(1)) for weights in _attention(block, x, index, samples)])


def _attention(block: Module, x: Tensor, index: RaggedIndex, samples: Samples) -> Iterator[Tensor]:
    """Yield the attention [H, n, K] of one graph at a time, to save memory."""
    conv: Any = block.conv
    width = conv.channels // conv.heads
    query = conv.query(block.conv_norm(x)).view(-1, conv.heads, width)  # type: ignore[operator]
    for q, k in zip(query.split(index.sizes), samples.values[..., :width], strict=True):
        yield (q.transpose(0, 1) @ k.transpose(1, 2) / width**0.5).softmax(-1)


def _to_tokens(samples: Samples, values: Tensor, count: int) -> Tensor:
    """Sum values [B, H, K] of samples by token [T], without support pairs."""
    candidates = samples.candidates.flatten()
    is_token = candidates < count
    return values.new_zeros(count).index_add(0, candidates[is_token], values.flatten()[is_token])


@torch.no_grad()
def _found(model: SAMSA, passes: Passes, scores: Tensor) -> Found:
    tokens = passes.tokens
    return Found(of_nodes_and_edges(scores, tokens), read_out(model, tokens.x, tokens.index, passes.graph_features))
