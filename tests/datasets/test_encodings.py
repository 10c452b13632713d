import errno

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.utils import to_undirected

from pyg_samsa.datasets import encodings
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.cached_rows import RowFile
from pyg_samsa.datasets.encodings import add_encoding
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.prepared import Prepared, select_graphs
from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.laplacian_spectrum import laplacian_spectrum
from pyg_samsa.functional.node_encodings import laplacian_eigenvectors, return_probabilities
from pyg_samsa.task import Task


def random_graph(num_nodes, num_edges, seed):
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, max(num_nodes - 1, 1), (2, num_edges), generator=generator)
    return to_undirected(ends[:, ends[0] != ends[1]], num_nodes=num_nodes)


def dataset_of(sizes=(5, 1, 3, 8), seed=0):
    graphs = [
        Data(x=torch.randn(size, 2), edge_index=random_graph(size, 2 * size if size > 1 else 0, seed + size))
        for size in sizes
    ]
    dataset = InMemoryDataset()
    data, slices = dataset.collate(graphs)
    prepared = Prepared({key: data[key] for key in slices}, slices, {"train": torch.arange(len(sizes))})
    return SplitDataset(prepared, Task("regression", ["y"]), Features(2))


@pytest.mark.parametrize("kind", ["lap", "lap1", "rwse", "spectrum"])
def test_every_graph_and_every_batch_has_its_own(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "_CHUNK_NODES", 6)
    dataset = dataset_of()
    widened = add_encoding(dataset, kind, 4, folder=tmp_path, progress=False)
    compute = {
        "lap": laplacian_eigenvectors,
        "lap1": lambda *graph: laplacian_eigenvectors(*graph, skip=0),
        "rwse": return_probabilities,
        "spectrum": laplacian_spectrum,
    }[kind]
    expected = [torch.from_numpy(compute(data.edge_index.numpy(), data.num_nodes, 4)) for data in dataset]
    for data, pe in zip(widened, expected, strict=True):
        torch.testing.assert_close(data.pe, pe)
    batch = widened.make_batch([3, 0, 1])
    torch.testing.assert_close(batch.pe, torch.cat([expected[3], expected[0], expected[1]]))
    assert torch.equal(Batch.from_data_list([widened[3], widened[0], widened[1]]).pe, batch.pe)
    assert "pe" not in dataset[0]
    assert "pe" not in dataset.make_batch([0])


def test_a_set_of_one_graph(tmp_path):
    graph = Data(x=torch.ones(3, 1), edge_index=random_graph(3, 6, 0))
    dataset = InMemoryDataset()
    dataset._data, dataset.slices = dataset.collate([graph])
    pe = add_encoding(dataset, "rwse", 3, folder=tmp_path, progress=False)[0].pe
    np.testing.assert_allclose(pe, return_probabilities(graph.edge_index.numpy(), 3, 3))


def test_a_second_time_nothing_is_computed(tmp_path, monkeypatch):
    first = add_encoding(dataset_of(), "rwse", 4, folder=tmp_path, progress=False)

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(encodings, "_compute", refuse)
    again = add_encoding(dataset_of(), "rwse", 4, folder=tmp_path, progress=False)
    assert torch.equal(first._data.pe, again._data.pe)
    # Anything else is not found: another width, another kind, a part of the same data set.
    whole = dataset_of()
    prepared = Prepared({key: whole._data[key] for key in whole.slices}, whole.slices, {})
    part = SplitDataset(select_graphs(prepared, torch.tensor([0, 2])), Task("regression", ["y"]), Features(2))
    for dataset, kind, dim in ((whole, "rwse", 3), (whole, "lap", 4), (part, "rwse", 4)):
        with pytest.raises(AssertionError, match="computed again"):
            add_encoding(dataset, kind, dim, folder=tmp_path, progress=False)
    assert [path.name for path in (tmp_path / "encodings").glob("*.safetensors")] == [
        path.name for path in (tmp_path / "encodings").glob("rwse-4-*.safetensors")
    ]


def test_a_damaged_file_is_made_again(tmp_path, caplog):
    good = add_encoding(dataset_of(), "rwse", 4, folder=tmp_path, progress=False)
    (path,) = (tmp_path / "encodings").glob("*.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    again = add_encoding(dataset_of(), "rwse", 4, folder=tmp_path, progress=False)
    assert torch.equal(good._data.pe, again._data.pe)
    assert [line.startswith("The positional encodings are computed again: ") for line in caplog.messages] == [True]
    assert path.read_bytes() == content


@pytest.mark.parametrize(("kind", "version"), [("rwse", 1), ("lap", 2), ("spectrum", 2)])
def test_encodings_of_earlier_versions_are_made_again(kind, version, tmp_path):
    good = add_encoding(dataset_of(), kind, 4, folder=tmp_path, progress=False)
    (path,) = (tmp_path / "encodings").glob("*.safetensors")
    content = load_file(path)["values"]
    with safe_open(path, framework="numpy") as file:
        source, shape = file.metadata()["source"], content.shape
    assert RowFile(path, "", version, source, shape).read() is not None
    RowFile(path, "", version - 1, source, shape).write([np.zeros_like(content)])
    assert torch.equal(add_encoding(dataset_of(), kind, 4, folder=tmp_path, progress=False)._data.pe, good._data.pe)


@pytest.mark.parametrize("kind", ["lap", "rwse", "spectrum"])
def test_parts_are_those_of_the_whole(kind, tmp_path, monkeypatch):
    dataset = dataset_of((5, 1, 3, 8, 2, 2, 9))
    whole = add_encoding(dataset, kind, 4, folder=tmp_path / "whole", progress=False)._data.pe
    monkeypatch.setattr(encodings, "_PART_NODES", 8)
    monkeypatch.setattr(encodings, "_HASHED_EDGES", 5)
    parts = add_encoding(dataset, kind, 4, folder=tmp_path / "parts", progress=False)._data.pe
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-7)
    whole, parts = ([path.name for path in (tmp_path / name / "encodings").iterdir()] for name in ("whole", "parts"))
    assert sorted(parts) == sorted(whole)


def test_an_edge_that_leaves_its_graph_in_a_later_part(tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "_PART_NODES", 4)
    dataset = dataset_of((4, 3, 3))
    dataset._data.edge_index[0, -1] = 3
    with pytest.raises(ShapeError, match="edge_index: got 0 to 3, expected numbers of nodes of the same graph"):
        add_encoding(dataset, "rwse", 2, folder=tmp_path, progress=False)
    dataset._data.edge_index[:] = torch.tensor([[7], [9]])
    with pytest.raises(ShapeError, match="edge_index: got 7 to 9"):
        add_encoding(dataset, "rwse", 2, folder=tmp_path, progress=False)


def test_wide_encodings_have_parts_of_fewer_nodes(tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "_PART_VALUES", 40)
    parts = []
    plain = encodings.cached_rows

    def watched(file, given, *args, **options):
        parts.append([part.rows for part in given])
        return plain(file, given, *args, **options)

    monkeypatch.setattr(encodings, "cached_rows", watched)
    for dim in (4, 10):
        add_encoding(dataset_of((5, 1, 3, 8)), "rwse", dim, folder=tmp_path, progress=False)
    assert parts == [[9, 8], [5, 4, 8]]


def test_other_errors_of_the_system_are_not_called_those_of_the_folder(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(encodings, "cached_rows", refuse)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        add_encoding(dataset_of(), "rwse", 2, folder=tmp_path, progress=False)


def test_both_kinds_side_by_side(tmp_path):
    dataset = dataset_of()
    lap, rwse = (add_encoding(dataset, kind, 3, folder=tmp_path, progress=False)._data.pe for kind in ("lap", "rwse"))
    both = add_encoding(dataset, "lap+rwse", 3, folder=tmp_path, progress=False)
    assert torch.equal(both._data.pe, torch.cat([lap, rwse], 1))
    assert add_encoding(dataset, "lap+rwse", 3, 5, folder=tmp_path, progress=False)[0].pe.shape == (5, 8)


def test_what_cannot_be_encoded_is_named(tmp_path):
    dataset = dataset_of()
    with pytest.raises(ConfigError, match=r"pe\.steps: got 5, expected nothing, because pe\.kind is 'lap'"):
        add_encoding(dataset, "lap", 4, 5, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"pe.kind"):
        add_encoding(dataset, "signnet", 4, folder=tmp_path)
    with pytest.raises(ConfigError, match="memory"):
        add_encoding([dataset[0]], "lap", 4, folder=tmp_path)
    with pytest.raises(ConfigError, match="no edges"):
        add_encoding(dataset_of((1, 1)), "lap", 4, folder=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"dataset.dir"):
        add_encoding(dataset, "lap", 4, folder=tmp_path / "file", progress=False)
    dataset._data.edge_index[0, 0] = 5
    with pytest.raises(ShapeError, match="edge_index"):
        add_encoding(dataset, "lap", 4, folder=tmp_path)


def test_spectra_of_different_forms_are_kept_apart(tmp_path):
    dataset = dataset_of()
    forms = [{}, {"laplacian": "none"}, {"vector_norm": "l1"}, {"laplacian": "sym", "vector_norm": "l2"}]
    found = [add_encoding(dataset, "spectrum", 3, folder=tmp_path, progress=False, **form)[3].pe for form in forms]
    edges = dataset[3].edge_index.numpy()
    for pe, form in zip(found, forms, strict=True):
        torch.testing.assert_close(pe, torch.from_numpy(laplacian_spectrum(edges, 8, 3, **form)))
    assert len(list((tmp_path / "encodings").glob("*.safetensors"))) == 3
    both = add_encoding(dataset, "spectrum+rwse", 3, 2, laplacian="none", folder=tmp_path, progress=False)[3].pe
    assert torch.equal(both[:, :6], found[1])
    torch.testing.assert_close(both[:, 6:], torch.from_numpy(return_probabilities(edges, 8, 2)))
    for key in ("laplacian", "vector_norm"):
        with pytest.raises(ConfigError, match=f"pe.{key}"):
            add_encoding(dataset, "lap", 3, folder=tmp_path, **{key: {"laplacian": "sym", "vector_norm": "l2"}[key]})
