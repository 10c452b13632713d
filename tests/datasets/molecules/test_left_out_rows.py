from pathlib import Path

from pyg_samsa.datasets.molecules.csv_table import LeftOut
from pyg_samsa.datasets.molecules.left_out_rows import (
    NO_TARGET,
    describe_large,
    describe_left_out,
    refuse_rows,
    write_left_out,
)

BAD = [LeftOut(row, "C(", "unreadable", "unreadable molecule") for row in range(2, 9)]
LARGE = [LeftOut(row, "CCCC", "4 atoms, more than 3", "too large molecule") for row in (10, 1)]
OTHERS = [LeftOut(9, "", "blank line", "blank line"), LeftOut(12, "=C", NO_TARGET, NO_TARGET)]


def test_errors_and_sentences():
    error = refuse_rows(Path("a.csv"), BAD, 1200)
    assert str(error) == "row 2: unreadable (6 more of 1,200 rows cannot be used: 3, 4, 5, 6, ...): 'C('"
    assert error.hint.startswith("Fix a.csv, or leave such rows out with --skip-invalid")
    told = "11 rows left out (1 blank line, 1 row without target, 7 unreadable molecules, 2 too large molecules)"
    assert describe_left_out([*BAD, *LARGE, *OTHERS]) == told
    assert describe_left_out([]) == describe_large([]) == ""
    assert describe_large(LARGE).startswith(" (row 10 has 4 atoms, more than 3; too large as well: rows 1). Raise")


def test_list(tmp_path):
    write_left_out(tmp_path / "list.csv", [OTHERS[1], LARGE[1]])
    assert (tmp_path / "list.csv").read_text().splitlines() == [
        "row,smiles,reason",
        '1,CCCC,"4 atoms, more than 3"',
        "12,'=C,row without target",
    ]
