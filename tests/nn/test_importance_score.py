"""Importance scores."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import NumericalError
from pyg_samsa.functional import reference
from pyg_samsa.nn import ImportanceScore, LinearScore, SAMSAConv
from pyg_samsa.nn.importance_score import check_scores


def test_the_score_is_the_literal_one():
    torch.manual_seed(0)
    conv, x = SAMSAConv(8, heads=2, num_samples=3).double(), torch.randn(5, 8, dtype=torch.float64)
    torch.testing.assert_close(conv.score(x), reference.importance_score(x, reference.SAMSAConvParams.of(conv)))


def test_the_linear_score_is_a_product_of_normalised_tokens():
    torch.manual_seed(0)
    score, x = LinearScore(8, heads=2).double(), 3 + torch.randn(5, 8, dtype=torch.float64)
    normal = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + score.norm.eps).sqrt()
    torch.testing.assert_close(score(x), (normal @ score.out.weight.T + score.out.bias) / 2**0.5)


@pytest.mark.parametrize("kind", [ImportanceScore, LinearScore])
def test_scores_are_at_least_single_precision_and_weights_are_drawn_anew(kind):
    score, x = kind(8, heads=2), torch.randn(5, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert score(x).dtype == torch.float32
    before = score(x)
    score.reset_parameters()
    assert not torch.equal(score(x), before)


def test_scores_that_are_not_finite_name_the_layer():
    check_scores(torch.tensor([3e38, 3e38]), "layer 0")  # whose sum overflows
    for bad in (torch.nan, torch.inf):
        with pytest.raises(NumericalError, match="layer 0"):
            check_scores(torch.tensor([1.0, bad]), "layer 0")
