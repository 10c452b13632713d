"""``pyg-samsa train``: train, select and test a model, by a GraphGym configuration or on a CSV of molecules."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import textwrap
from pathlib import Path

from pyg_samsa.errors import ConfigError

_TABLES = (".csv", ".tsv", ".txt", ".smi")
HELP = "train, select and test a model, by a GraphGym configuration or on a CSV of molecules"
EPILOG = """\
examples:
  pyg-samsa train --cfg quickstart                       a packaged configuration
  pyg-samsa train --cfg my.yaml --repeat 4               four seeds, mean and deviation
  pyg-samsa train --cfg my.yaml optim.max_epoch 10 samsa.layers 4
  pyg-samsa train --cfg my.yaml train.auto_resume True   continue where it stopped
  pyg-samsa train --list                                 the packaged configurations
  pyg-samsa train --csv esol.csv --target-columns logS   molecules of your own; SMILES are found by their column's name
  pyg-samsa train --csv tox.csv --smiles-column mol --target-columns NR-AR SR-p53 --split scaffold --epochs 30
  pyg-samsa train --csv F.csv --target-columns y --cfg my.yaml    the same with other settings than the packaged csv.yaml

`python -m graphgym` takes the same arguments.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add GraphGym's arguments."""
    parser.add_argument(
        "--cfg", dest="cfg_file", metavar="FILE", help="YAML file, or the name of a packaged configuration"
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="runs, with seeds seed, seed + 1, ... (default: 1)"
    )
    parser.add_argument(
        "--mark_done",
        "--mark-done",
        action="store_true",
        help="rename the YAML file to FILE_done when all runs are done",
    )
    parser.add_argument("--list", action="store_true", help="list the packaged configurations and stop")
    table = parser.add_argument_group("a CSV of molecules")
    table.add_argument(
        "--csv", metavar="FILE", help="train on this table: SMILES in one column, what is to be predicted in others"
    )
    table.add_argument(
        "--smiles-column",
        metavar="S",
        help="name or number of the column of SMILES (default: smiles or a relative of it)",
    )
    table.add_argument(
        "--target-columns",
        nargs="+",
        metavar="T",
        help="names or numbers of the columns to predict; fields may be empty",
    )
    table.add_argument(
        "--task",
        choices=["auto", "regression", "binary", "multilabel", "multiclass"],
        help="what the targets are (default: auto, by what is in them)",
    )
    table.add_argument(
        "--split",
        choices=["random", "scaffold", "column"],
        help="how training, validation and test are chosen (default: random)",
    )
    table.add_argument(
        "--split-column", metavar="C", help="column that holds train, val or test; implies --split column"
    )
    table.add_argument(
        "--skip-invalid",
        action="store_true",
        help="leave out rows whose molecule cannot be read, and list them in a file",
    )
    table.add_argument("--epochs", type=int, metavar="N", help="epochs of training, for optim.max_epoch")
    table.add_argument("--out", metavar="DIR", help="folder of results, for out_dir")
    parser.add_argument("opts", nargs="*", metavar="key value", help="settings that go before the file's")


def run(args: argparse.Namespace) -> int:
    """Run the experiment."""
    if args.list:
        return _list()
    _give_back_settings(args)
    opts = [*_table_options(args), *args.opts]
    config = args.cfg_file or ("csv" if args.csv else "")
    if not config:
        table = next((word for word in args.opts if Path(word).suffix.lower() in _TABLES), "")
        cure = (
            f"A table of molecules is --csv {shlex.quote(table)}."
            if table
            else "pyg-samsa train --list shows the packaged ones."
        )
        raise ConfigError("--cfg", None, "a YAML file or the name of a packaged configuration", hint=cure)
    from pyg_samsa.experiments import run as runner
    from pyg_samsa.graphgym.config import PACKAGED, find_config

    path = find_config(config)
    if args.mark_done and PACKAGED in path.resolve().parents:
        raise ConfigError("--mark_done", str(path), "a configuration of your own: packaged ones stay")
    runner.run(config, opts, repeat=args.repeat, verbosity=args.verbosity)
    if args.mark_done and runner.is_main_process():
        os.rename(path, f"{path}_done")
    return 0


def _table_options(args: argparse.Namespace) -> list[str]:
    """Return the settings that the arguments of a table stand for."""
    words = {
        "dataset.smiles_column": args.smiles_column,
        "dataset.csv_task": args.task,
        "dataset.split_column": args.split_column,
    }
    given = {
        "dataset.csv": args.csv,
        **words,
        "dataset.split_kind": "column" if args.split_column and not args.split else args.split,
    }
    # As YAML, in which a name such as 7 or yes stays a name.
    settings = {key: json.dumps(value) for key, value in given.items() if value is not None}
    if args.target_columns:
        settings["dataset.target_columns"] = json.dumps(args.target_columns)
    if args.skip_invalid:
        settings["dataset.skip_invalid"] = "True"
    if settings and not args.csv:
        first = next(iter(settings)).removeprefix("dataset.").replace("_", "-")
        raise ConfigError(
            "--csv", None, "a table of molecules, which the other arguments describe", hint=f"Or leave --{first} out."
        )
    if args.csv:
        # A table is one data set whatever the configuration's own is; its run is named after it.
        settings |= {"dataset.format": "samsa", "dataset.name": "csv"}
        if not args.cfg_file:
            settings["run_name"] = json.dumps(Path(args.csv).stem or "csv")
    settings |= {"optim.max_epoch": str(args.epochs)} if args.epochs is not None else {}
    settings |= {"out_dir": json.dumps(args.out)} if args.out is not None else {}
    return [word for setting in settings.items() for word in setting]


def _give_back_settings(args: argparse.Namespace) -> None:
    """Return the settings to where they belong that stand right behind --target-columns, which takes every word that follows."""
    words = args.target_columns or []
    if len(words) < 2 or not Path(args.csv or "").expanduser().is_file():
        return
    from torch_geometric.graphgym.config import cfg, set_cfg

    import pyg_samsa.graphgym  # noqa: F401  # adds its settings to cfg
    from pyg_samsa.graphgym.config import all_keys
    from pyg_samsa.io.csv_rows import open_rows

    set_cfg(cfg)
    names = set(all_keys())
    with open_rows(Path(args.csv).expanduser()) as rows:
        columns = {name.strip() for name in rows.header}
    for place, word in enumerate(words[1:], start=1):
        if word.partition("=")[0] in names and word not in columns:
            args.target_columns, args.opts = words[:place], [*words[place:], *args.opts]
            return


def resume_hint(args: argparse.Namespace) -> str:
    """Return how to continue a run that was stopped: the command as it was given, and one setting more."""
    # --target-columns takes every word that follows, so it does not stand last.
    given = {
        "--target-columns": args.target_columns,
        "--smiles-column": args.smiles_column,
        "--task": args.task,
        "--split": args.split,
    }
    given |= {
        "--split-column": args.split_column,
        "--skip-invalid": args.skip_invalid or None,
        "--epochs": args.epochs,
        "--out": args.out,
    }
    given |= {"--cfg": args.cfg_file, "--csv": args.csv, "--repeat": args.repeat if args.repeat > 1 else None}
    words = ["pyg-samsa", "train"]
    for name, value in given.items():
        if value is not None:
            words += [name, *([] if value is True else map(str, value) if isinstance(value, list) else [str(value)])]
    opts = list(args.opts)
    if "train.auto_resume" in opts:
        place = opts.index("train.auto_resume")
        del opts[place : place + 2]
    return f"Continue after the last whole epoch with:\n  {shlex.join([*words, *opts, 'train.auto_resume', 'True'])}"


def _list() -> int:
    from pyg_samsa.graphgym.config import PACKAGED, packaged_configs

    names = packaged_configs()
    width = max(map(len, names)) + 2
    room = shutil.get_terminal_size().columns - width
    for name in names:
        lines = (PACKAGED / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        first = next((line.lstrip("# ").rstrip() for line in lines if line.startswith("#")), "")
        print(f"{name:<{width}}{textwrap.shorten(first, max(20, room), placeholder=' ...')}")
    return 0
