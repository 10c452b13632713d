import json

from pyg_samsa.hub.model_config import ModelConfig, read_config
from pyg_samsa.task import Task


def test_config_survives_json(tmp_path):
    values = {"options": {"channels": 8}, "num_parameters": 9, "task": Task("multiclass", ["a", "b"])}
    values |= {"metrics": {"test": {"f1_macro": 0.5}}, "card": {"Data": "Ten."}, "versions": {"torch": "2"}}
    config = ModelConfig("SAMSA", **values)
    (tmp_path / "config.json").write_text(json.dumps(config.as_dict()))
    assert read_config(tmp_path) == config


def test_undefined_metrics_become_null():
    config = ModelConfig("SAMSA", {}, 9, metrics={"test": {"r2": float("nan")}})
    assert config.as_dict()["metrics"] == {"test": {"r2": None}}
