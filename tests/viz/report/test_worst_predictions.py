import re

import numpy as np
import pandas as pd
import pytest

from pyg_samsa.task import Task
from pyg_samsa.viz.report.worst_predictions import worst_rows


def test_worst_rows_come_first_with_their_structures(page, frame, record):
    table = frame("labels", names=("a",))
    table.loc[:, "a_pred"] = 0.5
    table.loc[17, ["a_true", "a_pred"]] = 1.0, 0.01
    table.loc[21, ["a_true", "a_pred"]] = 0.0, 0.95
    text, _ = page(record(predictions=table))
    assert re.findall(r"<h3>Row (\d+)", text)[:2] == ["17", "21"]
    shown = re.findall(r"<code>(.*?)</code>", text)
    assert len(shown) == 6
    assert text.count('class="molecule"') == sum(smiles != "not a molecule" for smiles in shown)
    assert ("A structure is not drawn" in text) == ("not a molecule" in shown)
    assert "light-dark(" in text


def test_nodes_are_averaged_over_their_graph(page, frame, record):
    table = frame("classes", smiles=False).assign(node=np.arange(80) % 8)
    table["row"] = np.arange(80) // 8
    text, _ = page(record(predictions=table, test={"accuracy": 0.5}))
    assert "averaged over their nodes" in text
    right = (table["true"] == table["pred"]).groupby(table["row"]).mean()
    worst = int(re.search(r"<h3>Row (\d+)", text).group(1))
    assert f"{100 * right[worst]:.0f} % of its nodes correct" in text


def test_pairs_are_averaged_over_their_graph():
    table = pd.DataFrame({"row": [4, 4, 5], "source": [0, 0, 1], "target": [1, 2, 0]})
    table["a_true"], table["a_pred"] = [1.0, 0.0, 1.0], [0.5, 0.1, 0.6]
    found = worst_rows(table, Task("binary", ["a"], "link"), count=2)
    errors = {4: -(np.log(0.5) + np.log(0.9)) / 2, 5: -np.log(0.6)}
    assert [(row["row"], row["error"]) for row in found] == [
        (row, pytest.approx(error)) for row, error in sorted(errors.items(), key=lambda item: -item[1])
    ]


def test_a_structure_that_cannot_be_drawn_does_not_lose_the_page(page, frame, record):
    table = frame("values", rows=8)
    table["smiles"] = ["[H][H]", "C" * 4001, "[2H][2H]", "CC"] * 2
    text, _ = page(record(predictions=table))
    assert "Worst predictions" in text
    assert "Not drawn: 4,001 atoms (at most 4,000)" in text
    assert ">nan" not in text
    assert "Mnan" not in text


def test_bounds_show_their_sign_and_have_an_error_on_the_wrong_side_only():
    table = pd.DataFrame({"row": range(4), "y_true": [10.0, 10.0, 10.0, 1.0], "y_pred": [90.0, 5.0, 10.0, 3.0]})
    table["y_bound"] = [">", ">", None, "<"]
    rows = worst_rows(table, Task("regression", ["y"]), count=4)
    assert [row["row"] for row in rows] == [1, 3, 0, 2]
    assert [row["targets"][0]["texts"] for row in rows] == [(">10", "5"), ("<1", "3"), (">10", "90"), ("10", "10")]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([-1e6, -1e6 + 0.001, -1e6 + 0.002], {"-999999.998", "-999999.999", "-1000000"}),
        ([1e-30, 2e-30, 3.25e-30], {"1e-30", "2e-30", "3.25e-30"}),
        ([0.12345678, 1.0, 2.0], {"0.1235", "1", "2"}),
    ],
)
def test_values_have_the_digits_that_the_spread_needs(values, texts):
    table = pd.DataFrame({"row": range(3), "y_true": values, "y_pred": values[::-1]})
    rows = worst_rows(table, Task("regression", ["y"]), count=3)
    assert {row["targets"][0]["texts"][0] for row in rows} == texts


def test_values_have_as_many_digits_as_tell_rows_apart(page, frame, record):
    table = frame("values", names=("energy",), rows=8)
    table["energy_true"] = -1e6 + np.arange(8) / 1000
    table["energy_pred"] = table["energy_true"] + 0.0005
    text, _ = page(record(predictions=table, test={"mae": 0.0005}))
    assert '<td class="n">−999999.997</td><td class="n">−999999.9965</td>' in text
    assert "marks plus −999,999.99" in text


def test_what_the_numbers_of_a_card_mean_is_written(page, frame, record):
    text, _ = page(record(predictions=frame("values", names=("logP",)), test={"mae": 0.2}))
    assert re.search(r"<small>error [\d.]+ SD</small>", text)
    assert '<th scope="col" class="n">true</th><th scope="col" class="n">predicted</th>' in text
    text, _ = page(record(predictions=frame("labels")))
    assert re.search(r"<small>cross-entropy [\d.]+</small>", text)
    assert "probability</th>" in text


def test_small_molecules_do_not_fill_their_card(page, frame, record):
    table = frame("values", rows=8)
    table["smiles"] = ["CC", "C" * 30] * 4
    text, _ = page(record(predictions=table))
    widths = [int(width) for width in re.findall(r'class="molecule" id="[^"]+" style="--most:(\d+)px"', text)]
    assert 40 < min(widths) < 120 < max(widths)
