import json

import pytest
import torch
from torch import nn

from pyg_samsa.errors import ConfigError
from pyg_samsa.hub import load_pretrained, save, save_pretrained
from pyg_samsa.nn import SAMSA, AtomEncoder, BagOfFeatures, BondEncoder

SIZES = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}


def test_what_the_folder_holds(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((saved / "config.json").read_text())
    assert config["class"] == "SAMSA"
    assert config["task"] == {"kind": "regression", "level": "graph", "names": ["logS"]}
    assert config["metrics"]["test"] == {"mae": 0.4, "r2": None}
    assert config["versions"]["torch"]


def test_encoders_given_as_modules(tmp_path):
    torch.manual_seed(0)
    model = SAMSA.from_options(AtomEncoder(8), 1, edge_channels=BondEncoder(8), **SIZES).eval()
    loaded, config = load_pretrained(save_pretrained(model, tmp_path / "m"))
    assert config.options["in_channels"] == [119, 5, 12, 12, 10, 6, 6, 2, 2]
    x, edge_index, edge_attr = (
        torch.zeros(2, 9, dtype=torch.long),
        torch.tensor([[0, 1], [1, 0]]),
        torch.ones(2, 3, dtype=torch.long),
    )
    assert torch.equal(model(x, edge_index, edge_attr), loaded(x, edge_index, edge_attr))
    with pytest.raises(ConfigError, match="in_channels"):
        save_pretrained(SAMSA.from_options(nn.Sequential(nn.Linear(3, 8)), 1, **SIZES), tmp_path / "n")


def test_a_linear_encoder_becomes_its_width(tmp_path, network):
    model = network(in_channels=nn.Linear(2, 8))
    assert load_pretrained(save_pretrained(model, tmp_path / "m"))[1].options["in_channels"] == 2


def test_only_known_classes_are_saved(tmp_path):
    with pytest.raises(ConfigError, match="BagOfFeatures"):
        save_pretrained(BagOfFeatures(3, 1), tmp_path / "m")
    assert not (tmp_path / "m").exists()

    class Mine(SAMSA):
        pass

    with pytest.raises(ConfigError, match="Mine"):
        save_pretrained(Mine.from_options(3, 1, **SIZES), tmp_path / "m")


def test_a_network_built_from_parts_says_how_to_build_it(tmp_path, network):
    made = network()
    parts = SAMSA(made.tokenizer, made.encoder, made.readout)
    with pytest.raises(ConfigError, match="parts") as caught:
        save_pretrained(parts, tmp_path / "m")
    assert "from_options" in caught.value.hint


def test_only_an_earlier_model_is_replaced(tmp_path, saved, network):
    save_pretrained(network(out_channels=2), saved)
    assert load_pretrained(saved)[1].options["out_channels"] == 2
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("words")
    with pytest.raises(ConfigError, match="thesis"):
        save_pretrained(network(), other)
    assert (other / "chapter.tex").read_text() == "words"


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch, network):
    monkeypatch.setattr(save, "model_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_pretrained(network(), tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_descriptors_and_extra_columns_are_saved(tmp_path, network):
    model = network(graph_channels=168)
    model.graph_features.fit(torch.randn(5, 168))
    folder = save_pretrained(model, tmp_path / "m", descriptors=["maccs"], extra_columns=["pH"])
    loaded, config = load_pretrained(folder)
    assert (config.descriptors, config.extra_columns) == (("maccs",), ("pH",))
    for name, value in model.graph_features.state_dict().items():
        assert torch.equal(loaded.graph_features.state_dict()[name], value)
