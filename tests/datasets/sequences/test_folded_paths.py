import numpy as np
import pytest
import torch

from pyg_samsa.datasets import FoldedPaths
from pyg_samsa.datasets.sequences.folded_paths import contacts, fold_path, prepared_path
from pyg_samsa.errors import ConfigError

SIZE = {"num_train": 20, "num_val": 5, "num_test": 4, "progress": False}
HEADINGS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])


def walked(turns):
    """The places of a path that follows the turns of its nodes."""
    heading, places = 0, [np.zeros(2, dtype=int)]
    for turn in [1, *turns[1:-1]]:
        heading = (heading + {1: 0, 2: 1, 3: -1}[turn]) % 4
        places.append(places[-1] + HEADINGS[heading])
    return np.array(places)


def test_a_path_follows_its_turns_and_visits_no_place_twice():
    rng = np.random.default_rng(0)
    for length in (2, 3, 12, 40):
        fold = fold_path(length, rng)
        assert len(fold.turns) == length
        assert fold.turns[0] == fold.turns[-1] == 0
        assert np.array_equal(walked(fold.turns.tolist()), fold.places)
        assert len(np.unique(fold.places, axis=0)) == length


def test_contacts_are_near_on_the_grid_and_far_along_the_path():
    places = fold_path(40, np.random.default_rng(1)).places
    expected = {
        (i, j) for i in range(40) for j in range(40) if abs(i - j) >= 5 and np.abs(places[i] - places[j]).sum() == 1
    }
    assert expected
    assert set(map(tuple, contacts(places).T.tolist())) == expected


def test_every_graph_is_a_path_whose_turns_decide_its_contacts(tmp_path):
    dataset = FoldedPaths(tmp_path, **SIZE)
    assert {split: len(rows) for split, rows in dataset.split_idx.items()} == {"train": 20, "val": 5, "test": 4}
    assert (dataset.task.kind, dataset.task.level, dataset.features.in_channels) == ("binary", "link", [4])
    sizes = set()
    for data in dataset:
        turns = data.x.flatten().tolist()
        sizes.add(len(turns))
        assert torch.equal(data.edge_label_index, torch.from_numpy(contacts(walked(turns))))
        assert torch.equal(data.edge_label, torch.ones(data.edge_label_index.size(1), dtype=torch.long))
        assert data.edge_label.numel()
        steps = torch.arange(len(turns) - 1)
        assert torch.equal(data.edge_attr.flatten(), (data.edge_index[0] > data.edge_index[1]).long())
        assert torch.equal(data.edge_index, torch.stack([torch.cat([steps, steps + 1]), torch.cat([steps + 1, steps])]))
    assert min(sizes) >= 12
    assert max(sizes) <= 24


def test_seeds_and_sizes(tmp_path):
    one, again, other = (FoldedPaths(tmp_path / str(n), **SIZE, seed=seed) for n, seed in enumerate([0, 0, 1]))
    assert torch.equal(one[0].x, again[0].x)
    assert not torch.equal(one._data.x, other._data.x)
    assert len(FoldedPaths(tmp_path, **{**SIZE, "num_val": 0}).split_idx["val"]) == 0
    assert max(data.num_nodes for data in FoldedPaths(tmp_path, **SIZE, longest=60)) > 24


@pytest.mark.parametrize("option", ["longest", "num_train", "num_val", "seed"])
def test_what_is_out_of_range_is_named(tmp_path, option):
    with pytest.raises(ConfigError, match=option):
        FoldedPaths(tmp_path, **{**SIZE, option: -1})
    assert not list(tmp_path.iterdir())
    assert len({prepared_path("d"), prepared_path("d", **{option: 9})}) == 2
