"""Columns of numbers that a model reads beside the molecule, and how their fields were read in training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pyg_samsa.errors import DataError
from pyg_samsa.io.cells import DECIMALS, decimal_of, decimal_sign, is_about, is_grouped, is_unclear, read_number


class ExtraColumn(str):
    """The name of a column of numbers, which knows how its fields were read in training.

    It is a text, equal to the name, so that lists of names can hold it. Models save it, and ``predict`` and ``explain``
    read fields with it, so that a text means the same number as in training.

    Args:
        name: Name of the column.
        decimal: Decimal sign of its numbers: ``"point"``, ``"comma"``, or ``"auto"`` if none of them has one.
        missing: Texts, in lower case, that mean that there is no value besides the usual ones, see
            `pyg_samsa.io.cells.is_missing`.
        grouped: Whether numbers of the training had separated thousands, such as ``1.137`` beside decimal commas. If
            not, such a number is unclear.

    Example:
        >>> column = ExtraColumn("temperature", "comma", ["cold"])
        >>> column == "temperature", column.read("25,5"), column.read("Cold"), column.read("25.123")
        (True, 25.5, nan, None)
        >>> ExtraColumn("mass", "comma", grouped=True).read("1.137")
        1137.0
    """

    decimal: str
    missing: tuple[str, ...] | None
    grouped: bool

    def __new__(
        cls, name: str, decimal: str = "auto", missing: Collection[str] | None = None, *, grouped: bool = False
    ) -> ExtraColumn:
        """Return the name with its reading."""
        made = super().__new__(cls, name)
        made.decimal = decimal
        made.missing = None if missing is None else tuple(missing)
        made.grouped = grouped
        return made

    @classmethod
    def of(cls, name: str) -> ExtraColumn:
        """Return the column of a name, without knowledge of the training if it is a plain text.

        Example:
            >>> ExtraColumn.of("pH").decimal, ExtraColumn.of(ExtraColumn("pH", "comma")).decimal
            ('auto', 'comma')
        """
        return name if isinstance(name, ExtraColumn) else cls(name)

    def read(self, text: str, *, decimal: str = "auto", delimiter: str = ",") -> float | None:
        """Return the number of a field, NaN where it says that there is no value, and None for other words.

        If the numbers of the training had a decimal comma, one that can only have a decimal point, such as ``0.37``, is
        None: the table may be written in another way. So is ``1.137``, which may be 1.137 or 1137, unless the training
        had such numbers too. As in training, ``~25`` is 25.

        Args:
            text: The field.
            decimal: Decimal sign of the table, ``"point"`` or ``"comma"``; ``"auto"`` takes that of the training. If it
                is unknown too, ``1,137`` is 1.137 in a table with semicolons between its columns, and None in others.
            delimiter: Character between the columns of the table.

        Example:
            >>> ExtraColumn("T", "comma").read("0.37") is None, ExtraColumn("T", "comma").read("0.37", decimal="point")
            (True, 0.37)
            >>> ExtraColumn("T").read("1,137", delimiter=";"), ExtraColumn("T").read("1,137")
            (1.137, None)
        """
        text = text.strip()[1:] if is_about(text) else text
        sign = decimal if decimal != "auto" else self.decimal
        if decimal == "auto" and (self.differs(text) or self.is_unclear(text)):
            return None
        if sign == "auto" and delimiter == ";":
            sign = decimal_of([text], delimiter=delimiter)
        return read_number(text, decimal=sign, missing=self.missing)

    def differs(self, text: str) -> bool:
        """Return whether a number can only have the other decimal sign than the numbers of the training.

        Example:
            >>> ExtraColumn("T", "comma").differs("0.37"), ExtraColumn("T", "point").differs("0,37")
            (True, True)
        """
        return self.decimal != "auto" and decimal_sign(text) not in ("", self.decimal)

    def is_unclear(self, text: str) -> bool:
        """Return whether a number may have separated thousands, which no number of the training had, or decimals.

        Example:
            >>> ExtraColumn("T", "comma").is_unclear("25.123"), ExtraColumn("T", "comma").is_unclear("25,123")
            (True, False)
        """
        return self.decimal != "auto" and not self.grouped and is_grouped(text, decimal=self.decimal)

    def compare(self, texts: Sequence[str], *, rows: Sequence[int] | None = None, decimal: str = "auto") -> str:
        """Compare how the numbers of a table are written with those of the training.

        Args:
            texts: The first fields of the column.
            rows: Row of each field, counted from 1 without the header; None counts them.
            decimal: Decimal sign of the table, if the user named it.

        Returns:
            A note on a number such as ``1,137`` whose meaning depends on the decimal sign; empty if there is none.

        Raises:
            DataError: All numbers that have a clear decimal sign have the other one.

        Example:
            >>> ExtraColumn("T", "comma").compare(["7", "1,137"])
            "column 'T': '1,137' in row 2 is read as 1.137, as in training; --decimal point reads it as 1137"
        """
        if decimal != "auto" or self.decimal == "auto":
            return ""
        rows = range(1, len(texts) + 1) if rows is None else rows
        signs = [decimal_sign(text) for text in texts]
        other = {"comma": "point", "point": "comma"}[self.decimal]
        if other in signs and self.decimal not in signs:
            place = signs.index(other)
            told = f"row {rows[place]}, column {str(self)!r}: {texts[place].strip()[:40]!r} has a decimal {other}"
            hint = f"--decimal {other} reads such a table."
            raise DataError(f"{told}, and the numbers of the training had a decimal {self.decimal}", hint=hint)
        unclear = [
            place
            for place, text in enumerate(texts)
            if is_unclear(text, decimal=self.decimal) and not self.is_unclear(text)
        ]
        if not unclear or self.decimal in signs:
            return ""
        text = texts[unclear[0]]
        here, there = (read_number(text, decimal=sign, missing=self.missing) for sign in (self.decimal, other))
        told = (
            f"column {str(self)!r}: {text.strip()!r} in row {rows[unclear[0]]} is read as {here:.15g}, as in training"
        )
        return f"{told}; --decimal {other} reads it as {there:.15g}"

    def as_json(self) -> str | dict[str, Any]:
        """Return the column as plain values: its name, or a mapping if the reading is known; `from_json` reads both.

        Example:
            >>> ExtraColumn("pH").as_json(), ExtraColumn("T", "comma").as_json()
            ('pH', {'name': 'T', 'decimal': 'comma', 'missing': None, 'grouped': False})
        """
        if self.decimal == "auto" and self.missing is None:
            return str(self)
        missing = None if self.missing is None else list(self.missing)
        return {"name": str(self), "decimal": self.decimal, "missing": missing, "grouped": self.grouped}

    @classmethod
    def from_json(cls, content: Any) -> ExtraColumn:
        """Read what `as_json` wrote.

        Raises:
            ValueError: It is something else.

        Example:
            >>> ExtraColumn.from_json({"name": "T", "decimal": "comma", "missing": ["cold"]}).missing
            ('cold',)
        """
        if isinstance(content, str):
            return cls(content)
        if isinstance(content, Mapping):
            name, decimal, missing = (content.get(key) for key in ("name", "decimal", "missing"))
            texts = missing is None or (isinstance(missing, list) and all(isinstance(text, str) for text in missing))
            grouped = content.get("grouped", False)
            if isinstance(name, str) and decimal in DECIMALS and texts and isinstance(grouped, bool):
                return cls(name, decimal, missing, grouped=grouped)
        raise ValueError(f"{content!r:.60} is no column")
