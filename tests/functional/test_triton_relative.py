"""The attention of SFT by Triton kernels against PyTorch in float64, on a GPU or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.pair_features import PAIR_FEATURES
from pyg_samsa.functional.relative import Relation, relative_attention
from pyg_samsa.functional.triton_support import runs_in_triton

pytestmark = pytest.mark.cuda


def make(device, sizes, heads, samples, channels, encoding="none", sets=1, widths=None):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(device).requires_grad_()

    tokens, graphs = sum(sizes), len(sizes)
    key, value = draw(graphs, heads, samples, channels), draw(graphs, heads, samples, widths or channels)
    tensors = [draw(tokens, heads, channels), key, value, draw(graphs, heads).detach().abs().requires_grad_()]
    if encoding == "none":
        return tensors, None
    width = 6 if encoding == "dist_normal" else 3
    field = torch.tensor([0.5, 1.5, 0.8, 1.0, 2.0], device=device).requires_grad_()
    places = draw(tokens, width), draw(graphs, sets, samples, width)
    maps = draw(2 * heads, PAIR_FEATURES[encoding]), draw(2 * heads)
    return tensors, Relation(encoding, *places, *maps, field if encoding == "field" else None)


def compare(device, tensors, relation, index):
    inputs = [*tensors, *(x for x in (relation or ())[1:] if x is not None)]
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    exact_relation = None
    if relation is not None:
        exact_relation = Relation(relation.encoding, *exact[4:], *[None] * (9 - len(exact)))
    assert runs_in_triton("relative", tensors[0])
    assert not runs_in_triton("relative", exact[0])
    found = relative_attention(*tensors, index, relation=relation)
    expected = relative_attention(*exact[:4], index, relation=exact_relation)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=3e-6)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(1)).to(device)
    grads = torch.autograd.grad(found, inputs, upstream), torch.autograd.grad(expected, exact, upstream.double())
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize(
    ("sizes", "heads", "samples", "channels", "widths"),
    [
        ([3, 0, 1, 40], 2, 5, 8, None),
        ([33], 1, 40, 3, None),
        ([1], 1, 1, 1, None),
        ([0, 2], 3, 33, 20, 5),
        ([5, 4], 1, 6, 70, 130),
    ],
    ids=str,
)
def test_relative_kernels_equal_double_precision(device, sizes, heads, samples, channels, widths):
    tensors, _ = make(device, sizes, heads, samples, channels, widths=widths)
    compare(device, tensors, None, RaggedIndex.from_sizes(sizes, device))


@pytest.mark.parametrize("encoding", [name for name in PAIR_FEATURES if name != "none"])
@pytest.mark.parametrize("sets", [1, 2])
def test_relative_kernels_with_encodings(device, encoding, sets):
    sizes = [3, 0, 35]
    tensors, relation = make(device, sizes, 2, 34, 4, encoding, sets)
    compare(device, tensors, relation, RaggedIndex.from_sizes(sizes, device))


def test_relative_kernels_share_the_gradient_of_equal_channels(device):
    tensors, _ = make(device, [4], 1, 6, 4)
    with torch.no_grad():
        for tensor in tensors[:2]:
            tensor.round_()
    compare(device, tensors, None, RaggedIndex.from_sizes([4], device))


def test_relative_kernel_without_a_positive_score_gives_zeros(device):
    (query, key, value, leak), _ = make(device, [3], 1, 4, 8)
    index = RaggedIndex.from_sizes([3], device)
    out = relative_attention(query - 9, key - 9, value, torch.zeros_like(leak), index)
    assert not out.any()
    assert not any(grad.any() for grad in torch.autograd.grad(out.sum(), (query, key, value)))


@pytest.mark.parametrize("encoding", ["none", "dist"])
def test_relative_kernels_repeat_their_dropout_in_the_backward_pass(device, encoding):
    torch.manual_seed(0)
    tensors, relation = make(device, [400], 1, 20, 2, encoding)
    index = RaggedIndex.from_sizes([400], device)
    ones = torch.ones_like(tensors[2]).requires_grad_()
    inputs = tensors[0], tensors[1] + 9, ones, torch.zeros_like(tensors[3])
    out = relative_attention(*inputs, index, relation=relation, dropout=0.5)
    assert abs(out.mean().item() - 1) < 0.1
    assert out.std().item() > 0.1
    # The output is linear in the values, so that the gradient must repeat the output: sum of g v = sum of o.
    (grad,) = torch.autograd.grad(out.sum(), ones)
    torch.testing.assert_close(grad.sum(), out.sum())


def test_relative_kernels_with_a_mask_equal_double_precision(device):
    from pyg_samsa.functional.triton_relative import triton_relative_attention

    (query, key, value, leak), _ = make(device, [2, 33], 2, 35, 4)
    index = RaggedIndex.from_sizes([2, 33], device)
    keep = torch.rand(35, 2, 35, generator=torch.Generator().manual_seed(2)).to(device) < 0.7
    found = triton_relative_attention(query, key, value, leak, index, None, keep, 1 / 0.7)
    exact = [tensor.detach().double().requires_grad_() for tensor in (query, key, value, leak)]
    # With an identity for the values, the output is the weights.
    identity = torch.eye(35, dtype=torch.float64, device=device).expand(2, 2, 35, 35)
    weights = relative_attention(*exact[:2], identity, exact[3], index) * keep / 0.7
    expected = torch.einsum("thk,thkc->thc", weights, exact[2][index.batch])
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(1)).to(device)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=3e-6)
    grads = (
        torch.autograd.grad(found, (query, key, value, leak), upstream),
        torch.autograd.grad(expected, exact, upstream.double()),
    )
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("encoded", [False, True])
def test_relative_kernels_are_operators(device, encoded):
    from pyg_samsa.functional import triton_relative as module

    inputs, _ = make(device, [2, 0, 3], 1, 4, 4)
    index = RaggedIndex.from_sizes([2, 0, 3], device)
    gates = torch.randn(5, 2, 4, device=device, requires_grad=True) if encoded else None
    keep = torch.rand(5, 1, 4, device=device) < 0.5 if encoded else None
    torch.library.opcheck(module._relative, (*inputs, index.ptr, gates, keep, 2.0, True))
    query, key, value, leak = (tensor.detach() for tensor in inputs)
    gates = None if gates is None else gates.detach()
    out, mass = module._relative(query, key, value, leak, index.ptr, gates, keep, 2.0, True)
    given = out, query, key, value, index.ptr, gates, keep, out, mass, 2.0, True
    torch.library.opcheck(module._relative_backward, given)


@pytest.mark.parametrize("encoding", ["none", "dist"])
def test_compile_sees_one_operator_of_the_relative_kernels(device, encoding):
    graphs = []

    def backend(graph, _):
        graphs.append([str(node.target) for node in graph.graph.nodes if node.op == "call_function"])
        return graph

    torch._dynamo.reset()
    compiled = torch.compile(relative_attention, backend=backend, fullgraph=True, dynamic=True)
    with torch.no_grad():
        for sizes in ([3, 2, 7], [9, 40, 1]):
            tensors, relation = make(device, sizes, 2, 5, 4, encoding)
            index = RaggedIndex.from_sizes(sizes, device)
            expected = relative_attention(*tensors, index, relation=relation)
            torch.testing.assert_close(compiled(*tensors, index, relation=relation), expected)
    assert len(graphs) == 1
    assert [name for name in graphs[0] if "pyg_samsa" in name] == ["pyg_samsa.relative.default"]
