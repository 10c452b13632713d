"""Sampling: edge cases, and every sampler against the literal reference."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import reference
from pyg_samsa.functional.sampling import (
    MODES,
    gumbel_noise,
    sample_with_replacement,
    sample_without_replacement,
    systematic_draws,
)

LITERAL = {
    "hard": reference.hard_sample_without_replacement,
    "soft": reference.soft_sample_without_replacement,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (3, 2), (4, 2), (9, 2)], ids=str)
def test_values_and_gradients_are_those_of_the_reference(same, normal, mode, n, k):
    values, scores = normal(n, 3), normal(n)
    fast = sample_without_replacement(values, scores, k, tau=0.7, mode=mode)
    same(fast, LITERAL[mode](values, scores, k, 0.7), values, scores)


@pytest.mark.parametrize("mode", MODES)
def test_equal_scores(same, normal, mode):
    values, scores = normal(6, 2), torch.zeros(6, dtype=torch.float64, requires_grad=True)
    fast = sample_without_replacement(values, scores, 2, mode=mode)
    same(fast, LITERAL[mode](values, scores, 2), values, scores)


@pytest.mark.parametrize("mode", MODES)
def test_leading_dimensions_and_strides(same, normal, mode):
    values, scores = normal(3, 5, 2, 4).permute(2, 0, 1, 3), normal(5, 3, 2).permute(2, 1, 0)
    fast = sample_without_replacement(values, scores, 2, mode=mode)
    literal = torch.stack(
        [LITERAL[mode](v, z, 2) for v, z in zip(values.flatten(0, 1), scores.flatten(0, 1), strict=True)]
    )
    same(fast.flatten(0, 1), literal, values, scores)


@pytest.mark.parametrize("mode", MODES)
def test_far_apart_scores_give_finite_gradients(mode):
    values = torch.tensor([[1.0], [2.0], [4.0]], dtype=torch.float64)
    scores = torch.tensor([1e6, 0.0, -1e6], dtype=torch.float64, requires_grad=True)
    out = sample_without_replacement(values, scores, 1, tau=1e-3, mode=mode)
    assert out.item() == 1.0
    (grad,) = torch.autograd.grad(out.sum(), scores)
    assert grad.tolist() == [0.0, 0.0, 0.0]


def test_gradcheck_of_soft(normal):
    assert gradcheck(lambda v, z: sample_without_replacement(v, z, 2, mode="soft"), (normal(5, 2), normal(5)))


def test_without_gradient_rivals_are_not_needed():
    with torch.no_grad():
        out = sample_without_replacement(torch.arange(3.0)[:, None], torch.tensor([0.0, 2.0, 1.0]), 3)
    assert out.flatten().tolist() == [1.0, 2.0, 0.0]


def test_half_precision_keeps_its_type():
    values = torch.randn(6, 2).bfloat16().requires_grad_()
    out = sample_without_replacement(values, torch.randn(6, requires_grad=True), 2, mode="soft")
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert values.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"k": 0}, ConfigError, "num_samples"),
        ({"k": True}, ConfigError, "num_samples"),
        ({"k": 5}, ShapeError, "at least k = 5"),
        ({"tau": 0.0}, ConfigError, "tau"),
        ({"tau": float("nan")}, ConfigError, "tau"),
        ({"mode": "medium"}, ConfigError, "mode"),
        ({"scores": torch.zeros(3)}, ShapeError, "scores"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(change, error, words):
    given = {"values": torch.zeros(4, 2), "scores": torch.zeros(4), "k": 2, **change}
    with pytest.raises(error, match=words):
        sample_without_replacement(**given)


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize(("n", "k"), [(1, 3), (4, 2), (3, 7)], ids=str)
def test_with_replacement_is_the_reference(same, normal, n, k, noisy):
    values, scores = normal(n, 2), normal(n)
    noise = gumbel_noise(scores.detach(), (k, n)) if noisy else None
    fast = sample_with_replacement(values, scores, k, tau=0.5, noise=noise)
    same(fast, reference.sample_with_replacement(values, scores, k, 0.5, noise), values, scores)


def test_a_candidate_at_minus_infinity_is_never_drawn():
    scores = torch.tensor([-torch.inf, 0.0, -torch.inf])
    assert systematic_draws(scores, 5).tolist() == [1] * 5
    drawn = sample_with_replacement(torch.eye(3), scores, 50, noise=gumbel_noise(scores, (50, 3)))
    assert drawn[:, 1].tolist() == [1.0] * 50


@pytest.mark.parametrize("k", [1, 7, 100])
def test_systematic_draws_are_the_reference_and_follow_the_softmax(normal, k):
    scores = normal(6, grad=False)
    draws = systematic_draws(scores, k)
    assert draws.tolist() == reference.systematic_draws(scores, k)
    counts = torch.bincount(draws, minlength=6)
    assert bool(((counts - k * scores.softmax(0)).abs() < 1).all())


def test_no_candidates_is_an_error():
    with pytest.raises(ShapeError, match="at least one candidate"):
        sample_with_replacement(torch.zeros(0, 2), torch.zeros(0), 1)


def test_noise_of_a_wrong_shape_is_an_error():
    with pytest.raises(ShapeError, match="noise"):
        sample_with_replacement(torch.zeros(3, 2), torch.zeros(3), 2, noise=torch.zeros(3, 2))


def test_gumbel_noise_is_finite_where_the_exponential_is_zero(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "exponential_", torch.Tensor.zero_)
    for dtype in (torch.float32, torch.float64):
        noise = gumbel_noise(torch.zeros(3, dtype=dtype))
        assert noise.tolist() == pytest.approx([-math.log(torch.finfo(dtype).tiny)] * 3)


def test_gumbel_noise_has_its_moments_and_turns_maxima_into_samples():
    torch.manual_seed(0)
    noise = gumbel_noise(torch.zeros(200_000, 2, dtype=torch.float64))
    assert abs(float(noise.mean()) - 0.57722) < 0.01
    assert abs(float(noise.var()) - torch.pi**2 / 6) < 0.03
    first = (noise[:, 0] + 1.0 > noise[:, 1]).double().mean()  # softmax([1, 0])
    assert abs(float(first) - 0.73106) < 0.01
