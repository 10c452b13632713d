"""Encoders of categorical features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.functional.embedding_sum import embedding_sum
from pyg_samsa.options import check_integer, is_number
from pyg_samsa.typing import Float, Int

ATOM_CARDINALITIES = (119, 5, 12, 12, 10, 6, 6, 2, 2)
BOND_CARDINALITIES = (5, 6, 2)


class CategoricalEncoder(Module):
    r"""The sum of one learned embedding per categorical feature.

    .. math::
        h_i = \sum_f E_f[x_{if}]

    Args:
        cardinalities: Number of categories of each feature.
        channels: Channels D of the result.

    Shapes:
        - **input:** categories [N, F] int64, feature f from 0 to ``cardinalities[f] - 1``
        - **output:** [N, D]

    Raises:
        ConfigError: A cardinality is not a positive integer.
        ShapeError: Wrong number or type of features, or a category that is out of range.

    Example:
        >>> CategoricalEncoder([4, 2], 8)(torch.tensor([[3, 1], [0, 0]])).shape
        torch.Size([2, 8])

    Cost: O(N F D), one look-up in a single table.
    """

    offset: Tensor
    limit: Tensor

    def __init__(self, cardinalities: Sequence[int], channels: int) -> None:
        super().__init__()
        if not cardinalities or not all(is_number(size, whole=True) and size >= 1 for size in cardinalities):
            raise ConfigError(
                "cardinalities",
                list(cardinalities),
                "at least one positive integer, the number of categories of each feature",
            )
        check_integer("channels", channels)
        self.cardinalities, self.channels = tuple(int(size) for size in cardinalities), channels
        limit = torch.tensor(self.cardinalities)
        self.register_buffer("limit", limit, persistent=False)
        self.register_buffer("offset", limit.cumsum(0) - limit, persistent=False)
        self.weight = Parameter(torch.empty(int(limit.sum()), channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draw new embeddings, each feature's table Xavier-uniform as in OGB's encoders, within :math:`\pm \sqrt{6 /
        (k + D)}`.

        Example:
            >>> encoder = CategoricalEncoder([4], 2)
            >>> encoder.reset_parameters()
            >>> bool(encoder.weight.abs().max() <= 1.0)  # 6 / (4 + 2)
            True
        """
        for table in self.weight.data.split(list(self.cardinalities)):
            torch.nn.init.xavier_uniform_(table)

    def forward(self, x: Int[Tensor, "N ..."]) -> Float[Tensor, "N D"]:
        r"""Return the summed embeddings, :math:`h_i = \sum_f E_f[x_{if}]`.

        Args:
            x: Categories; one feature may be given as a vector.

        Example:
            >>> encoder = CategoricalEncoder([4, 2], 8)
            >>> a, b, c, d = encoder(torch.tensor([[0, 0], [0, 1], [3, 0], [3, 1]]))
            >>> torch.allclose(a + d, b + c, atol=1e-6)  # a sum of one term per feature
            True
        """
        features = len(self.cardinalities)
        if x.dim() == 1 and features == 1:
            x = x[:, None]
        if x.dim() != 2 or x.size(1) != features or x.is_floating_point():
            raise ShapeError("categorical features", f"{list(x.shape)} {x.dtype}", f"integers [N, {features}]")
        outside = (x < 0) | (x >= self.limit)

        def explain() -> ShapeError:
            row, feature = outside.nonzero()[0].tolist()
            name = f"categorical feature {feature} of row {row}"
            return ShapeError(name, int(x[row, feature]), f"0 to {self.cardinalities[feature] - 1}")

        require(outside.any(), explain)
        rows = x.long() + self.offset
        if not takes_cpu_path(x):  # a category that is out of range is told later; until then no other memory is read
            rows = rows.clamp(0, self.weight.size(0) - 1)
        return embedding_sum(rows, self.weight)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.cardinalities)}, {self.channels})"


class AtomEncoder(CategoricalEncoder):
    r"""`CategoricalEncoder` of OGB's nine atom features, :math:`h_i = \sum_{f=1}^9 E_f[x_{if}]`.

    Args:
        channels: Channels D of the result.

    Example:
        >>> AtomEncoder(16)(torch.zeros(3, 9, dtype=torch.long)).shape
        torch.Size([3, 16])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(ATOM_CARDINALITIES, channels)


class BondEncoder(CategoricalEncoder):
    r"""`CategoricalEncoder` of OGB's three bond features, :math:`h_{ij} = \sum_{f=1}^3 E_f[e_{ijf}]`.

    Args:
        channels: Channels D of the result.

    Example:
        >>> BondEncoder(16)(torch.zeros(3, 3, dtype=torch.long)).shape
        torch.Size([3, 16])
    """

    def __init__(self, channels: int) -> None:
        super().__init__(BOND_CARDINALITIES, channels)
