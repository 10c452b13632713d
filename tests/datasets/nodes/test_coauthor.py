import numpy as np
import pytest
import torch
from torch_geometric.datasets import Amazon, Coauthor

from pyg_samsa.datasets import catalog
from pyg_samsa.datasets.nodes import coauthor
from pyg_samsa.datasets.nodes.coauthor import SETS, CoauthorAmazon
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError

NODES, CHANNELS, CLASSES = 20, 6, 4


def sparse(dense):
    """The arrays of a matrix in rows of any length."""
    parts = {
        "data": dense[dense != 0],
        "indices": np.nonzero(dense)[1].astype(np.int32),
        "shape": np.array(dense.shape),
    }
    return parts | {"indptr": np.concatenate([[0], (dense != 0).sum(1).cumsum()]).astype(np.int32)}


def arrays():
    rng = np.random.default_rng(0)
    found = {"labels": (np.arange(NODES) % CLASSES).astype(np.int8), "attr_names": np.array([None, 1], dtype=object)}
    adjacency, features = (rng.random((NODES, NODES)) < 0.1) * 1.0, (rng.random((NODES, CHANNELS)) < 0.5) * 2.5
    adjacency[3, 3] = 1
    for kind, dense in (("adj", adjacency), ("attr", features)):
        found |= {f"{kind}_{part}": value for part, value in sparse(dense.astype(np.float32)).items()}
    return found


def num_edges():
    found = arrays()
    rows = np.repeat(np.arange(NODES), np.diff(found["adj_indptr"]))
    pairs = {(a, b) for a, b in zip(rows.tolist(), found["adj_indices"].tolist(), strict=True) if a != b}
    return len(pairs | {(b, a) for a, b in pairs})


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, about in SETS.items():
        changed = about._replace(nodes=NODES, edges=num_edges(), channels=CHANNELS, classes=CLASSES)
        monkeypatch.setitem(SETS, name, changed)


def write(root, name, **changes):
    path = root / SETS[name].format / SETS[name].name / "raw" / SETS[name].file
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: value for key, value in {**arrays(), **changes}.items() if value is not None})
    return path


def load(root, name, **options):
    return CoauthorAmazon(root, name, progress=False, **({"download": False} | options))


@pytest.mark.parametrize("name", SETS)
def test_it_is_what_pyg_reads(name, tmp_path):
    write(tmp_path, name)
    dataset = load(tmp_path, name, fractions=[0.6, 0.2, 0.2])
    make = Coauthor if SETS[name].format == "Coauthor" else Amazon
    theirs = make(str(tmp_path / SETS[name].format), SETS[name].name)[0]
    assert torch.equal(dataset[0].x, theirs.x)
    assert torch.equal(dataset[0].edge_index, theirs.edge_index)
    assert torch.equal(torch.stack([row.y for row in dataset]).max(0).values, theirs.y)
    assert dataset.node_sizes == {"train": 12, "val": 4, "test": 4}
    assert dataset.task.num_targets == CLASSES
    short = SETS[name].name.lower()
    assert catalog.canonical(f"PyG-{SETS[name].format}", short) == name
    assert catalog.is_transductive(f"PyG-{SETS[name].format}", short)


def test_there_is_no_split_of_its_own(tmp_path):
    write(tmp_path, "amazon-photo")
    with pytest.raises(ConfigError, match="node_split: got 'own', expected 'random'"):
        load(tmp_path, "amazon-photo", node_split="own")
    first, second = (load(tmp_path, "amazon-photo", seed=seed) for seed in (0, 1))
    assert not torch.equal(first.masks, second.masks)


def test_download(tmp_path, served, monkeypatch):
    folder, url = served
    write(tmp_path / "made", "coauthor-cs").rename(folder / "ms_academic_cs.npz")
    monkeypatch.setattr(coauthor, "pitfalls_file", lambda name: RemoteFile(name, f"{url}/{name}", None))
    assert load(tmp_path / "root", "coauthor-cs", download=True)[0].num_nodes == NODES


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": None},
        {"labels": np.zeros(NODES)},
        {"labels": np.arange(3) % CLASSES},
        {"adj_indptr": np.zeros(NODES + 1, dtype=np.int32)},
        {"adj_indptr": arrays()["adj_indptr"][::-1]},
        {"adj_indices": arrays()["adj_indices"] + NODES},
        {"adj_indices": arrays()["adj_indices"] - 1},
        {"attr_indices": arrays()["attr_indices"] * 7},
        {"attr_shape": np.array([NODES, CHANNELS + 1])},
        {"attr_shape": np.array([10**15, 10])},
        {"attr_data": np.ones(2)},
        {"attr_data": -arrays()["attr_data"]},
        {f"adj_{part}": value for part, value in sparse(np.eye(NODES, k=1)).items()},
    ],
)
def test_other_arrays_are_refused(changes, tmp_path):
    path = write(tmp_path, "amazon-photo", **changes)
    with pytest.raises(DataIntegrityError, match=path.name):
        load(tmp_path, "amazon-photo")


def test_nothing_there_and_no_such_set(tmp_path):
    (tmp_path / "Amazon/Photo/raw").mkdir(parents=True)
    with pytest.raises(DataNotFoundError, match="amazon_electronics_photo"):
        load(tmp_path, "amazon-photo")
    (tmp_path / "Amazon/Photo/raw/amazon_electronics_photo.npz").write_bytes(b"no archive")
    with pytest.raises(DataIntegrityError, match="amazon_electronics_photo"):
        load(tmp_path, "amazon-photo")
    with pytest.raises(ConfigError, match="coauthor-cs"):
        load(tmp_path, "coauthor")
