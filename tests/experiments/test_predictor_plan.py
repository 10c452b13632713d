import csv

import pytest
from rich.console import Console
from torch_geometric.graphgym.config import cfg, set_cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.blend import FittedPredictor
from pyg_samsa.experiments.candidates import NETWORK
from pyg_samsa.experiments.predictor_plan import make_predictor_plan, print_predictors
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.predict import BlendPredictor, MoleculePredictor

pytest.importorskip("lightgbm")
SMILES = ["C" * n + end for n in range(1, 11) for end in ("O", "N")]


@pytest.fixture
def plan(tmp_path):
    """Makes the plan of a table for some settings."""
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["smiles", "y"], *([text, len(text)] for text in SMILES)])

    def make(*opts):
        load_config("csv", ["dataset.csv", str(path), "dataset.dir", str(tmp_path), "num_threads", "1", *opts])
        return make_predictor_plan(load_for_runner(progress=False), progress=False)

    yield make
    set_cfg(cfg)


def test_settings_reach_the_trees(plan):
    words = ["predictor.tree_inputs", "[maccs]", "boosting.trees", "7", "boosting.min_leaf", "2"]
    made = plan("predictor.members", "trees", *words)
    assert (made.kinds, made.boosting.trees, made.boosting.min_leaf) == (["trees"], 7, 2)
    assert made.boosting.loss == "squared"
    (candidate,) = made.fit_models(seed=3)
    assert candidate.predictor.model.options.seed == 3
    assert candidate.predictor.model.descriptors == ("maccs",)
    assert {split: len(values) for split, values in candidate.outputs.items()} == {"val": 2, "test": 2}


def test_auto_is_all_for_a_table_and_nothing_else(plan):
    made = plan("predictor.members", "auto")
    assert made.kinds == ["network", "trees", "gp"]
    cfg.dataset.name = "peptides-embedded"
    assert make_predictor_plan(made.rows.dataset) is None


def test_descriptors_are_computed_before_the_models_are_fitted(plan, tmp_path, monkeypatch):
    made = plan("predictor.tree_inputs", "[maccs]", "predictor.gp_inputs", "[morgan_count]")
    made.prepare()
    found = sorted(path.name.partition("-")[0] for path in (tmp_path / "descriptors").glob("*.safetensors"))
    assert {"maccs", "morgan_count"} <= set(found)
    monkeypatch.setattr(
        "pyg_samsa.datasets.molecule_descriptors.compute_descriptors", lambda *_, **__: pytest.fail("again")
    )
    plan("predictor.tree_inputs", "[maccs]", "predictor.gp_inputs", "[morgan_count]").fit_models(seed=0)


def test_kinds_without_inputs_are_left_out(plan):
    assert plan("predictor.gp_inputs", "[]").kinds == ["network", "trees"]
    made = plan("predictor.members", "descriptors", "predictor.tree_inputs", "[]", "gaussian_process.max_rows", "9")
    assert (made.kinds, made.network, made.process.max_rows) == (["gp"], False, 9)
    with pytest.raises(ConfigError, match=r"predictor\.members: got 'descriptors'"):
        plan("predictor.members", "descriptors", "predictor.tree_inputs", "[]", "predictor.gp_inputs", "[]")


def test_a_network_that_is_not_saved_is_not_trained_again(plan):
    assert plan("model.type", "samsa").refits_network
    made = plan("model.type", "gcn", "optim.scheduler", "plateau")
    assert (made.refits_network, made.refits_models, made.refit_text) == (False, True, "models on descriptors")


def test_wrong_settings_are_named(plan):
    with pytest.raises(ConfigError, match=r"predictor\.tree_inputs"):
        plan("predictor.tree_inputs", "[mac]")
    with pytest.raises(ConfigError, match=r"boosting\.model"):
        plan("boosting.model", "sklearn")
    assert plan("predictor.members", "network", "boosting.model", "sklearn").kinds == ["network"]


def test_the_table_tells_the_network_that_was_fitted_again_from_the_one_that_was_tested_before(capsys):
    scores = {name: {"val": {"mae": 0.5}, "test": {"mae": 0.6}} for name in (NETWORK, "trees maccs", "predictor")}
    blend = BlendPredictor([MoleculePredictor.from_network("peptides")], [1.0])
    found = FittedPredictor(blend, scores, {NETWORK: 0.5, "trees maccs": 0.5}, {})
    for refit, shown in (("all", "network, refitted"), ("models on descriptors", "network"), ("", "network")):
        print_predictors(Console(width=80, no_color=True), [], [found], refit=refit)
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("network")]
        assert " ".join(line.split()) == f"{shown} 0.50 0.5000 0.6000"
