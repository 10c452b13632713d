"""``pyg-samsa data``: list, prepare, import and pack data sets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyg_samsa.cli import _data_pack
from pyg_samsa.cli._arguments import add_data_folder, add_verbosity
from pyg_samsa.cli._listing import print_table
from pyg_samsa.errors import ConfigError, DataNotFoundError, check_choice
from pyg_samsa.io.files import check_folder

if TYPE_CHECKING:
    from pyg_samsa.datasets.base import SplitDataset

HELP = "list, prepare, import and pack data sets"
EPILOG = """\
examples:
  pyg-samsa data list                                    all data sets, and which of them are prepared
  pyg-samsa data prepare peptides-embedded               peptides that come with the package's dependencies
  pyg-samsa data prepare peptides-func --root ~/data     download, verify and convert the official files
  pyg-samsa data import peptides-func --csv peptide_multi_class_dataset.csv.gz \\
      --split splits_random_stratified_peptide.pickle    convert downloaded files
  pyg-samsa data import modelnet40 --files ~/modelnet40_normal_resampled
  pyg-samsa data import listops --files ~/lra_release/listops-1000
  pyg-samsa data pack peptides.zip --cfg peptides_func   one file for a machine without network
  pyg-samsa data unpack peptides.zip --root ~/data       on that machine

Training prepares its data set if needed. Configs read data sets from the folder dataset.dir (default: ./datasets).
`pyg-samsa data import --help` lists the official files of each data set.
"""
_FILES = """\
official files of each data set:
  peptides-func           --csv peptide_multi_class_dataset.csv.gz --split splits_random_stratified_peptide.pickle
  peptides-struct         --csv FILE --split FILE, as for peptides-func
and with --files, the folder:
  modelnet10, modelnet40  <class>/{train,test}/*.off, modelnet40_normal_resampled, modelnet40_ply_hdf5_2048,
                          or an npz archive
  shapenetpart            shapenetcore_partanno_segmentation_benchmark_v0_normal
  listops, aan            listops-1000 and tsv_data of the Long Range Arena
  pathfinder              pathfinder32 of the Long Range Arena
  imdb                    aclImdb
  cifar10-gray            cifar-10-batches-py
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    add_data_folder(common)
    add_verbosity(common, argparse.SUPPRESS)
    workers = argparse.ArgumentParser(add_help=False)
    workers.add_argument(
        "--workers", type=int, metavar="N", help="number of processes that convert molecules (default: one per core)"
    )

    actions.add_parser(
        "list",
        help="list the data sets, and which of them are prepared",
        description="List the data sets, their names in configs, and which of them are prepared.",
        parents=[common],
    )
    prepare = actions.add_parser(
        "prepare",
        help="download and convert a data set",
        description="Download a data set if needed and convert it, so that training starts at once.",
        parents=[common, workers],
    )
    prepare.add_argument("name", metavar="NAME", help="a name from `pyg-samsa data list`")
    importer = actions.add_parser(
        "import",
        help="verify and convert files that you downloaded yourself",
        description="Verify and convert the official files of a data set that you downloaded yourself.",
        epilog=_FILES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common, workers],
    )
    importer.add_argument("name", metavar="NAME", help="name of the data set, see below")
    importer.add_argument("--csv", type=Path, metavar="F", help="peptides: table of the authors (.csv.gz)")
    importer.add_argument("--split", type=Path, metavar="F", help="peptides: split of the authors (.pickle)")
    importer.add_argument("--files", type=Path, metavar="DIR", help="point clouds and sequences: official folder")
    importer.add_argument("--num-points", type=int, metavar="N", help="point clouds: points per cloud")
    importer.add_argument(
        "--incomplete", action="store_true", help="point clouds: accept a part of the release, without an error"
    )
    _data_pack.configure(actions, [common])


def run(args: argparse.Namespace) -> int:
    """Run the action."""
    check_folder("--root", args.root)
    if args.action == "list":
        return _list(args.root)
    if args.action in ("pack", "unpack"):
        return (_data_pack.pack if args.action == "pack" else _data_pack.unpack)(args)
    from pyg_samsa.datasets import catalog
    from pyg_samsa.datasets.splits import counted_splits

    options = {"progress": args.verbosity >= 0, "workers": args.workers}
    if args.action == "import":
        dataset = _import(args)
    else:
        check_choice("NAME", args.name, catalog.names())
        takes = catalog.option_names("samsa", args.name)
        if args.workers is not None and "workers" not in takes:
            raise ConfigError("--workers", args.workers, f"no value: {args.name} is read by one process")
        dataset = catalog.load(
            "samsa", args.name, args.root, **{option: value for option, value in options.items() if option in takes}
        )
    counts, of_nodes = counted_splits(dataset)
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    graphs = f"one graph (nodes: {sizes})" if of_nodes else f"{len(dataset):,} graphs ({sizes})"
    print(f"{args.name}: {graphs}, {dataset.task.num_targets} targets ({dataset.task.kind}), ready in {args.root}")
    return 0


def _import(args: argparse.Namespace) -> SplitDataset:
    from pyg_samsa.datasets import catalog

    check_choice("NAME", args.name, catalog.importable())
    importer = catalog.find("samsa", args.name).importer
    # The folder of the official files is --files, whatever the data set calls it.
    wanted = [name if name in ("csv", "split") else "files" for name in importer.files] if importer else []
    options = {"workers": args.workers, "num_points": args.num_points, "incomplete": args.incomplete or None}
    given = {key: value for key, value in options.items() if value is not None}
    for key, value in given.items():
        if importer is not None and key not in importer.options:
            raise ConfigError(f"--{key.replace('_', '-')}", value, f"no value: {args.name} does not take it")
    for key in wanted:
        if getattr(args, key) is None:
            hint = "pyg-samsa data import --help lists the files of each data set."
            raise ConfigError(f"--{key}", None, "the official files", hint=hint)
    files = [getattr(args, key).expanduser() for key in wanted]
    for key, path in zip(wanted, files, strict=True):
        if not path.exists():
            raise DataNotFoundError(f"--{key}: {path} does not exist", hint="Check the path.")
    return catalog.import_files(args.name, args.root, *files, progress=args.verbosity >= 0, **given)


def _list(root: Path) -> int:
    from rich.console import Console

    from pyg_samsa.datasets import catalog

    aliases: dict[str, list[str]] = {}
    for format, name in catalog.available():
        if format != "samsa":
            aliases.setdefault(catalog.canonical(format, name), []).append(f"{format}: {name}")
    rows = [
        (name, "\n".join(aliases.get(name, [])), "yes" if catalog.is_prepared(name, root) else "")
        for name in catalog.names()
    ]
    head = ("name (format samsa)", "other names (format: name)", "prepared")
    print_table(Console(file=sys.stdout, soft_wrap=False), head, rows, title=f"Data sets in {root}")
    return 0
