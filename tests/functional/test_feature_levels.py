from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import feature_levels, fit_feature_levels
from pyg_samsa.functional.feature_levels import PER_FEATURE

NAN = math.nan
VALUES = st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 3.0, -4.5, NAN, 1e30])
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=1, max_size=40)
)


def literal_levels(rows: list[list[float]]) -> list[tuple[int, float, float]]:
    """Feature, threshold and share of all levels, one value after the other."""
    found = []
    fewest = max(3, 0.003 * len(rows))
    for feature in range(len(rows[0])):
        values = sorted(row[feature] for row in rows if not math.isnan(row[feature]))
        above = [value for value in values if value > values[0]] if values else []
        chosen: list[float] = []
        for number in range(PER_FEATURE):
            if not above:
                break
            threshold = above[len(above) * number // PER_FEATURE]
            if threshold in chosen:
                continue
            chosen.append(threshold)
            reached = sum(value >= threshold for value in values)
            if reached >= fewest and len(values) - reached >= fewest:
                found.append((feature, threshold, reached / len(values)))
    return found


@given(TABLES)
def test_levels_are_quantiles_of_the_values_above_the_smallest(rows):
    features = torch.tensor(rows, dtype=torch.float64)
    expected = literal_levels(rows)
    levels = fit_feature_levels(features, len(expected) + 2)
    used = levels.share > 0
    found = list(zip(*(part[used].tolist() for part in levels), strict=True))
    assert found == expected
    assert levels.threshold[~used].isinf().all()
    assert len(levels.share) == len(expected) + 2


@given(TABLES)
def test_encoded_rows_are_those_of_the_equation(rows):
    features = torch.tensor(rows, dtype=torch.float64)
    levels = fit_feature_levels(features, 8)
    found = feature_levels(features, levels, dtype=torch.float64)
    assert found.shape == (len(rows), 8)
    for row, encoded in zip(rows, found.tolist(), strict=True):
        for feature, threshold, share, value in zip(*(part.tolist() for part in levels), encoded, strict=True):
            expected = 0.0
            if share > 0 and not math.isnan(row[feature]):
                expected = (float(row[feature] >= threshold) - share) / math.sqrt(share * (1 - share))
            assert value == pytest.approx(max(-5.0, min(5.0, expected)), abs=1e-12)
    if not bool((found.abs() == 5).any()):
        assert found.mean(0).abs().max() < 1e-9


def test_the_most_even_levels_are_kept_in_the_order_of_the_features():
    common = torch.tensor([0.0] * 5 + [1.0] * 5)
    rare = torch.tensor([0.0] * 7 + [1.0] * 3)
    levels = fit_feature_levels(torch.stack([rare, common, 1 - common], dim=1), 2)
    assert levels.feature.tolist() == [1, 2]
    assert levels.share.tolist() == [0.5, 0.5]


def test_rare_levels_need_a_share_of_many_rows():
    features = torch.zeros(10_000, 1)
    features[:29] = 1
    assert fit_feature_levels(features, 1).share.tolist() == [0.0]
    features[29] = 1
    assert fit_feature_levels(features, 1).share.tolist() == pytest.approx([0.003])


def test_features_without_rows_or_levels_are_refused():
    with pytest.raises(ConfigError, match="at least one row"):
        fit_feature_levels(torch.ones(0, 2), 3)
    with pytest.raises(ConfigError, match="count: got 0"):
        fit_feature_levels(torch.ones(2, 2), 0)


def test_no_features_have_no_levels():
    levels = fit_feature_levels(torch.ones(4, 0), 2)
    assert levels.share.tolist() == [0.0, 0.0]


def test_many_features_are_fitted_in_pieces():
    torch.manual_seed(0)
    features = torch.poisson(torch.rand(30, 150))
    whole = fit_feature_levels(features, 400)
    alone = fit_feature_levels(features[:, 140:141], 12)
    here = whole.feature == 140
    used = alone.share > 0
    assert whole.threshold[here].tolist() == alone.threshold[used].tolist()


def test_levels_of_some_rows():
    features = torch.randint(0, 5, (60, 3), generator=torch.Generator().manual_seed(0)).float()
    rows = torch.arange(0, 60, 2)
    for found, expected in zip(
        fit_feature_levels(features, 9, rows), fit_feature_levels(features[rows], 9), strict=True
    ):
        assert torch.equal(found, expected)
    with pytest.raises(ConfigError, match="at least one row"):
        fit_feature_levels(features, 9, rows[:0])
