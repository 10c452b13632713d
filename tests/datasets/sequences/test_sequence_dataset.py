import pytest
import torch
from torch_geometric.loader import DataLoader

from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.prepared import load_prepared, save_prepared
from pyg_samsa.datasets.sequences.sequence_dataset import (
    SequenceDataset,
    pack_sequences,
    require_files,
)
from pyg_samsa.datasets.splits import consecutive_splits
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task

TASK = Task("multiclass", ["a", "b", "c"])
SEQUENCES = [[3, 255, 0], [], [7], [1, 2]]


def make(sequences=SEQUENCES):
    return pack_sequences(
        sequences, [number % 3 for number in range(len(sequences))], consecutive_splits([len(sequences) - 2, 1, 1])
    )


@pytest.mark.parametrize(
    "sequences", [SEQUENCES, [bytes(text) for text in SEQUENCES], [torch.tensor(text).numpy() for text in SEQUENCES]]
)
def test_items_are_path_graphs(tmp_path, sequences):
    save_prepared(make(sequences), tmp_path / "set.pt")
    dataset = SequenceDataset(load_prepared(tmp_path / "set.pt"), TASK, Features([256]))
    assert dataset._data.x.dtype == torch.uint8  # a byte a symbol
    for number, symbols in enumerate(SEQUENCES):
        for _ in range(2):  # the second time from PyG's own cache
            data = dataset[number]
            assert data.x.dtype == data.edge_index.dtype == data.y.dtype == torch.long
            assert data.x[:, 0].tolist() == symbols
            assert data.edge_index.tolist() == [list(range(len(symbols) - 1)), list(range(1, len(symbols)))]
            assert data.y.tolist() == [number % 3]


def test_lengths_are_known_without_taking_the_sequences_out():
    dataset = SequenceDataset(make(), TASK, Features([256]))
    assert dataset.count_tokens(edges=False).tolist() == [3, 0, 1, 2]
    assert dataset[torch.tensor([3, 0])].count_tokens(edges=False).tolist() == [2, 3]


def test_one_sequence_alone():
    dataset = SequenceDataset(pack_sequences([[1, 2]], [2], {"train": torch.tensor([0])}), TASK, Features([256]))
    assert dataset[0].x.tolist() == [[1], [2]]
    assert dataset[0].y.tolist() == [2]


def test_batches_fit_the_network():
    dataset = SequenceDataset(make(), TASK, Features([256]))
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    model = SAMSA.from_options(
        dataset.features.in_channels,
        dataset.task.num_targets,
        channels=8,
        num_layers=1,
        heads=2,
        num_samples=4,
        bridge=False,
    )
    assert tuple(model(batch.x, batch.edge_index, batch=batch.batch, batch_size=batch.num_graphs).shape) == (4, 3)
    loss = torch.nn.functional.cross_entropy(model(batch.x, batch=batch.batch, batch_size=4), batch.y)
    assert loss.isfinite()


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"set: a\.txt, b are not in ") as caught:
        require_files("set", tmp_path, ["a.txt", "b"], "release.tar.gz")
    for words in ("release.tar.gz", "data import set --files", "dataset.folder"):
        assert words in caught.value.hint
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataIntegrityError, match=r"a\.txt.*empty"):
        require_files("set", tmp_path, ["a.txt"], "release.tar.gz")
