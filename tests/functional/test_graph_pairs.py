import pytest
import torch

from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.graph_pairs import GraphPairs, pair_bias

BATCHES = {"mixed": [3, 0, 1, 9, 2], "one": [4], "equal": [3, 3], "empty": [0], "single": [1, 1]}


def pairs_of(sizes):
    return GraphPairs(RaggedIndex.from_sizes(sizes))


def listed(sizes):
    """All pairs, one after the other: graph, both numbers, and both rows."""
    found, begin = [], 0
    for graph, size in enumerate(sizes):
        found += [(graph, i, j, begin + i, begin + j) for i in range(size) for j in range(size)]
        begin += size
    return found


@pytest.mark.parametrize("sizes", BATCHES.values(), ids=BATCHES)
def test_pairs_are_listed_graph_after_graph(sizes):
    pairs, expected = pairs_of(sizes), listed(sizes)
    assert len(pairs) == len(expected)
    assert pairs.first.tolist() == [pair[1] for pair in expected]
    assert pairs.second.tolist() == [pair[2] for pair in expected]
    assert (pairs.offset + pairs.first).tolist() == [pair[3] for pair in expected]
    assert pairs.size.tolist() == [sizes[pair[0]] for pair in expected]
    assert (pairs.begin + pairs.first * pairs.size + pairs.second).tolist() == list(range(len(expected)))
    rows = pairs.rows(*(torch.tensor([pair[place] for pair in expected], dtype=torch.long) for place in (3, 4)))
    assert rows.tolist() == list(range(len(expected)))


@pytest.mark.parametrize("sizes", BATCHES.values(), ids=BATCHES)
def test_every_pair_has_a_cell_in_one_table(sizes):
    pairs = pairs_of(sizes)
    values = torch.arange(1.0, 2 * len(pairs) + 1).view(-1, 2)
    found = {}
    for layout, table in zip(pairs.layouts, pairs.tables(values, fill=-1), strict=True):
        assert table.shape == (*layout.real.shape, layout.real.size(1), 2)
        assert table.numel() <= 8 * sum(size**2 for size in sizes if size)
        for row, graph in enumerate(layout.graphs.tolist()):
            size = sizes[graph]
            found[graph] = table[row, :size, :size]
            assert int((table[row] == -1).sum()) == 2 * (table.size(1) ** 2 - size**2)
    assert sorted(found) == [graph for graph, size in enumerate(sizes) if size]
    expected = values.split([size**2 for size in sizes])
    assert all(torch.equal(found[graph].flatten(0, 1), expected[graph]) for graph in found)


def test_rows_of_tables_are_joined_in_the_order_of_tokens():
    pairs = pairs_of(BATCHES["mixed"])
    x = torch.randn(15, 2, dtype=torch.float64, requires_grad=True)
    assert len(pairs.layouts) == 4
    joined = pairs.join([layout.to_table(x, fill=float("nan")) for layout in pairs.layouts])
    assert torch.equal(joined, x)
    joined.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_gradients_of_tables_are_those_of_their_cells():
    pairs = pairs_of([3, 5, 4])
    values = torch.randn(len(pairs), 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: tuple(pairs.tables(given)), (values,))


def test_padding_is_not_attended_to_and_no_row_is_empty():
    bias = pair_bias(pairs_of([3, 4]), torch.ones(25, 2))
    (table,) = bias.tables
    assert table.shape == (2, 2, 4, 4)
    assert torch.equal(table[0, :, :3, 3], torch.full((2, 3), -torch.inf))
    assert torch.isfinite(table[0, :, 3]).all()
    assert torch.isfinite(table[1]).all()


@pytest.mark.parametrize("ptr", [[0], [0, 0]])
def test_a_batch_without_nodes_has_one_empty_table(ptr):
    pairs = GraphPairs(RaggedIndex(torch.tensor(ptr)))
    (layout,) = pairs.layouts
    assert pair_bias(pairs, torch.ones(0, 2)).tables[0].shape == (0, 2, 0, 0)
    assert pairs.join([layout.to_table(torch.ones(0, 3))]).shape == (0, 3)
