"""Excel files: a sheet becomes a CSV file, which the readers of tables take."""

from __future__ import annotations

import csv
import datetime
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyg_samsa.errors import DataError, MissingDependencyError

SUFFIX = ".xlsx"
_HINT = "Open it in the spreadsheet and save it as .xlsx or as CSV."


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
    try:
        # openpyxl takes defusedxml where it is installed, and does not expand entities then.
        import defusedxml  # noqa: F401
        import openpyxl
    except ImportError as error:
        raise MissingDependencyError(error.name or "openpyxl", "web", "Reading Excel files") from error
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
