import json

import pandas as pd
import pytest
import torch
import yaml
from sklearn.metrics import average_precision_score, mean_absolute_error
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg, set_cfg

from pyg_samsa.chem import convert_smiles, sequence_to_smiles
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.prepared import molecules_to_prepared
from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.experiments import fingerprint_baseline as fingerprints
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.predict import boosted_trees
from pyg_samsa.task import Task

KINDS = {
    "multilabel": ("multilabel", ["lysine", "aromatic", "short"], "classification_multilabel", "ap"),
    "binary": ("binary", ["lysine"], "classification", "auc"),
    "multiclass": ("multiclass", ["none", "one", "many"], "classification", "accuracy"),
    "regression": ("regression", ["lysines", "rings"], "regression", "mae"),
}


def molecules(name):
    """Short peptides whose targets follow from their residues; every seventh label is missing where labels may be."""
    generator = torch.Generator().manual_seed(0)
    peptides = [
        "".join("GAKFW"[letter] for letter in torch.randint(0, 5, (3 + row % 4,), generator=generator))
        for row in range(90)
    ]
    lysines, rings = (
        torch.tensor([sum(peptide.count(letter) for letter in letters) for peptide in peptides])
        for letters in ("K", "FW")
    )
    lengths = torch.tensor([len(peptide) for peptide in peptides])
    y = {
        "multilabel": torch.stack([lysines > 0, rings > 1, lengths < 5], 1).float(),
        "binary": (lysines > 0).float()[:, None],
        "multiclass": lysines.clamp(max=2),
        "regression": torch.stack([lysines, rings], 1).float(),
    }[name]
    if name in ("multilabel", "regression"):
        y[::7, 0] = float("nan")
    smiles = [sequence_to_smiles(peptide) for peptide in peptides]
    table = convert_smiles(smiles, workers=1, progress=False)
    splits = {"train": torch.arange(50), "val": torch.arange(50, 70), "test": torch.arange(89, 69, -1)}
    task, names, _, _ = KINDS[name]
    return SplitDataset(molecules_to_prepared(table, splits, y=y, smiles=smiles), Task(task, names), MOLECULES)


def load(format, name, dataset_dir):
    if format != "test-molecules":
        return None
    dataset = molecules(name.removesuffix("-nameless"))
    if name.endswith("-nameless"):
        del dataset._data.smiles
        del dataset.slices["smiles"]
    return dataset


register.loader_dict["test_molecules"] = load


@pytest.fixture(autouse=True)
def fresh_cfg():
    yield
    set_cfg(cfg)


@pytest.fixture
def write(tmp_path):
    def config(name, **changes):
        kind, _, task_type, best = KINDS[name.removesuffix("-nameless")]
        content = {
            "out_dir": str(tmp_path / "results"),
            "num_threads": 1,
            "dataset": {"format": "test-molecules", "name": name, "task": "graph", "task_type": task_type},
            "metric_best": best,
            "model": {
                "type": "samsa",
                "loss_fun": {"multiclass": "cross_entropy", "regression": "l1"}.get(kind, "bce"),
            },
            "fingerprint": {"size": 128},
            "boosting": {"trees": 25, "model": "sklearn"},
            **changes,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return config


def folder_of(tmp_path, name, seed="0"):
    return tmp_path / "results" / f"{name}-fingerprint" / seed


@pytest.mark.parametrize("name", list(KINDS))
def test_every_task_is_learned_and_written_down(name, write, tmp_path, capsys):
    fingerprints.run(write(name))
    shown, folder = capsys.readouterr().out, folder_of(tmp_path, name)
    assert "Boosted trees on fingerprints" in shown
    assert ("base rate" in shown) == (name == "multilabel")
    summary = json.loads((folder / "summary.json").read_text())
    test = summary["test"]
    assert summary["status"] == "finished"
    table = pd.read_csv(folder / "predictions_test.csv")
    assert table["row"].tolist() == list(range(70, 90))
    dataset = molecules(name)
    assert table["smiles"].tolist() == [dataset[row].smiles for row in range(70, 90)]
    # Values are those of the written predictions, counted by scikit-learn.
    if name == "multilabel":
        known = table["lysine_true"].notna()
        classes = [(table.loc[known, "lysine_true"], table.loc[known, "lysine_pred"])]
        classes += [(table[f"{label}_true"], table[f"{label}_pred"]) for label in ("aromatic", "short")]
        assert test["ap"] == pytest.approx(sum(average_precision_score(*one) for one in classes) / 3, abs=1e-6)
        assert test["ap"] > 0.85
    elif name == "regression":
        errors = [
            mean_absolute_error(*table[[f"{t}_true", f"{t}_pred"]].dropna().T.to_numpy()) for t in ("lysines", "rings")
        ]
        assert test["mae"] == pytest.approx(sum(errors) / 2, abs=0.02)
        assert test["mae"] < 0.6
    elif name == "binary":
        assert test["auc"] > 0.9
    else:
        assert test["accuracy"] == pytest.approx((table["true"] == table["pred"]).mean())
        assert test["accuracy"] > 0.8


def test_the_written_configuration_runs_again_and_a_finished_run_is_kept(write, tmp_path, capsys):
    path = write("binary")
    fingerprints.run(path)
    folder = folder_of(tmp_path, "binary")
    first = json.loads((folder / "summary.json").read_text())
    capsys.readouterr()
    assert fingerprints.run(path, ["train.auto_resume", "True"]).reused
    assert "had finished before" in capsys.readouterr().out
    assert json.loads((folder / "summary.json").read_text()) == first
    fingerprints.run(folder / "config.yaml", ["out_dir", str(tmp_path / "again")])
    (again,) = (tmp_path / "again").rglob("summary.json")
    assert json.loads(again.read_text())["test"] == first["test"]


def test_the_validation_split_is_trained_on_only_where_asked(write, tmp_path, monkeypatch):
    rows = []
    real, targets = boosted_trees.BoostedTrees.fit, molecules("binary")._data.y

    def spy(self, x, y, **options):
        rows.append(len(x))
        assert y.tolist() == targets[: len(x)].tolist()
        return real(self, x, y, **options)

    monkeypatch.setattr(boosted_trees.BoostedTrees, "fit", spy)
    path = write("binary")
    fingerprints.run(path, verbosity=-1)
    fingerprints.run(path, ["fingerprint.fit_val", "True"], verbosity=-1)
    assert rows == [50, 70]
    plain, both = (
        json.loads((folder_of(tmp_path, "binary", seed) / "summary.json").read_text()) for seed in ("0", "0-2")
    )
    assert "auc" in plain["val"]
    assert both["val"] == {}
    assert both["monitor"] is None


def test_settings_reach_the_fingerprints_and_the_trees(write, tmp_path, monkeypatch):
    seen = {}
    real = fingerprints.morgan_counts

    def spy(smiles, **options):
        seen.update(options)
        return real(smiles, **options)

    monkeypatch.setattr(fingerprints, "morgan_counts", spy)
    monkeypatch.setattr(boosted_trees, "find_spec", lambda _: None)
    words = ["boosting.model", "auto", "fingerprint.radius", "3", "fingerprint.size", "64"]
    result = fingerprints.run(write("binary"), [*words, "boosting.trees", "5", "seed", "4"], verbosity=-1)
    assert (seen["radius"], seen["size"]) == (3, 64)
    assert (result.epochs, result.seed) == (5, 4)
    written = yaml.safe_load((folder_of(tmp_path, "binary", "4") / "config.yaml").read_text())
    assert written["fingerprint"] | {"radius": 3, "size": 64} == written["fingerprint"]
    assert written["boosting"] | {"model": "sklearn", "trees": 5} == written["boosting"]


def test_what_is_wrong_is_named_and_nothing_is_written(write, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="molecules with SMILES"):
        fingerprints.run(write("binary-nameless"))
    with pytest.raises(ConfigError, match=r"fingerprint\.radius"):
        fingerprints.run(write("binary"), ["fingerprint.radius", "-1"])
    monkeypatch.setattr(boosted_trees, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError) as caught:
        fingerprints.run(write("binary"), ["boosting.model", "lightgbm"])
    assert "pyg-samsa[chem]" in caught.value.hint
    assert not (tmp_path / "results").exists()


def test_the_plan_minimises_absolute_errors_where_they_are_measured(write):
    absolute = fingerprints.make_plan(load_config(write("regression")), progress=False)
    squared = fingerprints.make_plan(load_config(write("regression", metric_best="r2")), progress=False)
    assert (absolute.best, absolute.boosting.loss) == ("mae", "absolute")
    assert (squared.best, squared.boosting.loss) == ("r2", "squared")
    assert absolute.config["pe"]["kind"] == "none"


def test_an_interrupted_run_leaves_no_folder(write, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(boosted_trees.BoostedTrees, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        fingerprints.run(write("binary"), verbosity=-1)
    assert not list((tmp_path / "results").rglob("config.yaml"))
