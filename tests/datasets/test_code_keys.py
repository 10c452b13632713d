"""Keys of codes that are computed once are those that the network computes for every batch."""

import pytest
import torch

from pyg_samsa.chem import convert_smiles
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.code_keys import add_code_keys
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.prepared import molecules_to_prepared
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.data_module import SplitData

SMILES = ["CCO", "c1ccccc1C(C)C", "C", "CC(C)(C)C", "O=C(O)c1ccccc1", "[Na+].[Cl-]", "C1CC1CCN"]
SPLITS = {"train": torch.tensor([0, 2]), "val": torch.tensor([4, 1]), "test": torch.tensor([3, 6, 5])}


def molecules(splits=SPLITS):
    prepared = molecules_to_prepared(convert_smiles(SMILES, progress=False), splits, y=torch.zeros(len(SMILES), 1))
    return SplitDataset(prepared, Task("regression", ["y"]), MOLECULES)


@pytest.mark.parametrize("edge_features", [True, False])
@pytest.mark.parametrize("kind", ["structural", "distinct"])
def test_predictions_are_the_same(kind, edge_features):
    torch.manual_seed(0)
    edges = {"edge_channels": MOLECULES.edge_channels} if edge_features else {}
    model = SAMSA.from_options(MOLECULES.in_channels, 1, channels=16, num_layers=1, heads=2, eval_codes=kind, **edges)
    torch.nn.init.ones_(model.encoder.alpha)
    network, plain = BatchNetwork(model).eval(), molecules()
    widened = add_code_keys(plain, kind, edge_features=edge_features)
    for split in ("val", "test"):
        loaders = [SplitData(dataset, dataset.split_idx, batch_size=4).loader(split) for dataset in (plain, widened)]
        (expected,), (batch,) = loaders
        if not edge_features:
            del expected.edge_attr, batch.edge_attr
            expected.edge_attr = batch.edge_attr = None
        assert torch.equal(network(batch)[0], network(expected)[0])
        assert "code_keys" in network.arguments(batch)[1]
        batch.code_keys += 1
        assert not torch.equal(network(batch)[0], network(expected)[0])


def test_rows_that_are_trained_on_have_none():
    dataset = add_code_keys(molecules(), "structural", edge_features=True)
    assert not dataset[0].code_keys.any()
    assert dataset[5].code_keys.all()
    assert "code_keys" not in molecules()[0]


def test_without_evaluation_nothing_is_computed():
    dataset = molecules({"train": torch.arange(7)})
    assert add_code_keys(dataset, "structural", edge_features=True) is dataset
    assert add_code_keys([1, 2], "structural", edge_features=True) == [1, 2]
