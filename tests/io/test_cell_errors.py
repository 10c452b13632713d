import pytest

from pyg_samsa.io.cell_errors import cure_of, refuse_infinite, refuse_text


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        (">0.30", "--censored"),
        ("45%", "without a unit"),
        ("45 %", "without a unit"),
        ("<LOD", "empty"),
        ("high", "empty"),
        ("$1,137", "without a unit, a currency"),
        ("€ 3.5", "without a unit, a currency"),
        ("1,137 €", "without a unit, a currency"),
        ("5 mM", "without a unit"),
        ("5.5uM", "without a unit"),
        ("pH 7", "without a unit"),
        ("1.2 ± 0.3", "an error"),
        ("1.2 +/- 0.3", "an error"),
        ("1.2 (0.3)", "an error"),
        ("3-5", "range"),
        ("3 – 5", "range"),
        ("0.5 to 1.5", "range"),
        ("25-30 C", "range"),
        ("2024-01-05", "date"),
        ("5/1/2024", "date"),
        ("02-Jan", "date"),
        ("1;2", "several numbers"),
        ("1/2", "several numbers"),
        ("1.5, 2.5", "several numbers"),
        ("1 2", "several numbers"),
        ("O.5", "empty"),
    ],
)
def test_errors_name_row_text_and_cure(text, cure):
    error = refuse_text(text, row=3, column="IC50")
    assert str(error).startswith(f"row 3, column 'IC50': {text!r} is ")
    assert cure in error.hint
    assert "\n" not in f"{error}{error.hint}"


@pytest.mark.parametrize("text", ["high", "m1", "CHEMBL25", "C1CC1", "", "?", "-"])
def test_other_words_have_no_cause(text):
    assert cure_of(text) == ""


def test_a_hint_of_the_column_is_for_words_without_a_cause():
    assert refuse_text("high", row=1, column="y", hint="Look again.").hint == "Look again."
    assert "range" in refuse_text("1-2", row=1, column="y", hint="Look again.").hint


def test_infinite_numbers_are_named():
    assert str(refuse_infinite(" inf", row=2, column="y")) == "row 2, column 'y': 'inf' is too large or infinite"


def test_a_number_with_two_readings_names_both():
    error = refuse_text("1,137", row=3, column="T")
    assert str(error) == "row 3, column 'T': '1,137' may be 1137 or 1.137"
    assert "--decimal" in error.hint
    # A word that means that there is no value has nothing to do with decimal signs.
    assert "--decimal" not in refuse_text("NA", row=3, column="T").hint


def test_other_words_of_the_column_are_named():
    words = [("lost", 5), ("broken", 9), ("spilled", 10), ("burnt", 11), ("gone", 12)]
    told = "and neither are 'lost' (row 5), 'broken' (row 9), 'spilled' (row 10) and 2 more words"
    assert str(refuse_text("high", row=3, column="T", others=words)).endswith(f"'high' is not a number, {told}")
