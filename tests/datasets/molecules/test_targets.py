import math

import pytest
import torch

from pyg_samsa.datasets.molecules.targets import CSV_TASKS, CellOptions, read_numbers, read_targets, refuse_mixed
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.task import KINDS

NAN = float("nan")


def read(*columns, task="auto", **options):
    names = [f"column {number}" for number in range(len(columns))]
    return read_targets(columns, names, task, range(1, len(columns[0]) + 1), cells=CellOptions(**options))


def test_every_kind_of_task_can_be_asked_for():
    assert set(CSV_TASKS) == {"auto", *KINDS}


@pytest.mark.parametrize(
    ("columns", "task", "y"),
    [
        ([["1", "0", "NA"]], "binary", [[1], [0], [NAN]]),
        ([["yes", "No", "?"]], "binary", [[1], [0], [NAN]]),
        ([["1", "0", "1"], ["", "1", "0"]], "multilabel", [[1, NAN], [0, 1], [1, 0]]),
        ([["1.5", " -2e1 "]], "regression", [[1.5], [-20]]),
        ([["c", "b", "a", "-", "a", "c", "b"]], "multiclass", [[2], [1], [0], [NAN], [0], [2], [1]]),
        ([["-1", "1", "1", "-1.0"]], "binary", [[0], [1], [1], [0]]),
        ([["1", "2", "2", "1", ""]], "binary", [[0], [1], [1], [0], [NAN]]),
        ([["1", "2"]], "regression", [[1], [2]]),
        ([["1", "2", "3", "3", "2", "1"]], "regression", [[1], [2], [3], [3], [2], [1]]),
        ([["active", "inactive", "Inactive", "ACTIVE"]], "binary", [[1], [0], [0], [1]]),
        ([["1,137", "900", "n.d."]], "regression", [[1137], [900], [NAN]]),
        ([["0,5", "1,137", "#DIV/0!"]], "regression", [[0.5], [1.137], [NAN]]),
        ([["-1", "1", "1", "-1"], ["1", "0", "", "1"]], "multilabel", [[0, 1], [1, 0], [1, NAN], [0, 1]]),
    ],
)
def test_the_kind_follows_from_the_columns(columns, task, y):
    found = read(*columns)
    assert found.task == task
    assert found.y.dtype == (torch.float64 if task == "regression" else torch.float32)
    torch.testing.assert_close(found.y, torch.tensor(y, dtype=found.y.dtype), equal_nan=True)


@pytest.mark.parametrize(
    ("words", "shown", "cure"),
    [
        (["yes", "no", "yes", ""], "'yes' and 'no'", "--task regression, which reads yes and true as 1"),
        (["True", "False", "n.d.", "True"], "'True' and 'False'", "--task regression, which reads yes and true as 1"),
        (["active", "inactive", "active", "active"], "'active' and 'inactive'", "write 1 and 0 for the words"),
        (["no", "1", "no", "0"], "'no'", "--task regression, which reads yes and true as 1"),
    ],
)
def test_words_beside_numbers_are_refused(words, shown, cure):
    numbers = ["1.5", "2", "3.25", "4"]
    for columns, place in (([numbers, words], 1), ([words, numbers], 0), ([["1", "0", "1", "0"], words, numbers], 1)):
        names = [f"column {number}" for number in range(len(columns))]
        with pytest.raises(ConfigError, match="--target-columns: got") as error:
            read(*columns)
        told = f"{names[place]!r} holds words ({shown}), and {names[columns.index(numbers)]!r} holds numbers"
        assert told in str(error.value)
        assert cure in error.value.hint
        with pytest.raises(ConfigError) as early:
            refuse_mixed(columns, names, CellOptions())
        assert str(early.value) == str(error.value)
        assert error.value.hint.startswith("Train a model for each kind of column, or ")


def test_words_beside_numbers_are_numbers_where_asked_and_0_and_1_always_are():
    asked = read(["1.5", "2", "3"], ["yes", "no", "yes"], task="regression")
    assert (asked.task, asked.y.tolist()) == ("regression", [[1.5, 1], [2, 0], [3, 1]])
    inferred = read(["1.5", "2", "3"], ["1", "0", "1"])
    assert (inferred.task, inferred.y.tolist()) == (asked.task, asked.y.tolist())


def test_a_text_that_is_no_number_is_told_before_labels_beside_it():
    with pytest.raises(DataError, match="'abc' is not a number"):
        read(["1.5", "abc", "3", "4"], ["yes", "no", "yes", "no"])


def test_the_positive_class_is_named():
    assert read(["-1", "1", "1", "-1"]).names == ["column 0=1"]
    assert read(["non-toxic", "toxic", "toxic", "non-toxic"]).names == ["column 0=toxic"]
    assert read(["yes", "no"]).names == ["column 0"]
    assert read(["antagonist", "agonist"], task="binary").names == ["column 0=antagonist"]
    found = read(["antagonist", "agonist"], positive="Agonist")
    assert (found.names, found.y.flatten().tolist()) == (["column 0=agonist"], [0, 1])
    with pytest.raises(ConfigError, match="--positive-class: got 'x'"):
        read(["a", "b"], positive="x")


def test_the_positive_class_is_that_of_the_columns_that_hold_it():
    found = read(["active", "inactive"] * 2, ["yes", "no"] * 2, positive="inactive")
    assert found.names == ["column 0=inactive", "column 1"]
    assert found.y[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("texts", "positive"), [(["inactive"] * 29 + ["active"], "active"), (["-1"] * 29 + ["1"], "1")]
)
def test_a_rare_label_is_a_label(texts, positive):
    assert read(texts)[:2] == ("binary", [f"column 0={positive}"])


@pytest.mark.parametrize("step", [0.03, 1e-7, 1.0])
def test_close_numbers_stay_apart(step):
    texts = [repr(-1e6 + step * (number % 15)) for number in range(30)]
    found = read(texts)
    assert found.task == "regression"
    assert found.y.flatten().tolist() == [float(text) for text in texts]


@pytest.mark.parametrize("word", ["<LOD", "inactive", "n.b.", "5-10", "1.5D3", "(1.5)"])
def test_a_word_among_repeated_numbers_is_an_error(word):
    with pytest.raises(DataError, match="row 21, column 'column 0'"):
        read([str(5 + number % 5 / 2) for number in range(20)] + [word] * 5)


def test_two_decimal_signs_in_a_column_are_named():
    with pytest.raises(DataError, match=r"'1.5' in row 1 and '0,37' in row 2 have different decimal signs"):
        read(["1.5", "0,37", "2.0"])
    assert read(["1.5", "0,37"], decimal="comma").y.flatten().tolist() == [1.5, 0.37]


@pytest.mark.parametrize("decimal", ["auto", "comma"])
def test_no_number_of_a_column_with_two_decimal_signs_becomes_a_thousand(decimal):
    with pytest.raises(DataError, match=r"'0.084' in row 1 and '3,35' in row 3 have different") as caught:
        read(["0.084", "3.628", "3,35", "1.251"], decimal=decimal)
    assert caught.value.hint == "Write all numbers with a point or all with a comma."
    if decimal == "auto":  # the cure that is named reads all of them as they are written
        with pytest.raises(DataError) as caught:
            read(["1.5", "0,37"])
        assert caught.value.hint.endswith("--decimal comma reads both.")


def test_decimal_comma_does_not_read_a_column_with_points():
    with pytest.raises(DataError, match=r"'0.084' in row 1 has a decimal point, .* '3.628' in row 2 as 3628") as caught:
        read(["0.084", "3.628"], decimal="comma")
    assert "--decimal point" in caught.value.hint
    assert read(["0.084", "0.5"], decimal="comma").y.flatten().tolist() == [0.084, 0.5]


@pytest.mark.parametrize(
    ("texts", "options", "told"),
    [
        (
            ["1.251", "3,35", "3.628", "2"],
            {},
            "'1.251' in row 1 is read as 1251 (1 more such number: row 3), because '3,35' in row 2 has a decimal comma",
        ),
        (
            ["1.251", "3,35", "3.628"],
            {"decimal": "comma"},
            "'1.251' in row 1 is read as 1251 (1 more such number: row 3) (with separated thousands)",
        ),
        (
            [">1.251", "3,35"],
            {"censored": "exact"},
            "'>1.251' in row 1 is read as 1251, because '3,35' in row 2 has a decimal comma",
        ),
        (["1,000", "2"], {}, "'1,000' in row 1 is read as 1000; --decimal comma reads it as 1.0"),
        (
            ["1,251", "12,734"],
            {"delimiter": ";"},
            "'1,251' in row 1 is read as 1.251 (1 more such number: row 2); --decimal point reads it as 1251",
        ),
        (
            ["1.084", "12.734", "5"],
            {"delimiter": ";"},
            "'1.084' in row 1 is read as 1.084 (1 more such number: row 2); --decimal comma reads it as 1084",
        ),
        (["~0.084", "≈ 2", "0.3"], {}, "2 approximate values, such as '~0.084' in row 1, are taken as exact"),
        (["~0,084", "0,3"], {}, "1 approximate value, such as '~0,084' in row 1, is taken as exact"),
        # Nothing to tell where other values decide, or the user has.
        (["1,000", "1,137.5"], {}, None),
        (["1,137", "0,37"], {}, None),
        (["1.084", "0.5"], {"delimiter": ";"}, None),
        (["1.084", "12.734"], {}, None),
        (["1,137", "2"], {"decimal": "point"}, None),
        (["1.137,5", "1.137", "0,5"], {}, None),
        (["=3", "0.5"], {}, None),
    ],
)
def test_notes_tell_how_numbers_were_read(texts, options, told):
    notes = [note for note in read(texts, **options).notes if "bound" not in note]
    assert notes == ([] if told is None else [f"column 'column 0': {told}"])


def test_all_words_of_a_column_and_their_cure_are_named():
    with pytest.raises(DataError) as caught:
        read(["1.5", "lost", "2.5", "not done", "lost", "0.5"])
    assert str(caught.value) == "row 2, column 'column 0': 'lost' is not a number, and neither is 'not done' (row 4)"
    assert caught.value.hint.endswith("name the words that mean this: --missing lost 'not done'.")
    assert read(["1.5", "lost", "2.5", "not done", "n.d."], missing=("lost", "not done")).y.isnan().sum() == 3


def test_notes_tell_how_words_and_commas_were_read():
    assert read(["1,137", "None", "2", "3"]).notes == (
        "column 'column 0': read as missing: 'None' (1 row)",
        "column 'column 0': '1,137' in row 1 is read as 1137; --decimal comma reads it as 1.137",
    )
    assert read(["1,137", "2"], decimal="comma").y.flatten().tolist() == [1.137, 2]
    classes = read(["None", "Mild", "Severe"] * 2, missing=())
    assert (classes.task, classes.names, classes.notes) == ("multiclass", ["Mild", "None", "Severe"], ())


def test_few_whole_numbers_are_a_regression_and_this_is_said():
    found = read(["0", "1", "2"] * 2)
    assert found.task == "regression"
    assert found.notes == (
        "column 'column 0': the numbers 0, 1, 2 are read as a regression; --task multiclass reads them as classes",
    )
    assert read(["0", "1", "2"] * 2, task="regression").notes == ()
    assert read(["0", "1", "2", "1", "0"]).notes == ()


def test_bounds_are_read_where_asked():
    texts = [">10", "0.5", "<0.1", ""]
    for censored, y in (
        ("bounds", [10, 0.5, 0.1, NAN]),
        ("missing", [NAN, 0.5, NAN, NAN]),
        ("exact", [10, 0.5, 0.1, NAN]),
    ):
        found = read(texts, censored=censored)
        torch.testing.assert_close(found.y.flatten(), torch.tensor(y, dtype=torch.float64), equal_nan=True)
        assert (found.bound is None) == (censored != "bounds")
    assert read(["~3", "=4", "5"]).y.flatten().tolist() == [3, 4, 5]
    assert read(texts, censored="bounds").bound.flatten().tolist() == [1, 0, -1, 0]


def test_what_is_done_with_bounds_is_said():
    texts = [">10", "0.5", "<0.1", "", "7"]
    for censored, done in (
        ("bounds", "trained with as bounds"),
        ("missing", "left out"),
        ("exact", "taken as exact numbers"),
    ):
        told = f"column 'column 0': 2 values are bounds, such as '>10', {done} (--censored {censored})"
        assert read(texts, censored=censored).notes == (told,)


@pytest.mark.parametrize("texts", [[">10", "<1"] * 5, [">10", ">20"] * 5, [">=10", "≤1"] * 5, ["> 10", "<1", ""] * 3])
def test_a_column_of_bounds_is_no_column_of_labels(texts):
    with pytest.raises(DataError, match=r"row 1, .* is a bound, not a number"):
        read(texts)
    assert read(texts, censored="bounds").task == "regression"
    told = "column 'column 0' holds only bounds, which --censored missing leaves out"
    with pytest.raises(DataError, match=told) as caught:
        read(texts, censored="missing")
    assert "--censored bounds" in caught.value.hint


def test_bounds_are_labels_where_asked():
    assert read([">10", "<1"] * 5, task="binary").task == "binary"
    assert read([">10", "<1"] * 5, positive=">10").names == ["column 0=>10"]


def test_targets_keep_a_small_deviation_beside_a_large_mean():
    energies = [f"{-1e6 + step / 1000:.4f}" for step in range(30)]
    assert read(energies).y.flatten().tolist() == [float(text) for text in energies]


def test_numbers_as_classes_are_ordered_as_numbers():
    assert read(["10", "9", "2"], task="multiclass").names == ["2", "9", "10"]


def test_decimal_commas():
    assert read(["1,500", "2"], delimiter=";").y.flatten().tolist() == [1.5, 2.0]


@pytest.mark.parametrize(
    ("columns", "task", "error", "named"),
    [
        ([["1", "2", "3"]], "binary", ConfigError, "'regression' or 'multiclass' for column 'column 0'"),
        ([["0.5", "0.7", "high", "0.5"]], "auto", DataError, "row 3, column 'column 0': 'high' is not a number"),
        ([["a", "b", "c"]], "auto", DataError, "row 1, column 'column 0': 'a' is not a number"),
        ([["1", "1"]], "auto", DataError, "only the label 1"),
        ([["active", "", "active"]], "auto", DataError, "holds only 'active'"),
        ([["1", "2"], ["m1", "m2"]], "auto", DataError, "row 1, column 'column 1': 'm1' is not a number"),
        ([["1", "0"], ["1", "0"]], "binary", ConfigError, "2 target columns"),
        ([["1"]], "clasification", ConfigError, "clasification"),
        ([[">10", "3"]], "regression", DataError, "row 1.*is a bound, not a number"),
        ([["", "NA"]], "regression", DataError, "no value"),
        ([["1", "inf"]], "regression", DataError, "row 2, column 'column 0': 'inf' is too large or infinite"),
        ([["3", "2"], ["5", "5"]], "auto", DataError, "column 'column 1' holds only the number 5"),
        ([["None", "None"]], "auto", DataError, r"column 'column 0' holds no value: 'None' \(2 rows\)"),
        ([["1", "1"]], "binary", DataError, "only the label 1"),
        ([["a", "a"]], "multiclass", DataError, "holds only 'a'"),
    ],
)
def test_wrong_columns_are_named(columns, task, error, named):
    with pytest.raises(error, match=named):
        read(*columns, task=task)


@pytest.mark.parametrize(
    ("columns", "cure"),
    [
        ([["1 uM", "2 uM", "3.5 uM"]], "without a unit"),
        ([["1 ± 0.2", "2 ± 0.1", "3"]], "without a unit or an error"),
        ([["1", "2"], ["m1", "m2"]], "'!column 1' in --target-columns leaves the column out"),
        ([["0.1", "0.2", "oops"]], "--missing oops"),
        ([["0.1", "0.2", ">3"]], "--censored bounds"),
        ([["2024-01-05", "2024-01-06"]], "date"),
        ([["$1,137", "$2"]], "a currency"),
        ([["alpha", "beta", "gamma"]], "--task multiclass"),
    ],
)
def test_errors_about_words_name_a_cure(columns, cure):
    with pytest.raises(DataError) as caught:
        read(*columns)
    assert cure in caught.value.hint


def test_columns_of_numbers():
    found = read_numbers([["1,5", "n/a"], ["yes", "2"]], ["a", "b"], [1, 2], cells=CellOptions(";"))
    torch.testing.assert_close(found.values, torch.tensor([[1.5, 1.0], [math.nan, 2.0]]), equal_nan=True)
    assert read_numbers([], [], [1, 2]).values.shape == (2, 0)
    with pytest.raises(DataError, match=r"row 7, column 'a': '>10' is a bound, not a number"):
        read_numbers([["1", ">10"]], ["a"], [6, 7])
    with pytest.raises(DataError, match=r"row 7, column 'a': '1e300' is too large or infinite"):
        read_numbers([["1", "1e300"]], ["a"], [6, 7])


def test_spellings_of_classes_are_told():
    told = "column 'column 0': 'red' (2 rows) and 'Red' (1 row) are read as one class"
    assert read(["red", "Red", "red", "blue", "blue", "green", "green"]).notes == (told,)
    assert read(["red", "Red", "red", "blue", "blue"]).notes == (told,)
    assert read(["Yes", "yes", "no", "1"]).notes == ()
    with pytest.raises(DataError, match="holds only 'Red'"):
        read(["red", "Red"])


@pytest.mark.parametrize(
    "read_column",
    [lambda texts: read(texts).notes, lambda texts: read_numbers([texts], ["T"], range(1, len(texts) + 1)).notes],
)
def test_values_far_outside_the_others_are_told(read_column):
    texts = [f"{number / 7:.2f}" for number in range(38)]
    assert read_column(texts) == ()
    (note,) = read_column([*texts[:20], "1e35", *texts[20:], "-9999"])
    assert "'1e35' in row 21, '-9999' in row 40 are far outside the other values, of which half are from" in note
    # A wide column is no mistake.
    assert read_column([f"{10 ** (number / 6):.4g}" for number in range(38)]) == ()


def test_one_row_is_no_label_that_all_rows_have():
    with pytest.raises(DataError, match="column 'column 0' holds a single value, 1"):
        read(["1", ""])
    with pytest.raises(DataError, match="column 'column 0' holds only the label 1"):
        read(["1", "1"])


def test_words_in_extra_columns_have_a_cure_of_their_own():
    for text, cure in (("warm", "leave T out of --extra-columns"), (">10", "only targets may be bounds")):
        with pytest.raises(DataError) as caught:
            read_numbers([[text, text]], ["T"], [1, 2])
        assert cure in caught.value.hint
        assert "--t" not in caught.value.hint  # neither --task nor --target-columns
