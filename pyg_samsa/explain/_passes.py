"""A network opened between its blocks: the tokens that go into each, and what becomes of them from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.sampling import Samples
from pyg_samsa.nn.conv.base import TokenContext
from pyg_samsa.nn.conv.samsa_conv import SAMSAConv
from pyg_samsa.nn.models.samsa import SAMSA
from pyg_samsa.nn.tokenizers.graph import GraphTokenizer
from pyg_samsa.nn.tokenizers.tokens import Tokens


class Passes(NamedTuple):
    """One pass of a batch through a network.

    Attributes:
        inputs: Tokens [T, D] before each of the L blocks, and those after the last: L + 1 tensors.
        tokens: The tokens after the last block, and which rows are nodes and edges.
    """

    inputs: list[Tensor]
    tokens: Tokens


class Found(NamedTuple):
    """What a method found for a batch.

    Attributes:
        scores: Scores of all nodes [N] and then of all directed edges [E], as one tensor.
        predictions: Predictions [B, out_channels].
    """

    scores: Tensor
    predictions: Tensor


def check_network(model: Module) -> SAMSA:
    """Return ``model`` if its predictions can be ascribed to nodes and edges.

    Raises:
        ConfigError: It is not a `SAMSA` network with Graph-Bridge and one prediction a graph, or evaluating it twice gives two results.
    """
    if not isinstance(model, SAMSA):
        raise ConfigError(
            "model",
            type(model).__name__,
            "a pyg_samsa.nn.SAMSA network",
            hint="Pass the SAMSA network itself, not a wrapper.",
        )
    if not isinstance(model.tokenizer, GraphTokenizer):
        raise ConfigError("bridge", False, "a network whose edges are tokens (bridge=True)")
    readout = model.readout
    if readout is None or readout.level != "graph" or readout.towers != 1:
        raise ConfigError("level", str(readout), "a network with one prediction per graph")
    if model.encoder.uses_positions:
        raise ConfigError("model", "a network that encodes positions", "one whose tokens are all it sees")
    if model.tokenizer.bridge.eval_codes == "random" or any(
        getattr(block.conv, "noise", "never") == "always" for block in model.encoder.blocks
    ):
        raise ConfigError(
            "model",
            "a network that draws noise in evaluation",
            "one that is deterministic",
            hint="eval_codes='structural', noise='train'",
        )
    return model


def check_sampling(model: SAMSA) -> None:
    """Raise a `ConfigError` unless every block samples its keys among the tokens."""
    for block in model.encoder.blocks:
        if not isinstance(block.conv, SAMSAConv):
            raise ConfigError(
                "method",
                "sampled",
                "another method: this network does not sample",
                hint=f"Its operator is {type(block.conv).__name__}.",
            )


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Set a network to evaluation for the length of a block."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def open_passes(model: SAMSA, data: Any, draw: int = 0) -> Passes:
    """Run encoders, Graph-Bridge and blocks once, and keep what goes into each block.

    Args:
        model: The network.
        data: A PyG ``Data`` or ``Batch``.
        draw: Number of the deterministic draw of codes.
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
    return Passes([*inputs, tokens.x], tokens)


def run_from(model: SAMSA, x: Tensor, index: RaggedIndex, layer: int = 0) -> Tensor:
    """Take tokens [T, D] before block ``layer`` through the rest of the network; returns the predictions [B, out_channels]."""
    return read_out(model, model.encoder.run(x, index, {}, first=layer), index)


def read_out(model: SAMSA, x: Tensor, index: RaggedIndex) -> Tensor:
    """Return the predictions [B, out_channels] from the tokens after the last block."""
    assert model.readout is not None  # check_network has seen to it
    return model.readout(Tokens(x, index, torch.arange(0, device=x.device)))


def sample(block: Module, x: Tensor, index: RaggedIndex) -> Samples:
    """Return what the heads of a block sample from the tokens before it."""
    return block.conv.sample(block.conv_norm(x), TokenContext(index, x))  # type: ignore[operator,union-attr]
