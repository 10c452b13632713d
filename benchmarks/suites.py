"""Which contestants run on which workloads, and what each suite reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import checks, contestants
from benchmarks.contestants import BOUNDS, Build
from benchmarks.kernels import kernel_of
from benchmarks.timing import take_turns
from benchmarks.workloads import POINTS, SYMBOLS, Workload, peptide_batch, peptides, single
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.deferred_checks import deferred_checks
from pyg_samsa.nn import SAMSA
from pyg_samsa.training.batch_network import BatchNetwork

SUITES = ("attention", "block", "train", "scaling", "model")
Step = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """How a suite is run.

    Args:
        device: Where.
        dtype: In which type; below float32 the weights stay float32, under autocast.
        rounds: Rounds of each contestant.
        root: Folder of prepared data sets.
        rate: Measured floating-point operations per second of a large matrix product.
        quick: Small workloads only.
    """

    device: torch.device
    dtype: torch.dtype
    rounds: int
    root: str
    rate: float
    quick: bool = False


def run_suite(name: str, setting: Setting) -> Iterator[dict[str, Any]]:
    """Run one suite and yield a row for each contestant, as soon as a workload is done."""
    if name == "attention":
        for work in _batches(setting):
            yield from _compare(name, work, work.samples[0], contestants.ATTENTION, setting)
        yield from _compare(
            name, _single(65_536, 256, setting), 256, _only(contestants.ATTENTION, "SAMSA", "packed full"), setting
        )
    elif name in ("block", "train"):
        backward = name == "train"
        for work in _batches(setting):
            for samples in work.samples if not backward else work.samples[:1]:
                field = (
                    contestants.BLOCK
                    if samples == work.samples[0]
                    else _only(contestants.BLOCK, "SAMSA", *BOUNDS, "packed full")
                )
                left_out = BOUNDS if backward else ("SAMSA soft",)
                field = {key: build for key, build in field.items() if key not in left_out}
                if work is POINTS and samples == work.samples[0]:
                    field = {**field, **contestants.CLOUDS}
                yield from _compare(name, work, samples, field, setting, backward=backward)
        names = ["SAMSA", "packed full"] if backward else ["SAMSA", *BOUNDS, "packed full"]
        pair = _only(contestants.BLOCK, *names)
        yield from _compare(name, _single(16_384, 256, setting), 256, pair, setting, backward=backward)
        if not backward:
            for tokens in (128, 256, 512):
                yield from _compare(name, single(tokens, 128), 128, pair, setting)
    elif name == "scaling":
        for power in range(10, 14 if setting.quick else 17):
            tokens = 2**power
            field = (
                _only(contestants.BLOCK, "SAMSA", "packed full") if power <= 14 else _only(contestants.BLOCK, "SAMSA")
            )
            yield from _compare(name, single(tokens, 256), 256, field, setting)
    elif name == "model":
        yield from _models(setting)
    else:
        raise ValueError(f"suite {name!r}: choose from {', '.join(SUITES)}")


def _batches(setting: Setting) -> list[Workload]:
    return [peptides(setting.root, graphs=8)] if setting.quick else [peptides(setting.root), POINTS, SYMBOLS]


def _single(tokens: int, samples: int, setting: Setting) -> Workload:
    return single(min(tokens, 4096) if setting.quick else tokens, samples)


def _only(field: Mapping[str, Build], *names: str) -> dict[str, Build]:
    return {name: field[name] for name in names}


def _compare(
    suite: str, work: Workload, samples: int, field: Mapping[str, Build], setting: Setting, *, backward: bool = False
) -> Iterator[dict[str, Any]]:
    x, index = work.tensors(setting.device)
    runs: dict[str, Step] = {}
    verdicts: dict[str, str] = {}
    kernels: dict[str, str] = {}
    for name, build in field.items():
        torch.manual_seed(0)
        module = build(work, samples)
        verdicts[name] = checks.check(build, work.heads)
        kernels[name] = kernel_of(module, setting.device, setting.dtype)
        runs[name] = _step(module.to(setting.device), x, index, setting, backward=backward)
    measured = take_turns(runs, setting.device, rounds=setting.rounds)
    ours = measured["SAMSA"].median
    our_work = _operations(suite, "SAMSA", work, samples)
    for name, measurement in measured.items():
        low, high = measurement.spread
        work_done = _operations(suite, name, work, samples)
        yield {
            "suite": suite,
            "workload": work.name,
            "tokens": work.tokens,
            "channels": work.channels,
            "samples": samples,
            "contestant": name,
            "seconds": measurement.median,
            "low": low,
            "high": high,
            "rounds": len(measurement.seconds),
            "ratio": measurement.median / ours,
            "peak_bytes": measurement.peak_bytes,
            "products": work_done / our_work if work_done else None,
            "of_rate": work_done * (3 if backward else 1) / measurement.median / setting.rate if work_done else None,
            "check": verdicts[name],
            "kernel": kernels[name],
        }


def _step(module: nn.Module, x: Tensor, index: RaggedIndex, setting: Setting, *, backward: bool) -> Step:
    half = setting.dtype != torch.float32
    autocast: Any = torch.autocast(setting.device.type, dtype=setting.dtype) if half else nullcontext()
    if not backward:
        module.eval()

        def infer() -> object:
            with torch.inference_mode(), autocast:
                return module(x, index)

        return infer
    module.train()
    leaf, upstream = x.clone().requires_grad_(), torch.randn_like(x)

    def train() -> None:
        with autocast:
            out = module(leaf, index)
        out.backward(upstream)
        leaf.grad = None
        module.zero_grad(set_to_none=True)

    return train


def _operations(suite: str, name: str, work: Workload, samples: int) -> float:
    """Floating-point operations of the products that cannot be avoided, forward; 0 where nobody counted them."""
    tokens, channels, graphs = work.tokens, work.channels, len(work.sizes)
    network = 0 if suite == "attention" else 8 * tokens * channels**2
    if name.startswith("SAMSA"):
        pairs = 2 * min(tokens, graphs * samples) * channels**2
        return 2 * (
            4 * tokens * channels**2
            + pairs
            + tokens * channels * work.heads
            + 2 * tokens * samples * channels
            + network
        )
    if name == "packed full":
        return 2 * (4 * tokens * channels**2 + 2 * sum(size**2 for size in work.sizes) * channels + network)
    return 0.0


def _models(setting: Setting) -> Iterator[dict[str, Any]]:
    """Whole networks on a batch of real molecules: seconds of a training step and of an evaluation."""
    dataset, batch = peptide_batch(setting.root, 8 if setting.quick else 32)
    batch = batch.to(setting.device)
    sizes: dict[str, dict[str, int]] = {
        "4 layers, D 64, K 64": {"channels": 64, "num_layers": 4, "heads": 4, "num_samples": 64, "ffn_channels": 128},
        "24 layers, D 128, K 256": {"channels": 128, "num_layers": 24, "heads": 8, "num_samples": 256},
    }
    for name, options in sizes.items():
        torch.manual_seed(0)
        model = SAMSA.from_options(
            dataset.features.in_channels,
            dataset.task.num_targets,
            edge_channels=dataset.features.edge_channels,
            **options,
        ).to(setting.device)  # type: ignore[arg-type]
        network = _OnBatch(model, batch)
        for mode in ("inference", "training"):
            step = _step(
                network,
                torch.zeros(batch.num_graphs, dataset.task.num_targets, device=setting.device),
                None,
                setting,
                backward=mode == "training",
            )  # type: ignore[arg-type]
            measurement = take_turns({name: step}, setting.device, rounds=setting.rounds)[name]
            low, high = measurement.spread
            yield {
                "suite": "model",
                "workload": f"{batch.num_graphs} peptides, {batch.num_nodes + batch.num_edges:,} tokens",
                "tokens": batch.num_nodes + batch.num_edges,
                "channels": options["channels"],
                "samples": options["num_samples"],
                "contestant": f"{name}, {mode}",
                "seconds": measurement.median,
                "low": low,
                "high": high,
                "rounds": len(measurement.seconds),
                "ratio": None,
                "peak_bytes": measurement.peak_bytes,
                "products": None,
                "of_rate": None,
                "check": "",
                "kernel": kernel_of(model, setting.device, setting.dtype),
            }


class _OnBatch(nn.Module):
    """A network on one batch, as a training step runs it: it does not wait for the device."""

    def __init__(self, model: SAMSA, batch: Any) -> None:
        super().__init__()
        self.network, self.batch = BatchNetwork(model), batch

    def forward(self, x: Tensor, index: Any) -> Tensor:
        with deferred_checks():
            return x + self.network(self.batch)[0]


def exponent(tokens: list[int], values: list[float]) -> float:
    """Slope of the line of least squares through the logarithms: 1 is linear.

    Example:
        >>> round(exponent([1, 2, 4], [3.0, 12.0, 48.0]), 6)
        2.0
    """
    xs, ys = [math.log(count) for count in tokens], [math.log(value) for value in values]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum((x - mx) ** 2 for x in xs)
