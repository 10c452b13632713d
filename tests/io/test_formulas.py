"""Texts that spreadsheets would compute."""

import itertools

import pandas as pd
import pytest

from pyg_samsa.io.formulas import escape_formula, escape_table, restore_formula, restore_table


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-x", "=", "--1", "\t1", '=HYPERLINK("x")', "-0.5,1"]
)
def test_formulas_get_an_apostrophe(text):
    escaped = text if len(text) == 1 else f"'{text}"
    assert escape_formula(text) == escaped
    assert restore_formula(escaped) == text


@pytest.mark.parametrize(
    "text", ["", "-", "+", "-1", "+1e-5", "-.5", "-inf", "1=1", "C=O", "[Na+]", "'n", "'", "it's", "'-1", " x", "(-x"]
)
def test_everything_else_stays(text):
    assert escape_formula(text) == restore_formula(text) == text


def test_every_text_is_restored():
    for length in range(6):
        for letters in itertools.product("'=-1x\t", repeat=length):
            text = "".join(letters)
            assert restore_formula(escape_formula(text)) == text


def test_tables():
    table = pd.DataFrame({"=a": [1.5, -2.0], "run": ["-x", None], "n": [1, 2]})
    escaped = escape_table(table)
    assert list(escaped) == ["'=a", "run", "n"]
    assert escaped["run"].tolist()[0] == "'-x"
    assert escaped["'=a"].tolist() == [1.5, -2.0]
    assert table["run"].tolist()[0] == "-x"
    pd.testing.assert_frame_equal(restore_table(escaped), table)


def test_tables_with_equal_names():
    table = pd.DataFrame([["=a", "=b"]], columns=["x", "x"])
    assert escape_table(table).to_numpy().tolist() == [["'=a", "'=b"]]
    assert escape_table(pd.DataFrame()).empty
