"""Kernels for packed tokens: what they are given, and why they refuse."""

import importlib

import pytest
import torch

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.reference import attention
from pyg_samsa.functional.varlen import _packed, refuse_flash, refuse_varlen

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


def test_flash_names_the_extra(monkeypatch):
    monkeypatch.setattr(module, "_HAS_FLASH", False)
    assert "pip install 'pyg-samsa[flash]'" in refuse_flash(torch.zeros(1, 1, 8), 0.0)
    monkeypatch.setattr(module, "_HAS_FLASH", True)
    assert "CUDA" in refuse_flash(torch.zeros(1, 1, 8), 0.0)


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
    monkeypatch.setattr(module, "_torch_varlen", lambda: None)
    query = torch.zeros(2, 1, channels, dtype=dtype).as_subclass(Fake)
    assert words in refuse_varlen(query, dropout)


def test_what_fits_is_not_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(module, "_torch_varlen", lambda: None)
    monkeypatch.setattr(module, "_HAS_FLASH", True)
    query = torch.zeros(2, 1, 64, dtype=torch.bfloat16).as_subclass(Fake)
    assert refuse_varlen(query, 0.0) is None
    assert refuse_flash(query, 0.5) is None


def test_an_old_torch_is_refused(monkeypatch):
    def missing():
        raise ImportError

    monkeypatch.setattr(module, "_torch_varlen", missing)
    assert "install torch 2.10" in refuse_varlen(torch.zeros(1, 1, 8), 0.0)
