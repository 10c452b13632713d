import errno

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from pyg_samsa.chem import compute_descriptors, convert_smiles
from pyg_samsa.datasets import add_descriptors, molecule_descriptors, prepared
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.molecule_descriptors import cached_descriptors
from pyg_samsa.datasets.prepared import molecules_to_prepared
from pyg_samsa.errors import ConfigError, SmilesError
from pyg_samsa.task import Task

SMILES = ["CCO", "[Na+].[Cl-]", "C", "c1ccccc1O", "CC(=O)N"]


def dataset_of(smiles=tuple(SMILES), **per_graph):
    smiles = list(smiles)
    table = convert_smiles(smiles, progress=False)
    texts = {"smiles": smiles} if per_graph.pop("with_smiles", True) else {}
    splits = {"train": torch.tensor([0, 2]), "test": torch.tensor([1])} if len(smiles) > 2 else {}
    prepared = molecules_to_prepared(table, splits, y=torch.zeros(len(smiles), 1), **texts, **per_graph)
    return SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES)


def test_every_graph_and_every_batch_has_its_own(tmp_path):
    dataset = dataset_of()
    names = ["rdkit2d", "maccs"]
    widened = add_descriptors(dataset, names, folder=tmp_path, progress=False)
    expected = torch.from_numpy(compute_descriptors(SMILES, names, progress=False))
    found = torch.cat([data.graph_features for data in widened])
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    batch = widened.make_batch([3, 1])
    torch.testing.assert_close(batch.graph_features, expected[[3, 1]], rtol=0, atol=0, equal_nan=True)
    collated = Batch.from_data_list([widened[3], widened[1]])
    torch.testing.assert_close(collated.graph_features, batch.graph_features, equal_nan=True)
    torch.testing.assert_close(widened.graph_features, expected, equal_nan=True)
    assert (widened.features.descriptors, widened.features.graph_channels) == (tuple(names), expected.size(1))
    assert "graph_features" not in dataset[0]
    assert (dataset.graph_features, dataset.features.graph_channels) == (None, 0)


def test_columns_that_are_there_stay_at_the_end(tmp_path):
    extra = torch.arange(5.0)[:, None]
    widened = add_descriptors(dataset_of(graph_features=extra), ["maccs"], folder=tmp_path, progress=False)
    assert widened._data.graph_features.shape == (5, 168)
    assert torch.equal(widened._data.graph_features[:, -1:], extra)


def test_a_set_of_one_molecule(tmp_path):
    widened = add_descriptors(dataset_of(["CCO"]), ["maccs"], folder=tmp_path, progress=False)
    assert widened[0].graph_features.shape == (1, 167)


@pytest.mark.parametrize("name", ["rdkit2d", "morgan_count"])
def test_a_second_time_nothing_is_computed(tmp_path, monkeypatch, name):
    first = add_descriptors(dataset_of(), [name], folder=tmp_path, progress=False)._data.graph_features

    def refuse(*_, **__):
        raise AssertionError

    monkeypatch.setattr(molecule_descriptors, "compute_descriptors", refuse)
    again = add_descriptors(dataset_of(), [name], folder=tmp_path, progress=False)._data.graph_features
    np.testing.assert_array_equal(again.numpy(), first.numpy())
    assert again.dtype == torch.float32
    with pytest.raises(AssertionError):
        add_descriptors(dataset_of(SMILES[::-1]), [name], folder=tmp_path, progress=False)


def test_a_damaged_file_is_computed_again(tmp_path, caplog):
    first = add_descriptors(dataset_of(), ["maccs"], folder=tmp_path, progress=False)
    (path,) = (tmp_path / "descriptors").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    again = add_descriptors(dataset_of(), ["maccs"], folder=tmp_path, progress=False)
    assert "computed again" in caplog.text
    assert torch.equal(again._data.graph_features, first._data.graph_features)


@pytest.mark.parametrize("names", [["morgan_count"], ["rdkit2d"], ["maccs", "rdkit2d"]])
def test_many_molecules_are_computed_in_parts_and_mapped(names, tmp_path, monkeypatch):
    extra = torch.arange(5.0)[:, None]
    whole = add_descriptors(dataset_of(graph_features=extra), names, folder=tmp_path / "whole", progress=False)
    monkeypatch.setattr(molecule_descriptors, "_PART_ROWS", 2)
    monkeypatch.setattr(prepared, "_MAPPED_BYTES", 1)
    parts = add_descriptors(dataset_of(graph_features=extra), names, folder=tmp_path / "parts", progress=False)
    assert parts.graph_features.dtype == torch.float32
    torch.testing.assert_close(parts.graph_features, whole.graph_features, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(parts[3].graph_features, whole[3].graph_features, rtol=0, atol=0, equal_nan=True)
    left = [path.name.partition("-")[0] for path in (tmp_path / "parts" / "descriptors").glob("*.safetensors")]
    assert sorted(left) == sorted([*names, "joined"])
    assert not list((tmp_path / "parts" / "descriptors").glob("*-parts"))


def test_a_computation_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(molecule_descriptors, "_PART_ROWS", 2)
    whole = cached_descriptors("maccs", SMILES, tmp_path / "whole", progress=False)
    compute, calls = molecule_descriptors.compute_descriptors, []

    def stopped(smiles, names, **others):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(smiles)
        return compute(smiles, names, **others)

    monkeypatch.setattr(molecule_descriptors, "compute_descriptors", stopped)
    with pytest.raises(KeyboardInterrupt):
        cached_descriptors("maccs", SMILES, tmp_path, progress=False)
    (first, second) = sorted((tmp_path / "descriptors").glob("*-parts/*.safetensors"))
    second.write_bytes(first.read_bytes())  # damaged: numbers of other molecules
    calls.clear()
    monkeypatch.setattr(
        molecule_descriptors, "compute_descriptors", lambda *a, **b: calls.append(a[0]) or compute(*a, **b)
    )
    found = cached_descriptors("maccs", SMILES, tmp_path, progress=False)
    assert calls == [SMILES[2:4], SMILES[4:]]
    assert torch.equal(found, whole)
    assert not list((tmp_path / "descriptors").glob("*-parts"))


def test_a_molecule_that_cannot_be_read_is_named_by_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(molecule_descriptors, "_PART_ROWS", 2)
    with pytest.raises(SmilesError, match=r"row 4: .*'C\('") as caught:
        cached_descriptors("maccs", ["C", "CC", "CCC", "C("], tmp_path, progress=False)
    assert caught.value.row == 4
    assert not list((tmp_path / "descriptors").glob("*-parts"))


def test_wide_descriptors_have_parts_of_fewer_molecules(tmp_path, monkeypatch):
    monkeypatch.setattr(molecule_descriptors, "_PART_VALUES", 2 * 167)
    calls, compute = [], molecule_descriptors.compute_descriptors

    def watched(smiles, names, **options):
        calls.append(len(smiles))
        return compute(smiles, names, **options)

    monkeypatch.setattr(molecule_descriptors, "compute_descriptors", watched)
    cached_descriptors("maccs", SMILES, tmp_path, progress=False)
    assert calls == [2, 2, 1]


def test_other_errors_of_the_system_are_not_called_those_of_the_folder(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(molecule_descriptors, "cached_rows", refuse)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        add_descriptors(dataset_of(), ["maccs"], folder=tmp_path, progress=False)


def test_no_molecules(tmp_path):
    assert cached_descriptors("maccs", [], tmp_path, progress=False).shape == (0, 167)


def test_wrong_arguments(tmp_path):
    dataset = dataset_of()
    assert add_descriptors(dataset, [], folder=tmp_path) is dataset
    with pytest.raises(ConfigError, match=r"dataset.descriptors: got 'macs'") as caught:
        add_descriptors(dataset, ["macs"], folder=tmp_path)
    assert "maccs" in caught.value.hint
    with pytest.raises(
        ConfigError, match=r"dataset.descriptors: .* none for SplitDataset, whose graphs have no SMILES"
    ):
        add_descriptors(dataset_of(with_smiles=False), ["maccs"], folder=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"dataset.dir"):
        add_descriptors(dataset, ["maccs"], folder=tmp_path / "file", progress=False)
