import pytest
import torch
from torch import nn

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.hub import load_pretrained, save_pretrained, shipped
from pyg_samsa.nn import SAMSA
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
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
