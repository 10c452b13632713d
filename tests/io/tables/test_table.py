from pathlib import Path

import pytest

from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.tables.csv_format import CsvWriter
from pyg_samsa.io.tables.table import check_rows


def test_a_table_appears_only_with_all_rows(tmp_path):
    partial, path = tmp_path / "out.csv.partial", tmp_path / "out.csv"
    partial.write_text('smiles,y\nC,"two\nlines"\nCC,1\n')
    writer = CsvWriter(["smiles", "y"], ",")
    with pytest.raises(DataIntegrityError, match="got 2 rows, expected 3 rows"):
        writer.finish(partial, path, 3)
    assert partial.exists()
    assert not path.exists()
    writer.finish(partial, path, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


def test_equal_counts_pass():
    check_rows(Path("out.csv"), 0, 0)
    with pytest.raises(DataIntegrityError, match=r"out\.csv: got 1,000 rows"):
        check_rows(Path("out.csv"), 1000, 1001)
