"""The sum of rows of a table, and its gradient."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_samsa.functional.embedding_sum import _MOST_ROWS, embedding_sum
from pyg_samsa.functional.fused import fused_kernels


def literal(index: Tensor, weight: Tensor) -> Tensor:
    """Add the rows one by one."""
    rows = [sum((weight[v] for v in row), torch.zeros_like(weight[0])) for row in index.tolist()]
    return torch.stack(rows) if rows else weight.new_zeros(0, weight.size(1))


def both(rows: int, features: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return indices with repeats in a row, a table, and a gradient."""
    generator = torch.Generator().manual_seed(rows + features + size)
    index = torch.randint(size, (rows, features), generator=generator)
    weight = torch.randn(size, 5, generator=generator, dtype=torch.float64)
    return index, weight, torch.randn(rows, 5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("rows", "features", "size"), [(7, 3, 4), (1, 1, 1), (0, 2, 3), (30, 9, _MOST_ROWS + 1)])
def test_values_and_gradients_are_those_of_the_literal_sum(rows, features, size):
    index, weight, grad = both(rows, features, size)
    ours, theirs = weight.clone().requires_grad_(), weight.clone().requires_grad_()
    out, expected = embedding_sum(index, ours), literal(index, theirs)
    torch.testing.assert_close(out, expected, rtol=1e-14, atol=1e-14)
    if rows:
        out.backward(grad)
        expected.backward(grad)
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-14, atol=1e-14)


def test_the_gradient_is_a_product_where_that_is_faster():
    index, weight, _ = both(6, 3, 4)
    weight.requires_grad_()
    assert "EmbeddingSum" in type(embedding_sum(index, weight).grad_fn).__name__
    with fused_kernels(False):
        assert "EmbeddingBag" in type(embedding_sum(index, weight).grad_fn).__name__
    large = torch.zeros(_MOST_ROWS + 1, 2, requires_grad=True)
    assert "EmbeddingBag" in type(embedding_sum(index, large).grad_fn).__name__


def test_the_values_have_the_same_bits_with_and_without_gradients():
    index, weight, _ = both(50, 9, 40)
    with torch.no_grad():
        expected = F.embedding_bag(index, weight.float(), mode="sum")
    assert torch.equal(embedding_sum(index, weight.float().requires_grad_()), expected)


def test_it_can_be_differentiated_twice():
    index, weight, _ = both(4, 2, 3)
    assert torch.autograd.gradgradcheck(lambda table: embedding_sum(index, table).square(), weight.requires_grad_())
