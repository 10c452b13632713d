"""The base of data sets of one graph whose nodes are split: one row for each split."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.prepared import Prepared
from pyg_samsa.datasets.splits import check_fractions
from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.metrics.confusion_metric import IGNORE_INDEX
from pyg_samsa.options import Option, check_integer
from pyg_samsa.task import SPLITS, Task

NodeSplit = Annotated[
    str,
    Option(
        "Split of the nodes of a data set of one graph: its own, or drawn at random with the shares dataset.split and "
        "the seed dataset.seed.",
        ("own", "random"),
    ),
]
SplitIndex = Annotated[
    int, Option("Which of the own splits of a data set of one graph is used, from 0.", low=0, high=9)
]


class NodeDataset(SplitDataset):
    """One graph whose nodes are split (transductive node classification).

    The rows are train, val and test. All three are the same graph; in each, the labels of the nodes of other splits are
    -100, which no loss and no metric counts. So a network sees all nodes and edges in training, but learns from the
    labels of training nodes only. The graph is stored once.

    Args:
        prepared: One graph with ``x``, ``edge_index`` and ``y`` int64 [N], and ``masks`` bool [S, 3, N] among the
            extras: which nodes are in train, val and test of each of S splits.
        task: The classes.
        features: Width of the features of nodes.
        split_index: Which of the S splits is used.
        node_split: ``"own"`` for one of them, or ``"random"``.
        fractions: Shares of train, val and test of a random split.
        seed: Seed of a random split.
        transform: Called on every graph on access.
        root: Folder of the data sets.

    Attributes:
        masks: The nodes of train, val and test, bool [3, N].

    Shapes:
        - **item:** ``x`` float [N, F], ``edge_index`` int64 [2, E], ``y`` int64 [N], -100 outside of the split.

    Raises:
        ConfigError: There is no such split.

    Example:
        >>> data = {"x": torch.eye(3), "edge_index": torch.tensor([[0, 1], [1, 2]]), "y": torch.tensor([1, 0, 1])}
        >>> slices = {"x": torch.tensor([0, 3]), "edge_index": torch.tensor([0, 2]), "y": torch.tensor([0, 3])}
        >>> masks = torch.eye(3, dtype=torch.bool)[None]
        >>> prepared = Prepared(data, slices, {}, {"masks": masks})
        >>> dataset = NodeDataset(prepared, Task("multiclass", ["a", "b"], "node"), Features(3))
        >>> len(dataset), [graph.y.tolist() for graph in dataset]
        (3, [[1, -100, -100], [-100, 0, -100], [-100, -100, 1]])

    Cost: a row shares the features and the edges of the stored graph.
    """

    transductive = True
    """Whether rows are one graph whose nodes are split."""

    def __init__(
        self,
        prepared: Prepared,
        task: Task,
        features: Features,
        *,
        split_index: int = 0,
        node_split: str = "own",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        transform: Callable[[Data], Data] | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        prepared.data["x"] = prepared.data["x"].float()
        super().__init__(prepared, task, features, transform=transform, root=root)
        check_choice("node_split", node_split, ("own", "random"))
        check_integer("split_index", split_index, low=0)
        own = prepared.extra["masks"]
        if not len(own) and node_split == "own":
            raise ConfigError("node_split", node_split, "'random': the data set has no split of its own")
        if node_split == "random":
            self.masks = random_masks(self._data.y.size(0), fractions, seed)
        elif split_index < len(own):
            self.masks = own[split_index].bool()
        else:
            raise ConfigError("split_index", split_index, f"at most {len(own) - 1}: there are {len(own)} splits")
        self.split_idx = {split: torch.tensor([SPLITS.index(split)]) for split in self.node_sizes}

    @property
    def node_sizes(self) -> dict[str, int]:
        """Number of labelled nodes of each split that has some.

        Example:
            >>> data = {"x": torch.eye(2), "edge_index": torch.zeros(2, 0).long(), "y": torch.tensor([1, 0])}
            >>> slices = {"x": torch.tensor([0, 2]), "edge_index": torch.tensor([0, 0]), "y": torch.tensor([0, 2])}
            >>> masks = torch.tensor([[[True, False], [False, False], [False, True]]])
            >>> prepared = Prepared(data, slices, {}, {"masks": masks})
            >>> NodeDataset(prepared, Task("multiclass", ["a", "b"], "node"), Features(2)).node_sizes
            {'train': 1, 'test': 1}
        """
        counts = self.masks.sum(1).tolist()
        return {split: count for split, count in zip(SPLITS, counts, strict=True) if count}

    def len(self) -> int:
        """Return 3, the number of splits."""
        return len(SPLITS)

    def get(self, idx: int) -> Data:
        """Return the graph with the labels of one split."""
        data = copy.copy(self._data)
        data.edge_index = data.edge_index.long()
        data.y = data.y.long().where(self.masks[idx], IGNORE_INDEX)
        return data


def random_masks(num_nodes: int, fractions: Sequence[float], seed: int) -> Tensor:
    """Split nodes at random; the same seed gives the same split.

    Args:
        num_nodes: Number of nodes N.
        fractions: Shares of train, val and test.
        seed: Seed of the split.

    Returns:
        bool [3, N], of which each node is in one.

    Raises:
        ConfigError: The shares do not add up to 1.

    Example:
        >>> random_masks(10, [0.6, 0.2, 0.2], seed=0).sum(1).tolist()
        [6, 2, 2]
    """
    shares = [*check_fractions(fractions).values(), 0.0][: len(SPLITS)]
    order = torch.randperm(num_nodes, generator=torch.Generator().manual_seed(seed))
    ends = [round(sum(shares[: place + 1]) * num_nodes) for place in range(len(shares))]
    masks = torch.zeros(len(SPLITS), num_nodes, dtype=torch.bool)
    for row, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        masks[row, order[start:end]] = True
    return masks


def one_graph(x: Tensor, edge_index: Tensor, y: Tensor, masks: Tensor) -> Prepared:
    """Return one graph as it is stored; whole numbers from 0 to 255 take a byte each.

    Args:
        x: Features [N, F].
        edge_index: Edges int64 [2, E].
        y: Classes int64 [N].
        masks: Nodes of train, val and test of S splits, bool [S, 3, N].

    Example:
        >>> masks = torch.eye(3, dtype=torch.bool)[None]
        >>> one_graph(torch.eye(3), torch.tensor([[0], [1]]), torch.zeros(3, dtype=torch.long), masks).data["x"].dtype
        torch.uint8
    """
    small = x.numel() > 0 and bool((x == x.to(torch.uint8)).all())
    data = {"x": x.to(torch.uint8) if small else x.float(), "edge_index": edge_index, "y": y}
    slices = {"x": x.size(0), "edge_index": edge_index.size(1), "y": y.size(0)}
    return Prepared(data, {key: torch.tensor([0, size]) for key, size in slices.items()}, {}, {"masks": masks.bool()})
