import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.cli import main
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.hub import HubModel, find_pretrained, load_pretrained, save_pretrained
from pyg_samsa.predict import (
    BlendPredictor,
    BoostedTrees,
    BoostingOptions,
    DescriptorPredictor,
    MoleculePredictor,
    load_predictor,
    save_predictor,
)
from pyg_samsa.predict.conformal import Calibration
from pyg_samsa.predict.predictor_folder import find_predictor, name_of_model
from pyg_samsa.task import Task

pytest.importorskip("lightgbm")
TASK = Task("regression", ["y"])
SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1")]


@pytest.fixture
def blend(molecule_network):
    x = compute_descriptors(SMILES, ["maccs"], progress=False)
    trees = BoostedTrees(TASK, ["maccs"], options=BoostingOptions("lightgbm", trees=5, min_leaf=3))
    trees.fit(x, np.arange(36.0)[:, None])
    networks = [MoleculePredictor(molecule_network(num_layers=n), TASK) for n in (1, 2)]
    return BlendPredictor(
        [*networks, DescriptorPredictor(trees), DescriptorPredictor(trees)],
        [0.25, 0.25, 0.5, 0],
        names=["seed 0", "seed 1", "maccs", "unused"],
        metrics={"val": {"mae": 0.5, "r2": float("nan")}},
        calibration=Calibration("regression", (np.array([0.1, 0.2]),), np.array([0.5])),
    )


def test_a_blend_is_read_as_it_was_written(blend, tmp_path):
    folder = save_predictor(blend, tmp_path / "run" / "predictor")
    assert sorted(path.name for path in folder.iterdir()) == ["network_0", "network_1", "predictor.json", "trees_0"]
    for name in (folder, tmp_path / "run"):
        again = load_predictor(name)
        assert again.names == ["seed 0", "seed 1", "maccs"]
        np.testing.assert_array_equal(again.predict(SMILES).values, blend.predict(SMILES).values)
    assert again.metrics == {"val": {"mae": 0.5, "r2": None}}
    assert again.calibration.as_dict() == blend.calibration.as_dict()
    found = [predictor.predict(SMILES, interval=0.5) for predictor in (blend, again)]
    np.testing.assert_allclose(found[0].low, found[1].low)
    assert (found[0].high > found[0].low).all()
    assert len(again.fingerprint) == 64


def test_the_predictor_of_a_run_comes_before_its_network(blend, tmp_path, molecule_network):
    save_pretrained(molecule_network(), tmp_path / "model", task=TASK)
    assert type(load_predictor(tmp_path)) is MoleculePredictor
    save_predictor(blend, tmp_path / "predictor")
    assert type(load_predictor(tmp_path)) is BlendPredictor
    assert type(load_predictor(tmp_path / "model")) is MoleculePredictor
    assert find_predictor(tmp_path).name == "predictor"


def test_runs_below_a_network_are_not_those_of_its_folder(tmp_path, molecule_network):
    save_pretrained(molecule_network(), tmp_path, task=TASK)
    for run in ("1", "2"):
        save_pretrained(molecule_network(), tmp_path / run / "model", task=TASK)
    assert find_predictor(tmp_path) == tmp_path


@pytest.mark.parametrize("members", [[0, 1], [2], [0, 1, 2]])
def test_a_folder_predicts_in_python_as_on_the_command_line(blend, tmp_path, molecule_network, members):
    weights = np.full(len(members), 1 / len(members))
    save_predictor(BlendPredictor([blend.members[place] for place in members], weights), tmp_path / "0" / "predictor")
    if 0 not in members:
        save_pretrained(molecule_network(), tmp_path / "0" / "model", task=TASK)
    (tmp_path / "in.csv").write_text("smiles\n" + "\n".join(SMILES))
    assert main(["predict", "-q", str(tmp_path / "0"), str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]) == 0
    written = pd.read_csv(tmp_path / "out.csv")["y_pred"]
    frame = MoleculePredictor.from_pretrained(tmp_path / "0").predict_frame(SMILES)
    np.testing.assert_allclose(frame["y"], written, rtol=1e-5)
    if 0 not in members:  # the network of the subfolder is another predictor
        network = MoleculePredictor.from_pretrained(tmp_path / "0" / "model").predict_frame(SMILES)
        assert type(MoleculePredictor.from_network(tmp_path / "0")) is MoleculePredictor
        assert abs(network["y"] - written).max() > 0.1


def test_a_predictor_without_a_network_of_its_own_is_named(blend, tmp_path):
    save_predictor(blend, tmp_path / "predictor")
    with pytest.raises(DataNotFoundError, match="a predictor of network_0, network_1, trees_0") as caught:
        load_pretrained(tmp_path)
    assert "pyg_samsa.predict.load_predictor" in caught.value.hint
    named = caught.value.hint.rpartition(": ")[2].rstrip(".")
    assert load_pretrained(named)[1].task.names == TASK.names  # the folder that the cure names
    save_predictor(blend.members[2], tmp_path / "trees" / "predictor")
    with pytest.raises(DataNotFoundError, match="a predictor of trees_0") as caught:
        HubModel.from_pretrained(tmp_path / "trees")
    assert "one of its networks" not in caught.value.hint


def test_a_single_member(blend, tmp_path):
    again = load_predictor(save_predictor(blend.members[2], tmp_path / "trees"))
    assert again.names == ["trees"]
    np.testing.assert_array_equal(again.predict(SMILES).values, blend.members[2].predict(SMILES).values)


def test_a_single_member_keeps_what_is_known_of_it(tmp_path):
    shipped = load_predictor("peptides")
    assert "such as drugs, are meaningless" in shipped.limits
    again = load_predictor(save_predictor(shipped, tmp_path / "again"))
    assert (again.limits, again.metrics["test"]["ap"]) == (shipped.limits, shipped.metrics["test"]["ap"])


def test_predictors_are_replaced_and_nothing_else_is(blend, tmp_path):
    save_predictor(blend, tmp_path / "predictor")
    save_predictor(blend.members[0], tmp_path / "predictor")
    assert load_predictor(tmp_path).names == ["network"]
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="saved predictor"):
        save_predictor(blend, tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("format", 2, "at most 1"),
        ("members", [], "a list of members"),
        ("members", [{"kind": "pickle", "folder": "trees_0", "weights": [1]}], "members with name, kind"),
        ("members", [{"kind": "trees", "folder": "../trees_0", "weights": [1]}], "members with name, kind"),
        ("members", [{"kind": "trees", "folder": "trees_0", "weights": [0.5]}], "convex weights"),
        ("members", [{"kind": "trees", "folder": "trees_0", "weights": "half"}], "convex weights"),
        ("task", {"kind": "regression", "names": ["z"]}, "the task of its members"),
    ],
)
def test_wrong_descriptions_are_named(blend, tmp_path, key, value, told):
    folder = save_predictor(blend, tmp_path / "predictor")
    path = folder / "predictor.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises((ConfigError, DataIntegrityError), match=told):
        load_predictor(folder)


def test_a_missing_member_is_named(blend, tmp_path):
    folder = save_predictor(blend, tmp_path / "predictor")
    (folder / "trees_0" / "trees.json").unlink()
    with pytest.raises(DataNotFoundError, match="trees_0"):
        load_predictor(folder)
    with pytest.raises(DataNotFoundError, match="no saved model"):
        load_predictor(tmp_path / "elsewhere")


def test_a_folder_of_one_run_is_that_run_and_of_several_an_error(tmp_path):
    shutil.copytree(find_predictor("peptides"), tmp_path / "esol" / "0" / "model")
    assert find_predictor(tmp_path / "esol") == tmp_path / "esol" / "0" / "model"
    shutil.copytree(find_predictor("peptides"), tmp_path / "esol" / "1" / "model")
    with pytest.raises(DataNotFoundError, match=r"esol: 2 runs \(0, 1\)|esol: 2 runs \(1, 0\)"):
        find_predictor(tmp_path / "esol")


def test_runs_below_the_runs_of_an_experiment_are_named_with_what_to_write(tmp_path):
    for place in ("esol/0", "esol/0-2", "tox/0"):
        shutil.copytree(find_predictor("peptides"), tmp_path / place / "model")
    with pytest.raises(DataNotFoundError, match=r"3 runs \(.*esol/0-2.*\), and one is needed") as caught:
        find_predictor(tmp_path)
    assert caught.value.hint.startswith(f"Write one of them in place of {tmp_path}, such as the newest: {tmp_path}/")
    shutil.rmtree(tmp_path / "esol")
    assert find_predictor(tmp_path) == tmp_path / "tox" / "0" / "model"


@pytest.mark.parametrize("place", ["gcn/0", "gcn", "."])
def test_a_run_whose_network_is_not_saved_is_told(tmp_path, place):
    (tmp_path / "gcn" / "0").mkdir(parents=True)
    (tmp_path / "gcn" / "0" / "environment.json").write_text("{}")
    expected = "the network of the run is not saved" if place != "." else "no saved model found"
    with pytest.raises(DataNotFoundError, match=expected):
        find_predictor(tmp_path / place)
    told = "model.type gcn: only networks with model.type samsa are saved"
    (tmp_path / "gcn" / "0" / "summary.json").write_text(json.dumps({"unsaved": told}))
    if place != ".":
        reason = f"{place}: the network of this run is not saved, because of {told}"
        for find in (find_predictor, find_pretrained):
            with pytest.raises(DataNotFoundError, match=re.escape(reason)) as caught:
                find(tmp_path / place)
            assert "model.type samsa" in caught.value.hint
    for damaged in ("{", "[]", json.dumps({"unsaved": 3}), json.dumps({"unsaved": ""})):
        (tmp_path / "gcn" / "0" / "summary.json").write_text(damaged)
        with pytest.raises(DataNotFoundError, match=expected):
            find_predictor(tmp_path / place)


def test_what_is_no_folder_is_told(tmp_path):
    (tmp_path / "table.csv").touch()
    with pytest.raises(DataNotFoundError, match=r"table\.csv: no saved model found \(it is a file\)"):
        find_predictor(tmp_path / "table.csv")
    with pytest.raises(DataNotFoundError, match=r"nowhere: no saved model found \(there is no such folder\)"):
        find_predictor(tmp_path / "nowhere")


def test_titles_name_the_experiment_and_not_the_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for model in ("results/logp/0", "results/logp/0-2/", "results/logp/3/model", "results/logp/members/4/model"):
        assert name_of_model(model) == "logp"
    assert name_of_model("my_model") == "my_model"
    (tmp_path / "logs" / "7").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "logs" / "7")
    assert name_of_model(".") == "logs"
