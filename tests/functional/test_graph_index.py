"""The index of a batch that a loader makes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import GraphIndex, RaggedIndex
from pyg_samsa.nn import GraphBridge


def edges_within(sizes, counts, generator):
    begin, pieces = 0, []
    for size, count in zip(sizes, counts, strict=True):
        if size:
            pieces.append(begin + torch.randint(0, size, (2, count), generator=generator))
        begin += size
    return torch.cat([torch.empty(2, 0, dtype=torch.long), *pieces], dim=1)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), min_size=1, max_size=8))
def test_tokens_lie_where_sorting_puts_them(graphs):
    sizes, counts = [size for size, _ in graphs], [count if size else 0 for size, count in graphs]
    generator = torch.Generator().manual_seed(0)
    edge_index = edges_within(sizes, counts, generator)
    batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    index = GraphIndex.from_edges(edge_index, batch, len(sizes))
    assert index.sizes == sizes
    assert index.edges.sizes == counts
    tokens, node_rows, edge_rows = index.token_rows()
    order = torch.argsort(torch.cat([batch, batch[edge_index[0]]]), stable=True)
    assert torch.equal(
        torch.cat([node_rows, edge_rows]), torch.empty_like(order).scatter(0, order, torch.arange(len(order)))
    )
    assert tokens.sizes == [size + count for size, count in zip(sizes, counts, strict=True)]
    assert tokens.ptr.tolist() == [0, *torch.tensor(tokens.sizes).cumsum(0).tolist()]
    assert index.ptr.tolist() == [0, *torch.tensor(sizes).cumsum(0).tolist()]


def test_the_bridge_gives_the_same_tokens():
    torch.manual_seed(0)
    bridge = GraphBridge(8, edge_features=False).eval()
    sizes, counts = [3, 0, 5], [2, 0, 7]
    edge_index = edges_within(sizes, counts, torch.Generator().manual_seed(0))
    batch = torch.arange(3).repeat_interleave(torch.tensor(sizes))
    x = torch.randn(8, 8)
    found = bridge(x, edge_index, batch=GraphIndex.from_edges(edge_index, batch, 3))
    expected = bridge(x, edge_index, batch=batch, batch_size=3)
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, RaggedIndex):
            assert one.sizes == other.sizes
        else:
            assert one is other is None or torch.equal(one, other)


@pytest.mark.parametrize(
    ("edge_index", "batch"),
    [([[0], [1]], [1, 0]), ([[1, 0], [1, 0]], [0, 1])],
    ids=["nodes not sorted", "edges not sorted"],
)
def test_what_is_not_sorted_has_no_such_index(edge_index, batch):
    assert GraphIndex.from_edges(torch.tensor(edge_index), torch.tensor(batch), 2) is None


@pytest.mark.parametrize(
    ("edge_index", "message"),
    [([[0], [3]], "node 3"), ([[-1], [0]], "node -1"), ([[0], [2]], "two graphs")],
)
def test_wrong_edges_are_refused(edge_index, message):
    with pytest.raises(ShapeError, match=message):
        GraphIndex.from_edges(torch.tensor(edge_index), torch.tensor([0, 0, 1]), 2)


def test_sizes_stay_with_the_index_on_another_device():
    index = GraphIndex.from_edges(torch.tensor([[0], [1]]), torch.tensor([0, 0, 1]), 2)
    moved = index.to("meta")
    assert (moved.sizes, moved.edges.sizes, moved.device.type) == ([2, 1], [1, 0], "meta")
    assert moved.batch.device.type == moved.edges.batch.device.type == "meta"
    assert index.device.type == "cpu"
