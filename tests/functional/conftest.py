import pytest
import torch
from torch import Tensor


def gradients(out: Tensor, inputs: list[Tensor], upstream: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(out, inputs, upstream, allow_unused=True)
    return [torch.zeros_like(x) if grad is None else grad for x, grad in zip(inputs, found, strict=True)]


@pytest.fixture
def same():
    """Compares two results, values and gradients of some inputs, to the digits of float64."""

    def compare(fast: Tensor, literal: Tensor, *inputs: Tensor) -> None:
        torch.testing.assert_close(fast, literal, rtol=1e-9, atol=1e-9)
        upstream = torch.randn_like(literal)
        for one, other in zip(gradients(fast, inputs, upstream), gradients(literal, inputs, upstream), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)

    return compare


@pytest.fixture
def normal():
    """Makes reproducible standard normal tensors of float64 that want a gradient."""
    generator = torch.Generator().manual_seed(0)

    def make(*shape: int, grad: bool = True) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(grad)

    return make


@pytest.fixture
def device():
    """Where Triton kernels run: on a GPU, or on the CPU in Triton's interpreter."""
    from pyg_samsa.functional.triton_support import HAS_TRITON, is_interpreted

    if not (HAS_TRITON and (is_interpreted() or torch.cuda.is_available())):
        pytest.skip("needs triton, and a GPU or TRITON_INTERPRET=1; test_triton_support runs it in the interpreter")
    return torch.device("cpu" if is_interpreted() else "cuda")
