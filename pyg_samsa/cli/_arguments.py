"""Arguments that several subcommands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pyg_samsa.io.user_code import CUSTOM, import_user_code

DATA_FOLDER = Path("datasets")
RESULTS_FOLDER = Path("results")


def add_verbosity(parser: argparse.ArgumentParser, default: Any = 0) -> None:
    """Add ``-q`` and ``-v``.

    Args:
        parser: Parser to extend.
        default: ``argparse.SUPPRESS`` for a parser below one that has these arguments already.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_verbosity(parser)
        >>> parser.parse_args(["-q"])
        Namespace(quiet=1, verbose=0)
    """
    parser.add_argument("-q", "--quiet", action="count", default=default, help="print only results and errors")
    parser.add_argument("-v", "--verbose", action="count", default=default, help="also print messages of the libraries")


def add_config(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--cfg``.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_config(parser)
        >>> parser.parse_args(["--cfg", "quickstart"]).cfg_file
        'quickstart'
    """
    parser.add_argument(
        "--cfg", dest="cfg_file", metavar="FILE", required=required, help="YAML file, or name of a packaged config"
    )


def add_overrides(
    parser: argparse.ArgumentParser, help: str = "overrides for the config file, such as optim.max_epoch 10"
) -> None:
    """Add ``key value`` pairs at the end of the command.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_overrides(parser)
        >>> parser.parse_args(["samsa.layers", "2"]).opts
        ['samsa.layers', '2']
    """
    parser.add_argument("opts", nargs="*", metavar="key value", help=help)


def add_data_folder(parser: argparse.ArgumentParser) -> None:
    """Add ``--root``.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_data_folder(parser)
        >>> parser.parse_args(["--root", "data"]).root.name
        'data'
    """
    parser.add_argument(
        "--root",
        type=Path,
        default=DATA_FOLDER,
        metavar="DIR",
        help=f"folder of the data sets (default: ./{DATA_FOLDER})",
    )


def add_storage(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--storage``.

    Args:
        parser: Parser to extend.
        default: The default, for the help.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_storage(parser, "study.log")
        >>> parser.parse_args(["--storage", "/shared/study.log"]).storage
        '/shared/study.log'
    """
    parser.add_argument(
        "--storage",
        metavar="FILE|URL",
        help=f"file, or URL of a database, that all workers share, here and on other machines (default: {default})",
    )


def add_smiles_column(parser: Any) -> None:
    """Add ``--smiles-column``.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_smiles_column(parser)
        >>> parser.parse_args(["--smiles-column", "mol"]).smiles_column
        'mol'
    """
    parser.add_argument(
        "--smiles-column",
        default="",
        metavar="S",
        help="name or number of the column of SMILES (default: a column named smiles or similar)",
    )


def add_device(parser: Any) -> None:
    """Add ``--device``.

    Args:
        parser: Parser to extend.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_device(parser)
        >>> parser.parse_args([]).device
        'cpu'
    """
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (default: cpu)")


def add_max_atoms(parser: Any, what: str) -> None:
    """Add ``--max-atoms``.

    Args:
        parser: Parser to extend.
        what: What a molecule with more atoms does not get, for the help.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_max_atoms(parser, "a prediction")
        >>> parser.parse_args([]).max_atoms
        100000
    """
    parser.add_argument(
        "--max-atoms",
        type=int,
        default=100_000,
        metavar="N",
        help=f"molecules with more atoms get an error instead of {what} (default: 100000)",
    )


def add_decimal(parser: Any, default: str = "found for each column") -> None:
    """Add ``--decimal``.

    Args:
        parser: Parser to extend.
        default: What ``auto`` means, for the help.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_decimal(parser)
        >>> parser.parse_args(["--decimal", "comma"]).decimal
        'comma'
    """
    parser.add_argument(
        "--decimal",
        choices=["auto", "point", "comma"],
        default="auto",
        help=f"decimal sign of the numbers in the table (default: auto, {default})",
    )


def add_import(parser: argparse.ArgumentParser, *, custom: bool = False) -> None:
    """Add ``--import``.

    Args:
        parser: Parser to extend.
        custom: Whether the command also imports ``custom_graphgym`` of the working folder.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_import(parser)
        >>> parser.parse_args(["--import", "my_heads", "--import", "my_losses"]).imports
        ['my_heads', 'my_losses']
    """
    also = f" ({CUSTOM} of the working folder is imported without it)" if custom else ""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help=f"import a module or file of your own, which registers what the network needs{also}; may be repeated",
    )
    parser.set_defaults(custom=custom)


def import_modules(args: argparse.Namespace) -> list[str]:
    """Import the modules of ``--import`` and, for commands that train, ``custom_graphgym`` of the working folder.

    Raises:
        ConfigError: There is no such module.
        UserCodeError: A module raises an error.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_import(parser)
        >>> import_modules(parser.parse_args(["--import", "math"]))
        ['math']
    """
    return import_user_code(args.imports, custom=args.custom)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument ``MODEL``.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_model(parser)
        >>> parser.parse_args(["peptides"]).model
        'peptides'
    """
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="folder of a run, of a predictor or of a saved network, or name of a packaged model, such as peptides",
    )
