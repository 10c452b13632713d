"""Random undirected graphs for tests."""

import torch
from torch import Tensor
from torch_geometric.utils import to_undirected


def random_graph(num_nodes: int, num_edges: int, seed: int) -> Tensor:
    """Edges [2, E] without loops; the last of several nodes has none."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(0, max(num_nodes - 1, 1), (2, num_edges), generator=generator)
    return to_undirected(ends[:, ends[0] != ends[1]], num_nodes=num_nodes)
