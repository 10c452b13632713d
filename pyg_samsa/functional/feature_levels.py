r"""Features of molecules or graphs as levels: whether a feature reaches thresholds, which the training rows decide.

.. math::
    t_j(u) = [\, u_{f(j)} \ge b_j \,], \qquad
    z_j = \mathrm{clip}\Bigl(\frac{t_j - p_j}{\sqrt{p_j (1 - p_j)}}, -5, 5\Bigr)

:math:`f(j)` is the feature of level :math:`j`, :math:`b_j` its threshold, and :math:`p_j` the share that reaches it of
the training rows with a value. A linear layer over levels is a step function of each feature. So it can treat one
occurrence of a fragment and five in any way, as a tree can; over scaled values, its answer only grows or falls with the
count. The encoding is the binary form of that of `Gorishniy et al., 2022 <https://arxiv.org/abs/2203.05556>`_.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.feature_scale import LARGEST
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int, Shaped

PER_FEATURE = 12
"""Largest number of levels of one feature."""
_ROWS, _SHARE = 3, 0.003
_CHUNK = 64


class FeatureLevels(NamedTuple):
    """Thresholds of features.

    Attributes:
        feature: Feature of each level [M].
        threshold: Value that reaches the level [M]; infinite for a level that is not used.
        share: Share of the training rows with a value that reach it [M], 0 for a level that is not used.

    Example:
        >>> levels = FeatureLevels(torch.tensor([0]), torch.tensor([2.0]), torch.tensor([0.5]))
        >>> feature_levels(torch.tensor([[1.0], [3.0]]), levels).tolist()
        [[-1.0], [1.0]]
    """

    feature: Int[Tensor, " M"]
    threshold: Float[Tensor, " M"]
    share: Float[Tensor, " M"]


@torch.no_grad()
def fit_feature_levels(
    features: Shaped[Tensor, "G F"], count: int, rows: Int[Tensor, " n"] | None = None
) -> FeatureLevels:
    r"""Choose thresholds from the values of the training rows.

    The thresholds of a feature are quantiles of its values above the smallest one, at most 12. A level that fewer than
    3 rows, or fewer than 0.3 % of all, reach or miss is left out. If more than ``count`` are left, those with the
    largest variance :math:`p_j (1 - p_j)` are taken; if fewer, the others are never reached.

    Args:
        features: Features of G rows, with NaN where a value is missing.
        count: Number M of levels, at least 1.
        rows: The training rows among them; None for all.

    Raises:
        ConfigError: There are no rows, or ``count`` is below 1.

    Example:
        >>> levels = fit_feature_levels(torch.tensor([[0.0, 7.0], [0, 7], [0, 7], [1, 7], [1, 7], [2, 7]]), 2)
        >>> levels.feature.tolist(), levels.threshold.tolist(), levels.share.tolist()
        ([0, 0], [1.0, inf], [0.5, 0.0])

    Cost: O(F n log n) time, and the memory of 64 features.
    """
    check_integer("count", count)
    if not (len(features) if rows is None else len(rows)):
        raise ConfigError("features", list(features.shape), "at least one row")
    chunks = [_levels(part if rows is None else part[rows], start) for start, part in _chunks(features)]
    feature, threshold, share = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    chosen = torch.argsort(share * (1 - share), descending=True, stable=True)[:count].sort().values
    unused = count - len(chosen)
    return FeatureLevels(
        torch.cat([feature[chosen], feature.new_zeros(unused)]),
        torch.cat([threshold[chosen], threshold.new_full((unused,), float("inf"))]),
        torch.cat([share[chosen], share.new_zeros(unused)]),
    )


def _chunks(features: Tensor) -> list[tuple[int, Tensor]]:
    return [(start, features[:, start : start + _CHUNK]) for start in range(0, features.size(1), _CHUNK)] or [
        (0, features)
    ]


def _levels(features: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return feature, threshold and share of all levels of some features that enough rows reach and miss."""
    rows = len(features)
    # Missing values come last, and are above no value.
    values = torch.where(features.isnan(), float("inf"), features).sort(dim=0).values.T.contiguous()
    known = rows - features.isnan().sum(0)
    lowest = values[:, :1].contiguous()
    above = torch.searchsorted(values, lowest, right=True).flatten()
    step = torch.arange(PER_FEATURE, device=features.device)
    places = above[:, None] + (known - above).clamp(min=0)[:, None] * step // PER_FEATURE
    threshold = values.gather(1, places.clamp(max=rows - 1))
    below = torch.searchsorted(values, threshold.contiguous(), right=False)
    reached = known[:, None] - below
    fewest = max(_ROWS, _SHARE * rows)
    fits = (reached >= fewest) & (known[:, None] - reached >= fewest) & (places < known[:, None]) & threshold.isfinite()
    fits[:, 1:] &= threshold[:, 1:] > threshold[:, :-1]
    feature = (start + torch.arange(len(values), device=features.device))[:, None].expand_as(fits)
    return feature[fits], threshold[fits], (reached.to(threshold.dtype) / known.clamp(min=1)[:, None])[fits]


def feature_levels(
    features: Shaped[Tensor, "G F"], levels: FeatureLevels, *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "G M"]:
    r"""Return which levels are reached, with mean 0 and deviation 1 over the training rows.

    .. math::
        z_j = \mathrm{clip}\Bigl(\frac{[\, u_{f(j)} \ge b_j \,] - p_j}{\sqrt{p_j (1 - p_j)}}, -5, 5\Bigr)

    A value that is missing (NaN), and a level that is not used, is 0.

    Args:
        features: Features of G rows.
        levels: From `fit_feature_levels`.
        dtype: Number type of the result.

    Example:
        >>> levels = fit_feature_levels(torch.tensor([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]]), 2)
        >>> feature_levels(torch.tensor([[0.0], [4.0], [float("nan")]]), levels).tolist()
        [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]

    Cost: O(G M).
    """
    values = features.index_select(1, levels.feature)
    share = levels.share.to(dtype)
    used = share > 0
    deviation = torch.where(used, share * (1 - share), torch.ones_like(share)).sqrt()
    reached = (values >= levels.threshold.to(values.dtype)).to(dtype)
    standardised = ((reached - share) / deviation).clamp(-LARGEST, LARGEST)
    return torch.where(values.isnan() | ~used, torch.zeros_like(standardised), standardised)
