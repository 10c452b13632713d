"""JSON files of saved models and predictors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_samsa._version import __version__
from pyg_samsa.chem.standardize import STEPS, ordered_steps
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.hub.folder import COPY_AGAIN
from pyg_samsa.io import documents

_MAX_BYTES = 2**26


def read_json(path: Path, newest: int) -> dict[str, Any]:
    """Read a JSON object with the key ``format``.

    Args:
        path: File to read.
        newest: Largest number of the format that this version reads.

    Raises:
        DataNotFoundError: The file does not exist.
        DataIntegrityError: It is not such a JSON file.
        ConfigError: It was written by a newer version.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "trees.json"
        >>> write_json(path, {"format": 1, "scores": [0.5, float("nan")]})
        >>> read_json(path, 1)
        {'format': 1, 'scores': [0.5, None]}
    """
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file", hint=COPY_AGAIN)
    content = parse_json(path, _MAX_BYTES)
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise DataIntegrityError(path, "a JSON object with its format", repr(content)[:80], hint=COPY_AGAIN)
    if content["format"] > newest:
        hint = f"It was written by a newer version than this one, {__version__}. Update pyg_samsa."
        raise ConfigError(f"{path}: format", content["format"], f"at most {newest}", hint=hint)
    return content


def read_steps(content: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Return the steps by which the molecules of a saved model are standardised, from its description.

    Args:
        content: The description.
        path: Its file, for errors.

    Raises:
        ConfigError: A step is unknown.
        DataIntegrityError: It is no list of steps.

    Example:
        >>> read_steps({"standardize": ["neutralize", "fragment"]}, Path("config.json")), read_steps({}, Path("x"))
        (('fragment', 'neutralize'), ())
    """
    given = content.get("standardize", [])
    if not isinstance(given, list) or not all(isinstance(step, str) for step in given):
        raise DataIntegrityError(path, "standardize of a saved model", repr(given)[:80], hint=COPY_AGAIN)
    for step in given:
        if step not in STEPS:
            hint = f"It was written by another version than this one, {__version__}. Update pyg_samsa."
            raise ConfigError(f"{path}: standardize", step, f"steps that are known: {', '.join(STEPS)}", hint=hint)
    return ordered_steps(given, f"{path}: standardize")


def parse_json(path: Path, max_bytes: int) -> Any:
    """Return the content of a JSON file that exists.

    Args:
        path: File to read.
        max_bytes: Largest size that is read.

    Raises:
        DataIntegrityError: The file is too large, or not JSON.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "list.json"
        >>> _ = path.write_text("[1, 2]")
        >>> parse_json(path, 100)
        [1, 2]
    """
    try:
        if path.stat().st_size > max_bytes:
            raise DataIntegrityError(path, "a small JSON file", f"{path.stat().st_size:,} bytes", hint=COPY_AGAIN)
        return documents.parse_json(documents.read_text(path, max_bytes))
    except ValueError as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataIntegrityError(path, "a JSON file", f"an unreadable file ({reason})", hint=COPY_AGAIN) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain values as JSON; numbers that are not finite become null.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "trees.json"
        >>> write_json(path, {"format": 1})
        >>> path.read_text().split()
        ['{', '"format":', '1', '}']
    """
    text = json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(f"{text}\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """Return a value without NaN and infinity, which JSON does not have: they become None.

    Example:
        >>> finite({"ap": float("nan"), "auc": [0.5]})
        {'ap': None, 'auc': [0.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(inner) for inner in value]
    return (float(value) if math.isfinite(value) else None) if isinstance(value, float) else value
