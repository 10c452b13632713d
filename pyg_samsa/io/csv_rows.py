"""Reads CSV files row by row, with mixed encodings, quotes, blank lines, four delimiters and repeated column names."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import IO, Any

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, suggest

DELIMITERS = (",", ";", "\t", "|")
SMILES_NAMES = (
    "smiles",
    "canonical_smiles",
    "isomeric_smiles",
    "canonicalsmiles",
    "isomericsmiles",
    "structure_smiles",
    "structure",
    "molecule",
    "mol",
)
"""Names of a column of molecules in lower case, the likeliest first."""
_DELIMITER_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)?(_level_\d+)?|\.\.\.\d+)?")
_BUFFER = 2**18
_LONGEST_RECORD, _MOST_LINES = 2**24, 100_000
_BYTE_FALLBACK = "pyg_samsa_cp1252"


def _decode_byte(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that are not UTF-8 as Windows-1252, one by one, so that one bad row does not affect others."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in bad), error.end


codecs.register_error(_BYTE_FALLBACK, _decode_byte)


@dataclass
class CsvRows:
    r"""The rows of an open CSV file, read lazily.

    Attributes:
        header: Names as written; empty for a file without one.
        delimiter: Character between fields.

    Example:
        >>> with open_rows(io.BytesIO(b"smiles;name\nCCO;ethanol\n")) as rows:
        ...     rows.delimiter, rows.header, list(rows)
        (';', ['smiles', 'name'], [['CCO', 'ethanol']])
    """

    header: list[str]
    delimiter: str
    _lines: Any = field(repr=False)
    _name: str = ""

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the fields of each row; a blank line is a row without fields.

        Raises:
            DataIntegrityError: A quote is opened and never closed.
        """
        yield from _records(self._lines, self.delimiter, self._name)


@contextmanager
def open_rows(source: Any, *, header: bool = True) -> Iterator[CsvRows]:
    r"""Open a CSV file for reading row by row, in memory of one row.

    Text is UTF-8 (with or without a byte order mark) or UTF-16 with one; bytes that are no UTF-8 are read as
    Windows-1252, each by itself. The delimiter is the one of :data:`DELIMITERS` that the first row holds most of, or
    that of a first line ``sep=;``. Blank lines, and lines of comments that begin with ``#``, are skipped before the
    first row. In a table without a header ``|`` is no delimiter: it is part of extended SMILES.

    Args:
        source: Path, or an open binary stream.
        header: Whether the first row names the columns.

    Raises:
        DataNotFoundError: There is no such file.
        DataIntegrityError: The file is empty, or a quote is never closed.

    Example:
        >>> with open_rows(io.BytesIO(b"\xef\xbb\xbfsmiles;name\nCC;\xc3\xa9thane\n\nC;m\xe9thane\n")) as rows:
        ...     rows.header, list(rows)
        (['smiles', 'name'], [['CC', 'éthane'], [], ['C', 'méthane']])
    """
    name = str(source) if isinstance(source, (str, Path)) else "standard input"
    raw: IO[bytes]
    if isinstance(source, (str, Path)):
        try:
            raw = open(source, "rb")  # noqa: SIM115 - closed below, unlike a stream of somebody else
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise DataNotFoundError(f"{source}: {str(error.strerror).lower()}", hint="Check the path.") from error
    else:
        raw = source
    try:
        yield _rows(raw, name, header)
    finally:
        if raw is not source:
            raw.close()


def _rows(raw: IO[bytes], name: str, header: bool) -> CsvRows:
    # A row may be a whole molecule of a megabyte; the module's own limit is 128 kB for all readers of the process.
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    buffered = io.BufferedReader(_Unclosed(raw), _BUFFER)
    _refuse_other_formats(buffered.peek(_BUFFER)[:_BUFFER], name)
    utf16 = buffered.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding, errors = ("utf-16", "replace") if utf16 else ("utf-8-sig", _BYTE_FALLBACK)
    text = io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline="")
    lines = iter(text)
    first, delimiter = _first_row(lines, header)
    if first is None:
        raise DataIntegrityError(
            name, "a table", "an empty file", hint="The first row names the columns, the others hold molecules."
        )
    delimiter = delimiter or _sniff(first, DELIMITERS if header else DELIMITERS[:-1])
    rest = chain([first], lines)
    if not header:
        return CsvRows([], delimiter, rest, name)
    names = next(_records(rest, delimiter, name), [])
    if not any(title.strip() for title in names):
        raise DataIntegrityError(
            name, "names of columns in the first row", "a blank one", hint="Write the names there, or pass --no-header."
        )
    return CsvRows(names, delimiter, rest, name)


_EXCEL = "Save the sheet as CSV, or: pandas.read_excel(FILE).to_csv('table.csv', index=False)."
_SDF = "Write its SMILES as CSV: rdkit.Chem.PandasTools.LoadSDF(FILE, smilesName='smiles').to_csv('table.csv')."
_OTHER_FORMATS = {
    b"PK\x03\x04": ("an Excel workbook or a zip archive", _EXCEL),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", _EXCEL),
    b"\x1f\x8b": ("a gzip archive", "Unpack it: gunzip FILE."),
    b"BZh": ("a bzip2 archive", "Unpack it: bunzip2 FILE."),
    b"PAR1": ("a Parquet file", "Write it as CSV: pandas.read_parquet(FILE).to_csv('table.csv', index=False)."),
    b"%PDF": ("a PDF document", "Copy the table into a CSV file."),
}


def _refuse_other_formats(start: bytes, name: str) -> None:
    """Raise an error about a file that is no table of text, with the cure.

    Raises:
        DataIntegrityError: It begins like a file of another known format.
    """
    for magic, (kind, cure) in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise DataIntegrityError(name, "a CSV file", kind, hint=cure)
    lines = start.splitlines()[:4]
    if b"M  END" in start or (len(lines) == 4 and lines[3].rstrip().endswith((b"V2000", b"V3000"))):
        raise DataIntegrityError(name, "a CSV file", "an SDF file", hint=_SDF)
    if start.lstrip()[:1] in (b"{", b"<") and b"," not in start.partition(b"\n")[0]:
        raise DataIntegrityError(name, "a CSV file", "JSON, HTML or XML", hint="Write it as CSV.")


def _first_row(lines: Iterator[str], header: bool) -> tuple[str | None, str]:
    """Return the first row that is neither blank nor a comment, and the delimiter that a line ``sep=;`` names."""
    delimiter = ""
    for line in lines:
        named = _DELIMITER_LINE.fullmatch(line.strip().strip('"'))
        if named and not delimiter:
            delimiter = named[1]
        elif line.lstrip(' "').startswith("#") and header and not _names_molecules(line, delimiter):
            continue
        elif line.strip():
            return line, delimiter
    return None, delimiter


def _names_molecules(line: str, delimiter: str) -> bool:
    """Return whether a line that begins with ``#`` is a header all the same, such as ``#smiles,id``."""
    names = line.split(delimiter or _sniff(line, DELIMITERS))
    return any(name.strip(' "#\r\n').lower() in SMILES_NAMES for name in names) and len(names) > 1


class _Unclosed(io.RawIOBase):
    """Hands bytes on, and leaves the stream open when the text above it goes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read1(len(buffer)) if hasattr(self._stream, "read1") else self._stream.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _sniff(line: str, delimiters: Sequence[str]) -> str:
    outside, quoted = dict.fromkeys(delimiters, 0), False
    for letter in line:
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in outside:
            outside[letter] += 1
    return max(delimiters, key=lambda delimiter: outside[delimiter])


def _records(lines: Iterator[str], delimiter: str, name: str) -> Iterator[list[str]]:
    taken, number = [0, 0, 0], 0  # characters, quotes and lines of the present record

    def counted() -> Iterator[str]:
        for line in lines:
            taken[0] += len(line)
            taken[1] += line.count('"')
            taken[2] += 1
            # A quote that is never closed would swallow the rest of the file into one field.
            if taken[0] > _LONGEST_RECORD or taken[2] > _MOST_LINES:
                raise _unclosed(name, number + 1)
            yield line

    reader = csv.reader(counted(), delimiter=delimiter)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataIntegrityError(
                name, "a CSV file", f"row {number + 1} that cannot be read ({error})", hint="Fix this row."
            ) from error
        if taken[1] % 2 and taken[2] > 1:
            raise _unclosed(name, number + 1)
        taken[:] = [0, 0, 0]
        number += 1
        yield fields


def _unclosed(name: str, row: int) -> DataIntegrityError:
    return DataIntegrityError(
        name,
        "quotes in pairs",
        f"a quote in row {row} (counted from the first row read) that is never closed",
        hint="Fix this row.",
    )


def find_column(header: Sequence[str], wanted: str, *, key: str, fallbacks: Sequence[str] = ()) -> int:
    """Return the position of a column.

    Args:
        header: Names of the columns.
        wanted: A name, or the number of a column from 1; empty takes the first of ``fallbacks`` that is there, or the
            only column whose name contains the first of them, or the only column.
        key: Name of the setting, for the errors.
        fallbacks: Lower-case names.

    Raises:
        ConfigError: There is no such column, or several.

    Example:
        >>> find_column(["id", "SMILES"], "", key="--smiles-column", fallbacks=SMILES_NAMES)
        1
        >>> find_column(["id", "SMILES"], "2", key="--smiles-column")
        1
    """
    shown = ", ".join(repr(name) for name in header[:20]) + (", ..." if len(header) > 20 else "")
    names = [name.strip() for name in header]
    if not wanted:
        lower = [name.lower() for name in names]
        for fallback in fallbacks:
            if lower.count(fallback) == 1:
                return lower.index(fallback)
        similar = [place for place, name in enumerate(lower) if fallbacks and fallbacks[0] in name]
        if len(similar) == 1:
            return similar[0]
        if len(header) == 1:
            return 0
        raise ConfigError(key, None, f"the name of a column: {shown}", hint=f"Pass the name: {key} NAME.")
    found = [position for position, name in enumerate(names) if name == wanted.strip()]
    if len(found) > 1:
        places = ", ".join(str(position + 1) for position in found)
        raise ConfigError(
            key,
            wanted,
            f"a name that only one column has; columns {places} have it",
            hint=f"Pass its number: {key} {found[0] + 1}.",
        )
    if found:
        return found[0]
    if wanted.isdigit() and 1 <= int(wanted) <= max(len(header), 1):
        return int(wanted) - 1
    raise ConfigError(key, wanted, f"the name of a column: {shown}", hint=suggest(wanted, names))


def is_named(title: str) -> bool:
    """Return whether a column has a name; ``Unnamed: 0`` is what pandas calls one without.

    Example:
        >>> is_named("logS"), is_named(" "), is_named("Unnamed: 0")
        (True, False, False)
    """
    return not _UNNAMED.fullmatch(title.strip())


def find_columns(header: Sequence[str], wanted: Sequence[str], *, key: str, taken: Sequence[int] = ()) -> list[int]:
    """Return the positions of several columns.

    Args:
        header: Names of the columns.
        wanted: Names or numbers of columns; ``all`` for all columns with a name; patterns such as ``NR-*``, ``pIC50_?``
            or ``!id``, which leaves out what the words before it found; as the first word, of all columns.
        key: Name of the setting, for the errors.
        taken: Positions of columns that have another use; ``all`` and patterns do not find them.

    Raises:
        ConfigError: There is no such column, or one is asked for twice, or has another use.

    Example:
        >>> header = ["id", "smiles", "NR-AR", "NR-ER", "SR-p53", ""]
        >>> find_columns(header, ["NR-*"], key="--target-columns", taken=[1])
        [2, 3]
        >>> find_columns(header, ["!id"], key="--target-columns", taken=[1])
        [2, 3, 4]
    """
    names = [title.strip() for title in header]
    free = [place for place, title in enumerate(names) if place not in taken and is_named(title)]
    found: list[int] = []
    for word in map(str.strip, wanted):
        if word in names or word.isdigit():
            found.append(find_column(header, word, key=key))
            continue
        negated = word.startswith("!")
        pattern = "*" if word == "all" else word[negated:]
        exact = [place for place in free if names[place] == pattern]
        matching = exact or [place for place in free if fnmatchcase(names[place], pattern)]
        found = found or (list(free) if negated and word == wanted[0].strip() else found)
        if not matching:
            shown = ", ".join(map(repr, names[:20]))
            raise ConfigError(
                key, word, f"the name of a column, or a pattern that fits one: {shown}", hint=suggest(word, names)
            )
        found = [place for place in found if place not in matching] + ([] if negated else matching)
    if len(set(found)) < len(found) or set(found) & set(taken):
        expected = "different columns, which hold neither the SMILES nor the split, and have no other use"
        raise ConfigError(key, list(wanted), expected)
    if not found:
        raise ConfigError(key, list(wanted), "at least one column")
    return found


def find_extra_columns(header: Sequence[str], names: Sequence[str], *, key: str) -> dict[str, int]:
    """Return the positions of the columns of numbers that a model was trained with.

    Args:
        header: Names of the columns of a table.
        names: Names of the columns that the model needs.
        key: Name of the argument that holds the table, for the error.

    Raises:
        ConfigError: The table has no such column, or several.

    Example:
        >>> find_extra_columns(["smiles", "pH"], ["pH"], key="IN")
        {'pH': 1}
    """
    present = [title.strip() for title in header]
    for name in names:
        if present.count(name) != 1:
            hint = f"The model was trained with the extra column {name!r}; leave a field empty where it is unknown."
            raise ConfigError(key, present, f"a table with one column {name!r}", hint=hint)
    return {name: present.index(name) for name in names}
