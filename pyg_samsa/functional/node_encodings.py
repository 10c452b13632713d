"""Positional encodings of the nodes of graphs: eigenvectors of the Laplacian and return probabilities of walks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.functional.device_path import is_exporting
from pyg_samsa.functional.laplacian_spectrum import laplacian_matrix, laplacian_spectrum, with_fixed_signs
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.smallest_eigenpairs import smallest_eigenpairs
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int

BOTH = "lap+rwse"
EIGENVECTORS = {"lap": 1, "lap1": 0}
"""Kinds of encodings that are eigenvectors -> how many are left out at the start."""
SPECTRUM = "spectrum"
"""The kind of encodings that holds eigenvectors and eigenvalues, two columns for each frequency."""
WITH_SPECTRUM = (SPECTRUM, f"{SPECTRUM}+rwse")
NODE_ENCODINGS = (*EIGENVECTORS, "rwse", BOTH, *WITH_SPECTRUM)


def laplacian_eigenvectors(edge_index: np.ndarray, num_nodes: int, dim: int, *, skip: int = 1) -> np.ndarray:
    r"""Eigenvectors 2 to ``dim`` + 1 of a graph's normalised Laplacian, as in PyG's ``AddLaplacianEigenvectorPE``.

    .. math::
        L = I - D^{-1/2} A D^{-1/2}

    from `"Benchmarking Graph Neural Networks" <https://arxiv.org/abs/2003.00982>`_, in the order of their eigenvalues.
    A column that a small graph does not have is zero. Edges count as for `laplacian_spectrum`. The sign of an
    eigenvector is arbitrary: here its entry of largest magnitude is positive.

    Args:
        edge_index: Edges int [2, E].
        num_nodes: Number of nodes n.
        dim: Number of eigenvectors P.
        skip: How many are left out at the start. The first one tells the degrees of a connected graph.

    Shapes:
        - **output:** float32 [n, P]

    Example:
        >>> path = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> laplacian_eigenvectors(path, 3, 3)[:, 1].tolist()
        [-0.5, 0.7071067690849304, -0.5]
        >>> bool(np.allclose(laplacian_eigenvectors(path, 3, 1, skip=0).flatten() ** 2, [0.25, 0.5, 0.25]))
        True

    Cost: As that of `laplacian_spectrum`.
    """
    if num_nodes == 0:
        return np.zeros((0, dim), dtype=np.float32)
    _, vectors = smallest_eigenpairs(laplacian_matrix(edge_index, num_nodes)[0], dim + skip)
    found = vectors[:, skip:]
    out = np.zeros((num_nodes, dim), dtype=np.float32)
    out[:, : found.shape[1]] = with_fixed_signs(found)
    return out


def return_probabilities(edge_index: np.ndarray, num_nodes: int, dim: int) -> np.ndarray:
    r"""Return probabilities of random walks after 1 to ``dim`` steps, as in PyG's ``AddRandomWalkPE``.

    .. math::
        p_i = \bigl[(D^{-1} A)_{ii}, (D^{-1} A)^2_{ii}, \dots, (D^{-1} A)^P_{ii}\bigr]

    from `"Graph Neural Networks with Learnable Structural and Positional Representations"
    <https://arxiv.org/abs/2110.07875>`_.
    A node without edges has zeros. Several graphs may be passed as one disconnected graph.

    Args:
        edge_index: Edges int [2, E]; parallel ones count each.
        num_nodes: Number of nodes n.
        dim: Number of steps P.

    Shapes:
        - **output:** float32 [n, P]

    Example:
        >>> path = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> return_probabilities(path, 3, 4).tolist()
        [[0.0, 0.5, 0.0, 0.5], [0.0, 1.0, 0.0, 1.0], [0.0, 0.5, 0.0, 0.5]]

    Cost: P / 2 sparse products: of step 2a only the diagonal is needed, which is that of the product of two matrices of
    step a.
    """
    from scipy import sparse

    walk = sparse.coo_array(
        (np.ones(edge_index.shape[1]), (edge_index[0], edge_index[1])), shape=(num_nodes, num_nodes)
    ).tocsr()
    degree = np.asarray(walk.sum(axis=1)).ravel()
    walk = sparse.diags_array(np.divide(1.0, degree, out=np.zeros(num_nodes), where=degree > 0)) @ walk
    out = np.zeros((num_nodes, dim), dtype=np.float32)
    power = before = walk
    for step in range(1, dim + 1):
        if step == 1:
            diagonal = walk.diagonal()
        elif step % 2:
            before, power = power, power @ walk
            diagonal = np.asarray(power.multiply(before.T).sum(axis=1)).ravel()
        else:
            diagonal = np.asarray(power.multiply(power.T).sum(axis=1)).ravel()
        out[:, step - 1] = diagonal
    return out


def chunks_of_nodes(node_ptr: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of graphs that have at most so many nodes together, and at least one graph each.

    Args:
        node_ptr: Offsets int [G + 1] of the nodes of G graphs.
        most: Largest number of nodes.

    Example:
        >>> list(chunks_of_nodes(np.array([0, 3, 5, 30, 31]), 6))
        [(0, 2), (2, 3), (3, 4)]
    """
    begin = 0
    while begin < len(node_ptr) - 1:
        end = max(begin + 1, int(np.searchsorted(node_ptr, node_ptr[begin] + most, side="right")) - 1)
        yield begin, end
        begin = end


def dense_return_probabilities(edge_index: Int[Tensor, "2 E"], num_nodes: int, dim: int) -> Float[Tensor, "n P"]:
    r"""`return_probabilities` with PyTorch, for exported programs.

    .. math::
        p_i = \bigl[(D^{-1} A)_{ii}, (D^{-1} A)^2_{ii}, \dots, (D^{-1} A)^P_{ii}\bigr]

    Args:
        edge_index: Edges; parallel ones count each.
        num_nodes: Number of nodes n, at least 1.
        dim: Number of steps P.

    Example:
        >>> path = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> dense_return_probabilities(path, 3, 4).tolist()
        [[0.0, 0.5, 0.0, 0.5], [0.0, 1.0, 0.0, 1.0], [0.0, 0.5, 0.0, 0.5]]

    Cost: O(P n^3) time and O(n^2) memory.
    """
    source, target = edge_index
    ones = torch.ones_like(source, dtype=torch.float64)
    degree = ones.new_zeros(num_nodes).index_add(0, source, ones)
    cells = ones.new_zeros(num_nodes * num_nodes).index_add(0, source * num_nodes + target, 1 / degree[source])
    walk = power = cells.view(num_nodes, num_nodes)
    diagonal = torch.arange(num_nodes, device=edge_index.device) * (num_nodes + 1)
    found = []
    for step in range(dim):
        power = torch.mm(power, walk) if step else power
        found.append(power.flatten()[diagonal])
    return torch.stack(found, dim=1).float()


def node_encodings(
    kind: str,
    dim: int,
    edge_index: Int[Tensor, "2 E"],
    index: RaggedIndex,
    *,
    eigenvectors: int = 0,
    laplacian: str = "sym",
    vector_norm: str = "l2",
) -> Float[Tensor, "N P"]:
    """Return the positional encodings of the nodes of a batch of graphs.

    Args:
        kind: ``"lap"``: `laplacian_eigenvectors` of each graph; ``"lap1"``: the same from the first one on; ``"rwse"``:
            `return_probabilities`; ``"spectrum"``: `laplacian_spectrum`; ``"lap+rwse"`` and ``"spectrum+rwse"``: first
            those of the first name, then probabilities.
        dim: Width P.
        edge_index: Directed edges within the graphs.
        index: Where the nodes of each graph begin and end.
        eigenvectors: With two kinds, how many eigenvectors there are; at least 1, less than P, or than P / 2 with
            ``"spectrum+rwse"``.
        laplacian: With a spectrum, the Laplacian, see `laplacian_spectrum`.
        vector_norm: With a spectrum, the norm of the eigenvectors.

    Raises:
        ConfigError: There is no such encoding, or ``eigenvectors`` or ``dim`` is out of range.

    Example:
        >>> edges = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
        >>> node_encodings("rwse", 2, edges, RaggedIndex(torch.tensor([0, 2, 4, 5]))).tolist()
        [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]]

    Cost: That of the encodings, on the CPU.
    """
    check_choice("pe.kind", kind, NODE_ENCODINGS)
    first, _, second = kind.partition("+")
    if second:
        columns = 2 if first == SPECTRUM else 1
        check_integer("eigenvectors", eigenvectors, high=(dim - 1) // columns)
        width = columns * eigenvectors
        found = [
            node_encodings(first, width, edge_index, index, laplacian=laplacian, vector_norm=vector_norm),
            node_encodings(second, dim - width, edge_index, index),
        ]
        return torch.cat(found, dim=1)
    if is_exporting() and kind == "rwse":
        return dense_return_probabilities(edge_index, index.num_tokens, dim)
    edges = edge_index.cpu().numpy()
    if kind == "rwse":
        # Walks do not leave their graph, so a batch is one sparse matrix.
        out = return_probabilities(edges, index.num_tokens, dim)
    else:
        if kind == SPECTRUM and dim % 2:
            raise ConfigError("dim", dim, "an even number: entries of eigenvectors, and as many eigenvalues")
        graph = index.batch.cpu().numpy()[edges[0]]
        begins = index.ptr.cpu().numpy()
        parts = [np.zeros((0, dim), dtype=np.float32)]
        for number, size in enumerate(index.sizes):
            own = edges[:, graph == number] - begins[number]
            if kind == SPECTRUM:
                parts.append(laplacian_spectrum(own, size, dim // 2, laplacian=laplacian, vector_norm=vector_norm))
            else:
                parts.append(laplacian_eigenvectors(own, size, dim, skip=EIGENVECTORS[kind]))
        out = np.concatenate(parts)
    return torch.from_numpy(out).to(index.device)
