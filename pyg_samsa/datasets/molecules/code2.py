"""ogbg-code2: the trees of functions in Python, whose names are predicted word by word."""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.molecules.ogb import find_tables, read_table
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.sources import ogb_zip
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.unfold import open_gzip
from pyg_samsa.metrics.word_f1 import NO_WORD
from pyg_samsa.task import END_WORD, UNKNOWN_WORD, Task

NAME = "ogbg-code2"
NODE_CARDINALITIES = (98, 10030, 21)
"""Numbers of types, attributes and depths of nodes."""
EDGE_CARDINALITIES = (2, 2)
"""Kinds of edges (of the tree, or to the next token), and directions."""
POSITIONS, VOCABULARY, MOST_NODES = 5, 5000, 1000
"""Words that are predicted, words that can be, and nodes of a graph that are kept."""
_VERSION = 1
_FOLDER, _ARCHIVE = "ogbg_code2", "code2"
_TABLES = ("num-node-list", "num-edge-list", "edge", "node-feat", "node_is_attributed", "node_depth")
_LABELS = "graph-label"
_SPLITS = {"train": "train", "val": "valid", "test": "test"}


class OGBCode2(SplitDataset):
    r"""OGB's ogbg-code2: 452,741 functions in Python as abstract syntax trees, whose names are predicted.

    From Hu et al., `"Open Graph Benchmark" <https://arxiv.org/abs/2005.00687>`_ (2020); MIT licence, split by project.
    Reads what is prepared, else the official tables in ``<root>/ogbg_code2/raw`` and ``.../split/project``, else those
    that OGB's own loader has put into ``dataset/ogbg_code2`` of the working folder, else the archive, which is
    downloaded with TLS; no hash was ever published, so the SHA-256 of the first download is recorded and checked later.

    As in OGB's example, edges of the tree have the first kind, edges from each attributed node (a token) to the next
    one the second, and both have inverse edges; depths above 20 count as 20, and the vocabulary are the 5,000 most
    frequent words of the training names. As in GraphGPS, the first 1,000 nodes of a graph are kept.

    Args:
        root: Folder of the data sets.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Attributes:
        task: A task of the kind ``"words"`` with five positions, see `pyg_samsa.task.Task`.

    Shapes:
        - **item:** ``x`` int64 [N, 3]: type, attribute, depth; ``edge_index`` int64 [2, E]; ``edge_attr`` int64 [E, 2]:
          kind and direction; ``y`` int64 [1, 5]: numbers of the first words, filled with the end; ``words`` int64
          [1, L]: numbers of all words, also of those that are not in the vocabulary, filled with -1.

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or the tables do not fit together.

    Example:
        >>> dataset = OGBCode2("datasets")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (452741, 25010)

    Cost: preparing 20,000 functions of 125 nodes takes about 3 seconds and half a gigabyte beside the tables.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        download: Download = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        prepared = prepare_once(prepared_path(root), lambda: _find(Path(root), download, progress))
        task = Task("words", prepared.extra["vocabulary"], positions=POSITIONS)
        features = Features(NODE_CARDINALITIES, EDGE_CARDINALITIES)
        super().__init__(prepared, task, features, transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str]) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets").as_posix()
        'datasets/ogbg_code2/ogbg-code2-v1.pt'
    """
    return Path(root) / _FOLDER / f"{NAME}-v{_VERSION}.pt"


def number_words(names: Sequence[Sequence[str]], train: Sequence[int], size: int) -> tuple[list[str], list[list[int]]]:
    """Return the vocabulary, and the numbers of the words of all names.

    The vocabulary are the most frequent words of the training names, those that come first among equally frequent ones,
    then `UNKNOWN_WORD` and `END_WORD`. Other words have the numbers after it.

    Args:
        names: The words of each name.
        train: Positions of the training names.
        size: Most words of the vocabulary.

    Example:
        >>> number_words([["get", "name"], ["set", "name"], ["id"]], [0, 1], 2)
        (['name', 'get', '__UNK__', '__EOS__'], [[1, 0], [4, 0], [5]])
    """
    counts = Counter(word for row in train for word in names[row])
    vocabulary = [*(word for word, _ in counts.most_common(size)), UNKNOWN_WORD, END_WORD]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    return vocabulary, [[numbers.setdefault(word, len(numbers)) for word in name] for name in names]


def _find(root: Path, download: bool, progress: bool) -> Prepared:
    files = [f"raw/{table}.csv.gz" for table in (*_TABLES, _LABELS)]
    files += [f"split/project/{split}.csv.gz" for split in _SPLITS.values()]
    folder = find_tables(NAME, root, files, ogb_zip(_ARCHIVE, molecules=False), download=download, progress=progress)
    tables = {}
    with progress_bar(f"Reading {NAME}", len(files), enabled=progress) as advance:
        for table in _TABLES:
            tables[table] = read_table(folder / f"raw/{table}.csv.gz", int)
            advance(1)
        names = _read_names(folder / f"raw/{_LABELS}.csv.gz")
        advance(1)
        split_idx = {
            split: read_table(folder / f"split/project/{file}.csv.gz", int).flatten() for split, file in _SPLITS.items()
        }
        advance(len(_SPLITS))
    _check(tables, names, split_idx, folder)
    return _assemble(tables, names, split_idx)


def _read_names(path: Path) -> list[list[str]]:
    """Return the words of each name, read as OGB reads them: pandas takes the word null for a missing value."""
    import pandas as pd

    try:
        with open_gzip(path) as file:
            column = pd.read_csv(file, header=None).to_numpy()[:, 0]
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise DataIntegrityError(path, "a table of words", f"something else ({error})") from error
    return [str(name).split(" ") for name in column]


def _check(tables: dict[str, Tensor], names: Sequence[object], split_idx: dict[str, Tensor], folder: Path) -> None:
    nodes, edges = tables["num-node-list"].flatten(), tables["num-edge-list"].flatten()
    count, total = len(nodes), int(nodes.sum())
    shapes = {
        "num-edge-list": (count, 1),
        "edge": (int(edges.sum()), 2),
        "node-feat": (total, 2),
        "node_is_attributed": (total, 1),
        "node_depth": (total, 1),
    }
    for table, shape in shapes.items():
        if tuple(tables[table].shape) != shape:
            raise DataIntegrityError(folder / f"raw/{table}.csv.gz", f"a table of {shape}", tuple(tables[table].shape))
    if len(names) != count:
        raise DataIntegrityError(folder / f"raw/{_LABELS}.csv.gz", f"{count} names", f"{len(names)}")
    most = {"node-feat": torch.tensor(NODE_CARDINALITIES[:2]), "edge": nodes.repeat_interleave(edges).unsqueeze(1)}
    for table, bound in most.items():
        values = tables[table]
        if bool(((values < 0) | (values >= bound)).any()):
            known = "types and attributes of ogbg-code2" if table == "node-feat" else "nodes of the graph"
            raise DataIntegrityError(folder / f"raw/{table}.csv.gz", known, "other numbers")
    if not torch.equal(torch.cat(list(split_idx.values())).sort().values, torch.arange(count)):
        expected = f"each of the {count} functions in exactly one split"
        raise DataIntegrityError(folder / "split/project", expected, "another split")


def _assemble(tables: dict[str, Tensor], names: Sequence[Sequence[str]], split_idx: dict[str, Tensor]) -> Prepared:
    nodes, edges = tables["num-node-list"].flatten(), tables["num-edge-list"].flatten()
    graph = torch.arange(len(nodes), dtype=torch.int32).repeat_interleave(nodes)
    place = (torch.arange(len(graph)) - _offsets(nodes)[:-1].repeat_interleave(nodes)).int()
    kept = place < MOST_NODES
    depth = tables["node_depth"].clamp(0, NODE_CARDINALITIES[2] - 1)
    tokens = kept & (tables["node_is_attributed"].flatten() == 1)
    edge_index, edge_attr, edge_ends = _edges(
        tables["edge"].T.int(),
        torch.arange(len(nodes), dtype=torch.int32).repeat_interleave(edges),
        place[tokens],
        graph[tokens],
        len(nodes),
    )
    vocabulary, numbers = number_words(names, split_idx["train"].tolist(), VOCABULARY)
    y = torch.full((len(names), POSITIONS), len(vocabulary) - 1)
    words = torch.full((len(names), max(map(len, numbers))), NO_WORD)
    for row, found in enumerate(numbers):
        words[row, : len(found)] = torch.tensor(found)
        first = torch.tensor(found[:POSITIONS])
        y[row, : len(first)] = first.where(first < len(vocabulary), len(vocabulary) - 2)
    data = {
        "x": torch.cat([tables["node-feat"], depth], 1)[kept],
        "edge_index": edge_index,
        "edge_attr": edge_attr,
        "y": y,
        "words": words,
    }
    each = torch.arange(len(names) + 1)
    node_ends = _offsets(nodes.clamp(max=MOST_NODES))
    slices = {"x": node_ends, "edge_index": edge_ends, "edge_attr": edge_ends, "y": each, "words": each}
    return Prepared(data, slices, split_idx, {"vocabulary": vocabulary})


def _edges(
    tree: Tensor, tree_graph: Tensor, token: Tensor, token_graph: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return all edges, graph by graph: those of the tree, their inverses, those to the next token, their inverses.

    Args:
        tree: Edges of the trees, int32 [2, T].
        tree_graph: Their graphs [T].
        token: Places of the tokens in their graphs, in order [K].
        token_graph: Their graphs [K].
        count: Number of graphs G.

    Returns:
        Edges int32 [2, E], kinds and directions uint8 [E, 2], and the ends of the graphs int64 [G + 1].
    """
    kept = (tree < MOST_NODES).all(0)
    tree, tree_graph = tree[:, kept], tree_graph[kept]
    together = token_graph[:-1] == token_graph[1:]
    following, following_graph = torch.stack([token[:-1], token[1:]])[:, together], token_graph[:-1][together]
    graph = torch.cat([tree_graph, tree_graph, following_graph, following_graph])
    order = graph.argsort(stable=True)
    edge_index = torch.cat([tree, tree.flip(0), following, following.flip(0)], 1)[:, order]
    sizes = torch.tensor([tree.size(1), tree.size(1), following.size(1), following.size(1)])
    kinds = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.uint8).repeat_interleave(sizes, 0)[order]
    return edge_index, kinds, _offsets(torch.bincount(graph, minlength=count))


def _offsets(sizes: Tensor) -> Tensor:
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


register_dataset(
    NAME,
    OGBCode2,
    aliases=[("OGB", NAME), ("OGB", NAME.replace("-", "_"))],
    prepared_path=prepared_path,
)
