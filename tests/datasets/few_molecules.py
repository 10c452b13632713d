"""Five molecules as a prepared data set."""

import torch

from pyg_samsa.chem import convert_smiles, smiles_to_data
from pyg_samsa.datasets.prepared import molecules_to_prepared
from pyg_samsa.task import Task

SMILES = ["CC(=O)[O-].[Na+]", "C", "c1ccccc1O", "F/C=C/F", "[Fe]"]
TASK = Task("multilabel", ["a", "b"])


def prepare(smiles=SMILES):
    count = len(smiles)
    y = torch.arange(2.0 * count).view(count, 2)
    y[0, 0] = float("nan")
    splits = {"train": torch.arange(0, count, 2), "val": torch.arange(1, count, 2)}
    return molecules_to_prepared(convert_smiles(smiles, progress=False), splits, y=y, smiles=list(smiles))


def check(dataset, smiles=SMILES):
    assert len(dataset) == len(smiles)
    for position, text in enumerate(smiles):
        expected, found = smiles_to_data(text), dataset[position]
        for key in ("x", "edge_index", "edge_attr"):
            assert torch.equal(found[key], expected[key])
            assert found[key].dtype == torch.long
        assert found.smiles == text
        assert tuple(found.y.shape) == (1, 2)
        assert found.y[0, 1] == 2 * position + 1
