from pathlib import Path

import pytest

from pyg_samsa.errors import ConfigError, DataNotFoundError
from pyg_samsa.web.served_models import distinct_names, load_models


def test_models_of_one_experiment_get_different_names():
    names = distinct_names(["results/esol/0", "results/esol/1", "results/logd/0"])
    assert names == ["esol/0", "esol/1", "logd"]
    assert distinct_names(["a/esol/0", "b/esol/0"]) == ["a/esol/0", "b/esol/0"]


def test_the_packaged_model_says_why_its_training_molecules_are_unknown(tmp_path):
    (served,) = load_models(["peptides"], tmp_path)
    assert served.training is None
    assert "does not say what it was trained on" in served.without_training
    assert served.most_confidence == 0
    assert load_models(["peptides"], tmp_path, neighbors=False)[0].without_training.endswith("--no-neighbors")


def test_what_cannot_be_served_is_named():
    with pytest.raises(ConfigError, match="at least one model"):
        load_models([], Path("unused"))
    with pytest.raises(ConfigError, match="each model once"):
        load_models(["peptides", "peptides"], Path("unused"))
    with pytest.raises(DataNotFoundError, match="no_such_model"):
        load_models(["no_such_model"], Path("unused"))


def test_the_largest_confidence_is_that_of_the_calibration(counter):
    assert counter().most_confidence == pytest.approx(30 / 31)
