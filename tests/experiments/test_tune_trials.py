import numpy as np
import pandas as pd
import pytest
from torch_geometric.graphgym.config import cfg

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.experiments.search_space import TREES
from pyg_samsa.experiments.tune_trials import SearchData, TreeTrials, fixed_by
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.plan import make_plan
from pyg_samsa.predict.boosted_trees import BoostedTrees, BoostingOptions

SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O", "Cl")]


@pytest.fixture
def opts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"smiles": SMILES, "mass": [len(text) for text in SMILES]}).to_csv("table.csv", index=False)
    return ["dataset.csv", "table.csv", "dataset.target_columns", "[mass]", "num_threads", "1"]


def test_data_are_loaded_once_for_each_setting_of_the_data_set_and_without_a_test_split(opts):
    load_config("csv", opts)
    data = SearchData(progress=False)
    first = data.load({"samsa.layers": 2})
    assert set(first.split_idx) == {"train", "val"}
    load_config("csv", opts)
    assert data.load({"samsa.layers": 3}) is first
    assert cfg.share.dim_out == 1  # what the config says about the data is there again
    assert data.load({"dataset.csv": "table.csv"}) is not first


def test_the_score_of_trees_is_that_of_trees_fitted_by_hand(opts):
    loaded = load_config("csv", opts)
    dataset = SearchData(progress=False).load({})
    plan = make_plan(loaded, dataset, seed=0)
    smiles = [dataset[row].smiles for row in range(len(dataset))]
    trials = TreeTrials("csv", opts, plan, MoleculeRows(dataset, "csv"))
    assert set(trials.space) == set(TREES)
    few = {"boosting.trees": 20, "boosting.min_leaf": 2, "boosting.column_share": 1.0}
    values = {**trials.start, "predictor.tree_inputs": "morgan_count+topological_torsion", **few}
    found = trials.score(0, values, lambda *_: None)
    x = compute_descriptors(smiles, ["morgan_count", "topological_torsion"], workers=1, progress=False)
    y = np.array([[dataset[row].y.item()] for row in range(len(dataset))])
    train, val = (dataset.split_idx[split].numpy() for split in ("train", "val"))
    options = BoostingOptions(trees=20, min_leaf=2, learning_rate=0.05, leaves=16)
    expected = np.abs(BoostedTrees(dataset.task, options=options).fit(x[train], y[train]).predict(x[val]) - y[val])
    assert found == pytest.approx(expected.mean(), rel=1e-5)


def test_trees_of_a_search_read_extra_columns_and_stored_descriptors(opts, tmp_path):
    lines = [f"{'C' * (1 + row % 7)}O,{row % 5},{2.5 * (row % 5)}" for row in range(60)]
    (tmp_path / "table.csv").write_text("\n".join(["smiles,pH,mass", *lines]) + "\n")
    extra = [*opts, "dataset.extra_columns", "[pH]"]
    dataset = (load_config("csv", extra), SearchData(progress=False).load({}))[1]
    plan = make_plan(load_config("csv", extra), dataset, seed=0)
    scores = []
    for folder in (tmp_path, None):
        trials = TreeTrials("csv", extra, plan, MoleculeRows(dataset, "csv", folder))
        many = {"boosting.trees": 200, "boosting.min_leaf": 2, "boosting.column_share": 1.0}
        values = {**trials.start, "predictor.tree_inputs": "maccs", **many}
        scores.append(trials.score(0, values, lambda *_: None))
    # The target is a function of the column alone.
    assert scores[0] == scores[1] < 0.2
    assert list((tmp_path / "descriptors").glob("maccs-*.safetensors"))


def test_names_of_overrides():
    assert fixed_by(["a.b", "1", "c=2", "d", "e"]) == {"a.b", "c", "d"}
    assert fixed_by([]) == set()
