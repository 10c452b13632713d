from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import RaggedIndex


def test_batch_and_ptr_are_two_views_of_one_thing():
    batch = torch.tensor([0, 0, 3, 3, 3])
    index = RaggedIndex.from_batch(batch, batch_size=6)
    assert index.ptr.tolist() == [0, 2, 2, 2, 5, 5, 5]
    assert torch.equal(index.batch, batch)
    assert (index.num_graphs, index.num_tokens, index.max_size) == (6, 5, 3)


@pytest.mark.parametrize("sizes", [[5], [1, 2, 3], [0, 0], [1000] + [3] * 200, [0, 700, 0, 1, 2, 64, 65]])
def test_groups_hold_every_graph_once_and_waste_little(sizes):
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    seen, cells = [], 0
    for graphs, width in index.groups():
        members = range(len(sizes)) if graphs is None else graphs.tolist()
        seen += list(members)
        cells += width * len(members)
        assert all(sizes[graph] <= width for graph in members)
    assert sorted(seen) == list(range(len(sizes)))
    assert cells <= 4 * sum(sizes) + 64 * len(sizes)


@pytest.mark.parametrize("sizes", [[5], [1, 2, 3], [0, 4, 0, 3, 0], [0]])
@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_cells_of_tiles_hold_every_token_once(sizes, rows):
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    graphs, _ = index.tiles(rows)
    tokens, cells = index.tile_cells(rows)
    assert tokens.numel() == rows * graphs.numel()
    assert tokens[cells].tolist() == list(range(sum(sizes)))
    assert torch.equal(index.batch[tokens], graphs.repeat_interleave(rows))  # padding is of the same graph


@pytest.mark.parametrize(
    "ptr",
    [
        torch.tensor([1, 2]),
        torch.tensor([0, 3, 2]),
        torch.tensor([0.0, 1.0]),
        torch.tensor(0),
        torch.empty(0, dtype=torch.long),
    ],
)
def test_bad_ptr(ptr):
    with pytest.raises(ShapeError, match="ptr"):
        RaggedIndex(ptr)


@pytest.mark.parametrize("max_tokens", [1, 3, 7, 100])
def test_parts_are_consecutive_and_complete(max_tokens):
    index = RaggedIndex(torch.tensor([0, 0, 2, 5, 5, 6, 16, 17]))
    parts = index.parts(max_tokens)
    assert [size for _, part in parts for size in part.sizes] == index.sizes
    assert [rows.stop - rows.start for rows, _ in parts] == [part.num_tokens for _, part in parts]
    assert [rows.start for rows, _ in parts] == [0, *(rows.stop for rows, _ in parts)][:-1]
    assert all(part.num_tokens <= max_tokens or part.max_size > max_tokens for _, part in parts)
    assert index.parts(max_tokens) is parts


@pytest.mark.parametrize(
    ("sizes", "expected"), [([0, 3, 0, 0, 2], [3, 2]), ([0, 0, 0], [0]), ([0, 3], [0, 3]), ([1, 0, 2], [1, 0, 2])]
)
def test_only_where_most_graphs_are_empty_they_are_left_out(sizes, expected):
    index = RaggedIndex.from_sizes(sizes)
    found = index.without_empty()
    assert found.sizes == expected
    assert found.num_tokens == index.num_tokens
    assert found is index.without_empty()
    assert (found is index) == (sizes == expected)
