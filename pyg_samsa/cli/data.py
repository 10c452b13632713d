"""``pyg-samsa data``: list, prepare and import data sets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyg_samsa.errors import ConfigError

HELP = "list, prepare and import data sets"
EPILOG = """\
examples:
  pyg-samsa data list                                    names, and which are prepared in ./datasets
  pyg-samsa data prepare peptides-embedded               real peptides, no network needed
  pyg-samsa data prepare peptides-func --root ~/data     fetch the official files, verify and convert them
  pyg-samsa data import peptides-func --csv peptide_multi_class_dataset.csv.gz \\
      --split splits_random_stratified_peptide.pickle    convert official files that you have

Configurations look for data sets in dataset.dir, which is ./datasets unless they say otherwise.
"""
DEFAULT_ROOT = "datasets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the three actions."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", type=Path, default=Path(DEFAULT_ROOT), metavar="DIR", help=f"folder of the data sets (default: ./{DEFAULT_ROOT})")
    workers = argparse.ArgumentParser(add_help=False)
    workers.add_argument("--workers", type=int, metavar="N", help="processes that convert molecules (default: one for each core)")

    actions.add_parser("list", help="list the data sets and what is prepared", parents=[common])
    prepare = actions.add_parser("prepare", help="fetch and convert a data set, so that training starts at once", parents=[common, workers])
    prepare.add_argument("name", metavar="NAME", help="one of the names that `pyg-samsa data list` shows")
    importer = actions.add_parser("import", help="verify and convert official files that you have", parents=[common, workers])
    importer.add_argument("name", metavar="NAME", help="peptides-func or peptides-struct")
    importer.add_argument("--csv", type=Path, required=True, metavar="F", help="the authors' table (.csv.gz)")
    importer.add_argument("--split", type=Path, required=True, metavar="F", help="the authors' split (.pickle)")


def run(args: argparse.Namespace) -> int:
    """Run the action."""
    if args.action == "list":
        return _list(args.root)
    options = {"progress": args.verbosity >= 0, "workers": args.workers}
    if args.action == "import":
        from pyg_samsa.datasets.lrgb import LRGBPeptides

        dataset = LRGBPeptides.import_files(args.root, args.name, csv=args.csv, split=args.split, **options)
    else:
        from pyg_samsa.datasets import catalog

        takes = catalog.option_names("samsa", args.name)
        if args.workers is not None and "workers" not in takes:
            raise ConfigError("--workers", args.workers, f"nothing: {args.name} is read by one process")
        dataset = catalog.load("samsa", args.name, args.root, **{option: value for option, value in options.items() if option in takes})
    sizes = ", ".join(f"{len(index):,} {split}" for split, index in dataset.split_idx.items())
    print(f"{args.name}: {len(dataset):,} graphs ({sizes}), {dataset.num_targets} targets ({dataset.task}), ready in {args.root}")
    return 0


def _list(root: Path) -> int:
    from rich.console import Console
    from rich.table import Table

    from pyg_samsa.datasets import catalog

    table = Table("name (format samsa)", "other names (format: name)", "prepared", title=f"data sets in {root}")
    aliases: dict[str, list[str]] = {}
    for format, name in catalog.available():
        if format != "samsa":
            aliases.setdefault(catalog.canonical(format, name), []).append(f"{format}: {name}")
    for name in catalog.OURS:
        table.add_row(name, "\n".join(aliases.get(name, [])), "yes" if catalog.is_prepared(name, root) else "")
    Console(file=sys.stdout, soft_wrap=False).print(table)
    return 0
