import numpy as np
import pytest

from pyg_samsa.errors import ConfigError
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
