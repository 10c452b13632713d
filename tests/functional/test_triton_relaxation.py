"""The relaxation of sampling by Triton kernels against PyTorch, on a GPU or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.functional import sample_without_replacement
from pyg_samsa.functional.triton_support import runs_in_triton

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("mode", ["soft", "hard"])
@pytest.mark.parametrize(
    ("count", "k", "channels", "tau"),
    [(2, 1, 4, 1.0), (40, 20, 8, 0.5), (90, 70, 16, 1.0), (35, 17, 40, 2.0), (7, 7, 8, 1.0)],
)
def test_relaxation_kernels_equal_double_precision(device, mode, count, k, channels, tau):
    """As in double precision, which PyTorch computes and the property tests hold to the literal equations."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, count, channels, generator=generator).to(device).requires_grad_()
    scores = torch.randn(2, 3, count, generator=generator).to(device).requires_grad_()
    found = sample_without_replacement(values, scores, k, tau=tau, mode=mode)
    exact = [tensor.detach().double().requires_grad_() for tensor in (values, scores)]
    upstream = torch.randn(found.shape, generator=generator).to(device)
    assert runs_in_triton(values, scores)
    assert not runs_in_triton(exact[0], exact[1])
    expected = sample_without_replacement(*exact, k, tau=tau, mode=mode)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-6)
    grads = (
        torch.autograd.grad(found, (values, scores), upstream),
        torch.autograd.grad(expected, exact, upstream.double()),
    )
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5)


def test_relaxation_kernel_without_heads(device):
    values, scores = (
        torch.randn(0, 6, 4, device=device, requires_grad=True),
        torch.randn(0, 6, device=device, requires_grad=True),
    )
    out = sample_without_replacement(values, scores, 3, mode="soft")
    out.sum().backward()
    assert out.shape == (0, 3, 4)
    assert values.grad.shape == values.shape


@pytest.mark.parametrize("soft", [False, True])
def test_relaxation_kernels_are_operators(device, soft):
    from pyg_samsa.functional import triton_relaxation as module

    generator = torch.Generator().manual_seed(0)
    shapes = (2, 3, 4), (2, 5, 4), (2, 3), (2, 5)
    inputs = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
    torch.library.opcheck(module._relax, (*(tensor.clone().requires_grad_() for tensor in inputs), 0.5, True))
    torch.library.opcheck(module._relax_backward, (inputs[0], *inputs, 0.5, soft, True))
