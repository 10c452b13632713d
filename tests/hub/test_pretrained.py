import json
import struct

import pytest
import torch
from torch import nn

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, SAMSAError
from pyg_samsa.hub import pretrained
from pyg_samsa.hub.pretrained import load_pretrained, save_pretrained
from pyg_samsa.nn import SAMSA, AtomEncoder, BagOfFeatures, BondEncoder

TASK = {
    "kind": "regression",
    "target_names": ["logS"],
    "mean": [-2.5],
    "std": [1.5],
    "metrics": {"test": {"mae": 0.4, "r2": float("nan")}},
}


def network(**options):
    torch.manual_seed(0)
    arguments = {
        "in_channels": [5, 3],
        "out_channels": 1,
        "edge_channels": 2,
        "channels": 8,
        "num_layers": 2,
        "heads": 2,
        "num_samples": 4,
    }
    model = SAMSA.from_options(**{**arguments, **options})
    with torch.no_grad():
        model.encoder.alpha += 0.3  # at zero the blocks do nothing
    return model.eval()


def inputs(model):
    nodes = torch.tensor([[0, 1], [4, 2], [2, 0], [1, 1]])
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    return nodes, edges, torch.linspace(-1, 1, 8).view(4, 2), torch.tensor([0, 0, 0, 1])


@pytest.fixture
def saved(tmp_path):
    return save_pretrained(network(), tmp_path / "model", task=TASK)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_codes": 2, "sigma": 0.5, "rezero": "shared", "pool": "mean"},
        {"level": "node", "context": True},
        {"sampling": "soft", "num_eval_samples": 3, "ffn_channels": 12, "dropout": 0.2},
        {"attention_options": {"support": False}},
    ],
)
def test_same_outputs_after_loading(tmp_path, options):
    model = network(**options)
    loaded, config = load_pretrained(save_pretrained(model, tmp_path / "m"))
    assert torch.equal(model(*inputs(model)), loaded(*inputs(model)))
    assert not loaded.training
    assert loaded.options == {**model.options, "in_channels": [5, 3]}
    assert set(config["arguments"]) == set(model.options)


def test_methods_of_the_network(tmp_path):
    model = network()
    folder = model.save_pretrained(tmp_path / "m", task=TASK, card={"Data": "Ten molecules."})
    assert torch.equal(SAMSA.from_pretrained(folder)(*inputs(model)), model(*inputs(model)))
    assert "Ten molecules." in (folder / "README.md").read_text()


def test_encoders_given_as_modules(tmp_path):
    torch.manual_seed(0)
    options = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}
    model = SAMSA.from_options(AtomEncoder(8), 1, edge_channels=BondEncoder(8), **options).eval()
    loaded, config = load_pretrained(save_pretrained(model, tmp_path / "m"))
    assert config["arguments"]["in_channels"] == [119, 5, 12, 12, 10, 6, 6, 2, 2]
    x, edge_index, edge_attr = (
        torch.zeros(2, 9, dtype=torch.long),
        torch.tensor([[0, 1], [1, 0]]),
        torch.ones(2, 3, dtype=torch.long),
    )
    assert torch.equal(model(x, edge_index, edge_attr), loaded(x, edge_index, edge_attr))
    with pytest.raises(ConfigError, match="in_channels"):
        save_pretrained(SAMSA.from_options(nn.Sequential(nn.Linear(3, 8)), 1, **options), tmp_path / "n")


def test_a_linear_encoder_becomes_its_width(tmp_path):
    model = network(in_channels=nn.Linear(2, 8))
    assert load_pretrained(save_pretrained(model, tmp_path / "m"))[1]["arguments"]["in_channels"] == 2


def test_what_the_folder_holds(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((saved / "config.json").read_text())
    assert config["class"] == "SAMSA"
    assert config["task"]["mean"] == [-2.5]
    assert config["task"]["metrics"]["test"] == {"mae": 0.4, "r2": None}
    assert config["versions"]["torch"]
    card = (saved / "README.md").read_text()
    assert "logS" in card
    assert "| test | 0.4 |" in card


def test_only_known_classes_are_saved(tmp_path):
    with pytest.raises(ConfigError, match="BagOfFeatures"):
        save_pretrained(BagOfFeatures(3, 1), tmp_path / "m")
    assert not (tmp_path / "m").exists()

    class Mine(SAMSA):
        pass

    with pytest.raises(ConfigError, match="Mine"):
        save_pretrained(Mine(3, 1, channels=8, num_layers=1, heads=2), tmp_path / "m")


def test_only_an_earlier_model_is_replaced(tmp_path, saved):
    save_pretrained(network(out_channels=2), saved)
    assert load_pretrained(saved)[0].options["out_channels"] == 2
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("words")
    with pytest.raises(ConfigError, match="thesis"):
        save_pretrained(network(), other)
    assert (other / "chapter.tex").read_text() == "words"


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "write_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_pretrained(network(), tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def change(folder, **entries):
    config = json.loads((folder / "config.json").read_text())
    for key, value in entries.items():
        node, *rest = key.split("__")
        if rest:
            config[node][rest[0]] = value
        else:
            config[node] = value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("entries", "error", "told"),
    [
        ({"class": "os.system"}, ConfigError, "os.system"),
        ({"class": "torch.nn.Linear"}, ConfigError, "SAMSA"),
        ({"class": ["SAMSA"]}, ConfigError, "SAMSA"),
        ({"format": 99}, ConfigError, "99"),
        ({"format": "1"}, DataIntegrityError, "format"),
        ({"arguments": None}, DataIntegrityError, "arguments"),
        ({"arguments__warp_factor": 9}, ConfigError, "warp_factor"),
        ({"arguments__heads": 3}, ConfigError, "heads"),
        ({"arguments__sampling": "hrd"}, ConfigError, "sampling"),
        ({"arguments__channels": "8"}, SAMSAError, "channels"),
        ({"arguments__channels": 10**9}, DataIntegrityError, "channels"),
        ({"arguments__num_layers": 10**6}, DataIntegrityError, "num_layers"),
        ({"arguments__num_layers": 3}, DataIntegrityError, "missing"),
        ({"arguments__num_layers": 1}, DataIntegrityError, "more"),
        ({"arguments__in_channels": [5, 2]}, DataIntegrityError, "node_encoder"),
        ({"arguments__in_channels": {"__class__": "Popen"}}, SAMSAError, "in_channels"),
        ({"task__kind": "oracle"}, ConfigError, "oracle"),
        ({"task__std": [0.0]}, ConfigError, "std"),
        ({"task__mean": [1.0, 2.0]}, ConfigError, "mean"),
        ({"task__target_names": []}, ConfigError, "target_names"),
        ({"task__featuriser": "pickle"}, ConfigError, "pickle"),
    ],
)
def test_a_wrong_configuration_is_explained(saved, entries, error, told):
    change(saved, **entries)
    with pytest.raises(error, match=told) as caught:
        load_pretrained(saved)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\x00", "{" + " " * 2**21 + "}"])
def test_a_damaged_configuration_is_explained(saved, text):
    (saved / "config.json").write_text(text)
    with pytest.raises(DataIntegrityError, match=r"config\.json"):
        load_pretrained(saved)


def test_damaged_weights_are_explained(saved):
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (
        whole[:-7],
        whole[: len(whole) // 2],
        whole[:5],
        b"",
        struct.pack("<Q", 2**62) + whole[8:],
        b"\x80\x04pickle" * 9,
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataIntegrityError, match=r"model\.safetensors"):
            load_pretrained(saved)
    path.unlink()
    with pytest.raises(DataNotFoundError, match=r"model\.safetensors"):
        load_pretrained(saved)


def test_a_pickle_beside_it_is_never_read(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    torch.save({"w": Bomb()}, saved / "pytorch_model.bin")
    torch.save({"w": Bomb()}, saved / "model.safetensors")
    with pytest.raises(DataIntegrityError):
        load_pretrained(saved)
    assert not (tmp_path / "harm").exists()


def test_places_that_are_looked_at(tmp_path, saved, monkeypatch):
    assert pretrained.find_pretrained(tmp_path) == saved  # the folder of a run
    with pytest.raises(DataNotFoundError, match="nowhere"):
        load_pretrained(tmp_path / "nowhere")
    monkeypatch.setattr(pretrained, "SHIPPED", tmp_path)
    assert pretrained.shipped() == ["model"]
    monkeypatch.chdir(tmp_path.parent)
    assert pretrained.find_pretrained("model") == saved
    with pytest.raises(DataNotFoundError) as caught:
        pretrained.find_pretrained("modle")
    assert "'model'" in caught.value.hint
    with pytest.raises(DataNotFoundError):
        pretrained.find_pretrained("../model")


def test_another_class_is_refused(saved):
    class Other(SAMSA):
        pass

    with pytest.raises(ConfigError, match="Other"):
        Other.from_pretrained(saved)
