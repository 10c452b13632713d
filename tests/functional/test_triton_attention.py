"""Attention by Triton kernels against the equation, on a GPU or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.functional import RaggedIndex, sampled_attention
from pyg_samsa.functional.reference import attention

pytestmark = pytest.mark.cuda


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
def test_attention_kernels_equal_the_equation(device, sizes, samples, heads, channels):
    generator = torch.Generator().manual_seed(0)
    index = RaggedIndex(torch.tensor([0, *sizes], device=device).cumsum(0))
    # Keys and values are halves of one tensor, as the operator has them.
    query = torch.randn(index.num_tokens, heads, channels, generator=generator).to(device).requires_grad_()
    pairs = torch.randn(len(sizes), heads, samples, 2 * channels, generator=generator).to(device).requires_grad_()
    found = sampled_attention(query, *pairs.split(channels, -1), index, backend="triton")
    exact = [tensor.detach().double().requires_grad_() for tensor in (query, pairs)]
    expected = literal(exact[0], *exact[1].split(channels, -1), index)
    upstream = torch.randn(found.shape, generator=generator).to(device)
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


def test_attention_kernel_on_half_precision(device):
    index = RaggedIndex(torch.tensor([0, 5, 22], device=device))
    generator = torch.Generator().manual_seed(1)
    query, key, value = (
        torch.randn(shape, generator=generator).to(device, torch.float16)
        for shape in [(22, 2, 16), (2, 2, 33, 16), (2, 2, 33, 16)]
    )
    found = sampled_attention(query, key, value, index, backend="triton")
    assert found.dtype == torch.float16
    torch.testing.assert_close(
        found.double(), literal(query.double(), key.double(), value.double(), index), rtol=0, atol=2e-3
    )


def test_attention_kernel_gives_each_graph_the_same_bits_in_any_batch(device):
    generator = torch.Generator().manual_seed(2)
    query, key, value = (
        torch.randn(shape, generator=generator).to(device) for shape in [(80, 2, 16), (3, 2, 20, 16), (3, 2, 20, 16)]
    )
    ptr = torch.tensor([0, 7, 71, 80], device=device)
    together = sampled_attention(query, key, value, RaggedIndex(ptr), backend="triton")
    for graph, (begin, end) in enumerate([(0, 7), (7, 71), (71, 80)]):
        alone = sampled_attention(
            query[begin:end],
            key[graph : graph + 1],
            value[graph : graph + 1],
            RaggedIndex(torch.tensor([0, end - begin], device=device)),
            backend="triton",
        )
        assert torch.equal(together[begin:end], alone)


def draw(device, sizes, samples=5):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(sum(sizes), 2, 8, generator=generator).to(device).requires_grad_()
    pairs = (torch.randn(len(sizes), 2, samples, 8, generator=generator).to(device).requires_grad_() for _ in range(2))
    return query, *pairs, RaggedIndex.from_sizes(sizes, device)


def test_attention_kernels_are_operators(device):
    from pyg_samsa.functional import triton_attention as module

    query, key, value, index = draw(device, [3, 0, 7])
    torch.library.opcheck(module._attention, (query, key, value, index.ptr, True))
    inputs = [tensor.detach() for tensor in (query, key, value)]
    out, lse = module._attention(*inputs, index.ptr, True)
    torch.library.opcheck(module._attention_backward, (out, *inputs, index.ptr, out, lse, True))


@pytest.mark.parametrize("strict", [False, True])
def test_export_sees_one_operator_of_the_kernels(device, strict):
    class Attend(torch.nn.Module):
        def forward(self, query, key, value, ptr):
            from pyg_samsa.functional.triton_attention import _attention

            return _attention(query, key, value, ptr, True)[0]

    query, key, value, index = draw(device, [3, 0, 7])
    tokens = torch.export.Dim("tokens", min=2)
    program = torch.export.export(
        Attend(), (query, key, value, index.ptr), dynamic_shapes=({0: tokens}, None, None, None), strict=strict
    )
    targets = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert [name for name in targets if "getitem" not in name] == ["pyg_samsa.attention.default"]
    query, key, value, index = draw(device, [8, 1, 70])
    expected = sampled_attention(query, key, value, index, backend="triton")
    assert torch.equal(program.module()(query, key, value, index.ptr), expected)


def test_compile_sees_one_operator_of_the_kernels_for_all_batches(device):
    graphs = []

    def backend(graph, _):
        graphs.append([str(node.target) for node in graph.graph.nodes if node.op == "call_function"])
        return graph

    def attend(query, key, value, index):
        return sampled_attention(query, key, value, index, backend="triton")

    torch._dynamo.reset()
    compiled = torch.compile(attend, backend=backend, fullgraph=True, dynamic=True)
    for sizes in ([3, 2, 7], [9, 70, 1], [4, 5]):
        inputs = draw(device, sizes)
        found, expected = compiled(*inputs), attend(*inputs)
        assert torch.equal(found, expected)
        for one, other in zip(
            torch.autograd.grad(found.sum(), inputs[:3]), torch.autograd.grad(expected.sum(), inputs[:3]), strict=True
        ):
            assert torch.equal(one, other)
    assert len(graphs) == 1
    assert [name for name in graphs[0] if "pyg_samsa" in name] == ["pyg_samsa.attention.default"]
    # The precision of products is a constant of compiled code.
    torch.set_float32_matmul_precision("high")
    try:
        compiled(*inputs)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert len(graphs) == 2


@pytest.mark.parametrize(
    ("operator", "operators"),
    [("samsa", ["ranking", "attention"]), ("sft", ["ranking", "relative"])],
)
def test_a_compiled_block_has_the_kernels_in_one_graph_for_all_batches(device, operator, operators):
    from pyg_samsa.nn import SAMSABlock, SAMSAConv, SFTConv

    graphs = []

    def backend(graph, _):
        graphs.append([str(node.target) for node in graph.graph.nodes if "pyg_samsa" in str(node.target)])
        return graph

    torch._dynamo.reset()
    torch.manual_seed(0)
    conv = (
        SAMSAConv(16, 1, 8, noise="never", attn_backend="triton")
        if operator == "samsa"
        else SFTConv(16, 1, 8, noise="never")
    )
    block = SAMSABlock(16, conv=conv).to(device)
    torch.nn.init.ones_(block.alpha)
    compiled = torch.compile(block, backend=backend, fullgraph=True, dynamic=True)
    for sizes in ([5, 9, 0], [17, 4], [2, 6, 6]):
        x = torch.randn(sum(sizes), 16, device=device, requires_grad=True)
        index = RaggedIndex.from_sizes(sizes, device)
        found, expected = compiled(x, ptr=index), block(x, ptr=index)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(*(torch.autograd.grad(out.sum(), x)[0] for out in (found, expected)))
    assert graphs == [[f"pyg_samsa.{name}.default" for name in operators]]
