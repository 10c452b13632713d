import dataclasses

import numpy as np
import pytest
import torch

from pyg_samsa.chem import compute_descriptors
from pyg_samsa.datasets import add_descriptors
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import molecule_rows
from pyg_samsa.experiments.molecule_rows import MoleculeRows, smiles_of
from pyg_samsa.predict.stored_vectors import StoredVectors


@pytest.mark.parametrize("change", [{"level": "node"}, {"pairs": True}])
def test_only_whole_molecules_have_smiles(change, small):
    molecules = small.dataset()
    assert smiles_of(molecules, "x") == small.smiles
    molecules.task = dataclasses.replace(molecules.task, **change)
    with pytest.raises(ConfigError, match="whole molecules"):
        smiles_of(molecules, "x")


def test_models_on_vectors_in_files_are_those_on_vectors_in_memory(small, tmp_path, monkeypatch):
    inputs = ("rdkit2d", "rdkit2d+morgan_count")
    whole = small.fit(MoleculeRows(small.dataset(), "x", tmp_path), *inputs, gp_inputs=inputs)
    monkeypatch.setattr(molecule_rows, "_IN_MEMORY", 0)
    rows = MoleculeRows(small.dataset(), "x", tmp_path)
    assert isinstance(rows.vectors(["maccs"]), StoredVectors)
    parts = small.fit(rows, *inputs, gp_inputs=inputs)
    assert [one.name for one in parts] == [one.name for one in whole]
    assert len(parts) == 4
    for part, expected in zip(parts, whole, strict=True):
        for split in ("val", "test"):
            np.testing.assert_array_equal(part.outputs[split], expected.outputs[split])


def test_a_long_split_is_read_in_pieces(small, monkeypatch, tmp_path):
    rows = MoleculeRows(add_descriptors(small.dataset(), ["maccs"], folder=tmp_path, progress=False), "x", tmp_path)
    (whole,) = rows.inputs("train")
    assert next(rows.inputs("train")) is whole
    monkeypatch.setattr(molecule_rows, "BLOCK_ROWS", 15)
    rows = rows.with_splits(rows.splits)  # which has read nothing yet
    pieces = list(rows.inputs("train"))
    assert [len(piece.smiles) for piece in pieces] == [15, 15, 10]
    assert [text for piece in pieces for text in piece.smiles] == whole.smiles
    # Descriptors come from the files of the data set and are not computed again.
    monkeypatch.setattr("pyg_samsa.chem.descriptors.compute_descriptors", None)
    found = np.concatenate([piece.descriptors(["maccs"]) for piece in pieces])
    expected = compute_descriptors(whole.smiles, ["maccs"], progress=False)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_rows_of_a_view(small, tmp_path):
    dataset = small.dataset()
    count = len(small.smiles)
    each = torch.arange(count + 1)
    dataset._data.y_bound, dataset.slices["y_bound"] = torch.arange(2 * count).view(-1, 2).to(torch.int8) % 3, each
    dataset._data.graph_features, dataset.slices["graph_features"] = torch.arange(float(count))[:, None], each
    dataset.features = dataclasses.replace(dataset.features, extra_columns=("pH",), graph_channels=1)
    view = dataset[[5, 2, 9]]
    view.split_idx = {"train": torch.tensor([0, 1]), "test": torch.tensor([2])}
    rows = MoleculeRows(view, "x", tmp_path)
    assert rows.smiles == [small.smiles[place] for place in (5, 2, 9)]
    assert rows.extra().flatten().tolist() == [5.0, 2.0, 9.0]
    assert rows.bound.tolist() == [[10 % 3, 11 % 3], [4 % 3, 5 % 3], [18 % 3, 19 % 3]]
