"""Where the table in a CSV file begins, which character separates its fields, and which files are no CSV files."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pyg_samsa.errors import DataError
from pyg_samsa.io.csv_columns import SMILES_NAMES

DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_EXTENSION = re.compile(r"\s\|[^|]*\|")  # of an extended SMILES
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 30, 2**20


class TableStart(NamedTuple):
    r"""The first lines of a table.

    Attributes:
        lines: Lines from the first row on, which were read already.
        delimiter: Character between fields.

    Example:
        >>> read_start(iter(["# made by hand\n", "smiles;y\n", "C;0,5\n"]), "table.csv")
        TableStart(lines=['smiles;y\n', 'C;0,5\n'], delimiter=';')
    """

    lines: list[str]
    delimiter: str


def read_start(lines: Iterator[str], name: str, *, header: bool = True) -> TableStart:
    r"""Read the first lines of a file, leave out blank lines and comments before the table, and find the delimiter.

    A line that begins with ``#`` before the first row is a comment, unless it names the columns, as ``#smiles,id``, and
    the next row does not. A line ``sep=;`` names the delimiter; else it is that of :data:`DELIMITERS` which separates
    most of the first 30 lines into as many fields as the header has. Quotes are respected. Between two that do, the one
    with more columns is taken. In a table without a header ``|`` is no delimiter, because it is part of extended
    SMILES.

    Args:
        lines: The lines of the file.
        name: Name of the file, for the error.
        header: Whether the first row names the columns.

    Raises:
        DataError: The file holds no row.

    Example:
        >>> read_start(iter(['smiles;"logS, measured"\n', "C;0,5\n"]), "table.csv").delimiter
        ';'
    """
    named, comments, sample = "", list[str](), list[str]()
    for line in lines:
        if not sample:
            found = _DELIMITER_LINE.fullmatch(line.strip().strip('"'))
            if found and not named:
                named = found[1]
                continue
            if line.lstrip(' "').startswith("#") and header:
                comments.append(line)
                continue
            if not line.strip():
                continue
        sample.append(line)
        if len(sample) >= _SAMPLE_LINES or sum(map(len, sample)) >= _SAMPLE_CHARACTERS:
            break
    for comment in reversed(comments):
        if _names_columns(comment, sample, named):
            sample.insert(0, comment)
            break
    if not sample:
        hint = "The first row names the columns, and the others hold molecules."
        raise DataError(f"{name}: the file {'holds only comments' if comments else 'is empty'}", hint=hint)
    return TableStart(sample, named or _choose(sample, DELIMITERS if header else DELIMITERS[:-1], header))


def _names_columns(comment: str, rows: Sequence[str], named: str) -> bool:
    """Return whether a line that begins with ``#`` is a header all the same, such as ``#smiles,id``."""
    delimiter = named or _choose([comment, *rows], DELIMITERS, True)
    names, *others = _parse([comment, *rows[:1]], delimiter)
    titles = {_title(name) for name in names}
    if len(names) < 2 or not titles & set(SMILES_NAMES):
        return False
    # The first row is the header itself if it repeats one of the names.
    return not others or (len(others[0]) == len(names) and not titles & {_title(name) for name in others[0]})


def _title(name: str) -> str:
    return name.strip(' "#\r\n').lower()


def _choose(lines: Sequence[str], delimiters: Sequence[str], header: bool) -> str:
    """Return the delimiter that fits the first lines best; the first one of those that fit equally well."""
    return max(delimiters, key=lambda delimiter: _fit(lines, delimiter, header))


def _fit(lines: Sequence[str], delimiter: str, header: bool) -> tuple[Any, ...]:
    """Return how well a delimiter fits the first lines, for comparison with others."""
    if delimiter != "|":
        lines = [_EXTENSION.sub("", line) for line in lines]
    records = _parse(lines, delimiter)
    widths = [len(record) for record in records] or [1]
    # Commas that are all within numbers are decimal commas.
    commas = [line for line in lines[header:] if "," in line] if delimiter == "," else []
    decimals = bool(commas) and not any("," in _DECIMAL_COMMA.sub("", line) for line in commas)
    rows = widths[header:] or widths
    width, count = Counter(rows).most_common(1)[0]
    if not header:
        return width > 1, count / len(rows), not decimals, width
    if widths[0] == 1:
        # One name in the header, and perhaps several fields in each row; "|" may be part of extended SMILES.
        several = width > 1 and count == len(rows) > 1 and not decimals and delimiter != "|"
        return False, False, 0.0, several, width if several else 0
    named = any(_title(name) in SMILES_NAMES for name in records[0])
    return True, named, sum(other == widths[0] for other in rows) / len(rows), not decimals, widths[0]


def _parse(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the rows of some lines that are neither blank nor comments; the first one may begin with ``#``."""
    records: list[list[str]] = []
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            if any(field.strip() for field in record) and not (records and record[0].lstrip().startswith("#")):
                records.append(record)
    except csv.Error:  # told with its row where the rows are read
        pass
    return records


_EXCEL = "Save the sheet as CSV, or: pandas.read_excel(FILE).to_csv('table.csv', index=False)."
_SDF = (
    "Write its SMILES as CSV: rdkit.Chem.PandasTools.LoadSDF(FILE, smilesName='smiles').to_csv('table.csv'). "
    "`pyg-samsa predict` and `explain` read it as FILE.sdf."
)
_ONE_MOLECULE = (
    "A table has a row for each molecule: its SMILES and its values, with a first row that names the columns."
)
_PDB_ATOM = re.compile(rb"(ATOM  |HETATM)[ \d]{4}[\w*] ")
_PDB_FIRST = re.compile(rb"HEADER {4}|REMARK( {2}| +\d)|CRYST1 +\d|" + _PDB_ATOM.pattern)
_PDB_BEFORE_ATOMS = re.compile(rb"(HEADER|TITLE|COMPND|SOURCE|KEYWDS|EXPDTA|AUTHOR|MODEL|REMARK|SEQRES|CONECT)(\s|$)")
_OTHER_FORMATS = {
    b"PK\x03\x04": ("an Excel workbook or a zip archive", _EXCEL),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", _EXCEL),
    b"\x1f\x8b": (
        "a gzip archive",
        "Unpack it: gunzip FILE. `pyg-samsa predict` and `explain` read it as FILE.csv.gz.",
    ),
    b"BZh": ("a bzip2 archive", "Unpack it: bunzip2 FILE."),
    b"PAR1": (
        "a Parquet file",
        "Write it as CSV: pandas.read_parquet(FILE).to_csv('table.csv', index=False). "
        "`pyg-samsa predict` and `explain` read it as FILE.parquet.",
    ),
    b"%PDF": ("a PDF document", "Copy the table into a CSV file."),
    b"\x89PNG": ("a picture", "Pass the CSV file itself."),
    b"\xff\xd8\xff": ("a picture", "Pass the CSV file itself."),
    b"SQLite format 3": ("a SQLite database", "Write a table of it as CSV: sqlite3 -csv -header FILE 'select ...'."),
    b"\x89HDF": ("an HDF5 file", "Write it as CSV: pandas.read_hdf(FILE).to_csv('table.csv', index=False)."),
    b"\x93NUMPY": ("an array of NumPy", "Write it as CSV with a first row that names the columns."),
    b"\x80\x04\x95": ("a pickle", "Write it as CSV: pandas.read_pickle(FILE).to_csv('table.csv', index=False)."),
    b"\x80\x05\x95": ("a pickle", "Write it as CSV: pandas.read_pickle(FILE).to_csv('table.csv', index=False)."),
}


def known_format(start: bytes) -> tuple[str, str] | None:
    r"""Return what a file is by its first bytes, and how to make a CSV file of it; None if it is of no known format.

    Args:
        start: The first bytes of the file.

    Example:
        >>> known_format(b"%PDF-1.7"), known_format(b"smiles")
        (('a PDF document', 'Copy the table into a CSV file.'), None)
    """
    return next((known for magic, known in _OTHER_FORMATS.items() if start.startswith(magic)), None)


def refuse_other_formats(start: bytes, name: str) -> None:
    r"""Raise an error about a file that is no table of text, with the cure.

    Args:
        start: The first bytes of the file.
        name: Its name.

    Raises:
        DataError: It begins like a file of another known format.

    Example:
        >>> refuse_other_formats(b"PK\x03\x04", "table.csv")
        Traceback (most recent call last):
        pyg_samsa.errors.DataError: table.csv: this is an Excel workbook or a zip archive, not a CSV file
    """
    if known := known_format(start):
        raise _not_csv(name, *known)
    if structure := _structure(start):
        raise _not_csv(name, structure, _ONE_MOLECULE)
    lines = start.splitlines()[:4]
    if b"M  END" in start or (len(lines) == 4 and lines[3].rstrip().endswith((b"V2000", b"V3000"))):
        end, after = start.partition(b"M  END")[1:]
        if (end and not after.strip()) or (not end and name.lower().endswith(".mol")):
            raise _not_csv(name, "a molfile, which holds one molecule", _ONE_MOLECULE)
        raise _not_csv(name, "an SDF file", _SDF)
    if start.lstrip()[:1] in (b"{", b"<") and b"," not in start.partition(b"\n")[0]:
        raise _not_csv(name, "JSON, HTML or XML", "Write it as CSV.")


def _structure(start: bytes) -> str | None:
    """Return the format of a file of atoms and their places; None for others, such as tables with similar headers."""
    text = start.removeprefix(codecs.BOM_UTF8)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
    if not lines:
        return None
    first, rest = lines[0].lstrip(), lines[1:]
    if first.startswith(b"@<TRIPOS>"):
        return "a file of Tripos (mol2)"
    if _PDB_FIRST.match(first) or (_PDB_BEFORE_ATOMS.match(first) and any(map(_PDB_ATOM.match, rest))):
        return "a PDB file"
    one_word = first.startswith(b"data_") and not any(sign.encode() in first for sign in DELIMITERS)
    return "a CIF file" if one_word and any(line.lstrip().startswith((b"_", b"loop_")) for line in rest) else None


def _not_csv(name: str, kind: str, cure: str) -> DataError:
    return DataError(f"{name}: this is {kind}, not a CSV file", hint=cure)
