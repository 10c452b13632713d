"""Excel files: a sheet becomes a CSV file, which the readers of tables take, and rows of texts become a sheet."""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pyg_samsa.errors import DataError, MissingDependencyError

SUFFIX = ".xlsx"
MOST_ROWS, MOST_COLUMNS, MOST_CHARACTERS = 2**20, 2**14, 2**15 - 1
"""Most rows and columns of a sheet, and characters of a cell."""
_HINT = "Open it in the spreadsheet and save it as .xlsx or as CSV."
# Numbers whose every digit is kept; the zeros at the front of "007" tell that it is none.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[+-][0-9]{1,2})?")
_MOST_DIGITS = 15
_NOT_IN_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def excel_to_csv(source: Path, target: Path, *, max_bytes: int, max_rows: int) -> int:
    """Write the first sheet of an Excel file that has cells as CSV, and return the number of its rows.

    Cells hold the values that the spreadsheet saved; formulas are not computed. Empty rows at the end are left out.

    Args:
        source: The ``.xlsx`` file.
        target: CSV file to write.
        max_bytes: Most bytes of the unpacked file; a small file may stand for a very large one.
        max_rows: Most rows, without the header.

    Raises:
        DataError: It is no Excel file, is damaged, or exceeds a limit.
        MissingDependencyError: openpyxl or defusedxml is not installed.

    Example:
        >>> import openpyxl, tempfile
        >>> folder, book = Path(tempfile.mkdtemp()), openpyxl.Workbook()
        >>> for row in (["smiles", "y"], ["CCO", 0.5]):
        ...     book.active.append(row)
        >>> book.save(folder / "in.xlsx")
        >>> excel_to_csv(folder / "in.xlsx", folder / "out.csv", max_bytes=2**20, max_rows=100)
        1
        >>> (folder / "out.csv").read_text().splitlines()
        ['smiles,y', 'CCO,0.5']

    Cost: about 10 microseconds a cell.
    """
    openpyxl = _import_openpyxl("Reading Excel files")
    _check_archive(source, max_bytes)
    try:
        book = openpyxl.load_workbook(source, read_only=True, data_only=True)
        sheet = next((one for one in book.worksheets if _has_cells(one)), None)
        if sheet is None:
            raise DataError("the Excel file has no sheet with cells", hint="Put the molecules into the first sheet.")
        with open(target, "w", encoding="utf-8", newline="") as file:
            return _write_rows(sheet, csv.writer(file, lineterminator="\n"), max_rows)
    except DataError:
        raise
    except Exception as error:  # openpyxl has errors of many types for damaged files
        raise DataError(f"the Excel file cannot be read ({type(error).__name__})", hint=_HINT) from error


def write_excel(target: Path | IO[bytes], header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write rows of texts as the only sheet of an Excel file, and return their number.

    Numbers of at most 15 digits, such as ``-0.50`` and ``1e-07``, become numbers. All else is a text, also what a
    spreadsheet would read as a formula, a date or an error. Characters that XML does not know are replaced.

    Args:
        target: File to write, or an open binary file.
        header: Names of the columns; empty for a sheet without them.
        rows: The cells of each row.

    Raises:
        DataError: There are more rows, columns or characters of a cell than an Excel file can have.
        MissingDependencyError: openpyxl or defusedxml is not installed.

    Example:
        >>> import io, openpyxl
        >>> write_excel(file := io.BytesIO(), ["smiles", "id", "y"], [["CCO", "007", "0.50"], ["C", "=1+1", ""]])
        2
        >>> list(openpyxl.load_workbook(file).active.values)
        [('smiles', 'id', 'y'), ('CCO', '007', 0.5), ('C', '=1+1', None)]

    Cost: about 15 microseconds a cell, in memory that does not grow with the rows.
    """
    openpyxl = _import_openpyxl("Writing Excel files")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    try:
        count = _append_rows(sheet, header, rows)
    except BaseException:
        book.save(io.BytesIO())  # openpyxl removes its temporary file then
        raise
    book.save(target)
    return count


def _append_rows(sheet: Any, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    if header:
        sheet.append([_cell(sheet, name, True, 0) for name in header])
    count = 0
    for count, row in enumerate(rows, 1):
        if count + bool(header) > MOST_ROWS or len(row) > MOST_COLUMNS:
            what = f"{MOST_COLUMNS:,} columns" if len(row) > MOST_COLUMNS else f"{MOST_ROWS:,} rows"
            raise DataError(f"an Excel file has at most {what}; this table has more", hint="Write it as CSV.")
        sheet.append([_cell(sheet, text, False, count) for text in row])
    return count


def _cell(sheet: Any, text: str, is_name: bool, row: int) -> Any:
    """Return what is put into a sheet for a text."""
    if not is_name and _NUMBER.fullmatch(text) and sum(map(str.isdigit, text.partition("e")[0])) <= _MOST_DIGITS:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    if len(text) > MOST_CHARACTERS:
        what = f"row {row:,} has a cell of {len(text):,} characters; a cell of an Excel file has at most"
        raise DataError(f"{what} {MOST_CHARACTERS:,}", hint="Write it as CSV.")
    text = _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    if not text.startswith(("=", "#")):
        return text or None
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"  # neither a formula nor an error
    return cell


def _import_openpyxl(purpose: str) -> Any:
    try:
        # openpyxl takes defusedxml where it is installed, and does not expand entities then.
        import defusedxml  # noqa: F401
        import openpyxl
    except ImportError as error:
        raise MissingDependencyError(error.name or "openpyxl", "web", purpose) from error
    return openpyxl


def _check_archive(source: Path, max_bytes: int) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError("this is no Excel file of the format .xlsx", hint=_HINT) from error
    if size > max_bytes:
        hint = f"At most {max_bytes / 2**20:,.0f} MiB are read. Save the molecules alone, as CSV."
        raise DataError(f"the Excel file has {size / 2**20:,.0f} MiB when it is unpacked", hint=hint)


def _has_cells(sheet: Any) -> bool:
    return any(any(cell is not None for cell in row) for row in sheet.iter_rows(values_only=True))


def _write_rows(sheet: Any, writer: Any, max_rows: int) -> int:
    written, pending = -1, 0  # the header is no row
    width = 0
    for row in _rows(sheet):
        if not any(row):
            pending += 1
            continue
        if written < 0:
            pending = 0  # nothing is above the header
            width = max(place for place, text in enumerate(row) if text) + 1
        for _ in range(pending):
            writer.writerow([""] * width)
        # Columns right of the header are kept only where they hold something.
        writer.writerow(row[: max(width, max(place for place, text in enumerate(row) if text) + 1)])
        written, pending = written + pending + 1, 0
        if written > max_rows:
            raise DataError(f"the Excel file has more than {max_rows:,} rows", hint="Split it into several files.")
    return max(0, written)


def _rows(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows(values_only=True):
        yield [_text(cell) for cell in row]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.15g}"
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell)
