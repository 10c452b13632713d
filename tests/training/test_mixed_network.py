import copy

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import SAMSA
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.mixed_network import MixedNetwork, UncertaintyWeights

SIZE = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4, "bridge": False}


def parts():
    torch.manual_seed(0)
    made = {"a": BatchNetwork(SAMSA.from_options(3, 2, **SIZE)), "b": BatchNetwork(SAMSA.from_options(5, 1, **SIZE))}
    for part in made.values():
        with torch.no_grad():
            part.model.encoder.alpha.fill_(0.5)
    return made


def batch(task):
    width = {"a": 3, "b": 5}[task]
    made = Batch.from_data_list([Data(x=torch.ones(nodes, width) / nodes, y=torch.ones(1, 1)) for nodes in (1, 4)])
    made.task_name = task
    return made


def test_each_batch_goes_to_the_network_of_its_task():
    given = parts()
    network = MixedNetwork(given, {"a": "x", "b": "y"}).eval()
    assert network.modalities == {"a": "x", "b": "y"}
    for task, part in given.items():
        part.model.encoder = network.parts["a"].model.encoder
        for found, expected in zip(network(batch(task)), part.eval()(copy.copy(batch(task))), strict=True):
            assert torch.equal(found, expected)


def test_the_networks_that_are_given_stay_as_they_are():
    given = parts()
    before = {name: part.model for name, part in given.items()}
    MixedNetwork(given, {})
    assert all(given[name].model is model for name, model in before.items())


def test_other_networks_are_refused():
    with pytest.raises(ConfigError, match=r"model\.type \(b\): got 'Linear', expected 'samsa'"):
        MixedNetwork({**parts(), "b": nn.Linear(1, 1)}, {})


def test_weights_from_uncertainty():
    weights = UncertaintyWeights({"labels": False, "heights": True})
    assert weights("labels", torch.tensor(2.0)).item() == 2.0
    assert weights("heights", torch.tensor(2.0)).item() == 1.0
    with torch.no_grad():
        weights.log_variances["heights"].fill_(0.5)
    expected = 2.0 * torch.tensor(-0.5).exp() / 2 + 0.25
    torch.testing.assert_close(weights("heights", torch.tensor(2.0)), expected)
