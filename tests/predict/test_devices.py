import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.predict import load_predictor
from pyg_samsa.predict.devices import find_device


def test_a_device_that_is_there(monkeypatch):
    assert find_device(torch.device("cpu")).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match=r"device: got 'cuda:2', expected a number below 2, the number of GPUs"):
        find_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "foo", "", "cuda:x", "meta", "xla"])
def test_what_is_no_device_is_named(name):
    with pytest.raises(
        ConfigError, match=r"^device: got .*, expected cpu, cuda, cuda:1 and the like, or mps"
    ) as caught:
        find_device(name)
    assert caught.value.hint == ("Did you mean 'cuda'?" if name == "gpu" else "")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=rf"device: got '{name}', expected a device that is there"):
        load_predictor("peptides", device=name)
