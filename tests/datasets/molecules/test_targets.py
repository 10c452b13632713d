import math

import pytest
import torch

from pyg_samsa.datasets.molecules.targets import CSV_TASKS, read_numbers, read_targets
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.task import KINDS

NAN = float("nan")


def read(*columns, task="auto", **options):
    names = [f"column {number}" for number in range(len(columns))]
    return read_targets(columns, names, task, range(1, len(columns[0]) + 1), **options)


def test_every_kind_of_task_can_be_asked_for():
    assert set(CSV_TASKS) == {"auto", *KINDS}


@pytest.mark.parametrize(
    ("columns", "task", "y"),
    [
        ([["1", "0", "NA"]], "binary", [[1], [0], [NAN]]),
        ([["yes", "No", "?"]], "binary", [[1], [0], [NAN]]),
        ([["1", "0", "1"], ["", "1", "0"]], "multilabel", [[1, NAN], [0, 1], [1, 0]]),
        ([["1.5", " -2e1 "]], "regression", [[1.5], [-20]]),
        ([["b", "a", "-"]], "multiclass", [[1], [0], [NAN]]),
    ],
)
def test_the_kind_follows_from_the_columns(columns, task, y):
    found = read(*columns)
    assert found.task == task
    torch.testing.assert_close(found.y, torch.tensor(y, dtype=torch.float), equal_nan=True)


def test_numbers_as_classes_are_ordered_as_numbers():
    assert read(["10", "9", "2"], task="multiclass").names == ["2", "9", "10"]


def test_decimal_commas():
    assert read(["1,5", "2"], decimal_comma=True).y.flatten().tolist() == [1.5, 2.0]


@pytest.mark.parametrize(
    ("columns", "task", "error", "named"),
    [
        ([["1", "2"]], "binary", ConfigError, "row 2 is '2'"),
        ([["1", "0"], ["1", "0"]], "binary", ConfigError, "2 target columns"),
        ([["1"]], "clasification", ConfigError, "clasification"),
        ([[">10", "3"]], "regression", DataError, "row 1.*not a number"),
        ([["", "NA"]], "regression", DataError, "no value"),
        ([["inf", "1"]], "regression", DataError, "infinite"),
        ([["1", "1"]], "binary", DataError, "only the label 1"),
        ([["a", "a"]], "multiclass", DataError, "1 different words"),
    ],
)
def test_wrong_columns_are_named(columns, task, error, named):
    with pytest.raises(error, match=named):
        read(*columns, task=task)


def test_columns_of_numbers():
    found = read_numbers([["1,5", "n/a"], ["yes", "2"]], ["a", "b"], [1, 2], decimal_comma=True)
    torch.testing.assert_close(found, torch.tensor([[1.5, 1.0], [math.nan, 2.0]]), equal_nan=True)
    assert read_numbers([], [], [1, 2]).shape == (2, 0)
    with pytest.raises(DataError, match=r"row 7, column 'a': '>10' is not a number"):
        read_numbers([["1", ">10"]], ["a"], [6, 7])
    with pytest.raises(DataError, match=r"row 7, column 'a': an infinite value"):
        read_numbers([["1", "1e300"]], ["a"], [6, 7])
