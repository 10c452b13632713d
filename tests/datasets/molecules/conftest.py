import csv

import pytest

from pyg_samsa.datasets import CSVMolecules


@pytest.fixture
def table(tmp_path):
    """Writes a table and reads it as a data set."""

    def make(rows, header=("smiles", "y"), **options):
        path = tmp_path / "table.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        return CSVMolecules(tmp_path / "data", csv=path, progress=False, workers=1, **options)

    return make
