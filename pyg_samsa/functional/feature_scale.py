r"""Scale of features of molecules or graphs: a logarithm, then mean 0 and deviation 1 over the training rows.

.. math::
    l(u) = \mathrm{sign}(u) \log(1 + |u|), \qquad
    z = \mathrm{clip}\Bigl(\frac{l(u) - \mu}{\sigma}, -5, 5\Bigr)

The logarithm shortens the tails of counts and masses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.float64 import to_float64
from pyg_samsa.typing import Float, Int, Shaped

LARGEST = 5.0
"""Largest magnitude of a scaled value."""
_CONSTANT = 1e-6
_BLOCK = 2**22


@torch.no_grad()
def fit_feature_scale(
    features: Shaped[Tensor, "G F"], rows: Int[Tensor, " n"] | None = None
) -> tuple[Float[Tensor, " F"], Float[Tensor, " F"]]:
    r"""Return mean and deviation of the features of the training rows; missing values (NaN) are left out.

    .. math::
        \mu = \frac{1}{n} \sum_b l(u_b), \qquad \sigma = \sqrt{\frac{1}{n} \sum_b (l(u_b) - \mu)^2}

    Args:
        features: Features of G rows.
        rows: The training rows among them; None for all.

    Returns:
        Mean and deviation in float64; the deviation of a feature that did not vary is 0.

    Raises:
        ConfigError: There are no rows.

    Example:
        >>> center, scale = fit_feature_scale(torch.tensor([[7.0, 0.0], [7.0, 2.0]]))
        >>> scale.round(decimals=3).tolist()
        [0.0, 0.549]

    Cost: O(n F) time. Rows are read 4 million values at a time, so memory does not grow with them.
    """
    count = len(features) if rows is None else len(rows)
    size = scale_block(features.size(1))

    def blocks() -> Iterator[Tensor]:
        for begin in range(0, count, size):
            block = slice(begin, begin + size)
            yield features[block if rows is None else rows[block]]

    return fit_scale_of_blocks(blocks)


def scale_block(width: int) -> int:
    """Return how many rows `fit_feature_scale` reads at a time.

    Args:
        width: Number F of features.

    Example:
        >>> scale_block(2**20)
        4
    """
    return max(1, _BLOCK // max(1, width))


@torch.no_grad()
def fit_scale_of_blocks(blocks: Callable[[], Iterable[Tensor]]) -> tuple[Tensor, Tensor]:
    """Return what `fit_feature_scale` does, for rows that come in blocks.

    Args:
        blocks: Called twice; returns the blocks [n_i, F].

    Raises:
        ConfigError: There are no rows.

    Example:
        >>> fit_scale_of_blocks(lambda: [torch.zeros(2, 1), torch.zeros(1, 1)])[1].tolist()
        [0.0]
    """

    def mean_of(function: Callable[[Tensor], Tensor]) -> Tensor:
        totals = []
        for block in blocks():
            values = function(_shortened(to_float64(block)))
            totals.append(torch.stack([values.nansum(0), values.isnan().logical_not().sum(0)]))
        if not totals:
            raise ConfigError("features", "no rows", "at least one row")
        total, known = torch.stack(totals).sum(0)
        return (total / known).nan_to_num(0.0)

    mean = mean_of(lambda values: values)
    std = mean_of(lambda values: (values - mean).square()).sqrt()
    return mean, torch.where(std > _CONSTANT * (1 + mean.abs()), std, torch.zeros_like(std))


def scale_features(
    features: Shaped[Tensor, "G F"], center: Float[Tensor, " F"], scale: Float[Tensor, " F"]
) -> Float[Tensor, "G F"]:
    r"""Return scaled features, from -5 to 5 and without NaN.

    .. math::
        z = \mathrm{clip}\Bigl(\frac{l(u) - \mu}{\sigma}, -5, 5\Bigr)

    A value that is missing (NaN), and every value of a feature with :math:`\sigma = 0`, is 0.

    Args:
        features: Features of G rows.
        center: Mean of each feature, from `fit_feature_scale`.
        scale: Deviation of each feature.

    Example:
        >>> features = torch.tensor([[0.0, -1e30, float("nan")]])
        >>> scale_features(features, torch.zeros(3), torch.ones(3))
        tensor([[ 0., -5.,  0.]])
    """
    varies = scale > 0
    shortened = _shortened(features.to(center.dtype))
    standardised = (shortened - center) / torch.where(varies, scale, torch.ones_like(scale))
    standardised = standardised.nan_to_num(0.0, posinf=LARGEST, neginf=-LARGEST).clamp(-LARGEST, LARGEST)
    return torch.where(varies, standardised, torch.zeros_like(standardised))


def _shortened(features: Tensor) -> Tensor:
    return features.sign() * features.abs().log1p()
