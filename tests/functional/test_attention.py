from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import (
    ATTENTION_BACKENDS,
    RaggedIndex,
    explain_backends,
    full_attention,
    sampled_attention,
    varlen,
)
from pyg_samsa.functional.device_path import accelerator_path
from pyg_samsa.functional.reference import attention

SIZES = [3, 0, 1, 7]


def make(sizes=SIZES, samples=5):
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(index.num_tokens, 2, 4, dtype=torch.float64, generator=generator)
    key, value = (torch.randn(len(sizes), 2, samples, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    return query, key, value, index


def literal(query, key, value, index):
    out = torch.zeros_like(query)
    for token, graph in enumerate(index.batch.tolist()):
        for head in range(query.size(1)):
            out[token, head] = attention(query[token : token + 1, head], key[graph, head], value[graph, head])[0]
    return out


def emulated(query, keys, values, query_offsets, key_offsets, longest_query, longest_key, **options):
    """What a kernel for packed tokens computes, written out: whoever packs wrongly gets a wrong result."""
    assert query_offsets.dtype == key_offsets.dtype == torch.int32
    assert longest_query == int(query_offsets.diff().max())
    assert longest_key == int(key_offsets.diff().max())
    out = torch.zeros_like(query)
    for graph in range(len(query_offsets) - 1):
        own, seen = (slice(int(offsets[graph]), int(offsets[graph + 1])) for offsets in (query_offsets, key_offsets))
        for head in range(query.size(1)):
            out[own, head] = (
                torch.softmax(query[own, head] @ keys[seen, head].T / query.size(-1) ** 0.5, dim=-1)
                @ values[seen, head]
            )
    return out


# Tiles, a call per graph because of the keys, or because of the tokens, and one call for equal graphs.
SHAPES = {
    "one tile each": (SIZES, 5),
    "several tiles": ([130, 0, 64, 3, 65, 0], 5),
    "many keys": (SIZES, 33),
    "many tokens": ([600, 1, 0], 5),
    "equal graphs": ([7, 7], 5),
}


PATHS = {"CPU": nullcontext, "accelerator": accelerator_path}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize(("sizes", "samples"), SHAPES.values(), ids=SHAPES)
def test_sdpa_equals_the_equation(sizes, samples, path):
    inputs = [tensor.requires_grad_() for tensor in make(sizes, samples)[:3]]
    index = make(sizes, samples)[3]
    expected = literal(*inputs, index)
    with path():
        found = sampled_attention(*inputs, index, backend="sdpa")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for one, other in zip(
        torch.autograd.grad(found.sin().sum(), inputs), torch.autograd.grad(expected.sin().sum(), inputs), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("operation", [sampled_attention, full_attention], ids=["sampled", "full"])
def test_the_accelerator_path_adds_no_gradient_twice(operation):
    """Padding must not read a token: the gradient of such a read is added up one by one on CUDA."""
    query, key, value, index = make([130, 0, 64, 3])
    if operation is full_attention:
        key = value = query.clone()
    operations = []

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            operations.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    with accelerator_path(), Record():
        operation(query.requires_grad_(), key, value, index).sum().backward()
    assert not {"index_put", "index_put_", "_index_put_impl_", "nonzero", "_local_scalar_dense"} & set(operations)
    assert "index_copy" in operations


def test_graphs_without_tokens():
    assert sampled_attention(*make([0, 0]), backend="sdpa").shape == (0, 2, 4)


def test_dropout_keeps_the_mean_in_tiles():
    query, key, _, index = make([40, 3], 20)
    value = torch.ones_like(key)
    torch.manual_seed(0)
    out = sampled_attention(query, key, value, index, dropout=0.5, backend="sdpa")
    assert out.std() > 0.1
    assert out.mean() == pytest.approx(1, abs=0.1)


def test_kernels_for_packed_tokens_get_what_they_take(monkeypatch):
    monkeypatch.setattr(varlen, "torch_varlen", lambda: emulated)
    torch.testing.assert_close(varlen.varlen(*make(), 0.0), literal(*make()), rtol=0, atol=1e-12)


def test_flash_gets_dropout(monkeypatch):
    import sys
    import types

    given = {}
    module = types.ModuleType("flash_attn")
    module.flash_attn_varlen_func = lambda *args, **options: (given.update(options), emulated(*args))[1]
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    torch.testing.assert_close(varlen.flash(*make(), 0.25), literal(*make()), rtol=0, atol=1e-12)
    assert given == {"dropout_p": 0.25}


def test_what_cannot_run_says_why_and_auto_goes_past_it():
    reasons = explain_backends("cpu")
    assert reasons["sdpa"] == "taken by auto"
    assert "CUDA" in reasons["varlen"] or "2.10" in reasons["varlen"]
    assert set(reasons) == set(ATTENTION_BACKENDS)
    with pytest.raises(ConfigError, match="attn_backend") as error:
        sampled_attention(*make(), backend="varlen")
    assert "varlen" in error.value.hint
    torch.testing.assert_close(sampled_attention(*make()), literal(*make()), rtol=0, atol=1e-12)


def test_auto_takes_the_first_that_can(monkeypatch):
    monkeypatch.setattr(varlen, "torch_varlen", lambda: emulated)
    can = ATTENTION_BACKENDS["varlen"]._replace(refuse=lambda query, dropout: "no dropout" if dropout else None)
    monkeypatch.setitem(ATTENTION_BACKENDS, "varlen", can)
    assert explain_backends("cpu")["varlen"] == "taken by auto"
    assert explain_backends("cpu")["sdpa"] == "can run"
    assert explain_backends("cpu", dropout=0.1)["sdpa"] == "taken by auto"
    torch.testing.assert_close(sampled_attention(*make()), literal(*make()), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("query", "dropout", "words"),
    [
        (torch.empty(0, 1, 16), 0.0, "CUDA"),
        (torch.empty(0, 1, 16, device="meta", dtype=torch.bfloat16), 0.0, "meta"),
    ],
)
def test_reasons(query, dropout, words):
    assert words in (varlen._refuse_half(query) or "")


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["flash", "varlen", "sdpa"])
def test_on_cuda(name):
    query, key, value, index = make([30, 0, 1, 70], samples=64)
    query, key, value = (torch.cat([tensor] * 4, dim=-1).cuda().bfloat16() for tensor in (query, key, value))
    index = RaggedIndex(index.ptr.cuda())
    if ATTENTION_BACKENDS[name].refuse(query, 0.0) is not None:
        pytest.skip(ATTENTION_BACKENDS[name].refuse(query, 0.0))
    found = sampled_attention(query, key, value, index, backend=name)
    expected = literal(query.double(), key.double(), value.double(), index)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-2)


def test_full_attention_equals_the_equation():
    query, _, _, index = make()
    key, value = torch.randn_like(query), torch.randn_like(query)
    out = full_attention(query, key, value, index)
    for graph, (begin, end) in enumerate(zip(index.ptr.tolist(), index.ptr.tolist()[1:], strict=False)):
        for head in range(2):
            if index.sizes[graph]:
                expected = attention(query[begin:end, head], key[begin:end, head], value[begin:end, head])
                torch.testing.assert_close(out[begin:end, head], expected, rtol=0, atol=1e-12)


def test_tensors_are_given_by_place_or_by_name_and_options_by_name():
    query, key, value, index = make()
    named = sampled_attention(query=query, key=key, value=value, index=index)
    assert torch.equal(named, sampled_attention(query, key, value, index))
    with pytest.raises(TypeError, match="positional"):
        sampled_attention(query, key, value, index, 0.5)
