"""Inputs as users of PyG pass them: number types, vectors of one feature, sparse adjacency matrices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.utils import is_sparse, to_edge_index

from pyg_samsa.errors import NumericalError, ShapeError
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.typing import Shaped

_HINTS = {
    "Data": "Pass its tensors: model(data.x, data.edge_index, data.edge_attr, data.batch).",
    "ndarray": "Convert it with torch.from_numpy.",
    "tuple": "Bipartite graphs, as to_hetero makes them, are not supported: use to_homogeneous of the data.",
    "dict": "Graphs with several types of nodes are not supported: use to_homogeneous of the data.",
}
_HINTS |= {"Batch": _HINTS["Data"], "DataBatch": _HINTS["Data"], "HeteroData": _HINTS["dict"]}


def check_tensor(name: str, value: Any, expected: str) -> Tensor:
    """Return the value, or raise an error if it is no tensor.

    Args:
        name: Name of the input, for the error.
        value: What was passed.
        expected: Type and shape of the tensor, for the error.

    Raises:
        ShapeError: It is None, a tuple, a ``Data``, an array or anything else but a tensor.

    Example:
        >>> check_tensor("x", (torch.ones(3, 2), torch.ones(1, 2)), "floats [N, 2]")
        Traceback (most recent call last):
        pyg_samsa.errors.ShapeError: x: got a tuple, expected a tensor: floats [N, 2]
    """
    if isinstance(value, Tensor):
        return value
    kind = type(value).__name__
    hint = "Add features, for example with torch_geometric.transforms.Constant." if value is None else ""
    article = "an" if kind[0] in "aeiou" or kind == "ndarray" else "a"
    got = None if value is None else f"{article} {kind}"
    raise ShapeError(name, got, f"a tensor: {expected}", hint=hint or _HINTS.get(kind, ""))


def cast_floats(name: str, value: Shaped[Tensor, "..."], dtype: torch.dtype) -> Shaped[Tensor, "..."]:
    """Return floats and booleans in the number type of the weights; integers are returned as they are.

    Args:
        name: Name of the input, for the error.
        value: The input.
        dtype: Number type of the weights, such as float32.

    Raises:
        NumericalError: A finite number is too large for the type.

    Example:
        >>> cast_floats("x", torch.tensor([0.5], dtype=torch.float64), torch.float32)
        tensor([0.5000])
        >>> cast_floats("x", torch.tensor([1e300], dtype=torch.float64), torch.float32)
        Traceback (most recent call last):
        pyg_samsa.errors.NumericalError: x: 1e+300 is too large for torch.float32

    Cost: O(elements); nothing if the type is right.
    """
    if value.dtype == dtype or not (value.is_floating_point() or value.dtype == torch.bool):
        return value
    cast = value.to(dtype)
    narrow = torch.finfo(value.dtype).max > torch.finfo(dtype).max if value.is_floating_point() else False
    if narrow and not torch.compiler.is_compiling():
        lost = torch.isinf(cast) & torch.isfinite(value)

        def explain() -> NumericalError:
            what = f"{value[lost][0].item():g} is too large for {dtype}"
            return NumericalError(name, what, hint="Use other units, or standardise the feature.")

        require(lost.any(), explain)
    return cast


def edges_of(
    edge_index: Any, edge_attr: Shaped[Tensor, "..."] | None = None
) -> tuple[Shaped[Tensor, "..."] | None, Shaped[Tensor, "..."] | None]:
    r"""Return edges and their features; a sparse matrix in place of ``edge_index`` is read as PyG's ``adj_t``.

    .. math::
        \mathrm{adj\_t}_{ts} = v \iff (s, t) \text{ is an edge with the feature } v

    Args:
        edge_index: Directed edges [2, E], or the transposed adjacency matrix [N, N]: a sparse tensor of PyTorch, or a
            ``SparseTensor`` of torch-sparse. None means no edges.
        edge_attr: Edge features; those of a matrix are in the order of its rows. By default the values of the matrix.

    Returns:
        Edges [2, E] and features [E, ...], or None. Edges that are no matrix are returned as they are.

    Raises:
        ShapeError: The edges are no tensor.

    Example:
        >>> adj_t = torch.tensor([[0.0, 0.5], [0.0, 0.0]]).to_sparse()
        >>> edges_of(adj_t)
        (tensor([[1],
                [0]]), tensor([0.5000]))

    Cost: O(E) for a matrix.
    """
    if edge_index is None:
        return None, edge_attr
    if is_sparse(edge_index):
        coo = isinstance(edge_index, Tensor) and edge_index.layout == torch.sparse_coo
        rows, values = to_edge_index(edge_index.coalesce() if coo else edge_index)
        return rows.flip(0), values if edge_attr is None else edge_attr
    return check_tensor("edge_index", edge_index, "integers [2, E]"), edge_attr


def check_edge_shape(edge_index: Any) -> None:
    """Raise an error unless ``edge_index`` has the shape of edges, for operators that do not read it.

    Args:
        edge_index: Directed edges [2, E], a sparse adjacency matrix, or None.

    Raises:
        ShapeError: It is something else, such as graph numbers that were passed in its place.

    Example:
        >>> check_edge_shape(torch.tensor([0, 0, 1]))
        Traceback (most recent call last):
        pyg_samsa.errors.ShapeError: edge_index: got [3] torch.int64, expected integers [2, E]
    """
    if edge_index is None or is_sparse(edge_index):
        return
    check_tensor("edge_index", edge_index, "integers [2, E]")
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        hint = "Pass graph numbers by name: batch=batch." if edge_index.dim() == 1 else ""
        raise ShapeError("edge_index", f"{list(edge_index.shape)} {edge_index.dtype}", "integers [2, E]", hint=hint)
