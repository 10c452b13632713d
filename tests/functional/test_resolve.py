from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.resolve import resolve


def test_resolve_sorts_stably():
    batch = torch.tensor([1, 0, 1, 0])
    index, perm = resolve(4, batch.device, batch)
    assert perm.tolist() == [1, 3, 0, 2]
    assert index.sizes == [2, 2]
    assert resolve(4, batch.device, torch.tensor([0, 0, 1, 1]))[1] is None
    # A sort that is not stable keeps the order of a dozen values by chance.
    _, perm = resolve(200, batch.device, torch.arange(200) % 2)
    assert torch.equal(perm, torch.cat([torch.arange(0, 200, 2), torch.arange(1, 200, 2)]))


def test_resolve_without_batch_is_one_graph():
    assert resolve(4, torch.device("cpu"))[0].sizes == [4]
    assert resolve(4, torch.device("cpu"), batch_size=3)[0].sizes == [4, 0, 0]


def test_contradictions_are_named():
    with pytest.raises(ShapeError, match="batch_size"):
        resolve(2, torch.device("cpu"), ptr=torch.tensor([0, 2]), batch_size=3)
    with pytest.raises(ShapeError, match="batch_size"):
        resolve(2, torch.device("cpu"), batch_size=0)
    with pytest.raises(ShapeError, match="no graph"):
        resolve(0, torch.device("cpu"), ptr=torch.tensor([0]))


def test_no_graph_is_one_without_tokens_where_that_is_allowed():
    none = torch.empty(0, dtype=torch.long)
    for options in ({"batch": none}, {"ptr": torch.tensor([0])}):
        index, perm = resolve(0, torch.device("cpu"), **options, allow_none=True)
        assert (index.sizes, perm) == ([0], None)
        with pytest.raises(ShapeError, match="no graph"):
            resolve(0, torch.device("cpu"), **options)


def test_an_index_takes_the_place_of_the_batch_vector():
    index = RaggedIndex(torch.tensor([0, 2, 3]))
    assert resolve(3, torch.device("cpu"), index) == (index, None)
    with pytest.raises(ShapeError, match="number of tokens, 4"):
        resolve(4, torch.device("cpu"), index)
