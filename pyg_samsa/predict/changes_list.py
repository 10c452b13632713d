"""The list of standardised molecules beside a table of predictions; it grows with the table."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from pyg_samsa.chem.molecule_changes import COLUMNS, Change, write_changes
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.files import writing
from pyg_samsa.io.tables.formats import SUFFIXES

_HEADER = (",".join(COLUMNS) + "\n").encode()


def list_beside(output: Path) -> Path:
    """Return the file that lists the standardised molecules of an output.

    Args:
        output: The table of predictions.

    Example:
        >>> list_beside(Path("out.csv.gz")).name, list_beside(Path("embedded.npy")).name
        ('out-standardized.csv', 'embedded-standardized.csv')
    """
    endings = sorted((ending for endings in SUFFIXES.values() for ending in endings), key=len, reverse=True)
    ending = next((ending for ending in endings if output.name.lower().endswith(ending)), output.suffix)
    return output.with_name(f"{output.name[: len(output.name) - len(ending)]}-standardized.csv")


def check_list(source: str | os.PathLike[str], output: Path) -> None:
    """Raise an error if the list beside an output would take the place of the table that is read.

    Args:
        source: The table.
        output: The table of predictions.

    Raises:
        ConfigError: It would.

    Example:
        >>> check_list("in.csv", Path("out.csv"))
    """
    listed = list_beside(output)
    if listed.exists() and Path(source).exists() and os.path.samefile(source, listed):
        expected = f"another name, because standardised molecules are listed in {listed.name}, which is IN"
        raise ConfigError("OUT", str(output), expected)


class ChangesList:
    """A CSV file of the molecules that the standardisation changed: row, SMILES as given, SMILES after it, and steps.

    It is written to ``<name>.partial``, and gets its name when it is complete. Without changed molecules there is none.

    Args:
        path: The file; an earlier list in its place is replaced.

    Raises:
        ConfigError: Something else is in its place.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "out-standardized.csv"
        >>> with ChangesList(path) as listed:
        ...     listed.add([Change(0, "C[NH3+]", "CN", ("neutralize",))], first=1)
        ...     listed.finish()
        >>> path.read_text().splitlines()
        ['row,smiles,standardized,steps', '1,C[NH3+],CN,neutralize']
    """

    def __init__(self, path: Path) -> None:
        self.path, self.partial = path, path.with_name(f"{path.name}.partial")
        self._file: IO[bytes] | None = None
        for place in (path, self.partial):
            if place.is_symlink() or (place.exists() and not _is_list(place)):
                hint = "Move it elsewhere, or choose another name for the output."
                expected = f"an output without {place.name} beside it, where standardised molecules are listed"
                raise ConfigError("OUT", str(place), expected, hint=hint)

    def __enter__(self) -> ChangesList:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def size(self) -> int:
        """Number of bytes that are written."""
        return 0 if self._file is None else os.fstat(self._file.fileno()).st_size

    def start(self, size: int = 0) -> None:
        """Open the file, and keep the first bytes of what an interrupted run has written.

        Args:
            size: Number of bytes.

        Raises:
            DataIntegrityError: There are fewer.
        """
        # A run that was killed at its very end has given the file its name already.
        if size and not self.partial.exists() and self.path.is_file() and self.path.stat().st_size == size:
            os.replace(self.path, self.partial)
        if size and (not self.partial.is_file() or self.partial.stat().st_size < size):
            hint = f"Delete it and the other files of the output that end in .partial and .json: {self.partial.parent}"
            raise DataIntegrityError(self.partial, f"{size:,} bytes of an interrupted run", "fewer", hint=hint)
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        with writing(self.path):
            self._file = open(self.partial, "r+b" if size else "wb")  # noqa: SIM115 - closed at the end
            self._file.truncate(size)
            self._file.seek(0, os.SEEK_END)

    def add(self, changes: Sequence[Change], *, first: int) -> None:
        """Add molecules, and wait until they are on the disk.

        Args:
            changes: The molecules.
            first: Row of the table at position 0.
        """
        if self._file is None:
            self.start()
        assert self._file is not None
        if not changes:
            return
        text = io.StringIO()
        write_changes(text, changes, first=first)
        with writing(self.path):
            self._file.write((b"" if self.size else _HEADER) + text.getvalue().encode("utf-8", "surrogatepass"))
            self._file.flush()
            os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Give the complete file its name, or delete it if it is empty."""
        size = self.size
        if self._file is not None:
            self._file.close()
            self._file = None
        if size:
            os.replace(self.partial, self.path)
        else:
            self.discard()
            self.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete what was written."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.partial.unlink(missing_ok=True)


def _is_list(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HEADER)) in (_HEADER, b"")
