"""Positional encodings of the nodes of a data set, computed once and cached on disk."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.datasets.base import load_tensors
from pyg_samsa.errors import ConfigError, DataIntegrityError, ShapeError, check_choice
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
from pyg_samsa.io.files import atomic_write, lock, remove_partial
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import Option

_LOGGER = logging.getLogger(__name__)
KINDS = ("none", *NODE_ENCODINGS)
_WALK_VERSION, _EIGENVECTOR_VERSION = 1, 2
_CHUNK_NODES = 2**14


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
    try:
        widths = encoding_widths(kind, dim, steps)
        found = [_load_or_compute(part, width, form, graphs, Path(folder), progress) for part, width in widths.items()]
    except OSError as error:
        raise ConfigError(
            "dataset.dir", str(folder), f"a folder that can be written to ({error.strerror or error})"
        ) from error
    widened = copy.copy(dataset)
    widened._data, widened._data_list = copy.copy(dataset._data), None
    widened._data["pe"] = found[0] if len(found) == 1 else torch.cat(found, dim=1)
    if dataset.slices is not None:
        widened.slices = {**dataset.slices, "pe": graphs[1]}
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
    kind: str,
    dim: int,
    form: tuple[str, str],
    graphs: tuple[Tensor, Tensor, Tensor],
    folder: Path,
    progress: bool,
) -> Tensor:
    edge_index, node_ptr, edge_ptr = graphs
    digest = _digest(edge_index, node_ptr, edge_ptr)
    name = "-".join((kind, *(form if kind == SPECTRUM else ())))
    path = folder / "encodings" / f"{name}-{dim}-{digest[:16]}.pt"
    num_nodes = int(node_ptr[-1])
    version = _WALK_VERSION if kind == "rwse" else _EIGENVECTOR_VERSION
    pe = _cached(path, version, digest, num_nodes, dim)
    if pe is not None:
        return pe
    with lock(path):
        # Another process may have computed them in the meantime.
        pe = _cached(path, version, digest, num_nodes, dim, tell=True)
        if pe is None:
            remove_partial(path)
            arrays = (edge_index.numpy(), node_ptr.numpy(), edge_ptr.numpy())
            pe = torch.from_numpy(_compute(kind, dim, form, *arrays, progress))
            with atomic_write(path) as temporary:
                torch.save({"format": version, "edges": digest, "pe": pe, "sha256": _digest(pe)}, temporary)
    return pe


def _graphs(dataset: Any, kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return the edges [2, E], numbered within each graph, and the pointers of nodes and edges."""
    data: Any = getattr(dataset, "_data", None)
    if data is None:
        raise ConfigError(
            "pe.kind", kind, f"'none' for {type(dataset).__name__}, which does not hold its graphs in memory"
        )
    if "edge_index" not in data or data.edge_index.size(1) == 0:
        raise ConfigError("pe.kind", kind, f"'none' for {type(dataset).__name__}, whose graphs have no edges")
    edge_index = data.edge_index.long()
    if dataset.slices is None:
        node_ptr, edge_ptr = torch.tensor([0, data.num_nodes]), torch.tensor([0, edge_index.size(1)])
    else:
        node_ptr, edge_ptr = dataset.slices["x" if "x" in dataset.slices else "pos"], dataset.slices["edge_index"]
    sizes = torch.repeat_interleave(node_ptr.diff(), edge_ptr.diff())
    if int(edge_index.min()) < 0 or bool((edge_index >= sizes).any()):
        raise ShapeError(
            "edge_index", f"{int(edge_index.min())} to {int(edge_index.max())}", "numbers of nodes of the same graph"
        )
    return edge_index, node_ptr, edge_ptr


def _digest(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _cached(path: Path, version: int, digest: str, num_nodes: int, dim: int, *, tell: bool = False) -> Tensor | None:
    if not path.is_file():
        return None
    try:
        content = load_tensors(path)
        if not isinstance(content, dict) or content.get("format") != version or content.get("edges") != digest:
            raise DataIntegrityError(path, f"encodings of format {version} and these edges", "another file")
        pe = content["pe"]
        if pe.shape != (num_nodes, dim) or _digest(pe) != content["sha256"]:
            raise DataIntegrityError(path, f"sha256 {content['sha256']}", f"sha256 {_digest(pe)}")
    except (DataIntegrityError, KeyError, AttributeError) as error:
        if tell:
            _LOGGER.warning("The positional encodings are computed again: %s", error)
        return None
    return pe


def _compute(
    kind: str,
    dim: int,
    form: tuple[str, str],
    edge_index: np.ndarray,
    node_ptr: np.ndarray,
    edge_ptr: np.ndarray,
    progress: bool,
) -> np.ndarray:
    count = len(node_ptr) - 1
    out = np.zeros((int(node_ptr[-1]), dim), dtype=np.float32)
    title = "Random-walk encodings" if kind == "rwse" else "Laplacian eigenvectors"
    with (
        progress_bar(title, count, enabled=progress) as advance,
        ThreadPoolExecutor(_threads()) as pool,
        _one_thread_each(),
    ):
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
