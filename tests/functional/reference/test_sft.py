"""The oracle of SFT against numbers worked out by hand and against finite differences."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import reference
from pyg_samsa.functional.reference import sft


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_score_by_hand():
    mu, s = 1 / math.sqrt(math.pi), math.sqrt(1 - 1 / math.pi)
    score = reference.maxout_score(double([[1.0, -2.0]]), double([[0.5, 3.0]]))
    assert score.item() == pytest.approx((1.0 + 3.0 - 2 * mu) / (s * math.sqrt(2)))


def test_the_score_equals_the_formula_by_distances():
    torch.manual_seed(0)
    q, k = torch.randn(4, 5, dtype=torch.float64), torch.randn(3, 5, dtype=torch.float64)
    mu, s = 1 / math.sqrt(math.pi), math.sqrt(1 - 1 / math.pi)
    sums = q.sum(1)[:, None] + k.sum(1)[None, :] + torch.cdist(q, k, p=1)
    expected = sums / (2 * s * math.sqrt(5)) - math.sqrt(5) * mu / s
    torch.testing.assert_close(reference.maxout_score(q, k), expected)


def test_softplus_and_layer_norm_are_those_of_torch():
    x = double([[-800.0, -1.0, 0.0, 700.0]])
    torch.testing.assert_close(sft.softplus(x), F.softplus(x, threshold=1000))
    x, weight, bias = (torch.randn(*shape, dtype=torch.float64) for shape in ((3, 4), (4,), (4,)))
    torch.testing.assert_close(sft.layer_norm(x, weight, bias), F.layer_norm(x, (4,), weight, bias))
    assert sft.layer_norm(x[:0], weight, bias).shape == (0, 4)


def test_pair_features_by_hand():
    field = double([2.0, 1.0, 1.0, 100.0, 3.0])
    p, other = double([0.0, 0.0]), double([3.0, 4.0])
    assert reference.pair_features("dist", p, other).tolist() == [25.0]
    torch.testing.assert_close(reference.pair_features("field", p, other, field), double([1 / 11, 3.0, 1 / 26]))
    with_normals = reference.pair_features("dist_normal", double([0.0, 1.0]), double([2.0, -0.5]))
    assert with_normals.tolist() == [4.0, -0.5]
    with pytest.raises(ConfigError, match="encoding"):
        reference.pair_features("none", p, other)


def test_pairs_by_hand():
    values, scores = double([[1.0], [2.0], [4.0], [8.0]]), double([5.0, 1.0, 5.0, 1.0])
    mixed = reference.paired_sample(values, scores, 2)
    w = math.log1p(math.exp(5)) / (math.log1p(math.exp(5)) + math.log1p(math.exp(1)))
    torch.testing.assert_close(mixed, double([[w * 1 + (1 - w) * 2], [w * 4 + (1 - w) * 8]]))
    swapped = reference.paired_sample(values, scores, 2, pairing=[1, 0])
    torch.testing.assert_close(swapped, double([[w * 1 + (1 - w) * 8], [w * 4 + (1 - w) * 2]]))
    with pytest.raises(ShapeError, match="2k = 6"):
        reference.paired_sample(values, scores, 3)


@pytest.mark.parametrize(
    ("leak", "score", "weights"),
    [
        ("relu", "maxout", [1 / 4, 2 / 4]),
        ("none", "maxout", [1 / 3, 2 / 3]),
        ("relu", "softmax", [math.e / (math.e + math.e**2 + 1), math.e**2 / (math.e + math.e**2 + 1)]),
    ],
)
def test_leaky_attention_by_hand(leak, score, weights):
    out = reference.leaky_attention(double([[1.0, 2.0]]), torch.eye(2).double(), double([1.0, -1.0]), leak, score)
    torch.testing.assert_close(out, double([weights]), rtol=0, atol=1e-8)


@pytest.mark.parametrize("score", sft.SCORES)
def test_gradcheck(score):
    torch.manual_seed(0)
    tensors = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3), (3, 2), (3,))]
    assert gradcheck(lambda s, v, c: reference.leaky_attention(s, v, c, score=score), tensors)


@pytest.mark.parametrize("name", sft.CHOICES)
def test_unknown_choices_are_named(name):
    with pytest.raises(ConfigError, match=name):
        reference.sft_conv(torch.zeros(1, 2), [0, 1], None, 1, 1, **{name: "other"})
