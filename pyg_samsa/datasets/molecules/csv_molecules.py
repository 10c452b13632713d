"""A CSV table of molecules and measurements."""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.chem.molecule_changes import ChangeCounts
from pyg_samsa.chem.ogb_features import TOO_LARGE, UNREADABLE
from pyg_samsa.chem.standardize import STEPS, ordered_steps
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.molecules.csv_table import LeftOut, MoleculeTable, open_molecule_table
from pyg_samsa.datasets.molecules.left_out_rows import (
    MOLECULE_KINDS,
    NO_TARGET,
    RAISE_LIMIT,
    describe_large,
    describe_left_out,
    refuse_rows,
    write_left_out,
)
from pyg_samsa.datasets.molecules.molecule_shards import Shard, convert_table
from pyg_samsa.datasets.molecules.repeated_molecules import describe_repeated, find_repeated
from pyg_samsa.datasets.molecules.standardized import changes_file, write_standardized
from pyg_samsa.datasets.molecules.targets import (
    CENSORED,
    CSV_TASKS,
    CellOptions,
    read_numbers,
    read_targets,
    refuse_mixed,
)
from pyg_samsa.datasets.option_types import Seed
from pyg_samsa.datasets.prepared import Prepared, molecules_to_prepared, prepare_once
from pyg_samsa.datasets.splits import (
    SPLIT_KINDS,
    check_fractions,
    column_split,
    split_by_rank,
    split_by_scaffold_rank,
)
from pyg_samsa.datasets.texts import Texts
from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError, check_choice
from pyg_samsa.io.cells import DECIMALS
from pyg_samsa.io.extra_column import ExtraColumn
from pyg_samsa.io.files import file_hash
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.worker_pool import count_workers
from pyg_samsa.options import Option, check_integer
from pyg_samsa.task import MASKED, SPLITS, Task

_LOGGER = logging.getLogger(__name__)
_VERSION = 11
_FEW_ROWS = 10
_WORTH_WORKERS = 2000
_PREPARED_NAME = re.compile(r"(.+)-[0-9a-f]{16}\.pt")


_TASKS = (*CSV_TASKS, MASKED)


@dataclass(frozen=True)
class _Options:
    """Options that the prepared file depends on."""

    smiles_column: str
    target_columns: tuple[str, ...]
    extra_columns: tuple[str, ...]
    task: str
    split: str
    split_column: str
    fractions: tuple[float, ...]
    seed: int
    skip_invalid: bool
    cells: CellOptions
    max_atoms: int = 10_000
    standardize: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("csv_task", self.task, _TASKS)
        check_choice("split_kind", self.split, SPLIT_KINDS)
        check_integer("max_atoms", self.max_atoms)
        check_unlabelled(self.task, self.target_columns)
        if (self.split == "column") != bool(self.split_column):
            told = "--split column needs the name of the column that holds train, val and test"
            hint = "Name it: --split-column NAME."
            if self.split_column:
                told = f"the column {self.split_column!r} is not read with --split {self.split}"
                hint = "Leave out --split-column, or write --split column."
            raise ConfigError("--split-column", self.split_column or None, "a column", hint=hint, told=told)


def check_unlabelled(task: str, target_columns: Sequence[str]) -> None:
    """Raise a `ConfigError` if a task without labels has columns of targets.

    Args:
        task: Kind of the task.
        target_columns: Names of the columns.

    Example:
        >>> check_unlabelled("masked", [])
    """
    if task == MASKED and target_columns:
        hint = "Training without labels hides features of the atoms, and predicts them."
        raise ConfigError("--target-columns", list(target_columns), f"none with the task {MASKED}", hint=hint)


class CSVMolecules(SplitDataset):
    """A data set of molecules from a CSV file with SMILES and targets.

    Fields are separated by commas, semicolons, tabs or ``|``; text is UTF-8 (with or without byte order mark), UTF-16
    or Windows-1252. A target that is missing is NaN, which losses and metrics leave out. Rows of the same molecule
    are in the same random split; a warning counts the molecules whose rows have different targets. The prepared file
    in ``<root>/csv`` is used again while the content of the table and the options are the same. Large tables are
    prepared in shards, and mapped into memory.

    Targets of a regression are float64, so that a small deviation beside a large mean is kept. With
    ``censored="bounds"`` a target such as ``>10`` is a lower bound: losses and metrics count a prediction on the right
    side of it as exact, see `pyg_samsa.training.losses.clip_to_bounds`.

    Rows without any target, blank lines and comments are left out. Rows whose molecule cannot be read are an error;
    with ``skip_invalid`` they are left out. Every row that is left out is counted in a warning and listed, with its
    reason, in the file :attr:`left_out`.

    Args:
        root: Folder of the data sets.
        csv: The CSV file; its first row names the columns.
        smiles_column: Name, or number from 1, of the column of SMILES; empty finds ``smiles`` and its relatives.
        target_columns: Names, numbers or patterns of the targets, or ``"all"``, see
            `pyg_samsa.io.csv_rows.find_columns`; empty takes the only other column with a name.
        extra_columns: Names, or numbers, of columns of numbers that the network reads beside the molecule, such as a
            temperature; an empty field is a missing value.
        csv_task: ``"auto"``, ``"masked"`` (no targets: hidden features of atoms are predicted), ``"regression"``,
            ``"binary"``, ``"multilabel"`` or ``"multiclass"`` (one column of class
            names). ``"auto"``: columns of two values are labels, words that are repeated are classes, all else is a
            regression.
        split_kind: ``"random"`` (stratified), ``"scaffold"`` (Bemis-Murcko) or ``"column"``.
        split_column: For ``"column"``: the column that holds train, val or test.
        fractions: Shares of train, val and test, for the other two.
        seed: Seed of the split.
        skip_invalid: Leave out rows whose molecule cannot be read.
        decimal: Decimal sign of the numbers: ``"point"`` or ``"comma"``; ``"auto"`` finds it for each column.
        missing_values: Texts that mean that there is no value, besides the usual ones, such as NA, n.d. and the errors
            of spreadsheets; with ``""`` among them, instead of the usual ones.
        censored: What is done with bounds such as ``>10``: ``"refuse"``, train with them as ``"bounds"``, take them as
            ``"missing"``, or as the ``"exact"`` numbers.
        positive_class: Which of two words is the positive class; empty chooses it.
        max_atoms: Rows whose molecule has more atoms are left out.
        standardize: Steps by which molecules are standardised, see `pyg_samsa.chem.standardize.Standardizer`. Graphs,
            splits and ``smiles`` are those of the standardised molecules; the changed ones are listed in the file
            :attr:`standardized`.
        workers: Processes that convert molecules; None is one for each core.
        cross_validated: Say nothing about small splits, because folds validate and test on all rows.
        notify: Log what the user should know before a training: rows that were left out, what the standardisation
            changed, and :attr:`notes`.
        progress: Show a progress bar.
        transform: Called on every graph on access.

    Attributes:
        left_out: File that lists the rows that were left out, or None.
        standardized: File that lists the molecules that the standardisation changed, or None.
        changes: How many molecules it changed; None without standardisation.
        notes: What the user should know about how the table was read.
        table_hash: SHA-256 of the table.

    Shapes:
        - **item:** ``x`` int64 [N, 9], ``edge_index`` int64 [2, E], ``edge_attr`` int64 [E, 3], ``y`` float [1, C] ([1,
          1] of class numbers), ``y_bound`` int8 [1, C] with bounds, ``graph_features`` float32 [1, F] with F extra
          columns, ``source_row`` int64 [1], counted from 1 without the header, ``smiles``.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: A target or the value of an extra column is not a number, or there is nothing to learn.
        SmilesError: A molecule cannot be read.
        ConfigError: An option is not allowed, or there is no such column.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "solubility.csv"
        >>> rows = ["C" * n + f"O,{-n / 2}" for n in range(1, 21)]
        >>> _ = path.write_text("smiles,logS" + chr(10) + chr(10).join(rows))
        >>> dataset = CSVMolecules(path.parent, csv=path, progress=False)
        >>> dataset.task.kind, dataset.task.names, [len(rows) for rows in dataset.split_idx.values()]
        ('regression', ('logS',), [16, 2, 2])
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        csv: Annotated[str | os.PathLike[str], Option("CSV file of molecules.")] = "",
        smiles_column: Annotated[
            str, Option("Name or number of the column of SMILES; empty finds a column named smiles or similar.")
        ] = "",
        target_columns: Annotated[
            Sequence[str],
            Option("Names, numbers or patterns of the columns to predict, or all; empty takes the only other column."),
        ] = (),
        extra_columns: Annotated[
            Sequence[str], Option("Names or numbers of columns of numbers that the network reads beside the molecule.")
        ] = (),
        csv_task: Annotated[
            str, Option("Kind of the targets; auto infers it from the values, masked has none.", _TASKS)
        ] = "auto",
        split_kind: Annotated[
            str, Option("How the molecules are split; dataset.split holds the shares.", SPLIT_KINDS)
        ] = "random",
        split_column: Annotated[str, Option("Column that holds train, val or test.")] = "",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: Seed = 0,
        skip_invalid: Annotated[bool, Option("Whether rows whose molecule cannot be read are left out.")] = False,
        decimal: Annotated[str, Option("Decimal sign of numbers; auto finds it for each column.", DECIMALS)] = "auto",
        missing_values: Annotated[
            Sequence[str] | None,
            Option("Texts that mean that there is no value, besides NA, n.d. and the like; '' among them: only these."),
        ] = None,
        censored: Annotated[str, Option("What is done with bounds such as >10.", CENSORED)] = "refuse",
        positive_class: Annotated[str, Option("Which of two words is the positive class; empty chooses it.")] = "",
        max_atoms: Annotated[int, Option("Rows whose molecule has more atoms are left out.", low=1)] = 10_000,
        standardize: Annotated[
            Sequence[str], Option(f"Steps by which molecules are standardised: {', '.join(STEPS)}.")
        ] = (),
        workers: int | None = None,
        cross_validated: bool = False,
        notify: bool = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        steps = ordered_steps(standardize, "dataset.standardize")
        path = existing_table(csv)
        names, extra = _texts(target_columns), _texts(extra_columns)
        missing = None if missing_values is None else _texts(missing_values)
        cells = CellOptions("", decimal, missing, censored, str(positive_class))
        shares = tuple(check_fractions(fractions).values()) if split_kind != "column" else ()
        split = (split_kind, split_column, shares, seed)
        options = _Options(str(smiles_column), names, extra, csv_task, *split, skip_invalid, cells, max_atoms, steps)
        self.table_hash = file_hash(path)
        prepared_file = prepared_path(root, path.stem, self.table_hash, options)
        make = partial(_prepare, path, options, prepared_file, workers, progress)
        prepared = prepare_once(prepared_file, make, parts=_parts_folder(prepared_file))
        facts = prepared.extra
        found = tuple(ExtraColumn.from_json(column) for column in facts["extra_columns"])
        features = replace(MOLECULES, extra_columns=found, graph_channels=len(found), standardize=steps)
        super().__init__(prepared, Task(facts["task"], facts["target_names"]), features, transform=transform, root=root)
        self.changes = ChangeCounts.from_dict(facts["changes"]) if steps else None
        self._tell(path.name, facts, prepared_file, notify, "" if cross_validated else split_kind)

    def _tell(self, name: str, facts: Mapping[str, Any], prepared_file: Path, notify: bool, split: str) -> None:
        """Keep what the user should know, and log it with ``notify``; without ``split`` nothing about small splits."""
        self.left_out = _left_out_file(prepared_file) if facts["left_out"] else None
        listed = changes_file(prepared_file)
        self.standardized = listed if listed.is_file() and self.changes is not None else None
        self.notes = (*facts["notes"], *(_small_splits(self.split_idx, split) if split else ()))
        if not notify:
            return
        if facts["left_out"]:
            _LOGGER.warning("%s: %s; listed in %s%s", name, facts["left_out"], self.left_out, facts["too_large"])
        if self.changes is not None:
            where = "" if self.standardized is None else f"; listed in {self.standardized}"
            _LOGGER.warning("%s: %s%s", name, self.changes.text(), where)
        for note in self.notes:
            _LOGGER.warning("%s: %s", name, note)


def existing_table(csv: str | os.PathLike[str]) -> Path:
    """Return the path of a table.

    Raises:
        DataNotFoundError: There is none, or it is a folder.

    Example:
        >>> existing_table("nothing.csv")
        Traceback (most recent call last):
        pyg_samsa.errors.DataNotFoundError: nothing.csv: no such file...
    """
    if not str(csv):
        hint = "pyg-samsa train --csv FILE, or dataset.csv in the configuration."
        raise DataNotFoundError("no CSV file is given", hint=hint)
    path = Path(csv).expanduser()
    if not path.is_file():
        what = "a folder, not a file" if path.is_dir() else "no such file"
        raise DataNotFoundError(f"{path}: {what}", hint="Check the path of the CSV file.")
    return path


def _texts(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, [names] if isinstance(names, str) else names))


def prepared_path(root: str | os.PathLike[str], name: str, table_hash: str, options: _Options) -> Path:
    """Return the prepared file of a table; its name depends on the content of the table and the options."""
    key = sha256(json.dumps([_VERSION, asdict(options)], sort_keys=True).encode())
    key.update(table_hash.encode())
    return Path(root) / "csv" / f"{name}-{key.hexdigest()[:16]}.pt"


def prepared_tables(root: str | os.PathLike[str]) -> dict[str, int]:
    """Return the names of the tables that are prepared, and the number of prepared files of each.

    A table has several if its content or options changed.

    Args:
        root: Folder of the data sets.

    Example:
        >>> prepared_tables("nowhere")
        {}
    """
    found = (_PREPARED_NAME.fullmatch(path.name) for path in sorted((Path(root) / "csv").glob("*.pt")))
    return dict(Counter(match[1] for match in found if match is not None))


def _left_out_file(prepared_file: Path) -> Path:
    return prepared_file.with_name(f"{prepared_file.stem}-left-out.csv")


def _parts_folder(prepared_file: Path) -> Path:
    return prepared_file.with_name(f"{prepared_file.stem}-parts")


def _prepare(path: Path, options: _Options, prepared_file: Path, workers: int | None, progress: bool) -> Prepared:
    table = open_molecule_table(
        path,
        smiles_column=options.smiles_column,
        target_columns=options.target_columns,
        extra_columns=options.extra_columns,
        split_column=options.split_column,
        targets=options.task != MASKED,
    )
    shard = _convert(table, options, prepared_file, workers, progress)
    left_out = shard.left_out
    refused, large = ([one for one in left_out if one.kind == MOLECULE_KINDS[kind]] for kind in (UNREADABLE, TOO_LARGE))
    if refused and not options.skip_invalid:
        raise refuse_rows(path, refused, shard.count)
    rows = shard.rows.data  # Python's integers, one at a time
    if not len(rows):
        hint = "Is --smiles-column the right column?"
        raise DataError(f"{path}: no molecule can be read", hint=RAISE_LIMIT if large else hint)
    cells = replace(options.cells, delimiter=table.delimiter)
    notes: Sequence[str]
    if options.task == MASKED:
        task, names, y, bound, notes = MASKED, ["none"], torch.zeros(len(rows), 1), None, ()
    else:
        task, names, y, bound, notes = read_targets(shard.targets, table.target_names, options.task, rows, cells=cells)
    extra = read_numbers(shard.extra, table.extra_names, rows, cells=cells)
    split_idx = _split(shard, options, y, classes=task != "regression")
    unlabelled = y.isnan().all(1)
    left_out += [
        LeftOut(rows[place], shard.smiles[place], NO_TARGET, NO_TARGET)
        for place in unlabelled.nonzero().flatten().tolist()
    ]
    split_idx = {split: places[~unlabelled[places]] for split, places in split_idx.items()}
    if not len(split_idx["train"]):
        raise DataError(f"{path}: no training row has a target", hint="Use another --split or --target-columns.")
    if left_out:
        write_left_out(_left_out_file(prepared_file), left_out)
    changes, told = write_standardized(changes_file(prepared_file), shard, y, split_idx)
    if task != MASKED:
        repeated = find_repeated(shard.names, y, split_idx, bound=bound, extra=extra.values)
        kinds = {"regression": task == "regression", "extra": bool(shard.extra)}
        told += describe_repeated(repeated, shard.smiles, shard.rows, names, **kinds)
    prepared = molecules_to_prepared(
        shard.graphs,
        split_idx,
        y=y,
        smiles=shard.smiles,
        source_row=torch.from_numpy(shard.rows),
        **({"graph_features": extra.values} if shard.extra else {}),
        **({} if bound is None else {"y_bound": bound}),
    )
    prepared.extra |= {
        "task": task,
        "target_names": names,
        "extra_columns": [column.as_json() for column in extra.columns],
        "left_out": describe_left_out(left_out),
        "too_large": describe_large(large),
        "changes": changes.as_dict(),
        "notes": [*notes, *told, *extra.notes],
    }
    return prepared


def _convert(
    table: MoleculeTable, options: _Options, prepared_file: Path, workers: int | None, progress: bool
) -> Shard:
    # Every row is checked before the first molecule is converted.
    count = table.count()
    if options.task == "auto" and len(table.target_names) > 1:
        texts = Texts.columns((row.targets for row in table.rows([])), len(table.target_names))
        refuse_mixed(texts, table.target_names, replace(options.cells, delimiter=table.delimiter))
    with progress_bar(f"Molecules of {table.path.name}", count, enabled=progress) as advance:
        return convert_table(
            table,
            _parts_folder(prepared_file),
            max_atoms=options.max_atoms,
            split=options.split,
            seed=options.seed,
            standardize=options.standardize,
            workers=count_workers(workers, count, worthwhile=_WORTH_WORKERS),
            advance=advance,
        )


def _small_splits(split_idx: Mapping[str, Tensor], kind: str) -> list[str]:
    """Return a warning about splits that are empty or too small to compare models on."""
    counts = {split: len(split_idx.get(split, ())) for split in SPLITS}
    words = {"val": "validation", "test": "test"}
    empty = [words[split] for split in words if not counts[split]]
    small = [words[split] for split in words if 0 < counts[split] < _FEW_ROWS]
    shown = ", ".join(f"{count:,} {words.get(split, 'training')}" for split, count in counts.items())
    notes = []
    folds = f"--folds {min(5, sum(counts.values()))}"
    if empty:
        few = "too few scaffolds, " if kind == "scaffold" else ""
        notes.append(f"no {' and no '.join(empty)} rows ({few}{shown}); {folds} validates and tests on all rows")
    if small:
        notes.append(f"few {' and '.join(small)} rows ({shown}): their scores say little; {folds} uses all rows")
    return notes


def _split(shard: Shard, options: _Options, y: Tensor, *, classes: bool) -> dict[str, Tensor]:
    if options.split == "column":
        return column_split(shard.split, shard.rows.data, options.split_column)
    if options.split == "scaffold":
        return split_by_scaffold_rank(shard.ranks, options.fractions)
    return split_by_rank(shard.ranks, y, options.fractions, classes=classes)


register_dataset("csv", CSVMolecules)
