"""``pyg-samsa doctor``: check the installation."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from pyg_samsa.cli._arguments import RESULTS_FOLDER, add_data_folder

HELP = "check the installation and print how to fix problems"
EPILOG = """\
examples:
  pyg-samsa doctor                     versions, packages, devices, attention backends, data sets, folders
  pyg-samsa doctor -q                  only problems and notes
  pyg-samsa doctor --json              for a bug report or a script
  pyg-samsa doctor --root ~/data       check another folder of data sets

The exit code is 2 if something required does not work, otherwise 0.
"""
MARKS = {"ok": "[green]✓[/]", "note": "[yellow]•[/]", "broken": "[bold red]✗[/]"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--json", action="store_true", help="print all checks as JSON")
    add_data_folder(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=RESULTS_FOLDER,
        metavar="DIR",
        help=f"folder of the results (default: ./{RESULTS_FOLDER})",
    )


def run(args: argparse.Namespace) -> int:
    """Run the checks and print the results."""
    from pyg_samsa.cli._doctor_checks import BROKEN, OK, run_checks

    checks = run_checks(args.root.expanduser(), args.out.expanduser())
    broken = [check for check in checks if check.status == BROKEN]
    if args.json:
        print(json.dumps({"healthy": not broken, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        _show([check for check in checks if args.verbosity >= 0 or check.status != OK])
        notes = sum(check.status not in (OK, BROKEN) for check in checks)
        print(
            f"{len(broken)} broken, {notes} notes, {len(checks) - len(broken) - notes} ok."
            if broken or notes
            else "Everything works."
        )
    return 2 if broken else 0


def _show(checks: list) -> None:
    try:
        from rich.console import Console
    except ImportError:
        # rich may be the missing package.
        for check in checks:
            print(
                f"{check.status:<7}{check.section}: {check.name}: {check.value}"
                + (f"  ->  {check.cure}" if check.cure else "")
            )
        return
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    for section, members in groupby(checks, key=lambda check: check.section):
        console.print(f"\n[bold]{section}[/]")
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=3, justify="right")
        table.add_column(min_width=18, overflow="fold")
        table.add_column(overflow="fold", ratio=1)
        for check in members:
            cure = f"\n[cyan]{escape(check.cure)}[/]" if check.cure else ""
            table.add_row(MARKS[check.status], escape(check.name), escape(check.value) + cure)
        console.print(table)
    console.print()
