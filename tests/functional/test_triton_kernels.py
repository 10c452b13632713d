"""Kernels in Triton against the equations: in Triton's interpreter, started anew because it must be chosen before Triton is imported, or on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import ATTENTION_BACKENDS, RaggedIndex, sample_without_replacement, sampled_attention
from pyg_samsa.functional.reference import attention
from pyg_samsa.functional.triton_support import HAS_TRITON, MAX_CHANNELS, is_interpreted, refuse_triton, runs_in_triton

CAN_RUN = HAS_TRITON and (is_interpreted() or torch.cuda.is_available())
DEVICE = "cpu" if is_interpreted() or not torch.cuda.is_available() else "cuda"
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="the package triton is not installed")
runs_kernels = pytest.mark.skipif(
    not CAN_RUN, reason="needs triton and, without a GPU, TRITON_INTERPRET=1: test_in_the_interpreter runs it so"
)


@needs_triton
@pytest.mark.skipif(CAN_RUN, reason="kernels run in this process")
def test_in_the_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYG_SAMSA_TRITON": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "kernel", __file__]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


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


@runs_kernels
@pytest.mark.parametrize("mode", ["soft", "hard"])
@pytest.mark.parametrize(
    ("count", "k", "channels", "tau"),
    [(2, 1, 4, 1.0), (40, 20, 8, 0.5), (90, 70, 16, 1.0), (130, 65, 40, 2.0), (7, 7, 8, 1.0)],
)
def test_relaxation_kernels_equal_double_precision(mode, count, k, channels, tau):
    """As in double precision, which PyTorch computes and the property tests hold to the literal equations."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, count, channels, generator=generator).to(DEVICE).requires_grad_()
    scores = torch.randn(2, 3, count, generator=generator).to(DEVICE).requires_grad_()
    found = sample_without_replacement(values, scores, k, tau=tau, mode=mode)
    exact = [tensor.detach().double().requires_grad_() for tensor in (values, scores)]
    upstream = torch.randn(found.shape, generator=generator).to(DEVICE)
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


@runs_kernels
def test_relaxation_kernel_without_heads():
    values, scores = (
        torch.randn(0, 6, 4, device=DEVICE, requires_grad=True),
        torch.randn(0, 6, device=DEVICE, requires_grad=True),
    )
    out = sample_without_replacement(values, scores, 3, mode="soft")
    out.sum().backward()
    assert out.shape == (0, 3, 4)
    assert values.grad.shape == values.shape


def test_refusals_name_the_cause(monkeypatch):
    refuse = ATTENTION_BACKENDS["triton"].refuse
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert "CUDA" in refuse(torch.empty(1, 1, 8), 0.0)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", False)
    assert "pip install triton" in refuse(torch.empty(1, 1, 8), 0.0)
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", True)
    assert refuse(torch.empty(1, 1, 8), 0.0) is None
    assert "dropout" in refuse(torch.empty(1, 1, 8), 0.1)
    assert "float64" in refuse(torch.empty(1, 1, 8, dtype=torch.float64), 0.0)
    assert "bfloat16" in refuse(torch.empty(1, 1, 8, dtype=torch.bfloat16), 0.0)
    assert str(MAX_CHANNELS) in refuse(torch.empty(1, 1, MAX_CHANNELS + 1), 0.0)
    monkeypatch.delenv("PYG_SAMSA_TRITON", raising=False)
    assert refuse_triton(torch.empty(1, 8)) is None
    assert not runs_in_triton(torch.empty(1, 8), torch.empty(1))


def test_one_that_was_asked_for_and_cannot_run_is_an_error(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    index = RaggedIndex(torch.tensor([0, 2]))
    with pytest.raises(ConfigError, match="attn_backend"):
        sampled_attention(
            torch.randn(2, 1, 8), torch.randn(1, 1, 3, 8), torch.randn(1, 1, 3, 8), index, backend="triton"
        )
