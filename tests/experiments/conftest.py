"""A few molecules, with their numbers of carbons and oxygens, as models on descriptors and predictors read them."""

from types import SimpleNamespace

import pytest
import torch

from pyg_samsa import metrics
from pyg_samsa.chem import convert_smiles
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.prepared import molecules_to_prepared
from pyg_samsa.experiments.candidates import fit_models
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import BoostingOptions, GaussianProcessOptions, descriptor_models
from pyg_samsa.predict.predictor_options import PredictorOptions
from pyg_samsa.task import Task
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder

SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
TASK = Task("regression", ["carbons", "oxygens"])
BOOSTING = BoostingOptions("lightgbm", trees=30, leaves=4, min_leaf=3)
MAE = {"mae": metrics.build("mae", 2)}


def dataset(splits=("train", "val", "test")):
    table = convert_smiles(SMILES, workers=1, progress=False)
    y = torch.tensor([[text.upper().count("C"), text.count("O")] for text in SMILES]).float()
    rows = {"train": torch.arange(0, 40), "val": torch.tensor([47, 40, 42, 44]), "test": torch.tensor([41, 43, 45, 46])}
    prepared = molecules_to_prepared(table, {split: rows[split] for split in splits}, y=y, smiles=SMILES)
    return SplitDataset(prepared, TASK, MOLECULES)


def fit(rows, *tree_inputs, refit=True, gp_inputs=()):
    """Fit models on descriptors to the training rows."""
    options = PredictorOptions(tree_inputs=tree_inputs, gp_inputs=gp_inputs)
    models = descriptor_models(rows.task, options, BOOSTING, GaussianProcessOptions())
    return fit_models(rows, models, refit=refit)


def save_network(folder, seed=0):
    torch.manual_seed(seed)
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}
    network = SAMSA.from_options(MOLECULES.in_channels, 2, edge_channels=MOLECULES.edge_channels, **sizes)
    return save_pretrained(network, folder, task=TASK)


def result(model, seconds=3.0):
    """The result of a run whose folder holds the saved network."""
    folder = RunFolder(model.parent)
    return RunResult(folder, 0, 1, val={}, test={}, parameters=1, epochs=1, seconds=seconds)


@pytest.fixture(scope="session")
def small():
    """The molecules, and functions that fit models to them and save networks for them."""
    made = {"smiles": SMILES, "task": TASK, "boosting": BOOSTING, "mae": MAE}
    return SimpleNamespace(**made, dataset=dataset, fit=fit, save_network=save_network, result=result)


@pytest.fixture(scope="module")
def rows():
    return MoleculeRows(dataset(), "mine")


@pytest.fixture(scope="module")
def trees(rows):
    pytest.importorskip("lightgbm")
    return fit(rows, "maccs", "maccs+rdkit2d", refit=False)


@pytest.fixture
def model(tmp_path):
    return save_network(tmp_path / "model")
