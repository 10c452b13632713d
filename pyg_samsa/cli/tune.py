"""``pyg-samsa tune``: search for good settings."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from pyg_samsa.cli._arguments import add_config, add_import, add_overrides, add_storage, import_modules
from pyg_samsa.cli._listing import print_table
from pyg_samsa.cli.train import add_table, check_table, give_back_settings, table_options
from pyg_samsa.errors import ConfigError

if TYPE_CHECKING:
    from pyg_samsa.experiments.tune import Tuning

HELP = "search for settings that predict the validation split best"
EPILOG = """\
examples:
  pyg-samsa tune --csv esol.csv --target-columns logS --minutes 30      your own molecules
  pyg-samsa train --cfg results/tune-esol/best.yaml                     train with the best settings
  pyg-samsa tune --csv esol.csv --target-columns logS --minutes 30 samsa.layers 3    with three layers in all trials
  pyg-samsa tune --cfg quickstart --minutes 60

Run the same command again to go on with the search, or while it still runs, here or on another machine with the same
folder, to share it. Settings on the command line are not searched. The test split is
not used.
"""
_SHOWN = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_config(parser)
    parser.add_argument(
        "--minutes", type=float, default=30.0, metavar="M", help="time for the search (default: 30 minutes)"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="stop after N trials (default: no limit)")
    add_storage(parser, "study.log in the folder of the search")
    add_import(parser, custom=True)
    add_table(parser)
    add_overrides(parser, "overrides for the config file, which are not searched, such as samsa.layers 3")


def run(args: argparse.Namespace) -> int:
    """Search."""
    import_modules(args)
    check_table(args)
    give_back_settings(args)
    opts = [*table_options(args), *args.opts]
    config = args.cfg_file or ("csv" if args.csv else "")
    if not config:
        hint = "pyg-samsa tune --csv FILE --target-columns NAME"
        raise ConfigError("--csv", None, "a table of molecules, or a config as --cfg", hint=hint)
    from pyg_samsa.experiments.tune import tune
    from pyg_samsa.training.console import make_console

    console = make_console()

    def show(line: str) -> None:
        if args.verbosity >= 0:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    limits = {"minutes": args.minutes, "trials": args.trials}
    result = tune(config, opts, **limits, storage=args.storage, verbosity=args.verbosity, on_trial=show)
    _print(console, result)
    return 0


def resume_hint(args: argparse.Namespace) -> str:
    """Return how to go on with a search that was stopped.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> configure(parser)
        >>> print(resume_hint(parser.parse_args(["--cfg", "quickstart", "--minutes", "5"])))
        Finished trials are kept. Run the same command again to continue.
    """
    return "Finished trials are kept. Run the same command again to continue."


def _print(console: Any, result: Tuning) -> None:
    from pyg_samsa.viz.figure import shown

    if not result.network and not result.trees:
        console.print("No trial has finished yet. Run the same command again, with more --minutes or fewer --epochs.")
        return
    found = {"network": result.network, "trees": result.trees}
    console.print(f"{sum(map(len, found.values()))} finished trials, {result.stopped} stopped early")
    rows = [
        (f"{name} {trial.number}", shown(trial.value), f"{trial.seconds:.0f} s", trial.text())
        for name, trials in found.items()
        for trial in trials[:_SHOWN]
    ]
    print_table(console, ("trial", f"val {result.metric}", "time", "settings"), rows)
    console.print(
        f"Train with the best settings:\n  pyg-samsa train --cfg {shlex.quote(str(result.config))}", markup=False
    )
