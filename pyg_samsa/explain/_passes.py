"""Runs a network block by block and keeps the tokens between the blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.ragged_sampling import Samples
from pyg_samsa.nn.conv.samsa_conv import SAMSAConv
from pyg_samsa.nn.conv.token_conv import TokenContext
from pyg_samsa.nn.models.samsa import SAMSA
from pyg_samsa.nn.tokenizers.graph import GraphTokenizer
from pyg_samsa.nn.tokenizers.tokens import Tokens


class Passes(NamedTuple):
    """The tokens of one forward pass.

    Attributes:
        inputs: Tokens [T, D] before each of the L blocks and after the last: L + 1 tensors.
        tokens: The tokens after the last block, and which rows are nodes and edges.
        graph_features: Features of the graphs [B, F] that the readout takes; None without them.

    Example:
        >>> from torch_geometric.data import Data
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, graph_channels=3).eval()
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> graph = Data(x=torch.randn(3, 5), edge_index=edges, graph_features=torch.ones(1, 3))
        >>> open_passes(model, graph).graph_features
        tensor([[1., 1., 1.]])
    """

    inputs: list[Tensor]
    tokens: Tokens
    graph_features: Tensor | None = None


class Found(NamedTuple):
    """The result of a method for a batch.

    Attributes:
        scores: Scores of all nodes and then of all directed edges [N + E].
        predictions: Predictions [B, out_channels].
    """

    scores: Tensor
    predictions: Tensor


def check_network(model: Module) -> SAMSA:
    """Return ``model`` if its predictions can be explained by nodes and edges.

    Raises:
        ConfigError: The model is not a `SAMSA` network with Graph-Bridge and one prediction per graph, or is random in
            evaluation.

    Example:
        >>> check_network(torch.nn.Linear(2, 1))
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: model: got 'Linear', expected a pyg_samsa.nn.SAMSA network
    """
    if not isinstance(model, SAMSA):
        raise ConfigError(
            "model",
            type(model).__name__,
            "a pyg_samsa.nn.SAMSA network",
            hint="Pass the SAMSA network itself, not a wrapper.",
        )
    if not isinstance(model.tokenizer, GraphTokenizer) and not model.encoder.uses_edges:
        raise ConfigError("bridge", False, "a network whose edges are tokens (bridge=True) or carry messages (local)")
    readout = model.readout
    if readout is None or readout.level != "graph" or readout.towers != 1:
        raise ConfigError("level", str(readout), "a network with one prediction per graph")
    if model.encoder.uses_positions:
        raise ConfigError("model", "a network with positional encodings", "a network without them")
    bridge = getattr(model.tokenizer, "bridge", None)
    if getattr(bridge, "eval_codes", "") == "random" or any(
        getattr(block.conv, "noise", "never") == "always" for block in model.encoder.blocks
    ):
        raise ConfigError(
            "model",
            "a network with noise in evaluation",
            "a deterministic network",
            hint="Set eval_codes='structural' and noise='train'.",
        )
    return model


def samples_tokens(model: SAMSA) -> bool:
    """Say whether every block of a network samples tokens.

    Args:
        model: The network.

    Example:
        >>> samples_tokens(SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, attention="full"))
        False
    """
    return all(isinstance(block.conv, SAMSAConv) for block in model.encoder.blocks)


def check_sampling(model: SAMSA, method: str = "sampled") -> None:
    """Raise a `ConfigError` unless every block samples tokens.

    Args:
        model: The network.
        method: Name of the method that needs it, for the error.

    Example:
        >>> check_sampling(SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, num_samples=4))
    """
    if not samples_tokens(model):
        names = ", ".join(dict.fromkeys(type(block.conv).__name__ for block in model.encoder.blocks))
        expected = "another method, because this network does not sample tokens"
        raise ConfigError("method", method, expected, hint=f"Its operator is {names}.")


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Set a network to evaluation mode within a ``with`` block.

    Example:
        >>> model = torch.nn.Dropout()
        >>> with evaluating(model):
        ...     model.training
        False
        >>> model.training
        True
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def open_passes(model: SAMSA, data: Any, draw: int = 0) -> Passes:
    """Run tokenizer and blocks once, and keep the input of each block.

    Args:
        model: The network.
        data: A PyG ``Data`` or ``Batch``.
        draw: Number of the deterministic draw of codes.

    Example:
        >>> from torch_geometric.data import Data
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=2, heads=2)
        >>> graph = Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> [tuple(x.shape) for x in open_passes(model.eval(), graph).inputs]
        [(5, 8), (5, 8), (5, 8)]
    """
    inputs: list[Tensor] = []
    hooks = [block.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for block in model.encoder.blocks]
    batch = getattr(data, "batch", None)
    size = None if batch is None else data.num_graphs
    try:
        tokens = model.encode(data.x, data.edge_index, data.edge_attr, batch, batch_size=size, draw=draw)
    finally:
        for hook in hooks:
            hook.remove()
    features = data.graph_features if "graph_features" in model.inputs else None
    return Passes([*inputs, tokens.x], tokens, features)


def run_from(
    model: SAMSA,
    x: Tensor,
    index: RaggedIndex,
    layer: int = 0,
    edges: Mapping[str, Tensor | None] | None = None,
    graph_features: Tensor | None = None,
) -> Tensor:
    """Run the blocks from ``layer`` on tokens [T, D], and return the predictions [B, out_channels].

    Args:
        model: The network.
        x: Tokens before the layer [T, D].
        index: Where each graph begins and ends.
        layer: Number of the first layer to run.
        edges: Arguments of the blocks about edges, see `pyg_samsa.nn.Encoder.edges_of`.
        graph_features: Features of the graphs [B, F], if the readout takes them.

    Example:
        >>> from torch_geometric.data import Data
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=2, heads=2).eval()
        >>> passes = open_passes(model, Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1], [1, 0]])))
        >>> first, last = (run_from(model, passes.inputs[layer], passes.tokens.index, layer) for layer in (0, 2))
        >>> torch.allclose(first, last, atol=1e-6)
        True
    """
    return read_out(model, model.encoder.run(x, index, dict(edges or {}), first=layer), index, graph_features)


def read_out(model: SAMSA, x: Tensor, index: RaggedIndex, graph_features: Tensor | None = None) -> Tensor:
    """Return the predictions [B, out_channels] from the tokens after the last block.

    Example:
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2)
        >>> read_out(model, torch.randn(3, 8), RaggedIndex(torch.tensor([0, 2, 3]))).shape
        torch.Size([2, 1])
    """
    assert model.readout is not None  # check_network has seen to it
    return model.readout(Tokens(x, index, torch.arange(0, device=x.device)), graph_features=graph_features)


def sample(block: Module, x: Tensor, index: RaggedIndex) -> Samples:
    """Return the samples of the heads of a block."""
    return block.conv.sample(block.conv_norm(x), TokenContext(index, x))  # type: ignore[operator,union-attr]


def of_nodes_and_edges(scores: Tensor, tokens: Tokens, edge_scores: Tensor | None = None) -> Tensor:
    """Return the scores of all nodes and then of all directed edges [N + E] from those of the tokens [T].

    Args:
        scores: Scores of the tokens [T].
        tokens: Which rows are nodes and edges.
        edge_scores: Scores of edges that are not tokens [E]; zeros by default.

    Example:
        >>> tokens = Tokens(torch.ones(3, 2), RaggedIndex(torch.tensor([0, 3])), torch.arange(2), torch.tensor([2]))
        >>> of_nodes_and_edges(torch.tensor([0.1, 0.2, 0.3]), tokens).tolist() == torch.tensor([0.1, 0.2, 0.3]).tolist()
        True
    """
    if tokens.edge_rows is not None:
        edge_scores = scores[tokens.edge_rows]
    elif edge_scores is None:
        edge_scores = scores.new_zeros(0 if tokens.edge_index is None else tokens.edge_index.size(1))
    return torch.cat([scores[tokens.node_rows], edge_scores])
