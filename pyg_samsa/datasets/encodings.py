"""Positional encodings of the nodes of a data set, computed once and cached on disk."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.datasets.cached_rows import Part, RowFile, cached_rows, join_columns, naming_folder
from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.laplacian_spectrum import LAPLACIANS, VECTOR_NORMS, Laplacian, VectorNorm, laplacian_spectrum
from pyg_samsa.functional.node_encodings import (
    EIGENVECTORS,
    NODE_ENCODINGS,
    SPECTRUM,
    WITH_SPECTRUM,
    chunks_of_nodes,
    laplacian_eigenvectors,
    return_probabilities,
)
from pyg_samsa.options import Option

KINDS = ("none", *NODE_ENCODINGS)
_WALK_VERSION, _EIGENVECTOR_VERSION = 1, 2
_CHUNK_NODES, _PART_NODES, _PART_VALUES = 2**14, 2**19, 2**25
_HASHED_EDGES = 2**20


def add_encoding(
    dataset: Any,
    kind: Annotated[
        str,
        Option(
            "Positional encodings of nodes: Laplacian eigenvectors (lap1 with the first; spectrum with the first and "
            "all eigenvalues), random walks, or both.",
            KINDS,
        ),
    ] = "none",
    dim: Annotated[int, Option("Number of eigenvectors, or of random-walk steps.", low=1, high=1000)] = 16,
    steps: Annotated[
        int | None, Option("With two kinds: number of random-walk steps; empty for dim.", low=1, high=1000)
    ] = None,
    laplacian: Laplacian | None = None,
    vector_norm: VectorNorm | None = None,
    *,
    folder: str | os.PathLike[str],
    progress: bool = True,
) -> Any:
    """Return a shallow copy of an in-memory data set whose graphs have ``pe``, float32 [N, P].

    The encodings are cached in ``folder/encodings`` under the hash of the edges. A damaged file is computed again, with
    a warning.

    Args:
        dataset: A PyG ``InMemoryDataset``, such as all data sets of this package.
        kind: ``"lap"``: :func:`laplacian_eigenvectors`; ``"lap1"``: the same from the first one on; ``"rwse"``:
            :func:`return_probabilities`; ``"spectrum"``: :func:`laplacian_spectrum`, two columns for each eigenvector;
            ``"lap+rwse"`` and ``"spectrum+rwse"``: first those of the first name, then ``"rwse"``; ``"none"`` returns
            the data set itself.
        dim: Number of eigenvectors, or of steps of ``"rwse"``.
        steps: With two kinds: number of random-walk steps; None for ``dim``.
        laplacian: With a spectrum, see :func:`laplacian_spectrum`; None for ``"sym"``.
        vector_norm: With a spectrum, see :func:`laplacian_spectrum`; None for ``"l2"``.
        folder: Folder of the data sets.
        progress: Show a progress bar while they are computed.

    Raises:
        ConfigError: The data set has no edges or is not one in memory, an argument has no effect, or the folder cannot
            be written to.
        ShapeError: An edge leaves its graph.

    Example:
        >>> import tempfile
        >>> from torch_geometric.data import Data, InMemoryDataset
        >>> dataset = InMemoryDataset()
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> dataset.data, dataset.slices = dataset.collate([Data(x=torch.ones(n, 1), edge_index=edges) for n in (2, 3)])
        >>> add_encoding(dataset, "rwse", 2, folder=tempfile.mkdtemp(), progress=False)[1].pe.tolist()
        [[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
    """
    check_choice("pe.kind", kind, KINDS)
    if steps is not None and "+" not in kind:
        raise ConfigError("pe.steps", steps, f"nothing, because pe.kind is {kind!r} and pe.dim is the width")
    for key, value in (("laplacian", laplacian), ("vector_norm", vector_norm)):
        if value is not None and kind not in WITH_SPECTRUM:
            raise ConfigError(f"pe.{key}", value, f"nothing, because pe.kind is {kind!r} and not a spectrum")
    if kind == "none":
        return dataset
    form = (laplacian or LAPLACIANS[0], vector_norm or VECTOR_NORMS[0])
    graphs = _graphs(dataset, kind)
    with naming_folder(folder):
        widths = encoding_widths(kind, dim, steps)
        found = [_load_or_compute(part, width, form, graphs, Path(folder), progress) for part, width in widths.items()]
        encodings = join_columns(found, Path(folder) / "encodings", progress=progress)
    widened = copy.copy(dataset)
    widened._data, widened._data_list = copy.copy(dataset._data), None
    widened._data["pe"] = encodings
    if dataset.slices is not None:
        widened.slices = {**dataset.slices, "pe": torch.from_numpy(graphs.node_ptr)}
    return widened


def encoding_widths(kind: str, dim: int, steps: int | None = None) -> dict[str, int]:
    """Return the encodings that a kind consists of, in their order, and the number of columns of each.

    Args:
        kind: See `add_encoding`.
        dim: See `add_encoding`.
        steps: See `add_encoding`.

    Example:
        >>> encoding_widths("lap+rwse", 10, 16), encoding_widths("spectrum", 16), encoding_widths("none", 16)
        ({'lap': 10, 'rwse': 16}, {'spectrum': 32}, {})
    """
    first, _, second = kind.partition("+")
    widths = {} if kind == "none" else {first: 2 * dim if first == SPECTRUM else dim}
    return widths | ({second: steps or dim} if second else {})


def _load_or_compute(
    kind: str, dim: int, form: tuple[str, str], graphs: _Graphs, folder: Path, progress: bool
) -> Tensor:
    digest = graphs.digest()
    name = "-".join((kind, *(form if kind == SPECTRUM else ())))
    path = folder / "encodings" / f"{name}-{dim}-{digest[:16]}.safetensors"
    version = _WALK_VERSION if kind == "rwse" else _EIGENVECTOR_VERSION
    file = RowFile(path, "positional encodings", version, digest, (int(graphs.node_ptr[-1]), dim))
    compute = partial(_compute, kind, dim, form, graphs)
    title = "Random-walk encodings" if kind == "rwse" else "Laplacian eigenvectors"
    nodes = min(_PART_NODES, max(1, _PART_VALUES // dim))
    return cached_rows(file, graphs.parts(nodes), compute, title=title, progress=progress)


@dataclass(frozen=True)
class _Graphs:
    """The edges of all graphs, in the type in which they are stored, numbered within each graph.

    Args:
        edge_index: Edges [2, E].
        node_ptr: Offsets of the nodes, int64 [G + 1].
        edge_ptr: Offsets of the edges, int64 [G + 1].
    """

    edge_index: Tensor
    node_ptr: np.ndarray
    edge_ptr: np.ndarray

    def edges(self, begin: int, end: int) -> np.ndarray:
        """Return the edges of some graphs, int64."""
        return self.edge_index[:, self.edge_ptr[begin] : self.edge_ptr[end]].long().numpy()

    def parts(self, nodes: int) -> list[Part]:
        """Return parts of at most so many nodes, or of a single graph."""
        ptr = self.node_ptr
        return [Part(begin, end, int(ptr[end] - ptr[begin])) for begin, end in chunks_of_nodes(ptr, nodes)]

    def check(self) -> None:
        """Raise an error if an edge leaves its graph."""
        lowest, highest, fits = np.iinfo(np.int64).max, 0, True
        for begin, end, _ in self.parts(_PART_NODES):
            edges = self.edges(begin, end)
            sizes = np.repeat(np.diff(self.node_ptr[begin : end + 1]), np.diff(self.edge_ptr[begin : end + 1]))
            fits = fits and bool((edges >= 0).all() and (edges < sizes).all())
            lowest, highest = int(edges.min(initial=lowest)), int(edges.max(initial=highest))
        if not fits:
            raise ShapeError("edge_index", f"{lowest} to {highest}", "numbers of nodes of the same graph")

    def digest(self) -> str:
        """Return the hash of the edges, as int64, and of the offsets."""
        digest = hashlib.sha256(f"{list(self.edge_index.shape)}".encode())
        for row in self.edge_index:
            for block in row.split(_HASHED_EDGES):
                digest.update(block.long().contiguous().numpy().data)
        for ptr in (self.node_ptr, self.edge_ptr):
            digest.update(f"{[len(ptr)]}".encode())
            digest.update(np.ascontiguousarray(ptr, dtype=np.int64).data)
        return digest.hexdigest()


def _graphs(dataset: Any, kind: str) -> _Graphs:
    """Return the edges of a data set."""
    data: Any = getattr(dataset, "_data", None)
    if data is None:
        raise ConfigError(
            "pe.kind", kind, f"'none' for {type(dataset).__name__}, which does not hold its graphs in memory"
        )
    if "edge_index" not in data or data.edge_index.size(1) == 0:
        raise ConfigError("pe.kind", kind, f"'none' for {type(dataset).__name__}, whose graphs have no edges")
    if dataset.slices is None:
        node_ptr, edge_ptr = torch.tensor([0, data.num_nodes]), torch.tensor([0, data.edge_index.size(1)])
    else:
        node_ptr, edge_ptr = dataset.slices["x" if "x" in dataset.slices else "pos"], dataset.slices["edge_index"]
    found = _Graphs(data.edge_index, node_ptr.numpy(), edge_ptr.numpy())
    found.check()
    return found


def _compute(
    kind: str,
    dim: int,
    form: tuple[str, str],
    graphs: _Graphs,
    first: int,
    last: int,
    advance: Callable[[float], None],
) -> np.ndarray:
    """Return the encodings of some graphs, float32 [n, dim]."""
    node_ptr, edge_ptr = (ptr[first : last + 1] - ptr[first] for ptr in (graphs.node_ptr, graphs.edge_ptr))
    edge_index = graphs.edges(first, last)
    out = np.zeros((int(node_ptr[-1]), dim), dtype=np.float32)
    with ThreadPoolExecutor(_threads()) as pool, _one_thread_each():
        for begin, end in chunks_of_nodes(node_ptr, _CHUNK_NODES):
            rows = slice(node_ptr[begin], node_ptr[end])
            if kind == "rwse":
                # Walks do not leave their graph, so a chunk of graphs is one sparse matrix.
                shift = np.repeat(node_ptr[begin:end] - node_ptr[begin], np.diff(edge_ptr[begin : end + 1]))
                out[rows] = return_probabilities(
                    edge_index[:, edge_ptr[begin] : edge_ptr[end]] + shift, rows.stop - rows.start, dim
                )
            else:
                edges = [edge_index[:, edge_ptr[graph] : edge_ptr[graph + 1]] for graph in range(begin, end)]
                sizes = np.diff(node_ptr[begin : end + 1]).tolist()
                count, vectors_of = dim, partial(laplacian_spectrum, laplacian=form[0], vector_norm=form[1])
                if kind == SPECTRUM:
                    count = dim // 2
                else:
                    vectors_of = partial(laplacian_eigenvectors, skip=EIGENVECTORS[kind])
                out[rows] = np.concatenate(list(pool.map(vectors_of, edges, sizes, [count] * len(sizes))))
            advance(end - begin)
    return out


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_thread_each() -> Any:
    """Limit BLAS to one thread: small eigenproblems run in parallel."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")
