"""``pyg-samsa train``: train and test a model."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_samsa.cli import _slurm
from pyg_samsa.cli._arguments import (
    add_config,
    add_decimal,
    add_import,
    add_overrides,
    add_smiles_column,
    import_modules,
)
from pyg_samsa.cli._listing import print_files
from pyg_samsa.errors import ConfigError
from pyg_samsa.task import KINDS, MASKED

_RESUME = ("train.auto_resume", "True")
_TABLES = (".csv", ".tsv", ".txt", ".smi")
HELP = "train and test a model with a config, or on a CSV file of molecules"
EPILOG = """\
examples:
  pyg-samsa train --list                                 list the packaged configs
  pyg-samsa train --cfg quickstart                       train with a packaged config
  pyg-samsa train --cfg quickstart optim.max_epoch 5 samsa.layers 4    change settings of the config
  pyg-samsa train --cfg my.yaml --repeat 4               four seeds: mean and standard deviation
  pyg-samsa train --cfg my.yaml train.auto_resume True   continue an interrupted run
  pyg-samsa train --csv esol.csv --target-columns logS   your own molecules
  pyg-samsa train --csv esol.csv --target-columns logS --only descriptors    seconds: trees and Gaussian processes
  pyg-samsa train --csv tox.csv --smiles-column mol --target-columns NR-AR SR-p53 --split scaffold --epochs 30
  pyg-samsa train --csv esol.csv --target-columns logS --epochs 200 --patience 30    stop early
  pyg-samsa train --csv esol.csv --target-columns logS --folds 5        cross-validation; one predictor
  pyg-samsa train --csv esol.csv --target-columns logS --cfg my.yaml    your own molecules and config
  pyg-samsa train --csv esol.csv --target-columns logS dataset.descriptors "[rdkit2d, morgan_count]"
  pyg-samsa train --cfg my.yaml --slurm partition=gpu,time=4:00:00,gpus_per_node=1    a job of SLURM
  pyg-samsa train --cfg my.yaml --import my_heads        a module of your own, which registers parts
  pyg-samsa train --csv rates.csv --target-columns logk --extra-columns temperature pH
  pyg-samsa train --csv vendors.csv --target-columns pIC50 --standardize fragment neutralize

A run is written to results/NAME/SEED: metrics, checkpoints, test predictions, plots and the trained model.
`python -m graphgym` takes the same arguments. The package custom_graphgym of the working folder, if there is one, is
imported before the config is read.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of GraphGym, and those of a table of molecules."""
    add_config(parser)
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="number of runs, with seeds seed, seed + 1, ... (default: 1)"
    )
    parser.add_argument(
        "--mark_done",
        "--mark-done",
        action="store_true",
        help="rename the YAML file to FILE_done after the last run",
    )
    parser.add_argument("--list", action="store_true", help="list the packaged configs, then stop")
    parser.add_argument(
        "--slurm",
        metavar="KEY=VALUE,...",
        help="submit the command as a job of SLURM, such as partition=gpu,time=4:00:00,gpus_per_node=1",
    )
    add_import(parser, custom=True)
    add_table(parser)
    add_overrides(parser)


def add_table(parser: argparse.ArgumentParser, *, training: bool = True) -> None:
    """Add the arguments of a table of molecules, and of the training of its predictor.

    Args:
        parser: Parser to extend.
        training: Whether those of the training are added too.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_table(parser)
        >>> parser.parse_args(["--csv", "esol.csv", "--target-columns", "logS"]).target_columns
        ['logS']
    """
    table = parser.add_argument_group("CSV file of molecules")
    table.add_argument("--csv", metavar="FILE", help="table with a column of SMILES and columns of targets")
    add_smiles_column(table)
    table.add_argument(
        "--target-columns",
        nargs="+",
        metavar="T",
        help="names or numbers of the columns to predict, patterns such as 'NR-*', or all (and '!id' leaves one out); "
        "values may be missing",
    )
    table.add_argument(
        "--extra-columns",
        nargs="+",
        metavar="X",
        help="columns of numbers that the network reads beside the molecule, such as temperature pH; may be missing",
    )
    table.add_argument(
        "--task",
        choices=["auto", *KINDS, MASKED],
        help="kind of the targets (default: auto, inferred from the values); masked: no targets, hidden features of "
        "atoms are predicted, to start other networks from (train.start_from)",
    )
    table.add_argument(
        "--positive-class",
        metavar="TEXT",
        help="which of two words is the positive class (default: chosen and shown)",
    )
    add_decimal(table)
    table.add_argument(
        "--missing",
        nargs="+",
        metavar="TEXT",
        help="words that mean that there is no value, besides NA, NaN, None, n.d., #N/A, #DIV/0! and the like; "
        "'' among them: instead of these",
    )
    table.add_argument(
        "--censored",
        choices=["refuse", "bounds", "missing", "exact"],
        help="targets such as >10: train with them as bounds, or take them as missing or exact (default: refuse)",
    )
    table.add_argument(
        "--standardize",
        nargs="+",
        metavar="STEP",
        help="standardise the molecules, also in predictions: fragment (keep the largest), neutralize, tautomer, "
        "drop_stereo; done in this order",
    )
    _add_rows(table)
    if training:
        _add_training(parser)
    else:
        parser.set_defaults(only=None, ensemble=None, folds=None, epochs=None, patience=None)
        _add_out(parser)


def _add_rows(table: Any) -> None:
    table.add_argument(
        "--split",
        choices=["random", "scaffold", "column"],
        help="how rows are split into training, validation and test (default: random)",
    )
    table.add_argument(
        "--split-column", metavar="C", help="column with the values train, val and test; implies --split column"
    )
    table.add_argument(
        "--skip-invalid",
        action="store_true",
        help="skip rows with unreadable molecules, and list them in a file",
    )
    table.add_argument(
        "--max-atoms",
        type=int,
        metavar="N",
        help="leave out rows whose molecule has more atoms, and list them in a file (default: 10000)",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("predictor and training")
    group.add_argument(
        "--only",
        choices=["network", "descriptors", "trees", "gp"],
        help="train only the network, boosted trees (trees), Gaussian processes (gp), or both of these (descriptors); "
        "default: all, and their blend",
    )
    group.add_argument(
        "--ensemble",
        type=int,
        metavar="N",
        help="train N networks with different seeds; their mean predicts, and their spread is the uncertainty",
    )
    group.add_argument(
        "--folds",
        type=int,
        metavar="K",
        help="cross-validation: K networks, each leaves out a part of the training and validation rows",
    )
    group.add_argument("--epochs", type=int, metavar="N", help="number of epochs; the same as optim.max_epoch N")
    group.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="stop after N epochs without a better validation; the same as train.patience N (default: 0, never)",
    )
    _add_out(group)


def _add_out(parser: Any) -> None:
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the results; the same as out_dir DIR (default: ./results)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the experiment."""
    if args.list:
        return _list()
    job = _slurm.parse(args.slurm) if args.slurm is not None else None
    import_modules(args)
    check_table(args)
    give_back_settings(args)
    opts = [*table_options(args), *args.opts]
    config = args.cfg_file or ("csv" if args.csv else "")
    if not config:
        table = next((word for word in args.opts if Path(word).suffix.lower() in _TABLES), "")
        cure = (
            f"Pass a table of molecules as --csv {shlex.quote(table)}."
            if table
            else "pyg-samsa train --list prints the packaged configs."
        )
        raise ConfigError("--cfg", None, "a YAML file or the name of a packaged config", hint=cure)
    from pyg_samsa.experiments import run as runner
    from pyg_samsa.graphgym.config import PACKAGED, find_config

    path = find_config(config)
    if args.mark_done and PACKAGED in path.resolve().parents:
        raise ConfigError("--mark_done", str(path), "a config of your own, not a packaged one")
    if job is not None:
        return _submit(args, config, opts, job)
    runner.run(config, opts, repeat=args.repeat, verbosity=args.verbosity)
    if args.mark_done and runner.is_main_process():
        os.rename(path, f"{path}_done")
    return 0


def _submit(args: argparse.Namespace, config: str, opts: Sequence[str], values: Mapping[str, Any]) -> int:
    """Submit the command as a job, after its settings were read."""
    from torch_geometric.graphgym.config import cfg

    from pyg_samsa.graphgym.config import load_config
    from pyg_samsa.io.files import check_folder
    from pyg_samsa.training.console import make_console

    load_config(config, opts)
    check_folder("out_dir", cfg.out_dir)
    words = _words(args)
    words += ["--mark_done"] * args.mark_done + ["-q"] * args.quiet + ["-v"] * args.verbose
    folder = Path(cfg.out_dir).expanduser().absolute() / "slurm"
    job = _slurm.submit(_slurm.Command(words, _RESUME), values, folder)
    make_console().print(_slurm.describe(job, values["cluster"]), markup=False, highlight=False, soft_wrap=True)
    return 0


def table_options(args: argparse.Namespace) -> list[str]:
    """Return the settings that correspond to the arguments of a table."""
    words = {
        "dataset.smiles_column": args.smiles_column or None,
        "dataset.csv_task": args.task,
        "dataset.split_column": args.split_column,
        "dataset.positive_class": args.positive_class,
        "dataset.decimal": None if args.decimal == "auto" else args.decimal,
        "dataset.censored": args.censored,
    }
    given = {
        "dataset.csv": args.csv,
        **words,
        "dataset.max_atoms": args.max_atoms,
        "predictor.members": args.only,
        "dataset.split_kind": "column" if args.split_column and not args.split else args.split,
    }
    # Quoted for YAML, so that names such as 7 or yes stay strings.
    settings = {key: json.dumps(value) for key, value in given.items() if value is not None}
    if args.target_columns:
        settings["dataset.target_columns"] = json.dumps(args.target_columns)
    if args.extra_columns:
        settings["dataset.extra_columns"] = json.dumps(args.extra_columns)
    if args.missing is not None:
        settings["dataset.missing_values"] = json.dumps(args.missing)
    if args.standardize is not None:
        settings["dataset.standardize"] = json.dumps(args.standardize)
    if args.skip_invalid:
        settings["dataset.skip_invalid"] = "True"
    if settings and not args.csv:
        raise ConfigError("--csv", None, "a table of molecules", hint=f"{_flag(next(iter(settings)))} needs --csv.")
    settings |= {"optim.max_epoch": str(args.epochs)} if args.epochs is not None else {}
    settings |= {"predictor.ensemble": str(args.ensemble)} if args.ensemble is not None else {}
    settings |= {"predictor.folds": str(args.folds)} if args.folds is not None else {}
    settings |= {"train.patience": str(args.patience)} if args.patience is not None else {}
    settings |= {"out_dir": json.dumps(args.out)} if args.out is not None else {}
    _refuse_contradictions(settings, args.opts)
    if args.csv:
        # The table replaces the data set of the config, and gives the run its name.
        settings |= {"dataset.format": "samsa", "dataset.name": "csv"}
        if not args.cfg_file:
            settings["run_name"] = json.dumps(Path(args.csv).stem or "csv")
    return [word for setting in settings.items() for word in setting]


_FLAGS = {
    "dataset.csv_task": "--task",
    "dataset.missing_values": "--missing",
    "dataset.split_kind": "--split",
    "optim.max_epoch": "--epochs",
    "predictor.members": "--only",
    "out_dir": "--out",
}


def _flag(key: str) -> str:
    """Return the argument that corresponds to a setting."""
    return _FLAGS.get(key, "--" + key.rpartition(".")[2].replace("_", "-"))


def _refuse_contradictions(settings: Mapping[str, str], opts: Sequence[str]) -> None:
    """Raise an error if an argument and a setting at the end of the command say different things."""
    import yaml

    from pyg_samsa.io.documents import parse_yaml

    # Settings are pairs `key value` or words `key=value`.
    given: dict[str, str] = {}
    words = iter(opts)
    for word in words:
        key, sign, value = word.partition("=")
        given[key] = value if sign else next(words, "")
    for key, value in settings.items():
        try:
            same = key not in given or parse_yaml(given[key]) == parse_yaml(value)
        except yaml.YAMLError:  # text without quotes
            same = False
        if not same:
            expected = f"the value of {key} {given[key]}, or only one of both"
            raise ConfigError(_flag(key), parse_yaml(value), expected)


def check_table(args: argparse.Namespace) -> None:
    """Open the table of ``--csv``, which tells what is wrong with the file before anything slow is imported.

    Args:
        args: Arguments of `add_table`.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: It is no table.
    """
    if args.csv:
        from pyg_samsa.io.csv_rows import open_rows

        with open_rows(Path(args.csv).expanduser()):
            pass


def give_back_settings(args: argparse.Namespace) -> None:
    """Move settings that follow --target-columns and the like, which take all words after them, to the overrides."""
    lists = ("target_columns", "extra_columns", "missing", "standardize")
    given = [name for name in lists if len(getattr(args, name) or []) > 1]
    if not given or not Path(args.csv or "").expanduser().is_file():
        return
    from torch_geometric.graphgym.config import cfg, set_cfg

    import pyg_samsa.graphgym  # noqa: F401  # registers its settings
    from pyg_samsa.graphgym.config import all_keys
    from pyg_samsa.io.csv_rows import open_rows

    set_cfg(cfg)
    names = set(all_keys())
    with open_rows(Path(args.csv).expanduser()) as rows:
        columns = {name.strip() for name in rows.header}
    for name in given:
        words = getattr(args, name)
        for place, word in enumerate(words[1:], start=1):
            if word.partition("=")[0] in names and word not in columns:
                setattr(args, name, words[:place])
                args.opts = [*words[place:], *args.opts]
                break


def resume_hint(args: argparse.Namespace) -> str:
    """Return the command that continues an interrupted run.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> configure(parser)
        >>> print(resume_hint(parser.parse_args(["--cfg", "quickstart", "samsa.layers", "2"])))
        Continue after the last complete epoch with:
          pyg-samsa train --cfg quickstart samsa.layers 2 train.auto_resume True
    """
    resumed = shlex.join(["pyg-samsa", *_words(args), *_RESUME])
    return f"Continue after the last complete epoch with:\n  {resumed}"


def _words(args: argparse.Namespace) -> list[str]:
    """Return the command without the name of the program, and without ``train.auto_resume``."""
    # These first four take all words after them, so they do not come last.
    given = {
        "--target-columns": args.target_columns,
        "--extra-columns": args.extra_columns,
        "--missing": args.missing,
        "--standardize": args.standardize,
        "--smiles-column": args.smiles_column or None,
        "--task": args.task,
        "--positive-class": args.positive_class,
        "--decimal": None if args.decimal == "auto" else args.decimal,
        "--censored": args.censored,
        "--split": args.split,
    }
    given |= {
        "--split-column": args.split_column,
        "--skip-invalid": args.skip_invalid or None,
        "--max-atoms": args.max_atoms,
        "--only": args.only,
        "--ensemble": args.ensemble,
        "--folds": args.folds,
        "--epochs": args.epochs,
        "--patience": args.patience,
        "--out": args.out,
    }
    given |= {"--cfg": args.cfg_file, "--csv": args.csv, "--repeat": args.repeat if args.repeat > 1 else None}
    words = ["train", *(word for name in args.imports for word in ("--import", name))]
    for name, value in given.items():
        if value is not None:
            words += [name, *([] if value is True else map(str, value) if isinstance(value, list) else [str(value)])]
    opts = list(args.opts)
    if "train.auto_resume" in opts:
        place = opts.index("train.auto_resume")
        del opts[place : place + 2]
    return [*words, *opts]


def _list() -> int:
    from pyg_samsa.graphgym.config import PACKAGED, packaged_configs

    print_files({name: PACKAGED / f"{name}.yaml" for name in packaged_configs()})
    return 0
