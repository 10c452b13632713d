from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import GELU, Linear, Module, Sequential
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.feature_levels import FeatureLevels, feature_levels, fit_feature_levels
from pyg_samsa.functional.feature_scale import fit_feature_scale, scale_features
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.precision import in_full_precision
from pyg_samsa.options import check_integer, check_probability
from pyg_samsa.typing import Float, Int, Shaped


class GraphFeatures(Module):
    r"""Encodes features of whole graphs, such as molecular descriptors, to a vector of C channels for each graph.

    .. math::
        l(u) = \mathrm{sign}(u) \log(1 + |u|), \qquad
        z = \mathrm{clip}\Bigl(\frac{l(u) - \mu}{\sigma}, -5, 5\Bigr), \qquad
        h = \mathrm{GELU}(W \, \mathrm{Drop}(z) + b)

    The logarithm shortens the tails of counts and masses. Mean and deviation of :math:`l(u)` are those of the training
    graphs, set by `fit`, and saved with the network; before, they are 0 and 1. A value that is missing (NaN), and every
    value of a feature that did not vary in training, is 0 after scaling.

    With ``levels``, :math:`z` tells instead which thresholds each feature reaches, see
    `pyg_samsa.functional.feature_levels`. For counts of fragments this is much better.

    Args:
        in_channels: Number F of features of a graph.
        channels: Channels C of the output.
        dropout: Dropout of the scaled features, 0 to below 1.
        levels: Largest number M of thresholds of all features; 0 for scaled values.

    Shapes:
        - **input:** [B, F], with NaN where a value is missing
        - **output:** [B, C]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The input has another width.

    Example:
        >>> features = torch.tensor([[1.0, 20.0], [3.0, float("nan")], [5.0, 40.0]])
        >>> module = GraphFeatures(2, 16)
        >>> module.fit(features)
        >>> module(features).shape, module.scaled(features)[1]
        (torch.Size([3, 16]), tensor([0.2114, 0.0000]))

    Cost: O(B F C), or O(B M C) with M levels.
    """

    center: Tensor
    scale: Tensor
    level_feature: Tensor
    level_threshold: Tensor
    level_share: Tensor

    def __init__(self, in_channels: int, channels: int, *, dropout: float = 0.0, levels: int = 0) -> None:
        super().__init__()
        check_integer("in_channels", in_channels)
        check_integer("channels", channels)
        check_integer("levels", levels, low=0)
        check_probability("dropout", dropout)
        self.in_channels, self.channels, self.levels = in_channels, channels, levels
        if levels:
            self.register_buffer("level_feature", torch.zeros(levels, dtype=torch.long))
            self.register_buffer("level_threshold", torch.full((levels,), float("inf")))
            self.register_buffer("level_share", torch.zeros(levels))
        else:
            self.register_buffer("center", torch.zeros(in_channels))
            self.register_buffer("scale", torch.ones(in_channels))
        self.net = Sequential(Dropout(dropout), Linear(levels or in_channels, channels), GELU())

    def reset_parameters(self) -> None:
        """Draw new weights and keep the scale."""
        reset(self.net)

    @torch.no_grad()
    def fit(self, features: Shaped[Tensor, "G F"], rows: Int[Tensor, " n"] | None = None) -> None:
        r"""Set mean and deviation, or the levels, to those of the training graphs; missing values (NaN) are left out.

        .. math::
            \mu = \frac{1}{n} \sum_b l(u_b), \qquad \sigma = \sqrt{\frac{1}{n} \sum_b (l(u_b) - \mu)^2}

        Args:
            features: Features of G graphs.
            rows: The training graphs among them; None for all.

        Raises:
            ShapeError: They have another width.
            ConfigError: There are no graphs.

        Example:
            >>> module = GraphFeatures(1, 4)
            >>> module.fit(torch.tensor([[7.0], [7.0]]))
            >>> module.scaled(torch.tensor([[9.0]]))  # a feature that did not vary
            tensor([[0.]])
        """
        self._check(features)
        if self.levels:
            levels = fit_feature_levels(features.to(self.level_threshold.dtype), self.levels, rows)
            for name, values in levels._asdict().items():
                getattr(self, f"level_{name}").copy_(values)
            return
        center, scale = fit_feature_scale(features, rows)
        self.center.copy_(center)
        self.scale.copy_(scale)

    def scaled(self, features: Shaped[Tensor, "B F"]) -> Float[Tensor, "B M"]:
        r"""Return the input of the linear layer: scaled features, or levels, from -5 to 5 and without NaN.

        .. math::
            z = \mathrm{clip}\Bigl(\frac{l(u) - \mu}{\sigma}, -5, 5\Bigr)

        Raises:
            ShapeError: They have another width.

        Example:
            >>> GraphFeatures(3, 4).scaled(torch.tensor([[0.0, -1e30, float("nan")]]))
            tensor([[ 0., -5.,  0.]])
        """
        self._check(features)
        if self.levels:
            levels = FeatureLevels(self.level_feature, self.level_threshold, self.level_share)
            features = features.to(self.level_threshold.dtype)
            return feature_levels(features, levels, dtype=self.level_share.dtype)
        return scale_features(features, self.center, self.scale)

    def forward(self, features: Shaped[Tensor, "B F"]) -> Float[Tensor, "B D"]:
        r"""Return the encoded features, computed in the number type of the weights, also under autocast.

        .. math::
            h = \mathrm{GELU}(W \, \mathrm{Drop}(z) + b)

        Example:
            >>> GraphFeatures(3, 4)(torch.randn(2, 3)).shape
            torch.Size([2, 4])
        """
        return in_full_precision(self.net, self.scaled(features))

    def _check(self, features: Tensor) -> None:
        if features.dim() != 2 or features.size(1) != self.in_channels:
            raise ShapeError("graph_features", list(features.shape), f"[graphs, {self.in_channels}]")

    def __repr__(self) -> str:
        levels = f", levels={self.levels}" if self.levels else ""
        return f"{type(self).__name__}({self.in_channels}, {self.channels}{levels})"


def encode_graph_features(
    encoder: GraphFeatures | None, features: Shaped[Tensor, "B F"] | None, num_graphs: int
) -> Float[Tensor, "B D"] | None:
    """Encode the features of all graphs of a batch; None for a network without such features.

    Args:
        encoder: The encoder of the network, or None.
        features: Features of the graphs.
        num_graphs: Number B of graphs.

    Raises:
        ShapeError: The features have another shape, are missing, or are given to a network that does not take them.

    Example:
        >>> encode_graph_features(GraphFeatures(3, 4), torch.randn(2, 3), 2).shape
        torch.Size([2, 4])
    """
    width = 0 if encoder is None else encoder.in_channels
    shape = None if features is None else list(features.shape)
    if shape != ([num_graphs, width] if width else None):
        expected = f"[{num_graphs}, {width}], because graph_channels is {width}" if width else "None"
        raise ShapeError("graph_features", shape, expected)
    return None if encoder is None or features is None else encoder(features)
