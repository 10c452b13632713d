"""Attention by Triton kernels against the equation, on a GPU or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.functional import RaggedIndex, sampled_attention
from pyg_samsa.functional.reference import attention
from pyg_samsa.functional.triton_support import HAS_TRITON, is_interpreted

CAN_RUN = HAS_TRITON and (is_interpreted() or torch.cuda.is_available())
DEVICE = "cpu" if is_interpreted() or not torch.cuda.is_available() else "cuda"
runs_kernels = pytest.mark.skipif(
    not CAN_RUN, reason="needs triton, and a GPU or TRITON_INTERPRET=1; test_triton_support runs it in the interpreter"
)


def literal(query, key, value, index):
    out = torch.zeros_like(query)
    rows = []
    for token, graph in enumerate(index.batch.tolist()):
        rows.append(
            torch.cat(
                [
                    attention(query[token : token + 1, head], key[graph, head], value[graph, head])
                    for head in range(query.size(1))
                ]
            )
        )
    return torch.stack(rows) if rows else out


@runs_kernels
@pytest.mark.parametrize(
    ("sizes", "samples", "heads", "channels"),
    [
        ([3, 0, 1, 70], 5, 2, 8),
        ([1], 1, 1, 4),
        ([64, 65], 64, 1, 16),
        ([2, 3], 70, 3, 24),
        ([33, 0], 40, 1, 128),
        ([0, 0], 5, 2, 8),
    ],
)
def test_attention_kernels_equal_the_equation(sizes, samples, heads, channels):
    generator = torch.Generator().manual_seed(0)
    index = RaggedIndex(torch.tensor([0, *sizes], device=DEVICE).cumsum(0))
    # Keys and values are halves of one tensor, as the operator has them.
    query = torch.randn(index.num_tokens, heads, channels, generator=generator).to(DEVICE).requires_grad_()
    pairs = torch.randn(len(sizes), heads, samples, 2 * channels, generator=generator).to(DEVICE).requires_grad_()
    found = sampled_attention(query, *pairs.split(channels, -1), index, backend="triton")
    exact = [tensor.detach().double().requires_grad_() for tensor in (query, pairs)]
    expected = literal(exact[0], *exact[1].split(channels, -1), index)
    upstream = torch.randn(found.shape, generator=generator).to(DEVICE)
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=3e-6)
    if index.num_tokens:
        pairs_of_grads = zip(
            torch.autograd.grad(found, (query, pairs), upstream),
            torch.autograd.grad(expected, exact, upstream.double()),
            strict=True,
        )
        for one, other in pairs_of_grads:
            torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5)
    else:
        assert torch.equal(torch.autograd.grad(found, pairs, upstream)[0], torch.zeros_like(pairs))


@runs_kernels
def test_attention_kernel_on_half_precision():
    index = RaggedIndex(torch.tensor([0, 5, 22], device=DEVICE))
    generator = torch.Generator().manual_seed(1)
    query, key, value = (
        torch.randn(shape, generator=generator).to(DEVICE, torch.float16)
        for shape in [(22, 2, 16), (2, 2, 33, 16), (2, 2, 33, 16)]
    )
    found = sampled_attention(query, key, value, index, backend="triton")
    assert found.dtype == torch.float16
    torch.testing.assert_close(
        found.double(), literal(query.double(), key.double(), value.double(), index), rtol=0, atol=2e-3
    )


@runs_kernels
def test_attention_kernel_gives_each_graph_the_same_bits_in_any_batch():
    generator = torch.Generator().manual_seed(2)
    query, key, value = (
        torch.randn(shape, generator=generator).to(DEVICE) for shape in [(80, 2, 16), (3, 2, 20, 16), (3, 2, 20, 16)]
    )
    ptr = torch.tensor([0, 7, 71, 80], device=DEVICE)
    together = sampled_attention(query, key, value, RaggedIndex(ptr), backend="triton")
    for graph, (begin, end) in enumerate([(0, 7), (7, 71), (71, 80)]):
        alone = sampled_attention(
            query[begin:end],
            key[graph : graph + 1],
            value[graph : graph + 1],
            RaggedIndex(torch.tensor([0, end - begin], device=DEVICE)),
            backend="triton",
        )
        assert torch.equal(together[begin:end], alone)
