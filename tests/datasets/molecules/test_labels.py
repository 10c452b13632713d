import math

import pytest

from pyg_samsa.datasets.molecules.labels import looks_like_classes, note_spellings, read_classes, read_labels
from pyg_samsa.errors import DataError


@pytest.mark.parametrize(
    ("negative", "positive"),
    [
        ("inactive", "active"),
        ("non-toxic", "toxic"),
        ("nontoxic", "toxic"),
        ("not soluble", "soluble"),
        ("N", "Y"),
        ("neg", "pos"),
        ("low", "high"),
        ("decoy", "xyz"),
        ("-1", "1"),
        ("1", "2"),
        ("-5", "-3"),
        ("antagonist", "modulator"),
        ("-", "+"),
    ],
)
def test_the_positive_class(negative, positive):
    for texts in ([negative, positive] * 2, [positive, negative] * 2):
        found = read_labels(texts)
        assert found.positive == positive
        assert found.values == [float(text == positive) for text in texts]


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "b"],  # not repeated
        ["a", "b", "c"] * 2,
        ["0.5", "1.5"] * 2,  # not whole numbers
        ["1", "a"] * 2,
        ["a"] * 4,
        ["", "NA"],
        ["0", "1", "2"] * 3,
    ],
)
def test_other_columns_are_no_labels(texts):
    assert read_labels(texts) is None


def test_zeros_and_ones_need_no_name():
    for texts in (["1", "0.0"], ["TRUE", "no"], ["1"], ["0", "1.0", "yes"]):
        assert read_labels(texts).positive == ""
    assert read_labels(["1", "0"], positive="0").values == [0.0, 1.0]
    assert read_labels(["1", "0"], positive="2").positive == ""
    assert read_labels(["0", "1", "true", "False", "yes", "no"]).values == [0, 1, 1, 0, 1, 0]
    assert read_labels(["+", "-", "n.d.", "+"]).values[:2] == [1, 0]


@pytest.mark.parametrize(
    ("texts", "classes"),
    [
        (["red", "blue", "green"] * 2, True),
        (["red", "blue", "green"], False),
        (["a"] * 3 + ["b"] * 3 + ["rare"], True),
        ([str(number / 7) for number in range(30)] + ["oops"], False),
        (["1", "2", "3"] * 3 + ["oops"], False),
        (["1", "2", "oops"] * 2, False),
        (["5 mM", "10 mM", "20 mM"] * 2, False),
        ([f"word {number}" for number in range(201)] * 2, False),
        (["only", "only"], False),
        (["yes", "no", "maybe"] * 2, True),
        (["TRUE", "FALSE", "unknown"] * 2, True),
        (["0", "1", "maybe"] * 2, False),
    ],
)
def test_classes_are_few_and_repeated(texts, classes):
    assert looks_like_classes(texts) == classes


def test_classes_are_ordered_and_numbered():
    names, numbers = read_classes(["b", "10", "9", "NA", "b"], "c")
    assert names == ["9", "10", "b"]
    assert numbers[:3] == [2, 1, 0]
    assert math.isnan(numbers[3])
    with pytest.raises(DataError, match="holds only 'b'"):
        read_classes(["b", "b"], "c")


def test_yes_and_no_beside_other_words_are_words():
    assert read_classes(["yes", "maybe", "no", "Yes"], "c") == (["maybe", "no", "yes"], [2, 0, 1, 2])


def test_words_that_differ_in_case_are_one_class():
    texts = ["red", "Red", "blue", "green", "Red", "BLUE", "blue", "green"]
    assert read_classes(texts, "c") == (["Red", "blue", "green"], [0, 0, 1, 2, 0, 1, 1, 2])
    assert looks_like_classes(texts)
    told = "column 'c': 'Red' (2 rows) and 'red' (1 row); 'blue' (2 rows) and 'BLUE' (1 row)"
    assert note_spellings(texts, "c") == [f"{told} are each read as one class"]


def test_spellings_of_a_number_are_one_class():
    assert read_classes(["1", "1.0", "2", "02", "3", "1"], "c") == (["1", "2", "3"], [0, 0, 1, 1, 2, 0])
    assert note_spellings(["1", "1.0", "2"], "c") == ["column 'c': '1' (1 row) and '1.0' (1 row) are read as one class"]
    assert note_spellings(["1", " 1", "2", "NA", "na"], "c") == []


def test_the_positive_class_has_its_most_frequent_spelling():
    assert read_labels(["Active", "active", "active", "inactive"]).positive == "active"
    with pytest.raises(DataError, match="holds only 'Red'"):
        read_classes(["Red", "red"], "c")
