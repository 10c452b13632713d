"""Scales of a network that come from the training rows: those of the targets, and of features of whole graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import GraphFeatures, TargetScale
from pyg_samsa.training.averages import Average, RowAverage


class ScaledNetwork(nn.Module):
    r"""Scales the predictions of a network that has no scale of its own to the units of the targets.

    .. math::
        \hat y = \mu + \sigma f(G)

    Args:
        network: ``forward(batch) -> (prediction, target)`` with predictions [B, C].
        num_targets: Number of targets C.

    Example:
        >>> import torch
        >>> class One(nn.Module):
        ...     def forward(self, batch):
        ...         return torch.ones(1, 1), None
        >>> network = ScaledNetwork(One(), 1)
        >>> network.scale.fit(torch.tensor([5.0]), torch.tensor([2.0]))
        >>> network(None)[0].item()
        7.0
    """

    def __init__(self, network: nn.Module, num_targets: int) -> None:
        super().__init__()
        self.network = network
        self.scale = TargetScale(num_targets)

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (prediction, target) of a batch, both in the units of the data."""
        prediction, target = self.network(batch)
        return self.scale(prediction), target


class ScaledLoss:
    r"""A loss that sees standardised values, called with values in the units of the data.

    .. math::
        \ell\bigl((\hat y - \mu) / \sigma, (y - \mu) / \sigma\bigr)

    Args:
        loss: ``loss(prediction, target) -> scalar``.
        scale: The scale of the targets.

    Example:
        >>> import torch
        >>> scale = TargetScale(1)
        >>> scale.fit(torch.tensor([5.0]), torch.tensor([2.0]))
        >>> ScaledLoss(nn.functional.l1_loss, scale)(torch.tensor([[9.0]]), torch.tensor([[5.0]])).item()
        2.0
    """

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor], scale: TargetScale) -> None:
        self.loss, self.scale = loss, scale

    @property
    def average(self) -> Average:
        """What the loss is a mean over; it is asked for with values in the units of the data.

        Example:
            >>> type(ScaledLoss(nn.functional.l1_loss, TargetScale(1)).average).__name__
            'RowAverage'
        """
        return getattr(self.loss, "average", None) or RowAverage()

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the standardised values."""
        target = target.view_as(prediction)
        return self.loss(self.scale.standardize(prediction), self.scale.standardize(target))


def with_target_scale(network: nn.Module, mean: Tensor, std: Tensor) -> tuple[nn.Module, TargetScale]:
    """Set the scale of the targets of a network; a network without one is wrapped.

    Args:
        network: ``forward(batch) -> (prediction, target)``; its own scale is its attribute ``scale``.
        mean: Means of the targets of the training rows [C].
        std: Their standard deviations [C].

    Returns:
        The network, and its scale.

    Raises:
        ConfigError: Mean and deviation do not fit the network.

    Example:
        >>> import torch
        >>> network, scale = with_target_scale(nn.Identity(), torch.tensor([5.0]), torch.tensor([2.0]))
        >>> type(network).__name__, scale.mean.item()
        ('ScaledNetwork', 5.0)
    """
    scale = getattr(network, "scale", None)
    if not isinstance(scale, TargetScale):
        network = ScaledNetwork(network, mean.numel())
        scale = network.scale
    scale.fit(mean, std)
    return network, scale


def fit_graph_features(network: nn.Module, features: Tensor | None, rows: Tensor | None = None) -> None:
    """Fit the scale of the features of whole graphs to the training rows; a network without such features is left.

    Args:
        network: ``forward(batch) -> (prediction, target)``; the encoder is its attribute ``graph_features``.
        features: Features of G graphs [G, F], with NaN where a value is missing; None without features.
        rows: The training rows among them, int64 [n]; None for all.

    Raises:
        ConfigError: The network reads features, and there are none.

    Example:
        >>> import torch
        >>> from pyg_samsa.nn import SAMSA
        >>> network = SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, graph_channels=1)
        >>> fit_graph_features(network, torch.tensor([[0.0], [0.0]]))
        >>> network.graph_features.scaled(torch.tensor([[3.0]]))
        tensor([[0.]])
    """
    encoder = getattr(network, "graph_features", None)
    if not isinstance(encoder, GraphFeatures):
        return
    if features is None:
        hint = "Add them to the data set, for example with pyg_samsa.datasets.add_descriptors."
        raise ConfigError("graph_features", None, f"{encoder.in_channels} features of every graph", hint=hint)
    encoder.fit(features, None if rows is None else rows.sort().values)  # mapped files are read in order
