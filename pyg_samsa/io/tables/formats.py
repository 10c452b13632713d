"""The formats of tables, and which of them can be written from which."""

from __future__ import annotations

import os
from pathlib import Path

from pyg_samsa.errors import ConfigError

SUFFIXES = {
    "csv": (".csv", ".tsv", ".txt", ".smi"),
    "csv.gz": (".csv.gz", ".tsv.gz", ".txt.gz", ".smi.gz"),
    "parquet": (".parquet", ".pq"),
    "sdf": (".sdf", ".sd", ".mol"),
    "sdf.gz": (".sdf.gz", ".sd.gz", ".mol.gz"),
}
"""Format -> endings of the names of its files. A molfile is a record of an SDF file without its last line."""
FORMATS = tuple(SUFFIXES)
_MOLFILES = (".mol", ".mol.gz")


def format_of(path: str | os.PathLike[str]) -> str | None:
    """Return the format that the name of a file says; None if it says none.

    Example:
        >>> format_of("in.SDF.gz"), format_of("in.pq"), format_of("in.dat")
        ('sdf.gz', 'parquet', None)
    """
    name = Path(path).name.lower()
    return next((format for format, endings in SUFFIXES.items() if name.endswith(endings)), None)


def is_molfile(path: str | os.PathLike[str]) -> bool:
    """Return whether the name of a file is that of a molfile, which has one structure and no properties.

    Example:
        >>> is_molfile("in.MOL"), is_molfile("in.sdf")
        (True, False)
    """
    return Path(path).name.lower().endswith(_MOLFILES)


def check_output(path: str | os.PathLike[str], *, key: str = "OUT") -> None:
    """Raise an error if a file cannot hold predictions.

    Args:
        path: File to write.
        key: Name of the argument that chose it, for the error.

    Raises:
        ConfigError: It is a molfile.

    Example:
        >>> check_output("out.sdf")
        >>> check_output("out.mol")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: OUT: got 'out.mol', expected a file that ends in .sdf; a molfile has no properties
    """
    if is_molfile(path):
        raise ConfigError(key, str(path), "a file that ends in .sdf; a molfile has no properties")


def check_conversion(source: str, target: str, *, key: str = "OUT") -> None:
    """Raise an error unless tables of one format can be written in another one without a loss.

    CSV and Parquet can be written as each other. The structures of an SDF file, with their coordinates, fit into no
    other format, and other formats hold none.

    Args:
        source: Format of the table.
        target: Format of the output.
        key: Name of the argument that chose the output, for the error.

    Raises:
        ConfigError: They cannot.

    Example:
        >>> check_conversion("sdf.gz", "sdf")
        >>> check_conversion("sdf", "csv")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: OUT: got 'csv', expected sdf or sdf.gz, because IN is a file of structures
    """
    if is_sdf(source) and not is_sdf(target):
        raise ConfigError(key, target, "sdf or sdf.gz, because IN is a file of structures")
    if is_sdf(target) and not is_sdf(source):
        raise ConfigError(key, target, "csv, csv.gz or parquet, because IN holds no structures for an SDF file")


def is_sdf(format: str) -> bool:
    """Return whether a format is SDF.

    Example:
        >>> is_sdf("sdf.gz"), is_sdf("csv")
        (True, False)
    """
    return format.startswith("sdf")
