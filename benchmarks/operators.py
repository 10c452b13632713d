"""``python -m benchmarks.operators``: every operator on a device against the CPU in float64.

A block of each operator runs on a ragged batch with an empty graph: once on the CPU in float64, and on the device in
float64, float32 and bfloat16 (autocast). Compared are what the block adds to its input, and the gradients of input and
weights. With ``--device cpu``, the second runs take the path for accelerators.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.device_path import accelerator_path
from pyg_samsa.nn import AttentionConv, FLTConv, PerformerConv, SAMSABlock, SAMSAConv, SFTConv

SIZES = (7, 0, 1, 90, 33, 300)
CHANNELS, HEADS, SAMPLES = 32, 2, 16
OPERATORS: dict[str, Callable[[], torch.nn.Module]] = {
    "SAMSA": lambda: SAMSAConv(CHANNELS, HEADS, SAMPLES),
    "SAMSA soft": lambda: SAMSAConv(CHANNELS, HEADS, SAMPLES, sampling="soft"),
    "SAMSA with replacement": lambda: SAMSAConv(CHANNELS, HEADS, SAMPLES, sampling="replacement"),
    "SFT": lambda: SFTConv(CHANNELS, HEADS, SAMPLES, encoding="none"),
    "SFT, distances": lambda: SFTConv(CHANNELS, HEADS, SAMPLES, encoding="dist"),
    "FLT": lambda: FLTConv(CHANNELS, HEADS, num_dims=3),
    "FLT causal": lambda: FLTConv(CHANNELS, HEADS, num_dims=3, causal=True),
    "Performer": lambda: PerformerConv(CHANNELS, HEADS),
    "full attention": lambda: AttentionConv(CHANNELS, HEADS),
}
LIMITS = {"float64": 1e-8, "float32": 2e-3}
"""Largest relative error that passes. In bfloat16 another choice of keys is no error, so only finite results pass."""


class Comparison(NamedTuple):
    """Errors of one operator in one precision, relative to the CPU in float64.

    Attributes:
        operator: Name.
        precision: ``float64``, ``float32`` or ``bf16``.
        output: Norm of the error of what the block adds, by the norm of what it adds.
        gradient: Largest such error of a gradient.
        verdict: ``ok``, or what is wrong.
    """

    operator: str
    precision: str
    output: float
    gradient: float
    verdict: str


def compare(name: str, device: torch.device) -> list[Comparison]:
    """Compare an operator in all precisions.

    Args:
        name: Name in `OPERATORS`.
        device: Where it is tried.
    """
    expected = _run(name, torch.device("cpu"), "float64")
    found = []
    for precision in ("float64", "float32", "bf16"):
        try:
            with accelerator_path():
                got = _run(name, device, precision)
        except Exception as error:  # each failure is one row of the table
            found.append(Comparison(name, precision, float("nan"), float("nan"), f"{type(error).__name__}: {error}"))
            continue
        output, *gradients = (_error(a, b) for a, b in zip(got, expected, strict=True))
        gradient = max(gradients)
        finite = all(bool(part.isfinite().all()) for part in got)
        right = finite and max(output, gradient) <= LIMITS.get(precision, float("inf"))
        verdict = "ok" if right else "differs" if finite else "not finite"
        found.append(Comparison(name, precision, output, gradient, verdict))
    return found


def _run(name: str, device: torch.device, precision: str) -> list[Tensor]:
    """Return output, gradient of the input, and gradients of the weights, on the CPU in float64."""
    dtype = torch.float64 if precision == "float64" else torch.float32
    torch.manual_seed(0)
    block = SAMSABlock(CHANNELS, conv=OPERATORS[name]()).double()
    if block.alpha is not None:  # ReZero starts at 0, where the branches add nothing
        torch.nn.init.ones_(block.alpha)
    generator = torch.Generator().manual_seed(0)
    x, upstream, pos = (
        torch.randn(sum(SIZES), width, generator=generator, dtype=torch.float64).to(device, dtype)
        for width in (CHANNELS, CHANNELS, 3)
    )
    block = block.to(device, dtype).eval()
    ptr = torch.tensor([0, *SIZES]).cumsum(0).to(device)
    autocast: Any = torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    leaf = x.requires_grad_()
    with autocast:
        out = block(leaf, ptr=RaggedIndex(ptr), pos=pos) - leaf
    out.backward(upstream.to(out.dtype))
    weights = [weight.grad for weight in block.parameters() if weight.grad is not None]
    return [part.detach().double().cpu() for part in (out, leaf.grad, *weights) if part is not None]


def _error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm().clamp(min=1e-30))


COLUMNS = ("operator", "precision", "error of the output", "of the gradients", "verdict")


def cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the comparisons as rows of `COLUMNS`.

    Args:
        rows: Comparisons as dictionaries.
    """
    return [
        [row["operator"], row["precision"], f"{row['output']:.1e}", f"{row['gradient']:.1e}", row["verdict"]]
        for row in rows
    ]


def main(argv: list[str] | None = None) -> int:
    """Print and save the comparisons; return 1 where one fails."""
    from rich.console import Console

    from benchmarks.report import plain_table
    from pyg_samsa.io.files import atomic_write

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operators",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cuda", help="cuda or cpu (default: cuda)")
    parser.add_argument(
        "--out", default="results/operators.json", help="file of the result (default: results/operators.json)"
    )
    args = parser.parse_args(argv)
    device = torch.device(args.device)
    rows = [row._asdict() for name in OPERATORS for row in compare(name, device)]
    with atomic_write(Path(args.out)) as partial:
        partial.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    Console().print(plain_table(COLUMNS, cells(rows)))
    return int(any(row["verdict"] != "ok" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
