"""Kernels for packed tokens: what they are given, and why they refuse."""

import dataclasses
import importlib
import itertools
import re
import sys
from types import SimpleNamespace

import pytest
import torch

from pyg_samsa.functional import flash_packages, sampled_attention
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.reference import attention
from pyg_samsa.functional.varlen import _packed, flash, flash_version, refuse_flash, refuse_varlen

module = importlib.import_module("pyg_samsa.functional.varlen")


def test_packed_arguments_describe_the_same_attention(normal):
    sizes, heads, samples, channels = [2, 0, 3], 2, 4, 3
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    query, key, value = (
        normal(5, heads, channels),
        normal(3, heads, samples, channels),
        normal(3, heads, samples, channels),
    )
    q, k, v, q_offsets, k_offsets, longest, most = _packed(query, key, value, index)
    assert (longest, most) == (3, samples)
    assert q_offsets.dtype == k_offsets.dtype == torch.int32
    for graph in range(3):
        own, sampled = slice(*q_offsets[graph : graph + 2].tolist()), slice(*k_offsets[graph : graph + 2].tolist())
        for head in range(heads):
            literal = attention(query[index.batch == graph, head], key[graph, head], value[graph, head])
            torch.testing.assert_close(attention(q[own, head], k[sampled, head], v[sampled, head]), literal)


def test_the_cpu_is_refused():
    assert "CUDA" in refuse_varlen(torch.zeros(1, 1, 8, dtype=torch.half), 0.0)


@pytest.fixture
def installed(monkeypatch):
    """Pretends that versions of FlashAttention are installed and work: ``installed(2, 3)``."""

    def pretend(*versions, broken=None):
        for version, name in ((2, "FLASH_2"), (3, "FLASH_3")):
            package = getattr(module, name)
            missing = None if version in versions else package.missing or "not installed"
            monkeypatch.setattr(module, name, dataclasses.replace(package, missing=missing))
            monkeypatch.setitem(flash_packages._VERDICTS, package.module, broken)

    return pretend


def test_flash_names_the_extra(installed):
    installed()
    assert "pip install 'pyg-samsa[flash]'" in refuse_flash(torch.zeros(1, 1, 8), 0.0)
    for versions in ((2,), (3,), (2, 3)):
        installed(*versions)
        assert "CUDA" in refuse_flash(torch.zeros(1, 1, 8), 0.0)


@pytest.mark.parametrize(
    ("versions", "capability", "dropout", "expected"),
    [
        ((2,), (9, 0), 0.0, 2),
        ((2, 3), (9, 0), 0.0, 3),
        ((3,), (9, 0), 0.0, 3),
        ((2, 3), (9, 0), 0.1, 2),
        ((2, 3), (8, 0), 0.0, 2),
        ((3,), (9, 0), 0.1, "does not support dropout"),
        ((3,), (8, 0), 0.0, r"needs a GPU of compute capability 9\.x: install flash-attn"),
        ((), (9, 0), 0.0, r"pip install 'pyg-samsa\[flash\]'"),
    ],
)
def test_the_version_of_flash_attention(installed, monkeypatch, versions, capability, dropout, expected):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    installed(*versions)
    query = torch.zeros(2, 1, 64, dtype=torch.bfloat16).as_subclass(Fake)
    if isinstance(expected, int):
        assert flash_version(query, dropout) == expected
        assert refuse_flash(query, dropout) is None
    else:
        assert flash_version(query, dropout) is None
        assert re.search(expected, refuse_flash(query, dropout))


@pytest.mark.parametrize("versions", [(2,), (3,), (2, 3)])
def test_a_broken_package_is_refused(installed, monkeypatch, versions):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    installed(*versions, broken="it is broken")
    assert refuse_flash(torch.zeros(2, 1, 64, dtype=torch.bfloat16).as_subclass(Fake), 0.0) == "it is broken"


def published_2(
    q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0, softmax_scale=None, causal=False,
    window_size=(-1, -1), softcap=0.0, alibi_slopes=None, deterministic=False, return_attn_probs=False,
    block_table=None,
):  # fmt: skip
    """The signature of version 2.8; the attention graph by graph."""
    assert (softmax_scale, causal, softcap) == (None, False, 0.0)
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    assert (cu_seqlens_q.diff().max(), cu_seqlens_k.diff().max()) == (max_seqlen_q, max_seqlen_k)
    out = torch.empty_like(q)
    for (begin, end), (first, last) in zip(
        itertools.pairwise(cu_seqlens_q), itertools.pairwise(cu_seqlens_k), strict=True
    ):
        for head in range(q.size(1)):
            out[begin:end, head] = attention(q[begin:end, head], k[first:last, head], v[first:last, head])
    return out if not dropout_p else -out


def published_3(
    q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, seqused_q=None, seqused_k=None, softmax_scale=None,
    causal=False, qv=None, q_descale=None, k_descale=None, v_descale=None, window_size=(-1, -1), attention_chunk=0,
    softcap=0.0, num_splits=1, pack_gqa=None, deterministic=False, sm_margin=0, return_attn_probs=False,
):  # fmt: skip
    """The signature of version 3."""
    assert (seqused_q, seqused_k, num_splits, return_attn_probs) == (None, None, 1, False)
    return 3 * published_2(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, 0.0, softmax_scale, causal)


@pytest.mark.parametrize("with_logarithms", [False, True])
@pytest.mark.parametrize(("capability", "dropout", "factor"), [((9, 0), 0.0, 3), ((8, 0), 0.0, 1), ((9, 0), 0.2, -1)])
def test_each_version_gets_its_published_arguments(
    installed, monkeypatch, normal, capability, dropout, factor, with_logarithms
):
    monkeypatch.setattr(module, "_refuse_half", lambda query: None)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    installed(2, 3)
    newer = (lambda *args: (published_3(*args), torch.zeros(()))) if with_logarithms else published_3
    for name, function in (("flash_attn", published_2), ("flash_attn_interface", newer)):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(flash_attn_varlen_func=function))
    index = RaggedIndex(torch.tensor([0, 2, 2, 5]))
    query, key, value = normal(5, 2, 4, grad=False), normal(3, 2, 6, 4, grad=False), normal(3, 2, 6, 4, grad=False)
    expected = sampled_attention(query, key, value, index, backend="sdpa")
    torch.testing.assert_close(flash(query, key, value, index, dropout), factor * expected)


class Fake(torch.Tensor):
    """A tensor that says it is on a CUDA device."""

    device = torch.device("cuda")


@pytest.mark.parametrize(
    ("dtype", "channels", "capability", "dropout", "words"),
    [
        (torch.float32, 8, (9, 0), 0.0, "set train.precision to bf16-mixed"),
        (torch.float16, 12, (9, 0), 0.0, "multiple of 8"),
        (torch.float16, 264, (9, 0), 0.0, "at most 256"),
        (torch.float16, 8, (7, 5), 0.0, "Ampere"),
        (torch.float16, 8, (9, 0), 0.1, "attn_dropout"),
    ],
    ids=str,
)
def test_reasons_on_cuda(monkeypatch, dtype, channels, capability, dropout, words):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    monkeypatch.setattr(module, "_import_varlen", lambda: None)
    query = torch.zeros(2, 1, channels, dtype=dtype).as_subclass(Fake)
    assert words in refuse_varlen(query, dropout)


def test_what_fits_is_not_refused(monkeypatch, installed):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(module, "_import_varlen", lambda: None)
    installed(2)
    query = torch.zeros(2, 1, 64, dtype=torch.bfloat16).as_subclass(Fake)
    assert refuse_varlen(query, 0.0) is None
    assert refuse_flash(query, 0.5) is None


def test_an_old_torch_is_refused(monkeypatch):
    def missing():
        raise ImportError

    monkeypatch.setattr(module, "_import_varlen", missing)
    assert "install torch 2.10" in refuse_varlen(torch.zeros(1, 1, 8), 0.0)
