import pytest
import torch
from torch_geometric.loader import DataLoader

from pyg_samsa.datasets.sequences import aan
from pyg_samsa.datasets.sequences.aan import FILES, AANRetrieval
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.positions import sequence_positions
from pyg_samsa.functional.tower_batch import tower_batch
from pyg_samsa.nn import SAMSA

ROWS = {"train": 6, "val": 2, "test": 3}
DOCUMENTS = [b"a", b'one "quoted, text', "caf\u00e9 au lait".encode(), b"x" * 40]


@pytest.fixture
def official(tmp_path, monkeypatch):
    monkeypatch.setattr(aan, "ROWS", ROWS)
    pairs, number = [], 0
    for split, count in ROWS.items():
        lines = []
        for _ in range(count):
            first, second = DOCUMENTS[number % 4], DOCUMENTS[(number * number + 1) % 4]
            pairs.append((number % 2, first, second))
            label = [b"0.0", b"1.0", b"0", b"1"][number % 2 + 2 * (number % 4 // 2)]
            lines.append(b"\t".join([label, b"P00-1", b"P00-2", first, second]) + b"\n")
            number += 1
        (tmp_path / FILES[split]).write_bytes(b"".join(lines))
    return tmp_path, pairs


def read(official, **options):
    return AANRetrieval(official[0] / "root", folder=official[0], progress=False, **options)


@pytest.mark.parametrize("max_length", [5, 4000])
def test_official_files(official, max_length):
    dataset = read(official, max_length=max_length)
    assert len(dataset) == 11
    assert {split: index.tolist() for split, index in dataset.split_idx.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "val": [6, 7],
        "test": [8, 9, 10],
    }
    assert (
        dataset.task.kind,
        dataset.task.num_targets,
        dataset.features.in_channels,
        dataset.features.edge_channels,
    ) == (
        "multiclass",
        2,
        [256],
        None,
    )
    for number, (label, first, second) in enumerate(official[1]):
        for _ in range(2):
            data = dataset[number]
            documents = [bytes(data.x[data.document == side, 0].tolist()) for side in (0, 1)]
            assert documents == [first[:max_length], second[:max_length]]
            assert data.y.tolist() == [label]
            assert (data.document.diff() >= 0).all()
            steps = [(place, place + 1) for place in range(data.num_nodes - 1) if place + 1 != len(documents[0])]
            assert [tuple(edge) for edge in data.edge_index.t().tolist()] == steps
            assert "pair" not in data
    assert dataset.count_tokens(edges=False).tolist() == [data.num_nodes for data in dataset]
    assert dataset[torch.tensor([3])].count_tokens(edges=False).tolist() == [dataset[3].num_nodes]


def test_documents_are_stored_once(official):
    assert len(read(official)._texts) == sum(map(len, DOCUMENTS))


def test_batches_of_pairs_are_batches_of_documents(official):
    dataset = read(official)
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    documents = tower_batch(batch.batch, batch.document)
    assert torch.equal(documents, documents.sort().values)
    lengths = [len(document) for _, *pair in official[1][:4] for document in pair]
    assert documents.bincount(minlength=8).tolist() == lengths
    assert sequence_positions(RaggedIndex.from_batch(documents, 8)).tolist() == [
        place for length in lengths for place in range(length)
    ]
    model = SAMSA.from_options(
        dataset.features.in_channels, 5, channels=8, num_layers=1, heads=2, num_samples=4, bridge=False
    ).eval()
    vectors = model(batch.x, batch=documents, batch_size=8).view(4, 10)
    alone = dataset[2]
    expected = model(alone.x, batch=alone.document, batch_size=2).view(10)
    assert torch.allclose(vectors[2], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda content: b"", "empty"),
        (lambda content: content[: content.rindex(b"\t")], "4 columns"),
        (lambda content: content[: content.index(b"\n") + 1], "2 rows"),
        (lambda content: content + content, "2 rows"),
        (lambda content: b"2" + content[1:], "label"),
        (lambda content: content.replace(b"\tP00-2", b"", 1), "4 columns"),
        (lambda content: content[: content.rindex(b"\t") + 1] + b"\n", "empty"),
    ],
)
def test_damaged_files_are_named(official, damage, match):
    path = official[0] / FILES["val"]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataIntegrityError, match=r"new_aan_pairs\.eval\.tsv.*(" + match + ")"):
        read(official)
    assert not list((official[0] / "root" / "aan").glob("*.pt"))


def test_missing_files_are_named(official):
    (official[0] / FILES["test"]).unlink()
    with pytest.raises(DataNotFoundError, match=r"new_aan_pairs\.test\.tsv"):
        read(official)


def test_prepared_once(official, monkeypatch):
    first = read(official)
    monkeypatch.setattr(aan, "_read", None)
    assert torch.equal(read(official)[5].x, first[5].x)
