import numpy as np
import pytest

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.errors import ConfigError
from pyg_samsa.predict import BoostedTrees, BoostingOptions, DescriptorPredictor
from pyg_samsa.task import Task

pytest.importorskip("lightgbm")
SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
OPTIONS = BoostingOptions("lightgbm", trees=10, leaves=4, min_leaf=3)


def test_predictions_are_those_of_the_trees(tmp_path):
    x = np.concatenate(
        [compute_descriptors(SMILES, ["maccs", "morgan_count"], progress=False), np.arange(48.0)[:, None]], axis=1
    )
    y = np.array([[float("c1" in smiles)] for smiles in SMILES])
    task = Task("binary", ["ring"])
    trees = BoostedTrees(task, ["maccs", "morgan_count"], extra_columns=["pH"], options=OPTIONS).fit(x, y)
    trees.save(tmp_path / "trees")
    predictor = DescriptorPredictor.from_pretrained(tmp_path / "trees")
    given = [*SMILES[:5], "C1CC", *SMILES[5:]]
    column = [*range(5), 99, *range(5, 48)]
    result = predictor.predict(given, extra_columns={"pH": column})
    expected = 1 / (1 + np.exp(-trees.predict(x)))
    np.testing.assert_allclose(np.delete(result.values, 5, 0), expected, rtol=1e-12)
    assert result.errors[5] == "RDKit cannot read this SMILES (ring 1 is not closed)"
    assert ((result.values[:5] > 0.5) == (y[:5] > 0.5)).all()
    assert len(predictor.fingerprint) == 64


def test_a_single_model_of_trees_has_no_spread():
    x = compute_descriptors(SMILES, ["maccs"], progress=False)
    trees = BoostedTrees(Task("regression", ["y"]), ["maccs"], options=OPTIONS).fit(x, np.arange(48.0)[:, None])
    with pytest.raises(ConfigError, match="uncertainty") as caught:
        DescriptorPredictor(trees).predict(["C"], uncertainty=True)
    assert "--ensemble" in caught.value.hint


def test_trees_of_other_columns_are_an_error():
    x = compute_descriptors(SMILES, ["maccs"], progress=False)
    trees = BoostedTrees(Task("regression", ["y"]), ["maccs"], options=OPTIONS)
    with pytest.raises(ConfigError, match=r"166 columns.*167"):
        DescriptorPredictor(trees.fit(x[:, 1:], np.arange(48.0)[:, None]))
    with pytest.raises(ConfigError, match="mac"):
        DescriptorPredictor(BoostedTrees(Task("regression", ["y"]), ["mac"], options=OPTIONS))
