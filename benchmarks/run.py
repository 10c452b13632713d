"""``python -m benchmarks.run``: time contestants in turns, print medians and ratios, write JSON and plots."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--suite",
        nargs="+",
        default=["block"],
        choices=["attention", "block", "train", "scaling", "model", "all"],
        help="suites to run",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=["auto", "float32", "bfloat16"],
        help="auto: float32 on the CPU, bfloat16 autocast on CUDA",
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds per contestant (default: 9)")
    parser.add_argument("--threads", type=int, default=0, help="threads of the CPU; 0 for all")
    parser.add_argument("--root", default="datasets", help="folder of prepared data sets (default: datasets)")
    parser.add_argument(
        "--out", default="results/benchmarks", help="folder of results.json and the plots (default: results/benchmarks)"
    )
    parser.add_argument("--quick", action="store_true", help="small workloads, as a test")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run suites; return 0, or 2 for a wrong argument."""
    parser = _parser()
    args = parser.parse_args(argv)
    # Sleeping threads distort short products. The variable must be set before torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")

    import torch
    from rich.console import Console

    from benchmarks import report, suites
    from benchmarks.timing import product_rate
    from pyg_samsa.io.memory import keep_memory
    from pyg_samsa.training.environment import available_cpus, describe

    if args.rounds < 1:
        parser.error("--rounds: a number of at least 1")
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here; try --device cpu")
    torch.set_num_threads(args.threads or available_cpus())
    keep_memory()
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(
        args.dtype, torch.bfloat16 if device.type == "cuda" else torch.float32
    )
    rate = product_rate(device, dtype)
    console = Console() if sys.stdout.isatty() else Console(width=130)
    environment: dict[str, Any] = describe() | {
        "device": str(device),
        "dtype": str(dtype).removeprefix("torch."),
        "product_rate": rate,
    }
    machine = environment["cpu"] if device.type == "cpu" else environment["devices"][0]
    console.print(f"{machine} · {torch.get_num_threads()} threads · {environment['dtype']}")
    console.print(f"one large matrix product: {rate / 1e9:,.0f} GFLOP/s\n")
    setting = suites.Setting(device, dtype, args.rounds, args.root, rate, args.quick)
    rows: list[dict[str, Any]] = []
    for suite in suites.SUITES if "all" in args.suite else args.suite:
        try:
            _run_suite(suite, setting, rows, console)
        finally:
            # What was measured is kept, whatever happens afterwards.
            written = report.write(Path(args.out), environment, rows) if rows else []
    for name, time, memory in report.exponents(rows):
        console.print(f"{name}: time grows with tokens to the power {time:.2f}, memory {memory:.2f}")
    for path in written:
        console.print(f"written: {path}")
    return 0


def _run_suite(suite: str, setting: Any, rows: list[dict[str, Any]], console: Any) -> None:
    """Run a suite, add its rows, and print a table for each workload."""
    from benchmarks import report, suites

    group: list[dict[str, Any]] = []
    for row in suites.run_suite(suite, setting):
        if group and len(report.workloads([*group, row])) > 1:
            console.print(report.table(group))
            group = []
        group.append(row)
        rows.append(row)
    console.print(report.table(group))


if __name__ == "__main__":
    sys.exit(main())
