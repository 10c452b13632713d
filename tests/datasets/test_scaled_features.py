import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.prepared import Prepared
from pyg_samsa.datasets.scaled_features import add_feature_scale
from pyg_samsa.errors import ConfigError
from pyg_samsa.task import Task

TRAIN = [0, 2]
FLOATS = Features(3, edge_channels=2)


def dataset_of(features=FLOATS):
    graphs = []
    for size in (4, 3, 6, 2):
        generator = torch.Generator().manual_seed(size)
        x = 500 + 100 * torch.randn(size, 3, generator=generator)
        x[:, 1] = 7
        edge_index = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
        graphs.append(Data(x=x, edge_index=edge_index, edge_attr=torch.rand(size - 1, 2, generator=generator)))
    data, slices = InMemoryDataset.collate(graphs)
    split = {"train": torch.tensor(TRAIN), "val": torch.tensor([1]), "test": torch.tensor([3])}
    prepared = Prepared({key: data[key] for key in slices}, slices, split)
    return SplitDataset(prepared, Task("regression", ["y"]), features)


def test_training_rows_are_standardised_and_others_by_their_scale():
    dataset = dataset_of()
    scaled = add_feature_scale(dataset, True)
    for name in ("x", "edge_attr"):
        seen = torch.cat([dataset[row][name] for row in TRAIN]).double()
        mean, std = seen.mean(0), seen.std(0, correction=0)
        std[std == 0] = 1
        for before, after in zip(dataset, scaled, strict=True):
            torch.testing.assert_close(after[name], ((before[name].double() - mean) / std).float())
    found = torch.cat([scaled[row].x for row in TRAIN])
    torch.testing.assert_close(found.std(0, correction=0), torch.tensor([1.0, 0.0, 1.0]))
    assert scaled.make_batch([3, 1]).x.equal(torch.cat([scaled[3].x, scaled[1].x]))


def test_the_data_set_itself_stays_as_it_is():
    dataset = dataset_of()
    before = dataset[0].x.clone()
    add_feature_scale(dataset, True)
    assert dataset[0].x.equal(before)
    assert add_feature_scale(dataset, False) is dataset


def test_categories_stay_as_they_are():
    dataset = dataset_of(Features([9, 9, 9], edge_channels=2))
    scaled = add_feature_scale(dataset, True)
    assert scaled[2].x.equal(dataset[2].x)
    assert not scaled[2].edge_attr.equal(dataset[2].edge_attr)


@pytest.mark.parametrize(
    ("features", "reason"),
    [(Features([4], edge_channels=[3]), "are categories"), (Features(3, num_dims=3), "scaled as a whole")],
)
def test_what_cannot_be_scaled_is_refused(features, reason):
    with pytest.raises(ConfigError, match=rf"dataset\.scale_features: got True, expected False: .*{reason}"):
        add_feature_scale(dataset_of(features), True)
