import pytest
import torch
from torch import nn

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.hub import load_pretrained, save_pretrained, shipped
from pyg_samsa.nn import SAMSA
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
from pyg_samsa.training.mixed_network import MixedNetwork
from pyg_samsa.training.scaling import ScaledNetwork
from pyg_samsa.training.start_from import find_source, start_from

SIZE = {"edge_channels": [3], "channels": 8, "num_layers": 2, "heads": 2, "num_samples": 4}


def network(targets=2, seed=0, **changes):
    torch.manual_seed(seed)
    return BatchNetwork(SAMSA.from_options([4, 4], targets, **{**SIZE, **changes}))


def test_weights_of_a_saved_network(tmp_path):
    old, new = network(seed=1), network(seed=2)
    assert start_from(new, save_pretrained(old.model, tmp_path / "saved")) == []
    assert all(torch.equal(value, new.state_dict()[name]) for name, value in old.state_dict().items())


@pytest.mark.parametrize("scaled", [False, True])
def test_weights_of_a_run(tmp_path, scaled):
    old, new = network(seed=1), network(seed=2)
    holder = nn.Module()
    holder.network = ScaledNetwork(old, 2) if scaled else old
    (tmp_path / "checkpoints").mkdir()
    AtomicCheckpointIO().save_checkpoint({"state_dict": holder.state_dict()}, tmp_path / "checkpoints" / "last.ckpt")
    assert start_from(new, tmp_path) == []
    assert all(torch.equal(value, new.state_dict()[name]) for name, value in old.state_dict().items())
    assert start_from(network(seed=3), tmp_path / "checkpoints" / "last.ckpt") == []


def test_other_targets_keep_their_new_head(tmp_path):
    old, new = network(targets=5, seed=1), network(targets=3, seed=2)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    stay = start_from(new, save_pretrained(old.model, tmp_path / "saved"))
    assert stay
    for name, value in new.state_dict().items():
        assert name.startswith("model.readout.") or name not in stay
        assert torch.equal(value, before[name] if name in stay else old.state_dict()[name])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"channels": 16}, r"\[16\], the new one"),
        ({"num_layers": 3}, "no model.encoder.blocks.2"),
        ({"num_layers": 1}, r"no model.encoder.blocks.1"),
    ],
)
def test_another_network_is_refused_and_left_alone(tmp_path, changes, named):
    folder, new = save_pretrained(network().model, tmp_path / "saved"), network(seed=2, **changes)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    with pytest.raises(ConfigError, match=named) as caught:
        start_from(new, folder)
    assert "samsa." in caught.value.hint
    assert all(torch.equal(value, before[name]) for name, value in new.state_dict().items())


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(DataNotFoundError, match="no saved model found"):
        start_from(network(), tmp_path / "nothing")
    (tmp_path / "damaged.ckpt").write_bytes(b"PK damaged")
    with pytest.raises(DataIntegrityError, match="damaged"):
        start_from(network(), tmp_path / "damaged.ckpt")
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / "other.ckpt")
    with pytest.raises(DataIntegrityError, match="without weights"):
        start_from(network(), tmp_path / "other.ckpt")


def test_the_file_of_the_weights_is_found(tmp_path):
    assert find_source("peptides").name == "model.safetensors"
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert find_source(tmp_path / "run") == checkpoint
    with pytest.raises(DataNotFoundError, match="no saved model found"):
        find_source(tmp_path / "nothing")


def test_a_shipped_network_is_found_by_name():
    name = shipped()[0]
    model = load_pretrained(name)[0]
    fresh = BatchNetwork(SAMSA.from_options(**{**model.options, "out_channels": 7}))
    assert all(key.startswith("model.readout.") for key in start_from(fresh, name))
    assert all(
        torch.equal(value, fresh.state_dict()[f"model.{key}"])
        for key, value in model.state_dict().items()
        if not key.startswith("readout.")
    )


def trunk(tmp_path, vector=True):
    """The checkpoint of a run on three tasks, and its network."""
    size = {**SIZE, "modality_vector": vector}
    torch.manual_seed(5)
    parts = {
        "clouds": BatchNetwork(SAMSA.from_options(6, 3, **{**size, "bridge": False})),
        "molecules": BatchNetwork(SAMSA.from_options([4, 4], 1, scale_targets=True, **size)),
        "texts": BatchNetwork(SAMSA.from_options([30], 2, **{**size, "bridge": False})),
    }
    holder = nn.Module()
    holder.network = MixedNetwork(parts, {"clouds": "points", "molecules": "molecules", "texts": "texts"})
    with torch.no_grad():
        for weight in holder.network.parameters():
            weight.normal_()
    (tmp_path / "checkpoints").mkdir()
    AtomicCheckpointIO().save_checkpoint({"state_dict": holder.state_dict()}, tmp_path / "checkpoints" / "best.ckpt")
    return holder.network


@pytest.mark.parametrize("vector", [True, False])
def test_a_known_modality_takes_encoder_tokenizer_and_vector_from_a_trunk(tmp_path, vector):
    parts, new = trunk(tmp_path).parts, network(targets=4, modality_vector=vector)
    stay = start_from(new, tmp_path)
    assert stay
    assert all(name.startswith("model.readout.") for name in stay)
    expected = parts["molecules"].model
    for part in ("tokenizer", "encoder"):
        for name, value in getattr(new.model, part).state_dict().items():
            assert torch.equal(value, getattr(expected, part).state_dict()[name])
    assert torch.equal(new.model.modality, expected.modality)
    assert new.model.options["modality_vector"] is True
    folder = save_pretrained(new.model, tmp_path / "saved")
    assert torch.equal(load_pretrained(folder)[0].modality, expected.modality)


def test_an_unknown_modality_takes_the_encoder_alone(tmp_path):
    encoder = trunk(tmp_path).parts["clouds"].model.encoder
    torch.manual_seed(9)
    new = BatchNetwork(SAMSA.from_options(2, 1, **{**SIZE, "bridge": False, "modality_vector": True}))
    before = {name: value.clone() for name, value in new.state_dict().items()}
    stay = start_from(new, tmp_path)
    assert {name.split(".")[1] for name in stay} == {"readout", "tokenizer", "modality"}
    for name, value in new.state_dict().items():
        wanted = before[name] if name in stay else encoder.state_dict()[name.removeprefix("model.encoder.")]
        assert torch.equal(value, wanted)


def test_another_encoder_than_that_of_the_trunk_is_refused(tmp_path):
    trunk(tmp_path)
    with pytest.raises(ConfigError, match=r"train\.start_from: .*model\.encoder\.blocks"):
        start_from(network(num_samples=8), tmp_path)
    with pytest.raises(ConfigError, match=r"no model\.encoder\.blocks\.2"):
        start_from(network(num_layers=3), tmp_path)
