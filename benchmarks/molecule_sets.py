"""Tables of molecules with split columns, read once and handed to all contestants in the same form."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pyg_samsa import metrics
from pyg_samsa.chem.parsing import parse_molecules
from pyg_samsa.datasets.molecules.targets import CellOptions, read_targets
from pyg_samsa.datasets.splits import column_split
from pyg_samsa.errors import ConfigError, DataError, SAMSAError
from pyg_samsa.io.csv_columns import SMILES_NAMES, find_column
from pyg_samsa.io.csv_rows import open_rows
from pyg_samsa.io.files import sha256
from pyg_samsa.task import SPLITS

SPLIT_COLUMN = "benchmark_split"


@dataclass(frozen=True)
class MoleculeSet:
    """A table of molecules.

    Attributes:
        name: Name of the file without its suffix.
        digest: SHA-256 of the file.
        header: Names of the columns.
        rows: Fields of the G rows that are used.
        smiles: Name of the column of SMILES.
        targets: Names of the C target columns.
        task: ``"regression"``, ``"binary"`` or ``"multilabel"``.
        y: Targets, float64 [G, C]; NaN where missing.
        splits: Name of a split column -> train, val or test for each row [G].
        left_out: Number of rows that no contestant gets: unreadable molecules and rows without a target.
    """

    name: str
    digest: str
    header: list[str]
    rows: list[list[str]]
    smiles: str
    targets: list[str]
    task: str
    y: np.ndarray
    splits: dict[str, np.ndarray]
    left_out: int

    @property
    def metric(self) -> str:
        """Name of the metric: ``"rmse"`` for regressions, else ``"auc"``."""
        return "rmse" if self.task == "regression" else "auc"

    def sizes(self, split: str) -> list[int]:
        """Return the numbers of training, validation and test rows of a split column."""
        return [int((self.splits[split] == part).sum()) for part in SPLITS]

    def score(self, predicted: np.ndarray, rows: np.ndarray) -> float:
        """Return the metric of predictions: the mean over targets, on labelled rows.

        Args:
            predicted: Predictions [n, C].
            rows: Their rows in the table, bool [G].
        """
        metric = metrics.build(self.metric, num_targets=len(self.targets))
        metric.update(torch.tensor(predicted), torch.tensor(self.y[rows]))
        return float(metric.compute())

    def write(self, path: Path, split: str) -> None:
        """Write the rows with one split column, named :data:`SPLIT_COLUMN`, as CSV with commas and decimal points."""
        places = {self.header.index(name): number for number, name in enumerate(self.targets)}
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*self.header, SPLIT_COLUMN])
            for row, values, part in zip(self.rows, self.y.tolist(), self.splits[split], strict=True):
                fields = [_written(values[places[n]]) if n in places else text for n, text in enumerate(row)]
                writer.writerow([*fields, part])


def _written(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.9g}"


def find_sets(folder: Path, names: Sequence[str] | None) -> list[Path]:
    """Return the tables of a folder, or those with some names.

    Args:
        folder: Folder of CSV files.
        names: Names of files without ``.csv``; None takes all.

    Raises:
        ConfigError: There is no such table, or none at all.
    """
    found = {path.stem: path for path in sorted(folder.glob("*.csv"))}
    if not found:
        raise ConfigError("FOLDER", str(folder), "a folder of CSV files")
    for name in names or ():
        if name not in found:
            raise ConfigError("--sets", name, found)
    return [found[name] for name in (found if names is None else names)]


def read_set(path: Path, *, splits: Sequence[str] | None = None, targets: Sequence[str] | None = None) -> MoleculeSet:
    """Read a table.

    Args:
        path: CSV file with a column of SMILES, columns of targets and columns of train, val and test.
        splits: Split columns to use; None takes all.
        targets: Target columns; None takes all columns of numbers.

    Raises:
        ConfigError: A column is missing.
        DataError: The table has no targets or no split, or a target is not a number.
    """
    with open_rows(path) as opened:
        header, delimiter = [name.strip() for name in opened.header], opened.delimiter
        rows = [[text.strip() for text in row] for row in opened if any(row)]
    short = next((n for n, row in enumerate(rows, start=1) if len(row) != len(header)), None)
    if short is not None:
        raise DataError(f"{path.name}: row {short} has {len(rows[short - 1])} fields, the header has {len(header)}")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    smiles = header[find_column(header, "", key=f"column of SMILES of {path.name}", fallbacks=SMILES_NAMES)]
    parts = _splits(columns, smiles)
    wanted = list(parts) if splits is None else list(splits)
    for split in wanted:
        if split not in parts:
            expected = "a column with train, val and test" + (f", such as {', '.join(parts)}" if parts else "")
            raise ConfigError("--splits", f"{split} of {path.name}", expected)
    if not wanted:
        raise DataError(f"{path.name}: no column holds train, val and test", hint="Add one for each split.")
    names = _targets(path, columns, [smiles, *parts], targets, CellOptions(delimiter))
    task, _, y = read_targets(
        [columns[name] for name in names], names, "auto", range(1, len(rows) + 1), cells=CellOptions(delimiter)
    )[:3]
    if task == "multiclass":
        raise DataError(f"{path.name}: {names[0]!r} holds classes", hint="Only numbers and labels are compared.")
    kept = np.zeros(len(rows), bool)
    kept[parse_molecules(columns[smiles]).kept] = True
    kept &= ~np.isnan(y.numpy()).all(1)
    return MoleculeSet(
        path.stem,
        sha256(path),
        header,
        [row for row, keep in zip(rows, kept, strict=True) if keep],
        smiles,
        names,
        task,
        y.double().numpy()[kept],
        {split: parts[split][kept] for split in wanted},
        int((~kept).sum()),
    )


def _splits(columns: dict[str, list[str]], smiles: str) -> dict[str, np.ndarray]:
    """Return the columns that hold nothing but train, val and test, in these spellings."""
    found = {}
    for name, texts in columns.items():
        if name == smiles:
            continue
        try:
            places = column_split(texts, range(1, len(texts) + 1), name)
        except SAMSAError:
            continue
        if set(places) == set(SPLITS):
            found[name] = np.empty(len(texts), dtype="<U5")
            for part, rows in places.items():
                found[name][rows.numpy()] = part
    return found


def _targets(
    path: Path, columns: dict[str, list[str]], others: Sequence[str], wanted: Sequence[str] | None, cells: CellOptions
) -> list[str]:
    if wanted is not None:
        for name in wanted:
            if name not in columns or name in others:
                raise ConfigError("--targets", f"{name} of {path.name}", [c for c in columns if c not in others])
        return list(wanted)
    found = [name for name in columns if name not in others and _is_number(columns[name], cells)]
    if not found:
        raise DataError(f"{path.name}: no column of numbers to predict", hint=f"Its columns: {', '.join(columns)}.")
    return found


def _is_number(texts: Sequence[str], cells: CellOptions) -> bool:
    try:
        return read_targets([texts], [""], "regression", range(1, len(texts) + 1), cells=cells)[0] != ""
    except SAMSAError:
        return False
