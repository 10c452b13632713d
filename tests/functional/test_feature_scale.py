from __future__ import annotations

import math

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import fit_feature_scale, scale_features

NAN = math.nan


def test_scaled_values_are_those_of_the_equation():
    features = torch.tensor([[0.0, -3.0], [5.0, 8.0], [2.0, NAN]], dtype=torch.float64)
    center, scale = fit_feature_scale(features)
    found = scale_features(features, center, scale)
    for column in range(2):
        known = [value for value in features[:, column].tolist() if not math.isnan(value)]
        logs = [math.copysign(math.log1p(abs(value)), value) for value in known]
        mean = sum(logs) / len(logs)
        std = math.sqrt(sum((value - mean) ** 2 for value in logs) / len(logs))
        expected = iter([(value - mean) / std for value in logs])
        for row, value in enumerate(features[:, column].tolist()):
            assert found[row, column].item() == pytest.approx(0.0 if math.isnan(value) else next(expected), abs=1e-12)


def test_constant_missing_and_huge_values():
    center, scale = fit_feature_scale(torch.tensor([[7.0, NAN, 0.0], [7.0, NAN, 1.0]]))
    assert scale[:2].tolist() == [0.0, 0.0]
    found = scale_features(torch.tensor([[9.0, 3.0, 3e38], [7.0, 1.0, -math.inf]]), center, scale)
    assert found.tolist() == [[0.0, 0.0, 5.0], [0.0, 0.0, -5.0]]


def test_the_result_has_the_type_of_the_scale():
    center, scale = fit_feature_scale(torch.tensor([[1.0], [2.0]]))
    assert scale_features(torch.tensor([[1.0]]), center, scale).dtype == torch.float64
    assert scale_features(torch.tensor([[1.0]]), center.float(), scale.float()).dtype == torch.float32


def test_no_rows_are_an_error():
    with pytest.raises(ConfigError, match="at least one row"):
        fit_feature_scale(torch.empty(0, 2))


@pytest.mark.parametrize("block", [1, 7, 2**22])
def test_rows_come_in_blocks(block, monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.feature_scale._BLOCK", block)
    features = torch.randn(23, 3, generator=torch.Generator().manual_seed(0)) * 5
    features[::4, 1] = NAN
    rows = torch.tensor([3, 20, 1, 2, 8, 8])
    for used, chosen in ((None, features), (rows, features[rows])):
        logs = chosen.double().sign() * chosen.double().abs().log1p()
        known = [column[~column.isnan()] for column in logs.T]
        center, scale = fit_feature_scale(features, used)
        torch.testing.assert_close(center, torch.stack([column.mean() for column in known]))
        torch.testing.assert_close(scale, torch.stack([column.std(correction=0) for column in known]))
    with pytest.raises(ConfigError, match="at least one row"):
        fit_feature_scale(features, torch.empty(0, dtype=torch.long))
