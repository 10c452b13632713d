import numpy as np
import pandas as pd
import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.estimators._targets import as_classes, as_matrix, is_missing

MISSING = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT]


@pytest.mark.parametrize("missing", MISSING)
def test_missing_numbers_are_nan(missing):
    assert is_missing(missing)
    assert np.isnan(as_matrix([missing, 1.5])[:, 0]).tolist() == [True, False]
    assert np.isnan(as_matrix([[1, missing], [2, 3]])).tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize(
    "y",
    [[1, 2], (1.0, 2.0), np.array([[1], [2]]), pd.Series([1, 2], dtype="Int64", index=[5, 6]), ["1", "2"], [True, 2]],
)
def test_numbers_of_every_form_are_a_column(y):
    assert as_matrix(y).tolist() == [[1.0], [2.0]]
    assert as_matrix(y).dtype == np.float64


def test_a_table_with_missing_values_is_a_matrix():
    table = pd.DataFrame({"a": pd.array([1, pd.NA], dtype="Int64"), "b": [0.5, None]})
    assert np.array_equal(as_matrix(table), [[1.0, 0.5], [np.nan, np.nan]], equal_nan=True)


def test_a_value_that_is_no_number_is_named_with_its_row():
    with pytest.raises(ConfigError, match=r"y\[1\]: got '>5', expected numbers"):
        as_matrix([[1, 2], [3, ">5"]])
    with pytest.raises(ConfigError, match=r"y: got 'an array of shape \[1, 1, 1\]'"):
        as_matrix([[[1]]])


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("others", [["a", "b"], [0, 1]])
def test_a_missing_class_is_named_with_its_row(missing, others):
    with pytest.raises(ConfigError, match=r"y\[1\]: got .*, expected a class for each molecule"):
        as_classes([others[0], missing, *others])


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([1, 0, 1], [0, 1]),
        ([1.0, 0.0, 1.0], [0.0, 1.0]),
        ([True, False, True], [False, True]),
        (pd.Series([3, 7, 3], dtype="Int64"), [3, 7]),
        (pd.Series([True, False, True], dtype="boolean"), [False, True]),
        (pd.Series(["b", "a", "b"], dtype="category"), ["a", "b"]),
        (pd.DataFrame({"y": ["b", "a", "b"]}), ["a", "b"]),
        (np.array([["b"], ["a"], ["b"]]), ["a", "b"]),
    ],
)
def test_classes_of_every_form(y, classes):
    assert np.unique(as_classes(y)).tolist() == classes


@pytest.mark.parametrize(
    ("y", "got"),
    [
        (np.linspace(0, 1, 30), "numbers such as 0.0344828"),
        ([0.5, 0.5, 1.0, 1.0], "numbers such as 0.5"),
        (list(range(30)), "30 different numbers"),
        (np.arange(30.0), "30 different numbers"),
        (["a", 1, "a", 1], "texts and numbers"),
        (np.zeros((3, 2, 2)), "an array of shape"),
    ],
)
def test_measurements_and_mixed_types_are_no_classes(y, got):
    with pytest.raises(ConfigError, match=f"y: got '{got}"):
        as_classes(y)


def test_no_targets_at_all_are_named():
    for read in (as_matrix, as_classes):
        with pytest.raises(ConfigError, match="y: got None, expected a target for each molecule") as caught:
            read(None)
        assert "fit(molecules, y)" in caught.value.hint
