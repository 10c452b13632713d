import io
import time

import pytest

from pyg_samsa.chem.mol_blocks import smiles_block
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.tables.csv_format import CsvChunk
from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor
from pyg_samsa.web.predicted_table import Asked, SharedReader, open_predicted_table

CSV = b"id,smiles,note\na1,CCO,x\na2,C(,y\na3,c1ccccc1,z\n"


def rows_of(models, content, limits, asked=Asked(), format="csv"):  # noqa: B008
    with open_predicted_table(models, io.BytesIO(content), format, asked, limits) as table:
        return table, [row for chunk in table.chunks() for row in chunk]


def test_one_model_has_the_columns_of_predict(counter, limits):
    table, rows = rows_of([counter()], CSV, limits)
    titles = ["atoms_pred", "atoms_low", "atoms_high", "nearest_similarity", "nearest_smiles", "nearest_atoms_measured"]
    assert [column.title for column in table.columns] == titles
    assert [(row.row, row.name, row.smiles) for row in rows] == [
        (1, "a1", "CCO"),
        (2, "a2", "C("),
        (3, "a3", "c1ccccc1"),
    ]
    assert rows[0].cells == ["3", "2.5", "3.5", "1.00", "CCO", "3.25"]
    assert rows[0].numbers == [3.0, 2.5, 3.5, 1.0, None, 3.25]
    assert rows[1].error == "RDKit cannot read this SMILES (the bracket ( is not closed)"
    assert not any(rows[1].cells)
    assert rows[2].fields == ["a3", "c1ccccc1", "z"]


def test_cells_are_those_of_the_command(peptides, limits):
    from pyg_samsa.chem.molecule_table import open_molecule_table

    with open_molecule_table(io.BytesIO(CSV)) as (reader, _):
        ((_, added, *_),) = TablePredictor(peptides.predictor, reader, StreamOptions()).chunks()
    _, rows = rows_of([peptides], CSV, limits)
    assert [list(row) for row in zip(*(column.texts for column in added[:-1]), strict=True)] == [
        row.cells for row in rows
    ]


def test_several_models_stand_side_by_side(counter, peptides, limits):
    table, rows = rows_of([counter(), peptides], CSV, limits)
    titles = [column.title for column in table.columns]
    assert titles[0] == "atoms: atoms_pred"
    assert titles[-1] == "peptides: transmembrane_pred"
    assert [column.key for column in table.columns] == [f"c{n}" for n in range(9)]
    assert table.notes == [
        "The model peptides gives no uncertainty ranges: it was saved without validation rows to measure them on."
    ]
    assert rows[0].cells[0] == "3"
    assert 0 <= rows[0].numbers[-1] <= 1
    assert rows[1].error == "RDKit cannot read this SMILES (the bracket ( is not closed)"  # once


def test_records_of_structures_are_kept(counter, limits):
    record = smiles_block("CCO", "ethanol") + ">  <pH>\n7\n\n$$$$\n"
    _, rows = rows_of([counter()], (record + "junk\n$$$$\n").encode(), limits, format="sdf")
    assert (rows[0].name, rows[0].smiles, rows[0].cells[0], rows[0].fields) == ("ethanol", "CCO", "3", ["7"])
    assert rows[0].record == record.encode()
    assert (rows[1].name, rows[1].smiles, rows[1].error) == ("junk", "", "RDKit cannot read this record")


def test_what_a_model_needs_and_the_table_lacks_is_named(counter, limits):
    with pytest.raises(ConfigError, match="pH"):
        rows_of([counter(extra_columns=["pH"])], CSV, limits)
    _, rows = rows_of([counter(extra_columns=["pH"])], b"smiles,pH\nCCO,4.5\n", limits)
    assert rows[0].cells[0] == "7.5"


def test_confidences_are_checked(counter, limits):
    with pytest.raises(ConfigError, match=r"interval: got 1\.5"):
        rows_of([counter()], CSV, limits, Asked(1.5))
    table, _ = rows_of([counter()], CSV, limits, Asked(0.99))
    assert table.notes == [
        "The model atoms gives no uncertainty ranges: it has too few validation rows for more than 0.968."
    ]
    table, _ = rows_of([counter()], CSV, limits, Asked(None, neighbors=False))
    assert [column.title for column in table.columns] == ["atoms_pred"]


def test_large_molecules_are_errors(counter, limits):
    _, (row,) = rows_of([counter()], b"smiles\n" + b"C" * 61 + b"\n", limits)
    assert row.error == "61 atoms, more than 60"


def test_texts_that_are_too_long_are_not_read(counter, limits):
    rings = "C1" + "CC1CC1" * 5_000  # minutes for RDKit
    _, (row, other) = rows_of([counter()], f"smiles\n{rings}\nC\n".encode(), limits)
    assert (row.error, row.smiles, any(row.cells)) == ("30,002 characters, more than 600", rings, False)
    assert other.cells[0] == "1"
    block = "x" * 24_000 + smiles_block("C")
    _, (row,) = rows_of([counter()], f"{block}\n$$$$\n".encode(), limits, format="sdf")
    assert "characters, more than 24,000" in row.error


def test_views_read_each_row_once():
    class Reader:
        format, header, delimiter, numeric, has_blocks, num_rows = "csv", ["smiles"], ",", (), False, None
        taken = 0

        def take(self, count):
            self.taken += 1
            return CsvChunk([["C"]], 1, ",") if self.taken == 1 else None

    reader = Reader()
    first, second = SharedReader.views(reader, 2, 100)
    assert first.take(5) is second.take(5)
    assert [second.take(5), first.take(5)] == [None, None]
    assert reader.taken == 2


def test_standardised_molecules(counter, limits, open_client):
    model = counter()
    model.predictor.standardize = model.training.standardize = ("fragment",)
    _, (row, other) = rows_of([model], b"smiles\nCCO.[Na+].[Cl-]\nCCO\n", limits)
    assert row.smiles == "CCO.[Na+].[Cl-]"
    assert row.cells == ["3", "2.5", "3.5", "CCO", "1.00", "CCO", "3.25"]
    assert other.cells[3] == ""
    client = open_client([model])
    asked = {"smiles": ["CCO.[Na+].[Cl-]", "CCO"], "neighbors": 1}
    first, second = client.post("/api/predict", json=asked).json()
    assert (first["standardized"], first["values"], first["neighbors"][0]["similarity"]) == ("CCO", {"atoms": 3.0}, 1.0)
    assert second["standardized"] == ""
    assert client.get("/api/info").json()["models"][0]["standardize"] == ["fragment"]
    job = client.post("/api/jobs", json={"text": "CCO.[Na+].[Cl-]"}).json()
    assert "standardized" in [column["role"] for column in job["columns"]]
    for _ in range(100):
        if (state := client.get(f"/api/jobs/{job['id']}").json()["state"]) in ("done", "failed"):
            break
        time.sleep(0.05)
    assert state == "done"
    shown = client.get(f"/api/jobs/{job['id']}/rows/1/explanation", params={"model": "atoms"}).json()
    assert (shown["atoms"], shown["note"]) == (3, "standardised (largest fragment) from CCO.[Na+].[Cl-]")


def test_equal_molecules_are_found_after_the_standardisation_of_every_model(counter, limits):
    content = b"smiles\nOCC\nC(O)C\nCCO.[Na+]\nC(\nC(\n" + b"C" * 61 + b"\n" + b"C" * 61 + b"\n"
    _, rows = rows_of([counter()], content, limits)
    assert [row.molecule for row in rows] == ["CCO", "CCO", "CCO.[Na+]", "", "", "", ""]
    standardising = counter()
    standardising.predictor.standardize = ("fragment",)
    _, rows = rows_of([standardising], content, limits)
    assert [row.molecule for row in rows] == ["CCO"] * 3 + [""] * 4
    _, rows = rows_of([standardising, counter("other")], content, limits)
    assert [row.molecule for row in rows] == ["CCO\nCCO"] * 2 + ["CCO\nCCO.[Na+]"] + [""] * 4


def test_equal_structures_are_found(counter, limits):
    records = "".join(f"{smiles_block(smiles)}$$$$\n" for smiles in ("OCC", "C", "C(O)C"))
    _, rows = rows_of([counter()], records.encode(), limits, format="sdf")
    assert [row.molecule for row in rows] == ["CCO", "C", "CCO"]
