"""The oracle of sampling against numbers worked out by hand and against finite differences."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional import reference

SHAPES = [
    (1, 1),
    (2, 1),
    (3, 1),
    (5, 2),
    (4, 2),
    (3, 2),
    (2, 2),
    (9, 4),
    (7, 4),
    (5, 4),
]  # n, k: n > 2k, = 2k, < 2k and = k


def sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number))


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random_case(n: int, k: int, seed: int, channels: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, channels, generator=generator, dtype=torch.float64, requires_grad=True)
    scores = torch.randn(n, generator=generator, dtype=torch.float64, requires_grad=True)
    return values, scores, torch.randn(k, channels, generator=generator, dtype=torch.float64)


class TestRank:
    def test_descending_and_ties_by_lower_index(self):
        assert reference.rank(double([2.0, 5.0, 2.0, 7.0, 5.0])) == [3, 1, 4, 0, 2]

    def test_signed_zeros_are_a_tie(self):
        assert reference.rank(double([-0.0, 0.0, -0.0])) == [0, 1, 2]

    def test_empty(self):
        assert reference.rank(double([])) == []

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_not_finite(self, bad):
        with pytest.raises(NumericalError, match="score 1"):
            reference.rank(double([0.0, bad]))


class TestSoftSample:
    def test_by_hand(self):
        # z sorted: 3 (X = 100), 2 (X = 10), 1 (X = 1000), 0 (X = 1), -5 (X = 7, neither sample nor runner-up); i = [1,
        # 3], j = [4, 0].
        values, scores = double([[1.0], [100.0], [7.0], [10.0], [1000.0]]), double([0.0, 3.0, -5.0, 2.0, 1.0])
        p11, p12, p21, p22 = sigmoid(3 - 1), sigmoid(3 - 0), sigmoid(2 - 1), sigmoid(2 - 0)
        first = (p11 * 100 + (1 - p11) * 1000 + p12 * 100 + (1 - p12) * 1) / 2
        second = (p21 * 10 + (1 - p21) * 1000 + p22 * 10 + (1 - p22) * 1) / 2
        result = reference.soft_sample_without_replacement(values, scores, k=2)
        torch.testing.assert_close(result, double([[first], [second]]))
        assert result[0].item() == pytest.approx(151.294, abs=1e-3)
        assert result[1].item() == pytest.approx(142.590, abs=1e-3)

    def test_temperature_divides(self):
        # P = sigmoid(log(3) / (1/2)) = 9/10, so y = 0.9 * 10.
        result = reference.soft_sample_without_replacement(
            double([[0.0], [10.0]]), double([1.0, 3.0]).log(), k=1, tau=0.5
        )
        assert result.item() == pytest.approx(9.0)

    def test_fewer_runners_up_than_samples(self):
        # n = 3, k = 2: the only runner-up is candidate 2, so means run over one element.
        values, scores = double([[1.0], [2.0], [4.0]]), double([2.0, 1.0, 0.0])
        expected = [[sigmoid(2) * 1 + (1 - sigmoid(2)) * 4], [sigmoid(1) * 2 + (1 - sigmoid(1)) * 4]]
        torch.testing.assert_close(reference.soft_sample_without_replacement(values, scores, k=2), double(expected))

    def test_no_runner_up_gathers_with_zero_score_gradient(self):
        values, scores, upstream = random_case(3, 3, seed=0)
        sample = reference.soft_sample_without_replacement(values, scores, k=3)
        order = reference.rank(scores)
        assert torch.equal(sample, values[order])
        value_gradient, score_gradient = torch.autograd.grad(sample, (values, scores), upstream)
        assert torch.equal(score_gradient, torch.zeros(3).double())
        assert torch.equal(value_gradient[order], upstream)

    def test_tie_across_the_border(self):
        # Equal scores: candidate 0 is the sample, 1 the runner-up, P = 1/2; candidate 2 takes no part.
        values = double([[2.0], [4.0], [999.0]])
        assert reference.soft_sample_without_replacement(values, double([1.0, 1.0, 1.0]), k=1).item() == pytest.approx(
            3.0
        )

    @pytest.mark.parametrize(("n", "k"), SHAPES)
    def test_gradcheck(self, n, k):
        values, scores, _ = random_case(n, k, seed=n + k)
        assert gradcheck(lambda x, z: reference.soft_sample_without_replacement(x, z, k, tau=0.7), (values, scores))

    def test_permuted_candidates_give_the_same_samples(self):
        values, scores, _ = random_case(9, 3, seed=4)
        order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(
            reference.soft_sample_without_replacement(values[order], scores[order], 3),
            reference.soft_sample_without_replacement(values, scores, 3),
        )

    @pytest.mark.parametrize(
        "sample", [reference.soft_sample_without_replacement, reference.hard_sample_without_replacement]
    )
    def test_bad_input(self, sample):
        values, scores, _ = random_case(3, 1, seed=0)
        for k in (0, 4):
            with pytest.raises(ConfigError, match="k: got"):
                sample(values, scores, k)
        for tau in (0.0, -1.0, math.nan):
            with pytest.raises(ConfigError, match="tau: got"):
                sample(values, scores, 1, tau)
        with pytest.raises(ShapeError):
            sample(values[:2], scores, 1)
        with pytest.raises(ShapeError, match="no candidate"):
            sample(values[:0], scores[:0], 1)
        with pytest.raises(NumericalError):
            sample(values, scores * math.nan, 1)


class TestScoreGradient:
    def test_by_hand(self):
        # i = [0, 1], j = [2]; slopes P(1-P)/tau with tau = 2; inner products <G[m], X[i_m] - X[j]>: 1 * (1 - 4) and 10
        # * (2 - 4).
        values, scores, upstream = double([[1.0], [2.0], [4.0]]), double([2.0, 1.0, 0.0]), double([[1.0], [10.0]])
        first, second = (sigmoid(1.0) * (1 - sigmoid(1.0)) / 2 * -3), (sigmoid(0.5) * (1 - sigmoid(0.5)) / 2 * -20)
        result = reference.sample_score_gradient(values, scores, upstream, k=2, tau=2.0)
        torch.testing.assert_close(result, double([first, second, -first - second]))

    @pytest.mark.parametrize(("n", "k"), SHAPES)
    @pytest.mark.parametrize(
        "sample", [reference.soft_sample_without_replacement, reference.hard_sample_without_replacement]
    )
    def test_equals_autograd(self, sample, n, k):
        for seed, tau in enumerate([0.3, 1.0, 2.5]):
            values, scores, upstream = random_case(n, k, seed)
            (gradient,) = torch.autograd.grad(sample(values, scores, k, tau), scores, upstream)
            torch.testing.assert_close(
                gradient, reference.sample_score_gradient(values, scores, upstream, k, tau), rtol=0, atol=1e-14
            )

    @pytest.mark.parametrize(
        "sample", [reference.soft_sample_without_replacement, reference.hard_sample_without_replacement]
    )
    def test_equals_autograd_with_ties(self, sample):
        values, _, upstream = random_case(6, 2, seed=3)
        scores = double([1.0, 0.0, 1.0, 1.0, 0.0, 1.0]).requires_grad_()
        (gradient,) = torch.autograd.grad(sample(values, scores, 2), scores, upstream)
        assert (gradient != 0).tolist() == [True, False, True, True, False, True]
        torch.testing.assert_close(
            gradient, reference.sample_score_gradient(values, scores, upstream, 2), rtol=0, atol=1e-14
        )

    def test_wrong_upstream(self):
        values, scores, upstream = random_case(4, 2, seed=0)
        with pytest.raises(ShapeError, match="upstream"):
            reference.sample_score_gradient(values, scores, upstream[:1], k=2)


class TestHardSample:
    @pytest.mark.parametrize(("n", "k"), SHAPES)
    def test_forward_gathers_and_values_get_the_gather_gradient(self, n, k):
        values, scores, upstream = random_case(n, k, seed=n * k)
        sample = reference.hard_sample_without_replacement(values, scores, k)
        order = reference.rank(scores)
        assert torch.equal(sample, values[order[:k]])
        (gradient,) = torch.autograd.grad(sample, values, upstream)
        assert torch.equal(gradient[order[:k]], upstream)
        assert torch.equal(gradient[order[k:]], torch.zeros(n - k, 3).double())


class TestSampleWithReplacement:
    def test_by_hand(self):
        # Perturbed: [1, 0.5, 0] -> 0; [0, 2.5, 0] -> 1; [0, 0.5, 0.5] -> the first of two equal ones.
        values, scores = double([[1.0], [2.0], [4.0]]).requires_grad_(), double([0.0, 0.5, 0.0]).requires_grad_()
        gumbel = double([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.5]])
        sample = reference.sample_with_replacement(values, scores, 3, 1.0, gumbel)
        assert sample.flatten().tolist() == [1.0, 2.0, 2.0]
        (gradient,) = torch.autograd.grad(sample, values, double([[1.0], [10.0], [100.0]]))
        assert gradient.flatten().tolist() == [1.0, 110.0, 0.0]

    def test_score_gradient_is_that_of_the_softmax(self):
        values, scores, upstream = random_case(4, 6, seed=2)  # more draws than candidates
        gumbel = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        tau = 0.6
        sample = reference.sample_with_replacement(values, scores, 6, tau, gumbel)
        (gradient,) = torch.autograd.grad(sample, scores, upstream)
        expected = torch.zeros(4).double()
        for m in range(6):  # d softmax_a / d z_b = p_a (delta_ab - p_b) / tau
            p = torch.softmax((scores + gumbel[m]) / tau, dim=0).detach()
            gain = values.detach() @ upstream[m]
            expected += p * (gain - (p * gain).sum()) / tau
        torch.testing.assert_close(gradient, expected)

    def test_bad_input(self):
        values, scores, _ = random_case(3, 1, seed=0)
        with pytest.raises(ShapeError, match="gumbel"):
            reference.sample_with_replacement(values, scores, 2, 1.0, torch.zeros(3, 2).double())
        with pytest.raises(ConfigError, match="k: got 0"):
            reference.sample_with_replacement(values, scores, 0, 1.0, torch.zeros(0, 3).double())
        with pytest.raises(NumericalError):
            reference.sample_with_replacement(values, scores, 1, 1.0, torch.full((1, 3), math.inf).double())


class TestSystematicDraws:
    def test_in_proportion(self):
        # Descending: candidate 2 (.5), 0 (.3), 1 (.2); cumulative .5, .8, 1; draws at .125, .375, .625, .875.
        assert reference.systematic_draws(double([0.3, 0.2, 0.5]).log(), k=4) == [2, 2, 0, 1]

    def test_strictly_greater(self):
        # Equal scores: cumulative 1/4, 1/2, 3/4, 1, all exact; draws at 1/4 and 3/4 are exceeded by the next candidate.
        assert reference.systematic_draws(double([1.0, 1.0, 1.0, 1.0]), k=2) == [1, 3]

    def test_they_replace_missing_noise(self):
        # Draws at 1/6, 1/2, 5/6 of the cumulative .9, 1 all take candidate 1.
        values, scores = double([[3.0], [5.0]]), double([0.1, 0.9]).log()
        assert reference.sample_with_replacement(values, scores, 3, 2.0, None).flatten().tolist() == [5.0, 5.0, 5.0]

    def test_bad_input(self):
        with pytest.raises(ShapeError, match="no candidate"):
            reference.systematic_draws(double([]), k=1)
        with pytest.raises(ConfigError, match="k: got 0"):
            reference.systematic_draws(double([1.0]), k=0)
