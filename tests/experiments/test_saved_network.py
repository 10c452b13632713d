import io
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.chem.smiles import smiles_to_data
from pyg_samsa.datasets.features import MOLECULES, Features
from pyg_samsa.experiments.saved_network import export_model, predict_command, predicts_molecules, print_models
from pyg_samsa.explain.molecule_explanation import explain_molecules
from pyg_samsa.functional.node_encodings import laplacian_eigenvectors, return_probabilities
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.graphgym.plan import make_plan
from pyg_samsa.hub import load_pretrained
from pyg_samsa.hub.model_config import read_config
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import MoleculePredictor
from pyg_samsa.task import Task
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder


def network(out_channels=1, **options):
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, **options}
    return BatchNetwork(SAMSA.from_options(ATOM_CARDINALITIES, out_channels, edge_channels=BOND_CARDINALITIES, **sizes))


@pytest.fixture
def result(tmp_path):
    per_class = {"name": ["a", "b"], "ap": [0.5, 0.25], "base_rate": [0.125, 0.75], "positives": [1, 6]}
    return RunResult(RunFolder(tmp_path), 3, 4, {"ap": 0.5}, {"ap": 0.375}, 10, 5, 1.0, per_class)


def plan(names=("a", "b"), features=MOLECULES):
    split_idx = {"train": torch.arange(1500), "test": torch.arange(1500, 1508)}
    dataset = SimpleNamespace(features=features, task=Task("multilabel", names), split_idx=split_idx)
    config = {"dataset": {"csv": "tables/my molecules.csv", "name": "csv"}}
    return SimpleNamespace(dataset=dataset, config=config, name="exp", monitor="val_ap")


def test_only_networks_for_whole_molecules_are_exported():
    found = network()
    assert predicts_molecules(found, MOLECULES)
    assert not predicts_molecules(found, Features(3))
    assert not predicts_molecules(found.model, MOLECULES)
    assert not predicts_molecules(BatchNetwork(found.model, node_encoder=found), MOLECULES)
    assert not predicts_molecules(BatchNetwork(found.model, edge_encoder=found), MOLECULES)
    assert predicts_molecules(network(pe_channels=4, pe_kind="rwse"), MOLECULES)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], ""),
        (["samsa.attention", "full", "samsa.num_samples", "null", "samsa.sampling", "null", "samsa.local", "null"], ""),
        (["pe.kind", "lap"], ""),
        (["model.type", "gcn"], "model.type gcn: only networks with model.type samsa are saved"),
        (["model.type", "graphormer"], "model.type graphormer: only networks with model.type samsa are saved"),
        (
            ["model.type", "bag_of_features"],
            "model.type bag_of_features: only networks with model.type samsa are saved",
        ),
        (
            ["dataset.node_encoder", "True", "dataset.node_encoder_name", "SAMSAAtom"],
            "dataset.node_encoder_name SAMSAAtom: only networks without it are saved",
        ),
        (["dataset.task_type", "masked"], "its task: only networks that predict whole molecules are saved"),
    ],
)
def test_the_reason_is_given_exactly_where_a_network_is_not_saved(words, why, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("smiles,y\n" + "".join(f"{'C' * n}O,{n}.5\n" for n in range(1, 31)))
    given = ["dataset.csv", str(path), "dataset.dir", str(tmp_path), "dataset.descriptors", "[]", *words]
    loaded = load_config("csv", given)
    found = make_plan(loaded, load_for_runner(loaded.changes, progress=False), seed=0)
    assert found.unsaved == why
    assert predicts_molecules(found.build_network(), found.dataset.features) == (not why)


def test_other_data_are_not_saved(config):
    loaded = load_config(config())
    found = make_plan(loaded, load_for_runner(progress=False), seed=0)
    assert found.unsaved == "its data: only networks for molecules with the features of OGB are saved"
    assert "saved" not in found.description
    assert not predicts_molecules(found.build_network(), found.dataset.features)


@pytest.mark.parametrize("options", [{"level": "node"}, {"towers": 2}, {"pe_channels": 4}])
def test_networks_that_need_more_than_a_molecule_are_not_exported(options, result, tmp_path):
    assert not predicts_molecules(network(**options), MOLECULES)
    assert export_model(result, network(**options), plan()) is None
    assert not list(tmp_path.iterdir())


def test_the_saved_model_is_the_network_with_its_metrics_and_its_making(result, tmp_path):
    trained = network(2)
    assert export_model(result, trained, plan()) == tmp_path / "model"
    loaded, _ = load_pretrained(tmp_path / "model")[:2]
    state = loaded.state_dict()
    assert all(torch.equal(state[name], value) for name, value in trained.model.state_dict().items())
    saved = read_config(tmp_path / "model")
    assert (saved.task.kind, saved.task.names) == ("multilabel", ("a", "b"))
    assert saved.metrics == {"val": {"ap": 0.5}, "test": {"ap": 0.375}}
    card = (tmp_path / "model" / "README.md").read_text()
    assert "`my molecules.csv`: 1,500 train, 8 test molecules." in card
    assert "Trained for 5 epochs with seed 3" in card
    assert "epoch 4" in card
    assert "| b | 0.250 | 0.750 | 6 |" in card


def test_the_command_that_predicts_is_printed_for_saved_models_only(result, tmp_path):
    export_model(result, network(2), plan())
    console = Console(width=200, record=True, file=io.StringIO())
    print_models(console, [tmp_path, tmp_path / "without a model"])
    shown = console.export_text()
    assert shown.count("pyg-samsa predict") == 1
    assert f"pyg-samsa predict {tmp_path / 'model'} new.csv predictions.csv" in shown


@pytest.mark.parametrize(
    ("bridge", "encodings"),
    [
        (True, {"pe_channels": 4, "pe_kind": "rwse"}),
        (False, {"pe_channels": 4, "pe_kind": "rwse"}),
        (False, {"pe_channels": 7, "pe_kind": "lap+rwse", "flip_signs": 3}),
    ],
)
def test_a_saved_network_computes_its_encodings(bridge, encodings, result, tmp_path):
    options = {**encodings, "local": "gine", "bridge": bridge, "num_layers": 2}
    trained = network(2, **options)
    torch.nn.init.constant_(trained.model.encoder.alpha, 0.5)
    torch.nn.init.constant_(trained.model.tokenizer.pe_encoder.lin.weight, 0.3)
    export_model(result, trained, plan())
    predictor = MoleculePredictor.from_pretrained(tmp_path / "model")
    molecules = ["CCO", "c1ccccc1C", "C", "CCO"]
    values = predictor.predict(molecules).values
    trained.eval()
    for smiles, row in zip(molecules, values, strict=True):
        data = smiles_to_data(smiles)
        parts = [return_probabilities(data.edge_index.numpy(), data.num_nodes, 4)]
        if "flip_signs" in encodings:
            parts.insert(0, laplacian_eigenvectors(data.edge_index.numpy(), data.num_nodes, 3))
        data.pe = torch.from_numpy(np.concatenate(parts, axis=1))
        with torch.no_grad():
            wanted = trained.model(data.x, data.edge_index, data.edge_attr, pe=data.pe).double().sigmoid()
        torch.testing.assert_close(torch.from_numpy(row), wanted[0], rtol=0, atol=1e-6)
    (explained,) = explain_molecules(predictor.model, predictor.task, [("ethanol", "CCO")])
    assert len(explained.to_frame()) == 7


def test_the_command_imports_what_the_network_needs(result, tmp_path):
    folder = export_model(result, network(2), plan())
    assert predict_command(folder) == f"pyg-samsa predict {folder} new.csv predictions.csv"
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), "modules": ["my_ops"]}
    path.write_text(json.dumps(content))
    assert predict_command(folder).endswith("predictions.csv --import my_ops")
    member = tmp_path / "run" / "predictor" / "network_0"
    shutil.copytree(folder, member)
    assert predict_command(tmp_path / "run").endswith("predictions.csv --import my_ops")
