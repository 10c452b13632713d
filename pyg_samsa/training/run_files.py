"""Reads the files in the folder of a run: each is what it should be, or an error names it and the cure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.documents import parse_json, parse_yaml, read_text
from pyg_samsa.io.formulas import restore_table

if TYPE_CHECKING:
    import pandas as pd

WRITTEN_AGAIN = (
    "Delete or rename it, and continue the run (train.auto_resume True), which writes it again. "
    "Or leave this run out of the report."
)
NOT_WRITTEN_AGAIN = "Copy it again, or leave this run out. To train anew, rename the folder of the run."
_LARGEST = 2**26
_NUMBER = (int, float)
_SUMMARY: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("seed", "best_epoch", "epochs", "waited", "parameters"), (int,)),
    **dict.fromkeys(("seconds", "seconds_per_epoch"), _NUMBER),
    **dict.fromkeys(("val", "test", "official", "per_class", "predictor"), (dict,)),
    "task": (dict, type(None)),
    "tasks": (dict,),
    "time_limit": (*_NUMBER, type(None)),
    "monitor": (str, type(None)),
    **dict.fromkeys(("fallback", "unsaved"), (str,)),
}
"""Name in a summary -> types of its value."""
RESULTS = ("seed", "best_epoch", "epochs", "waited", "parameters", "seconds", "val", "test", "per_class")
"""Names of values that the summary of every finished run has."""


def own_file(path: Path) -> bool:
    """Say whether a file of a run is there.

    Args:
        path: A file in the folder of a run.

    Raises:
        DataIntegrityError: A folder is in its place, or a link that leads out of the folder of the run.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "summary.json").symlink_to("/etc/hostname")
        >>> own_file(folder / "summary.json")
        Traceback (most recent call last):
        pyg_samsa.errors.DataIntegrityError: ...summary.json: got a link out of the folder of the run, expected a file
    """
    if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
        got = "a link out of the folder of the run"
        raise DataIntegrityError(path, "a file", got, hint="Put the file itself in its place, or delete the link.")
    if path.is_dir():
        raise DataIntegrityError(path, "a file", "a folder", hint="Rename or delete it.")
    return path.is_file()


def read_mapping(path: Path, *, hint: str = WRITTEN_AGAIN) -> dict[str, Any] | None:
    """Return the content of a JSON or YAML file of a run; None if it is not there.

    Args:
        path: The file, whose ending says what it is.
        hint: The cure if it is damaged.

    Raises:
        DataIntegrityError: It cannot be read, or holds something other than names and values.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "summary.json"
        >>> _ = path.write_text('{"epochs": 3}')
        >>> read_mapping(path)
        {'epochs': 3}
    """
    if not own_file(path):
        return None
    kind = "JSON" if path.suffix == ".json" else "YAML"
    try:
        text = read_text(path, _LARGEST)
        content = parse_json(text) if kind == "JSON" else parse_yaml(text)
    except (ValueError, yaml.YAMLError) as error:
        raise DataIntegrityError(path, f"a {kind} file", "one that cannot be read", hint=hint) from error
    if not isinstance(content, dict):
        shown = {"NoneType": "nothing", "list": "a list", "str": "a text"}.get(type(content).__name__, "a number")
        raise DataIntegrityError(path, f"a {kind} file of names and values", shown, hint=hint)
    return content


def check_summary(path: Path, summary: Mapping[str, Any], *, needed: Collection[str] = ()) -> None:
    """Check the types of the values of ``summary.json``.

    Args:
        path: The file, for errors.
        summary: Its content.
        needed: Names of values that must be there.

    Raises:
        DataIntegrityError: A value is of another type, or is missing.

    Example:
        >>> check_summary(Path("summary.json"), {"epochs": "three"})
        Traceback (most recent call last):
        pyg_samsa.errors.DataIntegrityError: summary.json: got 'three', expected a value of epochs as a run writes it
    """
    for name in needed:
        if name not in summary:
            raise DataIntegrityError(path, f"the value {name}", "none", hint=WRITTEN_AGAIN)
    for name, types in _SUMMARY.items():
        if name not in summary:
            continue
        if not isinstance(summary[name], types) or isinstance(summary[name], bool):
            got = repr(summary[name])[:40]
            raise DataIntegrityError(path, f"a value of {name} as a run writes it", got, hint=WRITTEN_AGAIN)
    predictor = summary.get("predictor", {})
    scores = predictor.get("scores", {})
    tables = {split: summary.get(split, {}) for split in ("val", "test", "official")}
    members, coverage = predictor.get("members", []), predictor.get("coverage", [])
    shaped = isinstance(scores, dict) and all(isinstance(found, dict) for found in scores.values())
    shaped = shaped and all(isinstance(rows, list) for rows in (members, coverage))
    shaped = shaped and all(isinstance(row, dict) for row in [*members, *coverage])
    shaped = shaped and all(isinstance(values, list) for values in summary.get("per_class", {}).values())
    if shaped:
        tables |= {f"{name} {split}": found for name in scores for split, found in scores[name].items()}
        tables |= {"weights": predictor.get("weights", {})}
    shaped = shaped and all(isinstance(found, dict) for found in tables.values())
    numbers = [value for found in tables.values() for value in found.values()] if shaped else []
    if not shaped or not all(isinstance(value, _NUMBER) for value in numbers):
        raise DataIntegrityError(path, "metrics with numbers", "other values", hint=WRITTEN_AGAIN)


def read_table(path: Path, *, rows: int | None = None, numeric: bool = False) -> pd.DataFrame | None:
    r"""Return a CSV table of a run; None if it is not there.

    Args:
        path: The file.
        rows: Largest number of rows that are read.
        numeric: Whether all columns must hold numbers.

    Raises:
        DataIntegrityError: It cannot be read, or a column holds something else.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "metrics.csv"
        >>> _ = path.write_text("epoch,lr\n1,high\n")
        >>> read_table(path, numeric=True)
        Traceback (most recent call last):
        pyg_samsa.errors.DataIntegrityError: ...metrics.csv: got texts in the column 'lr', expected numbers
    """
    import pandas as pd

    if not own_file(path):
        return None
    try:
        table = restore_table(pd.read_csv(path, nrows=rows, encoding="utf-8"))
    except ValueError as error:
        raise DataIntegrityError(path, "a CSV table", "one that cannot be read", hint=WRITTEN_AGAIN) from error
    for name in table if numeric else []:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise DataIntegrityError(path, "numbers", f"texts in the column {str(name)!r}", hint=WRITTEN_AGAIN)
    return table
