"""The oracle of Graph-Bridge and of pooling against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import reference


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def identity(inputs: Tensor) -> Tensor:
    return inputs


class TestGraphBridge:
    def test_by_hand_unsorted_batch_self_loop_duplicate_and_empty_graph(self):
        # Nodes 0 and 2 are of graph 2, node 1 of graph 0, graph 1 and graph 3 have none; phi doubles; p = eps * sigma +
        # 2x.
        x, eps = double([[1.0], [2.0], [3.0]]), double([[1.0], [0.0], [-1.0]])
        edges = torch.tensor([[2, 1, 0, 0], [0, 1, 2, 2]])
        attr = double([[10.0], [20.0], [30.0], [40.0]])
        tokens, ptr = reference.graph_bridge(
            x,
            edges,
            attr,
            eps,
            double([0.5]),
            lambda f: 2 * f,
            identity,
            identity,
            batch=torch.tensor([2, 0, 2]),
            batch_size=4,
        )
        # p = [2.5, 4, 5.5]; graph 0: node 1 and its loop (p_11 = 0); graph 2: nodes 0, 2, then edges 2->0, 0->2 twice.
        assert ptr == [0, 2, 2, 7, 7]
        assert tokens.tolist() == [
            [4.0, 2.0],
            [0.0, 20.0],
            [2.5, 1.0],
            [5.5, 3.0],
            [3.0, 10.0],
            [-3.0, 30.0],
            [-3.0, 40.0],
        ]

    def test_two_codes(self):
        x, edges = double([[1.0], [2.0]]), torch.tensor([[0, 1], [1, 1]])
        codes = [double([[1.0], [2.0]]), double([[10.0], [20.0]])]
        tokens = []
        reference.graph_bridge(
            x,
            edges,
            None,
            codes,
            double([[3.0], [1.0]]),
            lambda f: torch.cat([f, -f]),
            lambda f: tokens.append(f.tolist()) or f,
            lambda f: tokens.append(f.tolist()) or f[[0, 0, 0]],
        )
        # L = 3 * [1, 2] + x = [4, 8], R = [10, 20] - x = [9, 18]; edges 0->1: 4 - 18, 1->1: 8 - 18.
        assert tokens == [[4.0, 9.0, 1.0], [8.0, 18.0, 2.0], [-14.0], [-10.0]]

    def test_opposite_edges_differ_in_sign(self):
        x, eps = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
        phi = torch.nn.Linear(3, 4).double()
        tokens, _ = reference.graph_bridge(
            x,
            torch.tensor([[0, 1], [1, 0]]),
            None,
            eps,
            torch.ones(4).double(),
            phi,
            lambda f: f[:4],
            identity,
            batch=torch.tensor([0, 0]),
        )
        torch.testing.assert_close(tokens[2], -tokens[3])
        torch.testing.assert_close(tokens[2], tokens[0] - tokens[1])

    def test_no_edges_and_no_nodes(self):
        none = torch.zeros(2, 0, dtype=torch.long)
        tokens, ptr = reference.graph_bridge(
            double([[1.0]]), none, None, double([[0.0]]), double([1.0]), identity, identity, identity, batch_size=2
        )
        assert (tokens.tolist(), ptr) == ([[1.0, 1.0]], [0, 1, 1])
        tokens, ptr = reference.graph_bridge(
            torch.zeros(0, 1),
            none,
            None,
            torch.zeros(0, 5),
            torch.ones(5),
            identity,
            identity,
            identity,
            batch=torch.zeros(0, dtype=torch.long),
        )
        assert (tokens.shape, ptr) == ((0, 5), [0])

    def test_bad_input(self):
        x, edges, eps = double([[1.0], [2.0]]), torch.tensor([[0], [1]]), torch.zeros(2, 1).double()
        arguments = (double([1.0]), identity, identity, identity)
        with pytest.raises(ShapeError, match="edge 0 from graph 0 to graph 1"):
            reference.graph_bridge(x, edges, None, eps, *arguments, batch=torch.tensor([0, 1]))
        with pytest.raises(ShapeError, match="3 codes"):
            reference.graph_bridge(x, edges, None, [eps] * 3, *arguments)
        with pytest.raises(ShapeError, match="batch"):
            reference.graph_bridge(x, edges, None, eps, *arguments, batch=torch.tensor([0, 5]), batch_size=2)


class TestPooling:
    def test_attention_pool_by_hand(self):
        # w.x + b = log 3 + 1 and 1: weights 3/4 and 1/4 of the first graph's tokens; the second has none; the third has
        # one.
        x = double([[math.log(3), 4.0], [0.0, 8.0], [5.0, 6.0]])
        pooled = reference.attention_pool(x, torch.tensor([0, 2, 2, 3]), double([[1.0, 0.0]]), double([1.0]))
        torch.testing.assert_close(pooled, double([[0.75 * math.log(3), 5.0], [0.0, 0.0], [5.0, 6.0]]))

    def test_mean_pool(self):
        pooled = reference.mean_pool(double([[1.0, 4.0], [3.0, 0.0], [5.0, 6.0]]), torch.tensor([0, 2, 2, 3]))
        assert pooled.tolist() == [[2.0, 2.0], [0.0, 0.0], [5.0, 6.0]]

    def test_no_graph(self):
        empty = torch.zeros(0, 3)
        assert reference.mean_pool(empty, [0]).shape == (0, 3)
        assert reference.attention_pool(empty, [0], torch.ones(1, 3), None).shape == (0, 3)
