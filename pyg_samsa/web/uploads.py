"""Molecules that users send: pasted lines and files, in a temporary folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

from pyg_samsa.errors import DataError
from pyg_samsa.io.csv_rows import BYTE_FALLBACK
from pyg_samsa.io.tables.excel import SUFFIX, excel_to_csv
from pyg_samsa.io.tables.formats import SUFFIXES, format_of
from pyg_samsa.io.tables.gzip_format import GzipStream
from pyg_samsa.web.limits import MIB, Limits
from pyg_samsa.web.problems import encodable

ACCEPTED = (*(ending for endings in SUFFIXES.values() for ending in endings), SUFFIX)
"""Endings of the files that can be sent."""
_BLOCK = 2**20
_SPLIT = "Split it into several files."
_SMI, _PACKED_SMI = ".smi", ".smi.gz"


class Upload(NamedTuple):
    """A table in the temporary folder.

    Attributes:
        path: The file.
        format: Its format, see `pyg_samsa.io.tables.formats`.
        title: What the page calls it.

    Example:
        >>> Upload(Path("table.csv"), "csv", "esol.csv").title
        'esol.csv'
    """

    path: Path
    format: str
    title: str


def save_file(stream: IO[bytes], name: str, folder: Path, limits: Limits) -> Upload:
    r"""Write a file that was sent to the folder, under a name of our own, and make a CSV file of an Excel file.

    In a file with the ending .smi or .smi.gz, a name may follow the SMILES after a blank, as in pasted lines.

    Args:
        stream: The file.
        name: The name that was sent with it, which says its format.
        folder: A temporary folder.
        limits: Limits of the server.

    Raises:
        DataError: The name says no format that can be read, or the file is empty, too large or damaged.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> upload = save_file(io.BytesIO(b"smiles\nC\n"), "../../etc/in.csv", folder, Limits())
        >>> upload.path.relative_to(folder).as_posix(), upload.title
        ('table.csv', 'in.csv')
    """
    title = encodable(name).replace("\\", "/").rpartition("/")[2].strip() or "file"
    excel = title.lower().endswith(SUFFIX)
    format = "csv" if excel else format_of(title)
    if format is None:
        hint = "Save it as CSV, Excel (.xlsx), SDF, MOL, SMI or Parquet."
        raise DataError(f"files such as {title[-80:]!r} are not read here", hint=hint)
    path = folder / f"table{SUFFIX if excel else SUFFIXES[format][0]}"
    written = 0
    with open(path, "wb") as file:
        while block := stream.read(_BLOCK):
            written += len(block)
            if written > limits.max_bytes:
                raise DataError(f"the file has more than {limits.max_mb:,} MB", hint=_SPLIT)
            file.write(block)
    if not written:
        raise DataError("the file is empty", hint="Choose a file with a column of SMILES.")
    if title.lower().endswith(_SMI):
        with open(path, "rb") as file:
            found = _split_names(file, folder, limits)
        path = path if found is None else found.replace(path)
    if title.lower().endswith(_PACKED_SMI):
        with open(path, "rb") as file:
            found = _split_names(io.BufferedReader(GzipStream(file, title), _BLOCK), folder, limits)
        if found is not None:
            path.unlink()
            path, format = found.replace(folder / "table.csv"), "csv"
    if excel:
        table = folder / "table.csv"
        # The XML of a sheet is larger than its text.
        excel_to_csv(path, table, max_bytes=max(limits.max_bytes, 64 * MIB), max_rows=limits.max_rows)
        path.unlink()
        path = table
    return Upload(path, format, title)


def _split_names(content: IO[bytes], folder: Path, limits: Limits) -> Path | None:
    """Write the SMILES and names of a file as columns; None if its first line has columns already."""
    target = folder / "names.csv"
    file = io.TextIOWrapper(content, encoding="utf-8-sig", errors=BYTE_FALLBACK)
    first = file.readline()
    # No SMILES has a comma or a semicolon. A zero byte is one of UTF-16.
    if set("\t\0") & set(first) or set(",;") & set("".join(first.split()[:1])):
        return None
    with open(target, "w", encoding="utf-8", errors="replace", newline="") as table:
        _write_lines(table, _bounded(chain([first], file), limits), {})
    return target


def _bounded(lines: Iterable[str], limits: Limits) -> Iterator[str]:
    """Yield lines up to the first row that is too many; a small compressed file may stand for a very large one."""
    size, rows, most = 0, 0, max(limits.max_bytes, 64 * MIB)
    for line in lines:
        size, rows = size + len(line), rows + bool(line.strip())
        if size > most:
            raise DataError(f"the file has more than {most // MIB:,} MB when it is unpacked", hint=_SPLIT)
        yield line
        if rows > limits.max_rows + 1:  # the first line may name the columns
            return


def _write_lines(file: IO[str], lines: Iterable[str], extra: Mapping[str, float]) -> int:
    """Write a row for each line, and return their number; a first line that names columns is left out."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["smiles", "name", *extra])
    values = [f"{value:.15g}" for value in extra.values()]
    count, is_first = 0, True
    for line in lines:
        if not (words := line.split(None, 1)):
            continue
        if not (is_first and "smiles" in words[0].lower()):
            # A field with a leading # would be a comment of the table.
            writer.writerow([words[0], "".join(words[1:]).strip(), *values])
            count += 1
        is_first = False
    return count


def save_text(text: str, folder: Path, limits: Limits, extra: Mapping[str, float] | None = None) -> Upload:
    r"""Write pasted lines to the folder as a CSV file: a SMILES in each line, and after a blank its name.

    Args:
        text: The lines; blank ones are left out, and a first one that names columns.
        folder: A temporary folder.
        limits: Limits of the server.
        extra: Name of a column that a model needs beside the SMILES -> its value for all molecules.

    Raises:
        DataError: There is no molecule, or there are too many.

    Example:
        >>> import tempfile
        >>> upload = save_text("CCO ethanol\n\nC", Path(tempfile.mkdtemp()), Limits(), {"pH": 7.0})
        >>> upload.path.read_text().splitlines(), upload.title
        (['smiles,name,pH', 'CCO,ethanol,7', 'C,,7'], '2 pasted molecules')
    """
    table = io.StringIO(newline="")
    count = _write_lines(table, text.splitlines(), dict(extra or {}))
    if not count:
        raise DataError("there is no molecule", hint="Write one SMILES in each line, such as CCO.")
    if count > limits.max_rows:
        raise DataError(f"{count:,} lines, more than {limits.max_rows:,}", hint="Send fewer molecules at a time.")
    path = folder / "table.csv"
    path.write_text(table.getvalue(), encoding="utf-8", errors="replace")
    return Upload(path, "csv", f"{count:,} pasted molecule{'s' * (count != 1)}")


def count_rows(upload: Upload) -> int | None:
    r"""Return about the number of rows of a table, for the progress; None for compressed files.

    Args:
        upload: The table.

    Example:
        >>> import tempfile
        >>> count_rows(save_text("C\nCC", Path(tempfile.mkdtemp()), Limits()))
        2

    Cost: the file is read once, a gigabyte in about a second; Parquet says the number.
    """
    if upload.format == "parquet":
        from pyg_samsa.io.tables.parquet_format import open_parquet

        with open_parquet(upload.path) as reader:
            return reader.num_rows
    if upload.format.endswith(".gz"):
        return None
    with open(upload.path, "rb") as file:
        if upload.format == "sdf":
            return _count_records(file)
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b"")) - 1)


def _count_records(file: IO[bytes]) -> int:
    """Return the number of records of an SDF file; a molfile has no line that ends its record."""
    count, unfinished = 0, False
    for line in file:
        ends = line.startswith(b"$$$$")
        count, unfinished = count + ends, not ends and (unfinished or bool(line.strip()))
    return count + unfinished
