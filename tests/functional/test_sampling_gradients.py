"""The gradients of sampling against the literal gradient and against autograd."""

import pytest
import torch
from torch.autograd import gradcheck

from pyg_samsa.functional import reference
from pyg_samsa.functional.sampling_gradients import Relaxation, StraightThroughCategorical, gather


@pytest.mark.parametrize(("k", "rivals"), [(1, 1), (3, 3), (3, 1), (2, 0)])
def test_gradient_of_the_scores_is_the_literal_one(normal, k, rivals):
    values, scores = normal(k + rivals, 4, grad=False), normal(k + rivals, grad=False).sort(descending=True).values
    upstream = normal(k, 4, grad=False)
    given = scores.clone().requires_grad_()
    out = Relaxation.apply(values[:k], values[k:], given[:k], given[k:], 0.7, False)
    assert torch.equal(out, values[:k])
    (grad,) = torch.autograd.grad(out, given, upstream)
    torch.testing.assert_close(grad, reference.sample_score_gradient(values, scores, upstream, k, 0.7))


def test_gradients_of_the_relaxation_are_numerical_ones(normal):
    inputs = normal(2, 3, 2), normal(2, 3, 2), normal(2, 3), normal(2, 3)
    assert gradcheck(lambda *tensors: Relaxation.apply(*tensors, 0.7, True), inputs)


def test_gradients_of_draws_are_those_of_the_softmax(normal):
    values, logits, index = normal(2, 5, 3), normal(2, 4, 5), torch.tensor([[0, 1, 1, 4], [2, 2, 0, 3]])
    upstream = normal(2, 4, 3, grad=False)
    out = StraightThroughCategorical.apply(values, logits, index)
    assert torch.equal(out, torch.stack([values[row][index[row]] for row in range(2)]))
    grad_values, grad_logits = torch.autograd.grad(out, (values, logits), upstream)
    torch.testing.assert_close(grad_values, torch.autograd.grad(gather(values, index), values, upstream)[0])
    soft = logits.softmax(-1) @ values.detach()
    torch.testing.assert_close(grad_logits, torch.autograd.grad(soft, logits, upstream)[0])


def test_gather_takes_vectors_by_their_index(normal):
    values, index = normal(2, 5, 3, grad=False), torch.tensor([[4, 0], [1, 1]])
    assert torch.equal(gather(values, index), torch.stack([values[0, [4, 0]], values[1, [1, 1]]]))
