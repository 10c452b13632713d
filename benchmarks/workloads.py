"""Workloads: sizes of real peptides, point clouds, sequences, and single large inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional import RaggedIndex


@dataclass(frozen=True)
class Workload:
    """One batch.

    Args:
        name: Short description.
        sizes: Tokens of each graph.
        channels: Channels D of a token.
        heads: Number of heads H.
        samples: Numbers K of sampled tokens.
    """

    name: str
    sizes: Sequence[int]
    channels: int
    heads: int
    samples: Sequence[int]

    @property
    def tokens(self) -> int:
        """Tokens T of the batch."""
        return sum(self.sizes)

    def tensors(self, device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, RaggedIndex]:
        """Return tokens [T, D] and the index of their graphs."""
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(self.tokens, self.channels, generator=generator)
        ptr = torch.tensor([0, *self.sizes]).cumsum(0)
        return x.to(device, dtype), RaggedIndex(ptr.to(device))


def peptides(root: str, *, graphs: int = 32, mean: int = 458) -> Workload:
    """Return the sizes of real peptides, chosen to have about ``mean`` tokens, as in Peptides-func."""
    from pyg_samsa.datasets import EmbeddedPeptides

    dataset: Any = EmbeddedPeptides(root)
    sizes = dataset.count_tokens()
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(0))
    # The embedded peptides are larger on average, so of every four the one that best corrects the mean is chosen.
    chosen: list[int] = []
    for few in sizes[order][: 4 * graphs].view(-1, 4).tolist():
        wanted = mean * (len(chosen) + 1) - sum(chosen)
        chosen.append(min(few, key=lambda size: abs(size - wanted)))
    return Workload(f"peptides, {graphs} graphs, mean {round(sum(chosen) / graphs)} tokens", chosen, 128, 8, (128,))


def peptide_batch(root: str, graphs: int) -> tuple[Any, Any]:
    """Return the embedded peptides and a batch of the first of them, as a loader makes it for training."""
    from pyg_samsa.datasets import EmbeddedPeptides, code_keys
    from pyg_samsa.training.data_module import SplitData

    dataset: Any = code_keys.add_code_keys(EmbeddedPeptides(root), "structural", edge_features=True)
    rows = torch.arange(graphs)
    return dataset, next(iter(SplitData(dataset, {"train": rows}, batch_size=graphs, pin_memory=False).loader("train")))


POINTS = Workload("32 x 1,024 points", [1024] * 32, 256, 8, (128, 256, 512))
SYMBOLS = Workload("4 x 4,096 symbols", [4096] * 4, 128, 8, (256,))


def single(tokens: int, samples: int, channels: int = 128, heads: int = 8) -> Workload:
    """Return one input of many tokens."""
    return Workload(f"1 x {tokens:,} tokens", [tokens], channels, heads, (samples,))
