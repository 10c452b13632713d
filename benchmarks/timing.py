"""Time and peak memory of contestants that take turns in one process."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch


@dataclass
class Measurement:
    """Measurements of one contestant.

    Args:
        seconds: One entry per round.
        peak_bytes: Peak memory of tensors during one run, without the memory held before.
    """

    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """Lower and upper quartile of the rounds."""
        if len(self.seconds) < 3:
            return min(self.seconds), max(self.seconds)
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return low, high


def take_turns(
    runs: Mapping[str, Callable[[], object]], device: torch.device, *, rounds: int, slow: float = 2.0
) -> dict[str, Measurement]:
    """Time contestants in turns, so that slow phases of the machine affect all of them.

    Args:
        runs: Name -> function to time.
        device: Device of the functions.
        rounds: Number of rounds; contestants that take more than ``slow`` seconds get at most three.
        slow: Limit in seconds.
    """
    out = {name: Measurement() for name in runs}
    limit = dict.fromkeys(runs, rounds)
    for name, run in runs.items():
        run()
        _finish(device)
        seconds = _time(run, device)
        limit[name] = rounds if seconds < slow else 3
        out[name].peak_bytes = peak_memory(run, device)
    for turn in range(rounds):
        names = list(runs)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if len(out[name].seconds) < limit[name]:
                out[name].seconds.append(_time(runs[name], device))
    return out


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _time(run: Callable[[], object], device: torch.device) -> float:
    _finish(device)
    start = time.perf_counter()
    run()
    _finish(device)
    return time.perf_counter() - start


def peak_memory(run: Callable[[], object], device: torch.device) -> int:
    """Return the peak memory of tensors during one run in bytes, without the memory held before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        _finish(device)
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=lambda entry: entry[0]):
        held += change
        peak = max(peak, held)
    return peak


def product_rate(device: torch.device, dtype: torch.dtype, size: int = 2048) -> float:
    """Return the floating-point operations per second of one large matrix product, the best of nine."""
    size = size if device.type == "cpu" else 4 * size
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = take_turns({"product": lambda: a @ b}, device, rounds=9)["product"].seconds
    return 2 * size**3 / min(times)
