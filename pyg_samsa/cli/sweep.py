"""``pyg-samsa sweep``: train with a grid of settings and compare the results."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_samsa.cli._arguments import add_import, add_overrides, add_storage, import_modules
from pyg_samsa.cli._listing import print_files, print_table
from pyg_samsa.errors import ConfigError

if TYPE_CHECKING:
    from pyg_samsa.experiments.sweep import Outcome, Sweep

HELP = "train with a grid of settings and compare the results"
EPILOG = """\
examples:
  pyg-samsa sweep --list                                 list the packaged grids
  pyg-samsa sweep samples --dry-run                      list the runs of a grid without running them
  pyg-samsa sweep samples --jobs 2                       a packaged grid, two runs at a time
  pyg-samsa sweep my_grid.yaml optim.max_epoch 20 --seeds 5
  pyg-samsa sweep my_grid.txt --base quickstart          a grid in GraphGym's format
  pyg-samsa sweep my_grid.yaml --sampler tpe --trials 40 --prune        40 runs of the cells that look best

A cell of a grid is one combination of settings; it is trained once per seed. A grid in YAML:

  base: quickstart                       # a config, as for --cfg
  set: {optim.max_epoch: 5}              # settings of all cells
  grid:                                  # all combinations of these values
    samsa.num_samples: [8, 16, 32]
  cells:                                 # and/or named combinations
    hard: {samsa.sampling: hard}
    soft: {samsa.sampling: soft}
  seeds: 3                               # or a list of seeds
  metric: ap                             # metric of the table and the plot

Results are written to results.csv and sweep.png in the folder of the sweep. If the same command is run again, finished
runs are not repeated. If it is run while it still runs, here or on another machine with the same folder, both share the
runs.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "grid", metavar="GRID", nargs="?", help="file of a grid (YAML or text), or name of a packaged grid"
    )
    parser.add_argument("--base", metavar="CFG", help="config of all cells (default: that of the grid)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="number of runs at a time; they share the cores (default: 1)",
    )
    parser.add_argument(
        "--seeds",
        metavar="N|A,B",
        help="number of seeds per cell, or a list such as 0,7 (default: those of the grid)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the sweep (default: results/sweep-GRID)")
    parser.add_argument(
        "--sampler",
        choices=("grid", "tpe"),
        default="grid",
        help="grid: every cell with every seed (default); tpe: --trials runs, of cells that look best by validation",
    )
    parser.add_argument("--trials", type=int, metavar="N", help="number of runs with --sampler tpe, of all workers")
    parser.add_argument(
        "--prune", action="store_true", help="stop runs early whose validation is worse than the median of the others"
    )
    add_storage(parser, "study.log in the folder of the sweep")
    parser.add_argument("--dry-run", action="store_true", help="check and list the cells, then stop")
    parser.add_argument("--list", action="store_true", help="list the packaged grids, then stop")
    add_import(parser, custom=True)
    add_overrides(parser, "overrides for all cells, such as optim.max_epoch 10")


def run(args: argparse.Namespace) -> int:
    """Run the grid."""
    from pyg_samsa.experiments import grids
    from pyg_samsa.experiments.sweep import Sweep
    from pyg_samsa.training.console import make_console

    console = make_console()
    if args.list:
        print_files({path.stem: path for path in sorted(grids.GRIDS.iterdir()) if path.suffix in (".yaml", ".txt")})
        return 0
    if args.grid is None:
        raise ConfigError(
            "GRID",
            None,
            "a YAML or text file, or the name of a packaged grid",
            hint="pyg-samsa sweep --list prints the packaged grids.",
        )
    imports = import_modules(args)
    seeds = grids.parse_seeds(args.seeds) if args.seeds else None
    grid = grids.read_grid(args.grid, base=args.base, seeds=seeds)
    out = args.out or Path("results") / f"sweep-{grid.name}"
    try:
        study = {name: getattr(args, name) for name in ("storage", "sampler", "trials", "prune")}
        sweep = Sweep(grid, out, opts=args.opts, jobs=args.jobs, imports=imports, **study)
    except ConfigError as error:
        raise error.renamed("--base") if error.key == "--cfg" else error from None
    if args.dry_run:
        _list(console, sweep)
        return 0
    outcomes = _run(console, sweep, quiet=args.verbosity < 0)
    _show(console, sweep)
    failed = [outcome for outcome in outcomes if outcome.code]
    for reason in dict.fromkeys(outcome.reason for outcome in failed):
        runs = "; ".join(outcome.job.title for outcome in failed if outcome.reason == reason)
        console.print(f"failed: {reason}\n        {runs}", markup=False)
    if failed:
        console.print(
            f"{len(failed)} of {len(outcomes)} runs failed; see the logs in {sweep.out / 'logs'}.", markup=False
        )
    return max((outcome.code if outcome.code > 0 else 1 for outcome in failed), default=0)


def resume_hint(args: argparse.Namespace) -> str:
    """Return how to continue a sweep that was stopped.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> configure(parser)
        >>> print(resume_hint(parser.parse_args(["sampling", "--jobs", "2"])))
        Finished runs are kept. Continue with:
          pyg-samsa sweep sampling --jobs 2
    """
    words = ["pyg-samsa", "sweep", args.grid, *args.opts, *(["--jobs", str(args.jobs)] if args.jobs > 1 else [])]
    for option in ("base", "seeds", "out", "storage", "sampler", "trials"):
        if getattr(args, option) not in (None, "grid"):
            words += [f"--{option}", str(getattr(args, option))]
    words += ["--prune"] if args.prune else []
    words += [word for name in args.imports for word in ("--import", name)]
    return f"Finished runs are kept. Continue with:\n  {shlex.join(words)}"


def _list(console: Any, sweep: Sweep) -> None:
    rows = []
    for cell in sweep.grid.cells:
        runs = [job for job in sweep.runs if job.cell is cell]
        done = sum(map(sweep.finished, runs))
        seeds = ", ".join(str(job.seed) for job in runs) + (f" ({done} finished)" if done else "")
        rows.append((cell.label, seeds, "\n".join(f"{key} {value}" for key, value in cell.varied.items())))
    console.print(f"{sweep.grid.name}: {len(sweep.runs)} runs", markup=False)
    print_table(console, ("cell", "seeds", "settings"), rows)
    console.print(
        f"base {sweep.grid.base}, folder {sweep.out}, {sweep.jobs} at a time with {sweep.threads} threads each",
        markup=False,
    )


def _run(console: Any, sweep: Sweep, *, quiet: bool) -> list[Outcome]:
    from pyg_samsa.experiments.sweep_runs import run_sweep
    from pyg_samsa.io.progress import progress_bar

    total, count = min(len(sweep.runs), sweep.trials or len(sweep.runs)), 0

    def report(outcome: Outcome) -> None:
        nonlocal count
        count += 1
        if not quiet:
            console.print(f"[{count}/{total}] {outcome.job.title}: {_state(sweep, outcome)}", markup=False)
        advance(1)

    with progress_bar(f"{sweep.grid.name}", total, enabled=not quiet and console.is_terminal) as advance:
        return run_sweep(sweep, report)


def _state(sweep: Sweep, outcome: Outcome) -> str:
    if outcome.reused:
        return "already finished"
    if outcome.code:
        return f"failed: {outcome.reason}"
    other = " (another worker)" if outcome.elsewhere else ""
    if outcome.pruned:
        return f"{outcome.reason}{other}"
    table, metric = sweep.results(), sweep.metric()
    row = table[(table["cell"] == outcome.job.cell.label) & (table["seed"] == outcome.job.seed)].iloc[0]
    return f"{metric} {row[metric]:.4f}, {row['seconds']:.0f} s{other}"


def _show(console: Any, sweep: Sweep) -> None:
    from pyg_samsa.viz.sweeps import plot_curves, plot_sweep, sweep_table

    table = sweep.results()
    if table.empty:
        return
    options: dict[str, Any] = {"metric": sweep.metric(), "keys": sweep.grid.columns}
    console.print()
    console.print(sweep_table(table, title=sweep.grid.name, **options))
    console.print(f"{sweep.write_results()}  all runs", markup=False)
    if table[options["metric"]].notna().any():
        plot = plot_sweep(table, sweep.out / "sweep.png", title=f"{sweep.grid.name}: {len(table)} runs", **options)
        console.print(f"{plot}  metric by setting and by time", markup=False)
    metric = options["metric"].partition("_")[2]
    # Runs of machines without a common folder have their histories there.
    table = table[[(Path(folder) / "metrics.csv").is_file() for folder in table["folder"]]]
    if len(table) and f"val_{metric}" in table:
        curves = plot_curves(
            table, sweep.out / "curves.png", metric=metric, title=f"{sweep.grid.name}: learning curves"
        )
        console.print(f"{curves}  metric by step and by time", markup=False)
