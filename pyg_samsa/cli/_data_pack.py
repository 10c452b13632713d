"""``pyg-samsa data pack`` and ``unpack``: prepared data in one file, for machines without network."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyg_samsa.errors import ConfigError
from pyg_samsa.io.files import check_file, check_folder

CONFIGS, TABLES = "configs", "tables"
PACK = "write prepared data and configs into one compressed file, for a machine without network"
UNPACK = "check a packed file and write its data into the folder of the data sets"
_PACK_EPILOG = """\
examples:
  pyg-samsa data pack peptides.zip peptides-func                 a data set with its default options
  pyg-samsa data pack peptides.zip --cfg peptides_func --cfg my_experiment.yaml
                                                                 what the runs of configs read: data, encodings,
                                                                 descriptors, the table of a CSV config, the configs
"""


def configure(actions: Any, parents: list[argparse.ArgumentParser]) -> None:
    """Add the two actions."""
    form = argparse.RawDescriptionHelpFormatter
    pack = actions.add_parser(
        "pack", help=PACK, description=PACK, epilog=_PACK_EPILOG, formatter_class=form, parents=parents
    )
    pack.add_argument("file", type=Path, metavar="FILE", help="file to write, such as peptides.zip")
    pack.add_argument("names", nargs="*", metavar="NAME", help="names from `pyg-samsa data list`")
    pack.add_argument(
        "--cfg",
        dest="configs",
        action="append",
        default=[],
        metavar="CONFIG",
        help="YAML file, or name of a packaged config; may be given several times",
    )
    pack.add_argument("--fast", action="store_true", help="compress faster, to about twice the size")
    unpack = actions.add_parser("unpack", help=UNPACK, description=UNPACK, parents=parents)
    unpack.add_argument("file", type=Path, metavar="FILE", help="file from `pyg-samsa data pack`")


def pack(args: argparse.Namespace) -> int:
    """Prepare what is not prepared yet, and write everything that its users read."""
    from pyg_samsa.datasets.packing import pack_files

    if not args.names and not args.configs:
        hint = "`pyg-samsa data list` shows the names."
        raise ConfigError("--cfg", None, "a config, or names of data sets", hint=hint)
    check_file("FILE", args.file)
    check_folder("--root", args.root)
    files: dict[str, Path] = {}
    for name in args.names:
        files |= _of_data_set(name, args)
    for config in args.configs:
        for place, path in _of_config(config, args).items():
            if files.setdefault(place, path).read_bytes() != path.read_bytes():
                raise ConfigError("--cfg", config, f"one file with the name {path.name}", hint="Rename one of them.")
    listed = pack_files(args.file, files, fast=args.fast, progress=args.verbosity >= 0)
    for file in listed:
        print(f"  {file.path}  {_size(file.size)}")
    print(
        f"{args.file}: {len(listed)} files, {_size(sum(file.size for file in listed))}, "
        f"packed {_size(args.file.stat().st_size)}"
    )
    return 0


def _of_data_set(name: str, args: argparse.Namespace) -> dict[str, Path]:
    from pyg_samsa.datasets import catalog

    takes = catalog.option_names("samsa", name)
    options = {"progress": args.verbosity >= 0} if "progress" in takes else {}
    return _files_of(lambda: catalog.load("samsa", name, args.root, **options), args.root)


def _of_config(config: str, args: argparse.Namespace) -> dict[str, Path]:
    from torch_geometric.graphgym.config import cfg

    from pyg_samsa.datasets import catalog
    from pyg_samsa.experiments.predictor_plan import make_predictor_plan
    from pyg_samsa.graphgym.config import PACKAGED, load_config
    from pyg_samsa.graphgym.loader import load_for_runner

    loaded = load_config(config, ["dataset.dir", str(args.root)])
    if not catalog.knows(cfg.dataset.format, cfg.dataset.name):
        expected = "the config of a data set of this package"
        raise ConfigError("--cfg", config, expected, hint="`pyg-samsa data list` shows the names.")

    def load() -> Any:
        dataset = load_for_runner(progress=args.verbosity >= 0)
        if (predictor := make_predictor_plan(dataset, progress=args.verbosity >= 0)) is not None:
            predictor.prepare()
        return dataset

    files = _files_of(load, args.root)
    path = loaded.path.resolve()
    inside = path.relative_to(PACKAGED) if path.is_relative_to(PACKAGED) else Path(path.name)
    files[f"{CONFIGS}/{inside.as_posix()}"] = path
    if (cfg.dataset.format, cfg.dataset.name) == ("samsa", "csv"):
        table = Path(cfg.dataset.csv).expanduser()
        files[f"{TABLES}/{table.name}"] = table
    return files


def _files_of(load: Callable[[], Any], root: Path) -> dict[str, Path]:
    """Return the files below the folder that are read when everything is prepared, by their places."""
    from pyg_samsa.datasets.prepared import files_read

    load()
    with files_read() as files:
        dataset = load()
    lists = (getattr(dataset, name, None) for name in ("left_out", "standardized"))
    files += [Path(path) for path in lists if path is not None and Path(path).is_file()]
    return {path.resolve().relative_to(root.resolve()).as_posix(): path for path in files}


def unpack(args: argparse.Namespace) -> int:
    """Check and write the files, and say how they are used."""
    from pyg_samsa.datasets.packing import unpack_files

    check_folder("--root", args.root)
    written, there = unpack_files(args.file, args.root, progress=args.verbosity >= 0)
    for file in written:
        print(f"  {file.path}  {_size(file.size)}")
    print(f"{args.root}: {len(written)} files written" + (f", {len(there)} were there already" if there else ""))
    places = sorted(file.path for file in (*written, *there))
    tables = [place for place in places if place.startswith(f"{TABLES}/")]
    for place in places:
        if place.startswith(f"{CONFIGS}/"):
            table = f" dataset.csv {args.root / tables[0]}" if len(tables) == 1 else ""
            print(f"train: pyg-samsa train --cfg {args.root / place} dataset.dir {args.root}{table}")
    return 0


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 2**10:,.1f} KiB"
