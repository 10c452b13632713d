"""``pyg-samsa data``: list, prepare and import data sets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_samsa.errors import ConfigError

if TYPE_CHECKING:
    from pyg_samsa.datasets.base import SplitDataset

HELP = "list, prepare and import data sets"
EPILOG = """\
examples:
  pyg-samsa data list                                    names, and which are prepared in ./datasets
  pyg-samsa data prepare peptides-embedded               real peptides, no network needed
  pyg-samsa data prepare peptides-func --root ~/data     fetch the official files, verify and convert them
  pyg-samsa data import peptides-func --csv peptide_multi_class_dataset.csv.gz \\
      --split splits_random_stratified_peptide.pickle    convert official files that you have
  pyg-samsa data import modelnet40 --files ~/modelnet40_normal_resampled
  pyg-samsa data import listops --files ~/lra_release/listops-1000

what --files takes:
  modelnet10, modelnet40  <class>/{train,test}/*.off, modelnet40_normal_resampled, modelnet40_ply_hdf5_2048, or an npz archive
  shapenetpart            shapenetcore_partanno_segmentation_benchmark_v0_normal
  listops, aan            listops-1000 and tsv_data of the Long Range Arena
  pathfinder              pathfinder32 of the Long Range Arena
  imdb                    aclImdb
  cifar10-gray            cifar-10-batches-py

Configurations look for data sets in dataset.dir, which is ./datasets unless they say otherwise.
"""
DEFAULT_ROOT = "datasets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the three actions."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--root",
        type=Path,
        default=Path(DEFAULT_ROOT),
        metavar="DIR",
        help=f"folder of the data sets (default: ./{DEFAULT_ROOT})",
    )
    workers = argparse.ArgumentParser(add_help=False)
    workers.add_argument(
        "--workers", type=int, metavar="N", help="processes that convert molecules (default: one for each core)"
    )

    actions.add_parser("list", help="list the data sets and what is prepared", parents=[common])
    prepare = actions.add_parser(
        "prepare", help="fetch and convert a data set, so that training starts at once", parents=[common, workers]
    )
    prepare.add_argument("name", metavar="NAME", help="one of the names that `pyg-samsa data list` shows")
    importer = actions.add_parser(
        "import", help="verify and convert official files that you have", parents=[common, workers]
    )
    importer.add_argument("name", metavar="NAME", help="peptides-func, peptides-struct, or a name below")
    importer.add_argument("--csv", type=Path, metavar="F", help="peptides: the authors' table (.csv.gz)")
    importer.add_argument("--split", type=Path, metavar="F", help="peptides: the authors' split (.pickle)")
    importer.add_argument("--files", type=Path, metavar="DIR", help="point clouds and sequences: the official folder")
    importer.add_argument("--num-points", type=int, metavar="N", help="point clouds: points of a cloud")
    importer.add_argument("--incomplete", action="store_true", help="point clouds: take a part of the release")


def run(args: argparse.Namespace) -> int:
    """Run the action."""
    if args.action == "list":
        return _list(args.root)
    from pyg_samsa.datasets import catalog

    options = {"progress": args.verbosity >= 0, "workers": args.workers}
    if args.action == "import":
        dataset = _import(args, options)
    else:
        takes = catalog.option_names("samsa", args.name)
        if args.workers is not None and "workers" not in takes:
            raise ConfigError("--workers", args.workers, f"nothing: {args.name} is read by one process")
        dataset = catalog.load(
            "samsa", args.name, args.root, **{option: value for option, value in options.items() if option in takes}
        )
    sizes = ", ".join(f"{len(index):,} {split}" for split, index in dataset.split_idx.items())
    print(
        f"{args.name}: {len(dataset):,} graphs ({sizes}), {dataset.num_targets} targets ({dataset.task}), ready in {args.root}"
    )
    return 0


def _import(args: argparse.Namespace, options: dict[str, Any]) -> SplitDataset:
    from pyg_samsa.datasets import catalog
    from pyg_samsa.datasets.molecules.lrgb import OFFICIAL, LRGBPeptides

    if args.name in OFFICIAL:
        for key in ("csv", "split"):
            if getattr(args, key) is None:
                raise ConfigError(
                    f"--{key}", None, "a file of the authors", hint="pyg-samsa data --help shows an example."
                )
        return LRGBPeptides.import_files(args.root, args.name, csv=args.csv, split=args.split, **options)
    if args.name not in catalog.importable():
        raise ConfigError("name", args.name, [*OFFICIAL, *catalog.importable()])
    if args.files is None:
        raise ConfigError(
            "--files", None, "the folder of the official files", hint="pyg-samsa data --help lists what is taken."
        )
    told = {"workers": args.workers, "num_points": args.num_points, "incomplete": args.incomplete or None}
    given = {key: value for key, value in told.items() if value is not None}
    return catalog.import_files(args.name, args.root, args.files, progress=args.verbosity >= 0, **given)


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
