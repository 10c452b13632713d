"""ListOps: nested operations on lists of digits, generated or read from the Long Range Arena's files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from torch_geometric.data import Data

from pyg_samsa.datasets.dataset_registry import Importer, register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Folder, MaxLength, NumTest, NumTrain, NumVal, Seed, Source
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.sequences.expressions import Shape, sample_expressions
from pyg_samsa.datasets.sequences.sequence_dataset import SequenceDataset, pack_sequences, require_files
from pyg_samsa.datasets.splits import consecutive_splits
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import Option, check_integer
from pyg_samsa.task import SPLITS, Task

SYMBOLS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "[MIN", "[MAX", "[MED", "[SM", "]")
"""The symbols; ``x`` holds their places in this list."""
OFFICIAL_ROWS = {"train": 96_000, "val": 2_000, "test": 2_000}
OFFICIAL_SHAPE = Shape(min_length=500, max_length=2000, max_depth=10, max_args=10)

_NUMBER = {symbol: number for number, symbol in enumerate(SYMBOLS)}
_PARENTHESES = str.maketrans("()", "  ")
_END = _NUMBER["]"]
_TASK, _FEATURES = Task("multiclass", SYMBOLS[:10]), Features([len(SYMBOLS)])
_VERSION = 1
_RELEASE = "lra_release.gz of the Long Range Arena (folder listops-1000)"


class ListOps(SequenceDataset):
    """ListOps of the Long Range Arena: the value, 0 to 9, of a nested expression such as ``[MAX 4 3 [MIN 2 3 ] 1 0 ]``.

    From Nangia and Bowman, `"ListOps" <https://arxiv.org/abs/1804.06028>`_ (2018), in the long form of Tay et al.,
    `"Long Range Arena" <https://arxiv.org/abs/2011.04006>`_ (2020). Operators are MIN, MAX, MED (median, rounded down)
    and SM (sum modulo 10). A symbol is a digit, an operator with its opening bracket, or a closing bracket; the
    parentheses of the official files carry no information and are left out.

    **What follows the Long Range Arena's script.** The distribution: below ``max_depth`` a place is an operation with
    probability 1/4, else a digit; at ``max_depth`` it is a digit; an operation has 2 to ``max_args`` arguments,
    uniform; digits and operators are uniform; expressions whose number of symbols is more than ``min_length`` and less
    than ``max_length`` are kept, and no expression occurs twice. The defaults are the script's. **What is ours.** The
    random numbers (numpy's PCG64, one stream for each 2,000 trees, in place of Python's unseeded generator), that trees
    grow breadth first, that the outermost place is always an operation (a digit alone is never long enough, so this
    changes no probability), and that splits are taken in the order of generation (the script takes the arbitrary order
    of a Python set).

    Args:
        root: Folder of the data sets; this one is in ``<root>/listops``.
        source: ``"generated"``, or ``"official"`` for the files ``basic_train.tsv``, ``basic_val.tsv`` and
            ``basic_test.tsv``. Every row of these is evaluated and compared with its target when they are read.
        folder: Where the official files are; by default ``<root>/listops/raw``.
        min_length: Generated expressions have more symbols than this (and at least 4, those of the shortest operation).
        max_length: Generated expressions have fewer symbols than this.
        max_depth: Depth of the deepest digits, at least 2.
        max_args: Arguments of an operation at most, at least 2.
        num_train: Generated expressions for training.
        num_val: For validation.
        num_test: For the test.
        seed: Of the generator.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [n, 1] (numbers of :data:`SYMBOLS`), ``edge_index`` int64 [2, n-1] (i -> i+1), ``y``
          int64 [1].

    Raises:
        ConfigError: No expression has this form.
        DataNotFoundError: The official files are not there.
        DataIntegrityError: An official file is truncated, or a target is not the value of its expression.

    Example:
        >>> dataset = ListOps("datasets", min_length=100, max_length=300)  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (100000, 10)

    Cost: 100,000 expressions of full length take less than a minute of one core to generate, once, and 106 MB on disk
    and in memory.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        source: Source = "generated",
        folder: Folder = None,
        min_length: Annotated[int, Option("Generated expressions have more symbols than this.", low=1)] = 500,
        max_length: MaxLength = 2000,
        max_depth: Annotated[int, Option("Depth of the deepest digits of an expression.", low=2)] = 10,
        max_args: Annotated[int, Option("Largest number of arguments of an operation.", low=2)] = 10,
        num_train: NumTrain = 96_000,
        num_val: NumVal = 2_000,
        num_test: NumTest = 2_000,
        seed: Seed = 0,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if source not in ("generated", "official"):
            raise ConfigError("source", source, ["generated", "official"])
        if source == "official":
            raw = Path(folder) if folder is not None else Path(root) / "listops" / "raw"
            path = Path(root) / "listops" / f"listops-official-v{_VERSION}.pt"
            prepared = prepare_once(path, lambda: _read(raw, progress))
        else:
            shape, sizes = Shape(min_length, max_length, max_depth, max_args), (num_train, num_val, num_test)
            for key, value, lowest in (
                ("num_train", num_train, 1),
                ("num_val", num_val, 0),
                ("num_test", num_test, 0),
                ("seed", seed, 0),
            ):
                check_integer(key, value, low=lowest)
            shape.check()
            path = generated_path(root, shape, sizes, seed)
            prepared = prepare_once(path, lambda: _generate(shape, sizes, seed, progress))
        super().__init__(prepared, _TASK, _FEATURES, transform=transform, root=root)


def generated_path(
    root: str | os.PathLike[str],
    shape: Shape = OFFICIAL_SHAPE,
    sizes: Sequence[int] = tuple(OFFICIAL_ROWS.values()),
    seed: int = 0,
) -> Path:
    """Return the file that holds generated expressions, by default those of the default options.

    Example:
        >>> generated_path("datasets").parent.as_posix()
        'datasets/listops'
        >>> generated_path("datasets", seed=1) == generated_path("datasets")
        False
    """
    form = f"l{shape.min_length}-{shape.max_length}-d{shape.max_depth}-a{shape.max_args}"
    numbers = f"{form}-n{'-'.join(map(str, sizes))}-s{seed}"
    return Path(root) / "listops" / f"listops-{numbers}-v{_VERSION}.pt"


def parse(expression: str) -> list[int]:
    """Return the numbers of an expression's symbols; parentheses are left out.

    Args:
        expression: Symbols of :data:`SYMBOLS` between blanks.

    Raises:
        ConfigError: A symbol is unknown.

    Example:
        >>> parse("( ( [MAX 4 ) 2 ) ]")
        [11, 4, 2, 14]
    """
    try:
        return [_NUMBER[symbol] for symbol in expression.translate(_PARENTHESES).split()]
    except KeyError as error:
        raise ConfigError("symbol of an expression", error.args[0], SYMBOLS) from None


def unparse(numbers: Sequence[int]) -> str:
    """Return the text of symbols given as numbers.

    Example:
        >>> unparse([11, 4, 2, 14])
        '[MAX 4 2 ]'
    """
    return " ".join(SYMBOLS[number] for number in numbers)


def _median(values: list[int]) -> int:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


_OPERATIONS: tuple[Callable[[list[int]], int], ...] = (min, max, _median, lambda values: sum(values) % 10)


def evaluate(expression: str | Sequence[int]) -> int:
    """Return the value of an expression, 0 to 9.

    Args:
        expression: Text, as the official files have it (with or without parentheses), or numbers of symbols.

    Raises:
        ConfigError: It is not one whole expression.

    Example:
        >>> evaluate("[SM 5 6 [MED 1 4 2 9 ] ]")
        4

    Cost: O(n log n).
    """
    numbers = parse(expression) if isinstance(expression, str) else expression
    waiting: list[tuple[int, list[int]]] = [(-1, [])]
    for place, number in enumerate(numbers):
        if number < 10:
            waiting[-1][1].append(number)
        elif number < _END:
            waiting.append((number - 10, []))
        else:
            operation, values = waiting.pop()
            if operation < 0 or not values:
                raise ConfigError(
                    "expression", f"a closing bracket at symbol {place + 1}", "an operation with arguments before it"
                )
            waiting[-1][1].append(_OPERATIONS[operation](values))
    if len(waiting) != 1 or len(waiting[0][1]) != 1:
        raise ConfigError(
            "expression",
            f"{len(waiting) - 1} open brackets at its end, {len(waiting[0][1])} values",
            "one whole expression",
        )
    return waiting[0][1][0]


def _generate(shape: Shape, sizes: Sequence[int], seed: int, progress: bool) -> Prepared:
    total = sum(sizes)
    with progress_bar("Generating ListOps", total, enabled=progress) as advance:
        sequences, values = sample_expressions(total, shape, seed, advance)
    return pack_sequences(sequences, values, consecutive_splits(sizes))


def _read(folder: Path, progress: bool) -> Prepared:
    files = {split: f"basic_{split}.tsv" for split in SPLITS}
    require_files("listops", folder, list(files.values()), _RELEASE)
    sequences: list[np.ndarray] = []
    targets: list[int] = []
    with progress_bar("Reading ListOps", sum(OFFICIAL_ROWS.values()), enabled=progress) as advance:
        for split, file in files.items():
            before = len(targets)
            _read_file(folder / file, sequences, targets, advance)
            if len(targets) - before != OFFICIAL_ROWS[split]:
                raise DataIntegrityError(folder / file, f"{OFFICIAL_ROWS[split]} rows", f"{len(targets) - before}")
    return pack_sequences(sequences, targets, consecutive_splits(list(OFFICIAL_ROWS.values())))


def _read_file(path: Path, sequences: list[np.ndarray], targets: list[int], advance: Callable[[float], None]) -> None:
    with path.open(encoding="ascii", errors="replace") as file:
        header = file.readline().split()
        if header != ["Source", "Target"]:
            raise DataIntegrityError(path, "the columns Source and Target", " ".join(header)[:80])
        for row, line in enumerate(file, start=1):
            source, _, target = line.rstrip("\n").partition("\t")
            try:
                numbers = parse(source)
                value = evaluate(numbers)
            except ConfigError as error:
                raise DataIntegrityError(path, "an expression and its value", f"row {row}: {error}") from error
            if target != str(value):
                raise DataIntegrityError(path, f"the target {value} in row {row}", repr(target[:80]))
            sequences.append(np.array(numbers, dtype=np.uint8))
            targets.append(value)
            advance(1)


register_dataset(
    "listops",
    ListOps,
    prepared_path=generated_path,
    importer=Importer(partial(ListOps, source="official"), files=("folder",)),
)
