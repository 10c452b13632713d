"""Limits of the web page."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pyg_samsa.options import check_integer

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What the server accepts.

    Args:
        max_mb: Largest file, in MiB; also of the sheet of an Excel file, unpacked.
        max_rows: Most rows of a table.
        max_atoms: Molecules with more atoms get an error instead of a prediction.
        max_minutes: Longest prediction of a table, in minutes; what is finished by then is kept.
        max_tables: Most tables that are kept; the oldest finished one gives way.
        drawn_atoms: Most atoms of a molecule whose atoms and bonds are coloured.

    Raises:
        ConfigError: A limit is below 1.

    Example:
        >>> Limits(max_mb=5).max_bytes
        5242880
    """

    max_mb: int = 200
    max_rows: int = 1_000_000
    max_atoms: int = 1_000
    max_minutes: int = 60
    max_tables: int = 20
    drawn_atoms: int = 250

    def __post_init__(self) -> None:
        for field in fields(self):
            check_integer(f"--{field.name.replace('_', '-')}", getattr(self, field.name))

    @property
    def max_bytes(self) -> int:
        """Largest file in bytes.

        Example:
            >>> Limits(max_mb=1).max_bytes
            1048576
        """
        return self.max_mb * MIB

    @property
    def max_smiles(self) -> int:
        """Most characters of a SMILES: longer texts are refused unread, because reading them may take minutes.

        Example:
            >>> Limits(max_atoms=100).max_smiles
            1000
        """
        return 10 * self.max_atoms

    @property
    def max_block(self) -> int:
        """Most characters of a structure of an SDF file, likewise.

        Example:
            >>> Limits(max_atoms=100).max_block
            40000
        """
        return 400 * self.max_atoms
