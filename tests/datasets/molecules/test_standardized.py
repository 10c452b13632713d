"""Standardised tables: molecules, splits, the list of changes and the warnings."""

import csv

import pytest

from pyg_samsa.datasets.molecules import molecule_shards
from pyg_samsa.datasets.splits import scaffold_split
from pyg_samsa.errors import ConfigError, SmilesError

STEPS = ["fragment", "neutralize", "tautomer"]
PLAIN = [["C" * n + "O", n] for n in range(3, 23)]
SALTS = [["CC(=O)[O-].[Na+]", 1.0], ["CC(=O)O", 2.0], ["OCC.[Na+].[Cl-]", 3.0], ["CCO", 3.0], ["C[NH3+].[Cl-]", 4.0]]
AFTER = ["CC(=O)O", "CC(=O)O", "CCO", "CCO", "CN"]


def listed(dataset):
    with dataset.standardized.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("shard_rows", [None, 3])
def test_molecules_and_the_list_of_changes(table, monkeypatch, shard_rows):
    if shard_rows:
        monkeypatch.setattr(molecule_shards, "SHARD_ROWS", shard_rows)
    dataset = table([*SALTS, ["bad", 1], *PLAIN], standardize=STEPS[::-1], skip_invalid=True)
    assert [dataset[row].smiles for row in range(6)] == [*AFTER, "CCCO"]
    assert [dataset[row].num_nodes for row in range(5)] == [4, 4, 3, 3, 2]
    assert dataset[5].source_row.item() == 7
    assert dataset.features.standardize == tuple(STEPS)
    assert dataset.changes.text() == "standardised 3 of 25 molecules: 3 largest fragment, 2 neutralised"
    assert listed(dataset) == [
        ["row", "smiles", "standardized", "steps"],
        ["1", "CC(=O)[O-].[Na+]", "CC(=O)O", "fragment neutralize"],
        ["3", "OCC.[Na+].[Cl-]", "CCO", "fragment"],
        ["5", "C[NH3+].[Cl-]", "CN", "fragment neutralize"],
    ]
    again = table([*SALTS, ["bad", 1], *PLAIN], standardize=STEPS, skip_invalid=True)
    assert again.root == dataset.root
    assert again.changes == dataset.changes


def test_equal_molecules_are_told_and_stay_together(table):
    dataset = table([*SALTS, *PLAIN], standardize=STEPS)
    told = "the standardisation makes 4 rows equal, to 2 molecules (1 with different targets)"
    assert told in dataset.notes
    for pair in ({0, 1}, {2, 3}):
        assert any(pair <= set(rows.tolist()) for rows in dataset.split_idx.values())


def test_a_split_of_the_table_may_part_what_becomes_equal(table):
    header = ("smiles", "y", "set")
    rows = [[*row, "train"] for row in [*SALTS, *PLAIN]]
    rows[0][2], rows[2][2] = "test", "val"
    options = {"header": header, "target_columns": ["y"], "split_kind": "column", "split_column": "set"}
    dataset = table(rows, standardize=["fragment", "neutralize"], **options)
    told = "the standardisation makes 4 rows equal, to 2 molecules (1 with different targets, 2 in more than one split)"
    assert told in dataset.notes


def test_equal_rows_of_the_table_are_not_the_work_of_the_standardisation(table):
    rows = [["C[NH3+].[Cl-]", 1], ["[Cl-].[NH3+]C", 2], ["CCO", 1], ["OCC", 2], *PLAIN]
    dataset = table(rows, standardize=STEPS)
    assert dataset.changes.changed == 2
    assert not [note for note in dataset.notes if "equal" in note]


def test_missing_targets_are_not_different(table):
    rows = [["C[NH3+]", 1, ""], ["CN", "", 2], ["CN", 1, 2.5], *([smiles, n, n] for smiles, n in PLAIN)]
    dataset = table(rows, header=("smiles", "a", "b"), target_columns="all", standardize=STEPS)
    assert "the standardisation makes 3 rows equal, to 1 molecule (1 with different targets)" in dataset.notes
    dataset = table(rows[:2] + rows[3:], header=("smiles", "a", "b"), target_columns="all", standardize=STEPS)
    assert "the standardisation makes 2 rows equal, to 1 molecule" in dataset.notes


def test_scaffolds_are_those_of_the_standardised_molecules(table):
    acids = [f"OS(=O)(=O){ring}" for ring in ("C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1")]
    parents = ["C" * n + ring for n in range(10, 18) for ring in ("c1ccccc1", "c1ccncc1", "c1ccoc1", "C1CCNCC1")]
    given = [f"{smiles}.{acids[place % 3]}" for place, smiles in enumerate(parents)]
    found = table(
        [[smiles, 1.5 * n] for n, smiles in enumerate(given)], standardize=["fragment"], split_kind="scaffold"
    )
    expected, other = (scaffold_split(smiles, [0.8, 0.1, 0.1], 0) for smiles in (parents, given))
    assert {name: rows.tolist() for name, rows in found.split_idx.items()} == {
        name: rows.tolist() for name, rows in expected.items()
    }
    assert expected["train"].tolist() != other["train"].tolist()


def test_a_list_that_was_deleted_is_not_named(table, caplog):
    table([*SALTS, *PLAIN], standardize=STEPS).standardized.unlink()
    caplog.clear()
    assert table([*SALTS, *PLAIN], standardize=STEPS).standardized is None
    assert "standardised 3 of 25 molecules" in caplog.text
    assert "listed in" not in caplog.text


def test_no_change_writes_no_list(table):
    dataset = table(PLAIN, standardize=["fragment"])
    assert dataset.standardized is None
    assert dataset.changes.text() == "standardised 0 of 20 molecules"
    assert [dataset[row].smiles for row in range(20)] == [smiles for smiles, _ in PLAIN]


def test_without_standardisation_nothing_is_told(table, caplog):
    dataset = table([*SALTS, *PLAIN])
    assert (dataset.changes, dataset.standardized, dataset.features.standardize) == (None, None, ())
    assert dataset[0].smiles == "CC(=O)[O-].[Na+]"
    assert "standardis" not in caplog.text


def test_prepared_files_depend_on_the_steps(table, tmp_path):
    for steps in ([], ["fragment"], ["neutralize"], STEPS, STEPS[::-1]):
        table([*SALTS, *PLAIN], standardize=steps)
    assert len(list((tmp_path / "data" / "csv").glob("*.pt"))) == 4


def test_refused_molecules_name_their_row(table):
    rows = [["[SbH6+3]", 1], *PLAIN]
    with pytest.raises(SmilesError, match=r"^row 1: the step neutralize gives the invalid molecule \[SbH9\]"):
        table(rows, standardize=["neutralize"])
    dataset = table(rows, standardize=["neutralize"], skip_invalid=True)
    assert len(dataset) == 20
    assert "the step neutralize gives the invalid molecule" in dataset.left_out.read_text()


def test_unknown_steps(table):
    with pytest.raises(ConfigError, match=r"^dataset\.standardize: got 'salts', expected one of 'fragment'"):
        table(PLAIN, standardize=["salts"])
