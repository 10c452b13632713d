"""Folders of saved models: the names of their files, and where they are searched."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from pyg_samsa.errors import DataNotFoundError, suggest
from pyg_samsa.io.documents import parse_json, read_text

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
FILES = (WEIGHTS, CONFIG, CARD)
RUN_SUBFOLDER = "model"
"""Subfolder of a run's folder that holds its saved model."""
PREDICTOR, PREDICTOR_SUBFOLDER = "predictor.json", "predictor"
"""Description of a saved predictor, and the subfolder of a run's folder that holds it."""
SHIPPED = Path(__file__).resolve().parents[1] / "pretrained"
"""Folder of the models that come with the package."""
COPY_AGAIN = "Copy the whole folder again, or save the model again."
UNSAVED = "unsaved"
"""Key of the summary of a run that says why its network is not saved."""
_SUMMARY, _LARGEST_SUMMARY = "summary.json", 2**26


def shipped() -> list[str]:
    """Return the names of the models that come with the package.

    Example:
        >>> "peptides" in shipped()
        True
    """
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG}"))


def find_pretrained(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a saved model.

    Args:
        name: The folder itself, the folder of a run, or the name of a model that comes with the package.

    Raises:
        DataNotFoundError: There is no such model.

    Example:
        >>> find_pretrained("peptides").name
        'peptides'
    """
    given = Path(name).expanduser()
    for folder in (given, given / RUN_SUBFOLDER):
        if (folder / CONFIG).is_file():
            return folder
    # Only a plain name can mean a shipped model: a wrong path must not silently become another model.
    if str(name) in shipped():
        return SHIPPED / str(name)
    for folder in (given, given / PREDICTOR_SUBFOLDER):
        if (folder / PREDICTOR).is_file():
            raise _is_predictor(name, folder)
    if runs := sorted(path.parents[1] for path in given.glob(f"*/{RUN_SUBFOLDER}/{CONFIG}")):
        shown = ", ".join(map(str, runs[:5])) + (", ..." if len(runs) > 5 else "")
        raise DataNotFoundError(f"{name}: no saved model found, but runs in it", hint=f"Pass one of them: {shown}")
    if (unsaved := refuse_unsaved(name)) is not None:
        raise unsaved
    known = f", or a name of a model that comes with the package: {', '.join(shipped())}" if shipped() else ""
    hint = suggest(str(name), shipped()) or f"Pass the folder of a run, or one with {CONFIG} and {WEIGHTS}{known}."
    reason = "" if given.is_dir() else " (it is a file)" if given.is_file() else " (there is no such folder)"
    raise DataNotFoundError(f"{name or repr(name)}: no saved model found{reason}", hint=hint)


def refuse_unsaved(name: str | os.PathLike[str]) -> DataNotFoundError | None:
    """Return the error about a run whose network was not saved, with the reason that its summary gives; or None.

    Args:
        name: Folder of a run, or of the runs of all seeds.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "summary.json").write_text('{"unsaved": "model.type gcn: only networks ... are saved"}')
        >>> str(refuse_unsaved(folder)).removeprefix(str(folder))
        ': the network of this run is not saved, because of model.type gcn: only networks ... are saved'
    """
    given = Path(name).expanduser()
    for path in [given / _SUMMARY, *sorted(given.glob(f"*/{_SUMMARY}"))] if given.is_dir() else []:
        try:
            summary = parse_json(read_text(path, _LARGEST_SUMMARY))
        except (OSError, ValueError):
            continue
        reason = summary.get(UNSAVED) if isinstance(summary, dict) else None
        if isinstance(reason, str) and reason:
            hint = "Train with model.type samsa, or models on descriptors alone (--only descriptors)."
            shown = "".join(letter if letter.isprintable() else " " for letter in reason[:200])
            told = f"{name}: the network of this run is not saved, because of {shown}"
            return DataNotFoundError(told, hint=hint if reason.startswith("model.type") else "")
    return None


def _is_predictor(name: str | os.PathLike[str], folder: Path) -> DataNotFoundError:
    """Return the error about a folder that holds a predictor of several models and no network of its own."""
    networks = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}") if (path.parent / WEIGHTS).is_file())
    others = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in networks)
    hint = "Read it with pyg_samsa.predict.load_predictor, as pyg-samsa predict does"
    hint += f"; one of its networks: {folder / networks[0]}" if networks else ""
    return DataNotFoundError(
        f"{name}: no single network, but a predictor of {', '.join([*networks, *others])}", hint=f"{hint}."
    )


def is_replaceable(folder: Path, marker: str = CONFIG, allowed: Collection[str] = FILES) -> bool:
    """Say whether a model may be written to a folder: it is new, empty, or holds an earlier model.

    Args:
        folder: The folder.
        marker: File that every saved model of this kind has.
        allowed: Files that a folder without a model may hold.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> is_replaceable(folder), is_replaceable(folder / "new")
        (True, True)
        >>> _ = (folder / "notes.txt").write_text("mine")
        >>> is_replaceable(folder)
        False
    """
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    return (folder / marker).is_file() or {path.name for path in folder.iterdir()} <= set(allowed)
