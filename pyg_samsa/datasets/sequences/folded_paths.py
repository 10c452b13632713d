"""Generated paths that are folded on a grid; the task is to find the nodes that touch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import NumTest, NumTrain, NumVal, Seed
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.splits import consecutive_splits
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import Option, check_integer
from pyg_samsa.task import Task

FARTHEST = 1
"""Distance on the grid of two nodes in contact, at most."""
NEAREST = 5
"""Distance along the path of two nodes in contact, at least, as in PCQM-Contact."""
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
_COMPACT = 0.7
_VERSION = 1


class Fold(NamedTuple):
    """A path on the square grid.

    Args:
        places: Coordinates of its nodes, int64 [n, 2].
        turns: What the path does at each node, int64 [n]: 0 end, 1 straight on, 2 left, 3 right.
    """

    places: np.ndarray
    turns: np.ndarray


class FoldedPaths(SplitDataset):
    r"""Folded paths whose contacts are to be found: a small task in the form of PCQM-Contact, without a download.

    A path of nodes walks over a square grid and never visits a place twice. A node knows whether the path goes straight
    on, left or right at it, an edge whether it leads forwards, and nothing tells their places. Two nodes are in contact
    if they are neighbours on the grid and at least five steps apart along the path,

    .. math::
        |p_i - p_j| = 1, \qquad |i - j| \ge 5,

    so what is true of a pair depends on all turns between its nodes. As in PCQM-Contact the labelled pairs are the
    contacts, in both directions, and other pairs are drawn while the network is trained. Paths without a contact are
    left out.

    Args:
        root: Folder of the data sets; this one is in ``<root>/contacts``.
        longest: Nodes of the longest paths; the shortest have half as many.
        num_train: Training paths.
        num_val: Validation paths.
        num_test: Test paths.
        seed: Seed of the paths.
        progress: Show a progress bar while preparing.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [n, 1] (the turn), ``edge_index`` int64 [2, 2n-2], ``edge_attr`` int64 [2n-2, 1] (0
          forwards, 1 backwards), ``edge_label_index`` int64 [2, L], ``edge_label`` int64 [L]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> import tempfile
        >>> dataset = FoldedPaths(tempfile.mkdtemp(), num_train=2, num_val=1, num_test=1, progress=False)
        >>> dataset[0].edge_label_index.size(0), dataset.task.level
        (2, 'link')

    Cost: prepared once, about a millisecond of one core a path.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        longest: Annotated[int, Option("Nodes of the longest paths.", low=8, high=1000)] = 24,
        num_train: NumTrain = 1500,
        num_val: NumVal = 250,
        num_test: NumTest = 250,
        seed: Seed = 0,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        sizes = [num_train, num_val, num_test]
        path = prepared_path(root, longest=longest, num_train=num_train, num_val=num_val, num_test=num_test, seed=seed)
        prepared = prepare_once(path, lambda: _generate(longest, sizes, seed, progress))
        super().__init__(
            prepared, Task("binary", ["contact"], "link"), Features([4], [2]), transform=transform, root=root
        )


def prepared_path(
    root: str | os.PathLike[str],
    *,
    longest: int = 24,
    num_train: int = 1500,
    num_val: int = 250,
    num_test: int = 250,
    seed: int = 0,
) -> Path:
    """Return the file that holds the paths.

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> prepared_path("datasets", seed=1) == prepared_path("datasets", seed=2)
        False
    """
    check_integer("longest", longest, low=8)
    check_integer("num_train", num_train, low=1)
    for key, value in (("num_val", num_val), ("num_test", num_test), ("seed", seed)):
        check_integer(key, value, low=0)
    name = f"contacts-n{longest}-{num_train}-{num_val}-{num_test}-seed{seed}-v{_VERSION}.pt"
    return Path(root) / "contacts" / name


def fold_path(length: int, rng: np.random.Generator) -> Fold:
    """Return a random path that prefers places beside its own nodes.

    Args:
        length: Nodes, at least 2.
        rng: Source of all randomness.

    Example:
        >>> fold = fold_path(6, np.random.default_rng(0))
        >>> fold.places.shape, fold.turns[[0, -1]].tolist()
        ((6, 2), [0, 0])

    Cost: O(length), but a path that is stuck starts again.
    """
    while True:
        place, heading = (0, 0), 0
        visited, turns = {place: 0}, [0]
        for number in range(1, length):
            options = []
            for turn in (1, 2, 3) if number > 1 else (1,):
                ahead = (heading + (0, 1, 3)[turn - 1]) % 4
                after = (place[0] + _STEPS[ahead][0], place[1] + _STEPS[ahead][1])
                if after not in visited:
                    beside = sum((after[0] + x, after[1] + y) in visited for x, y in _STEPS) - 1
                    options.append((np.exp(_COMPACT * beside), turn, ahead, after))
            if not options:
                break
            weights = np.array([option[0] for option in options])
            _, turn, heading, place = options[int(np.searchsorted(weights.cumsum(), rng.random() * weights.sum()))]
            visited[place] = number
            if number > 1:
                turns.append(turn)
        else:
            return Fold(np.array(list(visited)), np.array([*turns, 0]))


def contacts(places: np.ndarray) -> np.ndarray:
    """Return the pairs of nodes in contact, in both directions: int64 [2, L].

    Args:
        places: Coordinates of the nodes of a path, int64 [n, 2].

    Example:
        >>> contacts(np.array([[0, 0], [1, 0], [2, 0], [2, 1], [1, 1], [0, 1]])).tolist()
        [[0, 5], [5, 0]]

    Cost: O(n^2).
    """
    distance = np.abs(places[:, None] - places[None]).sum(-1)
    apart = np.abs(np.subtract.outer(np.arange(len(places)), np.arange(len(places))))
    return np.stack(np.nonzero((distance <= FARTHEST) & (apart >= NEAREST)))


def _generate(longest: int, sizes: list[int], seed: int, progress: bool) -> Prepared:
    rng = np.random.Generator(np.random.PCG64(seed))
    turns: list[torch.Tensor] = []
    pairs: list[torch.Tensor] = []
    with progress_bar("Folding paths", sum(sizes), enabled=progress) as advance:
        while len(turns) < sum(sizes):
            fold = fold_path(int(rng.integers((longest + 1) // 2, longest + 1)), rng)
            found = contacts(fold.places)
            if found.size:
                turns.append(torch.from_numpy(fold.turns).view(-1, 1))
                pairs.append(torch.from_numpy(found))
                advance(1)
    edges = [_path(len(turn)) for turn in turns]
    data = {"x": torch.cat(turns), "edge_index": torch.cat(edges, 1), "edge_label_index": torch.cat(pairs, 1)}
    data["edge_attr"] = torch.cat([torch.arange(2).repeat_interleave(len(turn) - 1) for turn in turns]).view(-1, 1)
    data["edge_label"] = torch.ones(data["edge_label_index"].size(1), dtype=torch.long)
    ends = {
        "x": _offsets([len(turn) for turn in turns]),
        "edge_index": _offsets([edge.size(1) for edge in edges]),
        "edge_label_index": _offsets([pair.size(1) for pair in pairs]),
    }
    ends |= {"edge_attr": ends["edge_index"], "edge_label": ends["edge_label_index"]}
    return Prepared(data, ends, consecutive_splits(sizes))


def _path(length: int) -> torch.Tensor:
    ahead = torch.stack([torch.arange(length - 1), torch.arange(1, length)])
    return torch.cat([ahead, ahead.flip(0)], 1)


def _offsets(sizes: list[int]) -> torch.Tensor:
    return torch.tensor([0, *sizes]).cumsum(0)


register_dataset("contacts", FoldedPaths, prepared_path=prepared_path)
