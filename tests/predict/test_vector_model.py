import json

import numpy as np
import pytest

from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.predict import BoostedTrees, BoostingOptions, GaussianProcess
from pyg_samsa.predict.vector_model import VectorModel, log_odds
from pyg_samsa.task import Task

MODELS = {
    "trees": lambda task: BoostedTrees(task, options=BoostingOptions("sklearn", trees=20, min_leaf=3)),
    "gp": GaussianProcess,
}


@pytest.mark.parametrize("kind", MODELS)
def test_all_models_work_alike(kind):
    x = np.arange(40, dtype=np.float32)[:, None]
    model = MODELS[kind](Task("binary", ["large"]))
    assert isinstance(model, VectorModel)
    assert model.kind == kind
    steps = []
    model.fit(x, (x > 19).astype(float), on_target=steps.append)
    assert sum(steps) == pytest.approx(1)
    logits = model.predict(x)
    np.testing.assert_allclose(model.readable(x), 1 / (1 + np.exp(-logits)))
    assert ((logits > 0) == (x > 19)).mean() > 0.9
    with pytest.raises(ConfigError, match="2 columns"):
        model.predict(np.zeros((1, 2)))
    assert repr(model).endswith("(binary: large; 1 columns)")
    with pytest.raises(ConfigError, match="'large'"):
        model.fit(x, np.full((40, 1), np.nan))


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_log_odds_are_finite(share):
    assert 1 / (1 + np.exp(-log_odds(share))) == pytest.approx(share, abs=1e-9)
    assert np.isfinite(log_odds(share))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 1e6), (1e-30, 0.0), (1e30, -1e30)])
def test_neither_the_unit_nor_an_offset_of_a_target_matters(kind, scale, offset):
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = x[:, :1].astype(np.float64) + 2 * x[:, 1:2]
    y = np.round(y, 6)
    plain = MODELS[kind](Task("regression", ["y"])).fit(x, y).predict(x)
    model = MODELS[kind](Task("regression", ["y"])).fit(x, y * scale + offset)
    np.testing.assert_allclose((model.predict(x) - offset) / scale, plain, atol=1e-6)
    assert model.target_std == pytest.approx(y.std() * scale)


@pytest.mark.parametrize("change", [{"target_std": [0.0]}, {"target_mean": [1.0, 2.0]}, {"target_mean": ["x"]}])
def test_damaged_scales_are_named(tmp_path, change):
    x = np.arange(20.0)[:, None]
    GaussianProcess(Task("regression", ["y"])).fit(x, x).save(tmp_path / "gp")
    path = tmp_path / "gp" / "gp.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataIntegrityError, match=r"gp\.json"):
        GaussianProcess.load(tmp_path / "gp")


def test_what_a_model_must_have():
    assert VectorModel.__abstractmethods__ == {"_reset", "_predict", "_write", "_read"}
