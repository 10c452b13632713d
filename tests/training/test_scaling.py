import math

import pytest
import torch
from torch import nn

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import SAMSA, TargetScale
from pyg_samsa.training import losses
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.scaling import ScaledLoss, ScaledNetwork, fit_graph_features, with_target_scale

MEAN, STD = torch.tensor([5.0, -1.0]), torch.tensor([2.0, 10.0])


class Fixed(nn.Module):
    """A network that predicts what it is given."""

    def forward(self, batch):
        return batch


def scale():
    made = TargetScale(2)
    made.fit(MEAN, STD)
    return made


def test_predictions_are_in_the_units_of_the_targets():
    network = ScaledNetwork(Fixed(), 2)
    network.scale.fit(MEAN, STD)
    prediction, target = network((torch.tensor([[0.0, 1.0], [-2.0, 0.5]]), torch.ones(2, 2)))
    assert prediction.tolist() == [[5.0, 9.0], [1.0, 4.0]]
    assert target.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_the_scale_is_saved_with_the_network():
    network = ScaledNetwork(Fixed(), 2)
    network.scale.fit(MEAN, STD)
    other = ScaledNetwork(Fixed(), 2)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.scale.mean, MEAN)
    assert torch.equal(other.scale.std, STD)


@pytest.mark.parametrize("name", losses.fitting("regression"))
def test_every_regression_loss_sees_standardised_values(name):
    torch.manual_seed(0)
    loss = losses.build(name)
    pred, target = torch.randn(6, 2) * STD + MEAN, torch.randn(6, 2) * STD + MEAN
    expected = loss((pred.double() - MEAN) / STD, (target.double() - MEAN) / STD)
    torch.testing.assert_close(ScaledLoss(loss, scale())(pred, target), expected)


def test_missing_targets_stay_missing():
    target = torch.tensor([[5.0, float("nan")]])
    assert ScaledLoss(losses.build("l1"), scale())(torch.tensor([[9.0, 0.0]]), target).item() == 2.0


def test_a_vector_of_targets_takes_the_shape_of_the_predictions():
    one = TargetScale(1)
    one.fit(torch.tensor([1.0]), torch.tensor([2.0]))
    loss = ScaledLoss(losses.build("l1"), one)
    # Without it [3, 1] and [3] would be broadcast to nine differences.
    assert loss(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([1.0, 3.0, 7.0])).item() == pytest.approx(1 / 3)


def test_a_network_with_a_scale_is_not_wrapped():
    network = BatchNetwork(SAMSA.from_options(3, 2, scale_targets=True, channels=8, num_layers=1, heads=2))
    same, found = with_target_scale(network, MEAN, STD)
    assert same is network
    assert found is network.model.readout.scale
    assert torch.equal(found.mean, MEAN)
    assert torch.equal(found.std, STD)


def test_the_width_must_fit():
    network = BatchNetwork(SAMSA.from_options(3, 3, scale_targets=True, channels=8, num_layers=1, heads=2))
    with pytest.raises(ConfigError, match="target scale: mean"):
        with_target_scale(network, MEAN, STD)


def test_the_scale_of_graph_features_is_that_of_the_training_rows():
    network = BatchNetwork(SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, graph_channels=2))
    fit_graph_features(network, torch.tensor([[0.0, 1.0], [math.e - 1, 1.0]]))
    torch.testing.assert_close(network.graph_features.center, torch.tensor([0.5, math.log(2)]))
    torch.testing.assert_close(network.graph_features.scale, torch.tensor([0.5, 0.0]))
    with pytest.raises(ConfigError, match="graph_features: got None, expected 2 features of every graph"):
        fit_graph_features(network, None)
    fit_graph_features(nn.Identity(), torch.ones(3, 1))  # a network without such features is left
