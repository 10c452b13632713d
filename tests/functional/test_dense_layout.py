"""Tables with one row per graph."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_samsa.functional import RaggedIndex

SIZES = {"one table": [3, 0, 1, 7], "several tables": [1, 0, 900, 2, 0, 33], "equal": [4, 4], "empty": [0, 0]}


def literal(x, sizes, width, fill):
    table = torch.full((len(sizes), width, *x.shape[1:]), fill, dtype=x.dtype)
    for graph, rows in enumerate(x.split(sizes)):
        table[graph, : len(rows)] = rows
    return table


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("fill", [0, -1])
def test_tables_hold_every_token_in_its_row_and_column(sizes, fill):
    index = RaggedIndex.from_sizes(sizes)
    x = torch.arange(2 * index.num_tokens).view(-1, 2)
    seen = []
    for layout in index.layouts():
        graphs = list(range(len(sizes))) if layout.graphs is None else layout.graphs.tolist()
        expected = literal(x, sizes, max(sizes), fill)[graphs, : layout.real.size(1)]
        assert layout.to_table(x, fill).tolist() == expected.tolist()
        assert layout.real.sum(1).tolist() == [sizes[graph] for graph in graphs]
        assert layout.of_graphs(torch.arange(len(sizes))).tolist() == graphs
        seen += graphs
    assert sorted(seen) == list(range(len(sizes)))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=12))
def test_there_and_back(sizes):
    index = RaggedIndex.from_sizes(sizes)
    x = torch.arange(float(index.num_tokens), requires_grad=True)
    back = index.in_tables(lambda layout: layout.to_table(x) * 2)
    assert torch.equal(back, 2 * x)
    (gradient,) = torch.autograd.grad(back.sum(), x, allow_unused=True) if index.num_tokens else (None,)
    assert gradient is None or gradient.tolist() == [2.0] * index.num_tokens
    graphs = torch.arange(len(sizes))
    assert torch.equal(index.join_graphs([layout.of_graphs(graphs) for layout in index.layouts()]), graphs)


def test_layouts_are_made_once():
    index = RaggedIndex.from_sizes([3, 1])
    assert index.layouts() is index.layouts()


def test_equal_graphs_are_a_view():
    x = torch.zeros(6, 2)
    (layout,) = RaggedIndex.from_sizes([3, 3]).layouts()
    assert layout.to_table(x).data_ptr() == x.data_ptr()
    assert layout.from_table(layout.to_table(x)).data_ptr() == x.data_ptr()


def test_nothing_is_read_from_the_device():
    """A tensor on the meta device has no values, so reading one is an error."""
    for sizes in SIZES.values():
        index = RaggedIndex.from_sizes(sizes, torch.device("meta"))
        x = torch.zeros(index.num_tokens, 2, device="meta")
        assert index.in_tables(lambda layout, x=x: layout.to_table(x)).shape == x.shape
