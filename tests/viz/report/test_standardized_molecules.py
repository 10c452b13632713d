import pandas as pd
import pytest

from pyg_samsa.chem.molecule_changes import COLUMNS
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.viz.report.groups import group_runs
from pyg_samsa.viz.report.standardized_molecules import standardized_parts

ROWS = [[row, f"{'C' * row}[NH3+].[Cl-]", f"{'C' * row}N", "fragment neutralize"] for row in range(1, 13)]


def table(rows=ROWS, columns=COLUMNS):
    return pd.DataFrame(rows, columns=list(columns))


def test_counts_and_first_rows(record):
    (part,) = standardized_parts(group_runs([record(standardized=table()), record(folder="other")]))
    assert part["text"] == "12 molecules of the data set were changed: 12 largest fragment, 12 neutralised"
    assert (len(part["rows"]), part["more"]) == (10, 2)
    first = {"row": 1, "given": "C[NH3+].[Cl-]", "after": "CN", "steps": "largest fragment, neutralised"}
    assert part["rows"][0] == first


def test_page(record, page):
    text, _ = page(record(standardized=table()))
    assert "Standardised molecules" in text
    assert "2 more are in standardized.csv" in text
    assert "<code>CCN</code>" in text
    assert "Standardised molecules" not in page(record())[0]


@pytest.mark.parametrize("damaged", [table([[1, "C", "C"]], COLUMNS[:3]), table([[1, "C", "C", "unknown"]])])
def test_damaged_lists_are_named(record, damaged):
    with pytest.raises(DataIntegrityError, match=r"results/exp/0/standardized\.csv"):
        standardized_parts(group_runs([record(standardized=damaged)]))
