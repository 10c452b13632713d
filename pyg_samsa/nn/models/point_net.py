"""A baseline for point clouds that processes every point on its own."""

from __future__ import annotations

import itertools
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Linear, Module, ReLU, Sequential
from torch_geometric.nn.inits import reset
from torch_geometric.utils import scatter

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.inputs import cast_floats, check_tensor
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.encoding.feature_encoder import check_finite, one_hot_categories
from pyg_samsa.nn.precision import in_full_precision
from pyg_samsa.options import Option, check_integer, check_options
from pyg_samsa.typing import Float, Int

LEVELS = ("graph", "node")


class PointNet(Module):
    r"""The vanilla network of `"PointNet" <https://arxiv.org/abs/1612.00593>`_, without T-Nets.

    Every point is processed on its own until the points of a cloud are pooled:

    .. math::
        h_t = \mathrm{MLP}_{64,64}(x_t), \quad g_t = \mathrm{MLP}_{64,128,1024}(h_t), \quad
        p_b = \max_{t \in b} g_t, \quad
        y_b = \mathrm{MLP}_{512,256}(p_b) \;\text{ or }\; y_t = \mathrm{MLP}_{512,256,128}([h_t, p_b, c_b])

    with c the one-hot category of the shape. Every linear layer except the last is followed by batch normalisation and
    ReLU; dropout comes before the last layer. A network for point clouds that is not better than this one has learned
    nothing from the arrangement of points.

    Args:
        in_channels: Number of float features of a point.
        out_channels: Number of predictions per cloud or point.
        level: ``"graph"``: one prediction per cloud; ``"node"``: one per point.
        width: Factor on the widths of all hidden layers, above 0, to choose the size of the network.
        dropout: Dropout before the last layer, 0 to below 1.
        num_categories: For ``level="node"``: number of categories of shapes, which the head sees; 0 for none.

    Shapes:
        - **input:** points [T, F], cloud numbers [T] (*optional*), categories [B] if ``num_categories`` is set
        - **output:** [B, out_channels], or [T, out_channels] for ``level="node"``; the pooled vector of an empty cloud
          is zero

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit the network or each other.
        NumericalError: A feature is NaN or infinite.

    Example:
        >>> model = PointNet(6, 10, width=0.25).eval()
        >>> model(torch.randn(5, 6), batch=torch.tensor([0, 0, 0, 1, 1])).shape
        torch.Size([2, 10])

    Cost: O(T w^2) for a width factor w.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        level: str = "graph",
        width: Annotated[float, Option("Factor on the widths of hidden layers.", above=0, below=1000)] = 1.0,
        dropout: float = 0.3,
        num_categories: int = 0,
    ) -> None:
        super().__init__()
        check_choice("level", level, LEVELS)
        check_integer("in_channels", in_channels)
        check_integer("out_channels", out_channels)
        check_options(PointNet, {"width": width})
        if num_categories < 0 or (num_categories and level == "graph"):
            raise ConfigError("num_categories", num_categories, "0, or with level='node' a number of categories")
        self.in_channels, self.out_channels, self.level, self.width, self.num_categories = (
            in_channels,
            out_channels,
            level,
            width,
            num_categories,
        )
        self.local = _mlp([in_channels, *self._widths(64, 64)])
        self.wide = _mlp(self._widths(64, 64, 128, 1024))
        if level == "graph":
            hidden = self._widths(1024, 512, 256)
        else:
            hidden = [sum(self._widths(64, 1024)) + num_categories, *self._widths(512, 256, 128)]
        self.head = Sequential(_mlp(hidden), Dropout(dropout), Linear(hidden[-1], out_channels))

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the optional inputs that the network uses.

        Example:
            >>> PointNet(3, 2, level="node", num_categories=4).inputs
            frozenset({'category'})
        """
        return frozenset(["category"] if self.num_categories else [])

    def _widths(self, *channels: int) -> list[int]:
        return [max(1, round(self.width * each)) for each in channels]

    def reset_parameters(self) -> None:
        """Draw new weights and reset the running statistics."""
        for module in (self.local, self.wide, self.head):
            reset(module)

    def forward(
        self,
        x: Float[Tensor, "T F"],
        edge_index: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Int[Tensor, " T"] | None = None,
        *,
        batch_size: int | None = None,
        category: Int[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "rows out"]:
        """Return the predictions.

        Args:
            x: Features of points.
            edge_index: Ignored: this network does not use edges.
            edge_attr: Ignored.
            batch: Cloud number of each point, in any order; None means one cloud.
            batch_size: Number of clouds, if some at the end may be empty.
            category: Category of each cloud; required if ``num_categories`` is set.

        Example:
            The order of points does not matter:

            >>> model, x = PointNet(3, 2, width=0.1).eval(), torch.randn(7, 3)
            >>> torch.allclose(model(x), model(x.flip(0)), atol=1e-6)
            True
        """
        x = cast_floats("x", check_tensor("x", x, f"floats [T, {self.in_channels}]"), next(self.parameters()).dtype)
        if x.dim() != 2 or x.size(1) != self.in_channels or not x.is_floating_point():
            raise ShapeError("x", f"{list(x.shape)} {x.dtype}", f"floats [T, {self.in_channels}]")
        check_finite("x", x)
        index, perm = resolve(x.size(0), x.device, batch, None, batch_size)
        local = self.local(x if perm is None else x[perm])
        # After a ReLU nothing is below zero, so zero is a valid maximum for an empty cloud.
        pooled = scatter(self.wide(local), index.batch, dim=0, dim_size=index.num_graphs, reduce="max")
        if self.level == "graph":
            return in_full_precision(self.head, pooled)
        if self.num_categories:
            pooled = torch.cat(
                [pooled, one_hot_categories(category, index.num_graphs, self.num_categories).to(pooled.dtype)], dim=1
            )
        predicted = in_full_precision(self.head, torch.cat([local, pooled[index.batch]], dim=1))
        return predicted if perm is None else torch.empty_like(predicted).index_copy_(0, perm, predicted)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.in_channels}, {self.out_channels}, level={self.level!r}, width={self.width})"
        )


class _BatchNorm(BatchNorm1d):
    """Batch normalisation that uses the running statistics for a batch of one row, which has no variance."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.size(0) < 2:
            return torch.nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(input)


def _mlp(channels: list[int]) -> Sequential:
    layers: list[Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [Linear(before, after), _BatchNorm(after), ReLU()]
    return Sequential(*layers)
