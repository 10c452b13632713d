import math

import pytest

from pyg_samsa.io.cells import (
    Number,
    decimal_of,
    describe_missing,
    is_missing,
    read_bounded,
    read_number,
    write_number,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "NA",
        "n/a",
        "-",
        "?",
        "#VALUE!",
        "#DIV/0!",
        "#NAME?",
        "#N/A",
        "#WERT!",
        "n.d.",
        "#N/D",
        "#\u00a1VALOR!",
        "Err:502",
        "####",
        "\u2014",
        "(null)",
    ],
)
def test_texts_of_nothing(text):
    assert is_missing(text)
    assert math.isnan(read_number(text))


@pytest.mark.parametrize("text", ["0", "#1", "no", "#hash", "none of them", "inactive", "#VALUE"])
def test_texts_of_something(text):
    assert not is_missing(text)


def test_texts_of_nothing_are_added_to_the_usual_ones():
    texts = ("TBD", "", "None", "#N/A", "#DIV/0!", "5")
    assert [is_missing(text, ["tbd"]) for text in texts] == [True] * 5 + [False]
    # An empty text among them replaces the usual ones, and no text at all means nothing but empty fields.
    assert [is_missing(text, ["", "tbd"]) for text in texts] == [True, True, False, False, False, False]
    assert [is_missing(text, []) for text in texts] == [False, True, False, False, False, False]
    assert (
        describe_missing(["1", "", "None", "none", "None"], [1.0] + 4 * [math.nan]) == "'None' (2 rows), 'none' (1 row)"
    )
    assert is_missing("-99.0", ["-99"])
    assert describe_missing(["1", ""], [1.0, math.nan]) == ""


@pytest.mark.parametrize(
    ("text", "auto", "point", "comma"),
    [
        (" 1.5 ", 1.5, 1.5, 1.5),
        ("-2e3", -2000.0, -2000.0, -2000.0),
        ("yes", 1.0, 1.0, 1.0),
        ("\u22120.5", -0.5, -0.5, -0.5),
        ("1,137", None, 1137.0, 1.137),
        ("1,137,000", 1137000.0, 1137000.0, None),
        ("1,137.5", 1137.5, 1137.5, None),
        ("0,37", 0.37, None, 0.37),
        ("0,370", 0.37, None, 0.37),
        ("12,5e-3", 0.0125, None, 0.0125),
        ("1.137", 1.137, 1.137, 1137.0),
        ("1.137,5", 1137.5, None, 1137.5),
        ("1 137", 1137.0, 1137.0, 1137.0),
        ("1\u202f137\u202f000,5", 1137000.5, None, 1137000.5),
        ("1'137.25", 1137.25, 1137.25, 1137.25),
        ("12 34", None, None, None),
        ("1_5", None, None, None),
        ("1.137.000", 1137000.0, None, 1137000.0),
        ("45%", None, None, None),
        ("high", None, None, None),
        ("1,2,3", None, None, None),
    ],
)
def test_numbers(text, auto, point, comma):
    assert [read_number(text, decimal=sign) for sign in ("auto", "point", "comma")] == [auto, point, comma]


@pytest.mark.parametrize(
    ("texts", "delimiter", "sign"),
    [
        (["1.5", "2"], ";", "point"),
        (["1,137", "2,000"], ",", "point"),
        (["1,137", "2,000"], ";", "comma"),
        (["1,137", "0,5"], ",", "comma"),
        (["1,137", "<0,5"], ",", "comma"),
        (["1,137", "1,137.5"], ",", "point"),
    ],
)
def test_a_column_has_one_decimal_sign(texts, delimiter, sign):
    assert decimal_of(texts, delimiter=delimiter) == sign


def test_bounds():
    texts = [">10", "< 0.5", "≥1,5", "<=2", "~3", "=4", "5"]
    found = [read_bounded(text) for text in texts]
    assert found == [Number(10, 1), Number(0.5, -1), Number(1.5, 1), Number(2, -1), Number(3), Number(4), Number(5)]
    assert read_bounded("> n.d.") is None
    assert math.isnan(read_bounded("n.d.").value)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1e6, -1e9])
def test_written_numbers_tell_rows_apart(scale, offset):
    rows = [(offset + step / 1000) * scale for step in range(30)]
    texts = [write_number(row, spread=0.009 * scale) for row in rows]
    assert len(set(texts)) == 30
    assert all(abs(float(text) - row) < 1e-6 * scale for text, row in zip(texts, rows, strict=True))
