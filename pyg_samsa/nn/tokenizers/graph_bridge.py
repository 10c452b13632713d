from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import GELU, Linear, Module, Parameter, Sequential
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.batch_vector import inverse_permutation
from pyg_samsa.functional.codes import STRUCTURAL_CODES, feature_keys, gaussian_codes, keys_of_codes
from pyg_samsa.functional.graph_index import GraphIndex, check_within_graphs
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.tokenizers.tokens import Tokens, check_edges
from pyg_samsa.typing import Float, Int

EVAL_CODES = (*STRUCTURAL_CODES, "index", "random")


class GraphBridge(Module):
    r"""Nodes and edges as tokens, connected by random codes: Graph-Bridge of
    `SAMSA <https://arxiv.org/abs/2408.05391>`_ (section 4.3).

    .. math::
        p_i = \varepsilon_i \odot \sigma + \phi(x_i), \quad \varepsilon_i \sim N(0, I_D), \qquad p_{ij} = p_i - p_j,
        \qquad
        h_i = \phi_V([p_i, x_i]), \quad h_{ij} = \phi_E([p_{ij}, e_{ij}])

    with :math:`\sigma` the softplus of a learned vector and :math:`\phi, \phi_V, \phi_E` two-layer networks with 4 D
    hidden channels. The code of a directed edge identifies the two nodes that it connects, and its direction.

    In training the codes are fresh noise. In evaluation they are deterministic and depend only on the graph, not on the
    other graphs of the batch or the device. With ``eval_codes="structural"``, the code of a node is drawn from a
    fingerprint of its position in the graph: permuting nodes permutes codes, and nodes that colour refinement cannot
    distinguish (such as the two methyls of an isopropyl group) share a code. ``"distinct"`` breaks these ties, see
    `pyg_samsa.functional.distinct_keys`: all codes differ, as in training, and where alike nodes can be exchanged by a
    symmetry of the graph, as in nearly all molecules, the order of nodes still does not matter. ``"index"`` draws it
    from the number of the node in its graph instead: all codes differ, but the order of nodes matters. ``"random"``
    draws new codes in every call.

    Args:
        channels: Channels D of node features, edge features and tokens.
        num_codes: 1, as in the paper, or 2, as in the paper's code: every node has a left and a right code, and an edge
            has :math:`L_i - R_j`; 0 is the ablation without noise, :math:`p_i = \phi(x_i)`.
        edge_features: Whether edges have features; otherwise the input of :math:`\phi_E` is only the code.
        eval_codes: ``"structural"``, ``"distinct"``, ``"index"`` or ``"random"``.
        sigma: Initial standard deviation of the noise, above 0; it is learned.

    Shapes:
        - **input:** node features [N, D], edges [2, E], edge features [E, D], graph numbers [N] (*optional*)
        - **output:** `Tokens` with N + E tokens [N + E, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other.

    Example:
        >>> bridge = GraphBridge(16)
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> bridge(torch.randn(3, 16), edge_index, torch.randn(4, 16)).x.shape
        torch.Size([7, 16])

    Cost: O((N + E) D^2); structural codes add at most 128 rounds of O(N + E) integer operations, and distinct
    ones a few more.
    """

    def __init__(
        self,
        channels: int,
        num_codes: int = 1,
        edge_features: bool = True,
        eval_codes: str = "structural",
        sigma: float = 1.0,
    ) -> None:
        super().__init__()
        if num_codes not in (0, 1, 2) or isinstance(num_codes, bool):
            raise ConfigError("num_codes", num_codes, (0, 1, 2))
        check_choice("eval_codes", eval_codes, EVAL_CODES)
        if not 0 < sigma < math.inf:
            raise ConfigError("sigma", sigma, "a standard deviation above 0")
        self.channels, self.num_codes, self.edge_features, self.eval_codes = (
            channels,
            num_codes,
            edge_features,
            eval_codes,
        )
        self.initial_sigma = sigma
        self.raw_sigma = Parameter(torch.empty(num_codes, channels)) if num_codes else None
        parts = max(1, num_codes)
        self.phi = _mlp(channels, parts * channels, 4 * channels)
        self.phi_node = _mlp((parts + 1) * channels, channels, 4 * channels)
        self.phi_edge = _mlp((1 + edge_features) * channels, channels, 4 * channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights and set sigma to its initial value."""
        if self.raw_sigma is not None:
            torch.nn.init.constant_(self.raw_sigma, sigma_to_raw(self.initial_sigma))
        for mlp in (self.phi, self.phi_node, self.phi_edge):
            reset(mlp)

    def forward(
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Float[Tensor, "E D"] | None = None,
        batch: Int[Tensor, " N"] | RaggedIndex | None = None,
        *,
        batch_size: int | None = None,
        node_keys: Int[Tensor, " N"] | None = None,
        edge_keys: Int[Tensor, " E"] | None = None,
        code_keys: Int[Tensor, " N"] | None = None,
        draw: int = 0,
    ) -> Tokens:
        """Return the tokens of a batch of graphs.

        Args:
            x: Encoded node features.
            edge_index: Directed edges; an undirected bond is two of them. Isolated nodes, self-loops, duplicate edges
                and graphs without edges are allowed.
            edge_attr: Encoded edge features; required if, and only if, the module was made with ``edge_features``.
            batch: Graph number of each node, in any order, or the index of the batch; None means one graph.
            batch_size: Number of graphs, if some at the end may be empty.
            node_keys: Keys of the raw node features, see `pyg_samsa.functional.feature_keys`; by default keys of ``x``.
            edge_keys: Keys of the raw edge features; by default keys of ``edge_attr``.
            code_keys: Keys of the codes in evaluation, if they were computed before, see
                `pyg_samsa.functional.structural_keys`; the other keys are then not used.
            draw: Number of the deterministic draw in evaluation, from 0.

        Raises:
            ShapeError: The inputs do not fit each other, or an edge connects two graphs.

        Example:
            >>> bridge = GraphBridge(16, edge_features=False)
            >>> tokens = bridge(torch.randn(3, 16), torch.tensor([[0, 1], [1, 0]]), batch=torch.tensor([0, 0, 1]))
            >>> tokens.index.ptr, tokens.node_rows, tokens.edge_rows
            (tensor([0, 4, 5]), tensor([0, 1, 4]), tensor([2, 3]))
        """
        valid = isinstance(batch, GraphIndex)
        check_edges(x, edge_index, self.channels, ends=not valid)
        if (edge_attr is not None) != self.edge_features:
            raise ShapeError(
                "edge_attr",
                None if edge_attr is None else "edge features",
                f"what edge_features={self.edge_features} says",
            )
        if edge_attr is not None and edge_attr.shape != (edge_index.size(1), self.channels):
            raise ShapeError("edge_attr", list(edge_attr.shape), [edge_index.size(1), self.channels])
        index, perm = resolve(x.size(0), x.device, batch, None, batch_size)
        graph = batch if isinstance(batch, Tensor) else index.batch
        if not valid:
            check_within_graphs(edge_index, graph)
        code = self.phi(x).view(x.size(0), max(1, self.num_codes), self.channels)
        if self.raw_sigma is not None:
            noise = self._noise(x, edge_index, edge_attr, index, perm, node_keys, edge_keys, code_keys, draw)
            code = noise * F.softplus(self.raw_sigma).to(noise.dtype) + code
        nodes = self.phi_node(torch.cat([code.flatten(1), x], dim=1))
        edge_code = code[edge_index[0], 0] - code[edge_index[1], -1]
        edges = self.phi_edge(edge_code if edge_attr is None else torch.cat([edge_code, edge_attr], dim=1))
        if isinstance(index, GraphIndex):
            return _pack_sorted(nodes, edges, edge_index, index)
        return _pack(nodes, edges, edge_index, graph, index.num_graphs)

    def _noise(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_attr: Tensor | None,
        index: RaggedIndex,
        perm: Tensor | None,
        node_keys: Tensor | None,
        edge_keys: Tensor | None,
        code_keys: Tensor | None,
        draw: int,
    ) -> Tensor:
        """Return the standard normal part of the codes, [N, num_codes, D]."""
        if self.training or self.eval_codes == "random":
            return torch.randn(x.size(0), self.num_codes, self.channels, dtype=x.dtype, device=x.device)
        rank = None if perm is None else inverse_permutation(perm)
        if self.eval_codes == "index":
            position = torch.arange(x.size(0), device=x.device) - index.ptr[index.batch]
            keys = position if rank is None else position[rank]
        elif code_keys is not None:
            if code_keys.shape != (x.size(0),):
                raise ShapeError("code_keys", list(code_keys.shape), f"[{x.size(0)}], one key per node")
            keys = code_keys
        else:
            node_keys = feature_keys(x) if node_keys is None else node_keys
            if edge_keys is None and edge_attr is not None:
                edge_keys = feature_keys(edge_attr)
            edges = edge_index if rank is None else rank[edge_index]
            sorted_keys = node_keys if perm is None else node_keys[perm]
            keys = keys_of_codes(self.eval_codes, sorted_keys, edges, index, edge_keys)
            keys = keys if rank is None else keys[rank]
        return gaussian_codes(keys, self.num_codes * self.channels, draw=draw, dtype=x.dtype).view(
            -1, self.num_codes, self.channels
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels}, num_codes={self.num_codes}, eval_codes={self.eval_codes!r})"


def sigma_to_raw(sigma: float) -> float:
    r"""Return the number whose softplus is ``sigma``, without overflow for a large ``sigma``.

    .. math::
        \mathrm{softplus}^{-1}(\sigma) = \sigma + \log(1 - e^{-\sigma})

    Args:
        sigma: A number above 0.

    Example:
        >>> round(math.log1p(math.exp(sigma_to_raw(0.1))), 12)
        0.1
    """
    return sigma + math.log(-math.expm1(-sigma))


def _mlp(in_channels: int, out_channels: int, hidden: int) -> Sequential:
    return Sequential(Linear(in_channels, hidden), GELU(), Linear(hidden, out_channels))


def _pack_sorted(nodes: Tensor, edges: Tensor, edge_index: Tensor, graphs: GraphIndex) -> Tokens:
    """Order the tokens by graph, nodes before edges, without a sort and without a look at the device."""
    index, node_rows, edge_rows = graphs.token_rows()
    x = nodes.new_empty(index.num_tokens, nodes.size(1))
    x = x.index_copy(0, node_rows, nodes).index_copy(0, edge_rows, edges.to(nodes.dtype))
    return Tokens(x, index, node_rows, edge_rows, node_rows[edge_index])


def _pack(nodes: Tensor, edges: Tensor, edge_index: Tensor, node_graph: Tensor, num_graphs: int) -> Tokens:
    """Order the tokens by graph, nodes before edges."""
    graph = torch.cat([node_graph, node_graph[edge_index[0]]])
    order = torch.argsort(graph, stable=True)
    place = inverse_permutation(order)
    index = RaggedIndex.from_batch(graph, num_graphs)
    x = torch.cat([nodes, edges.to(nodes.dtype)]).index_select(0, order)
    node_rows = place[: nodes.size(0)]
    return Tokens(x, index, node_rows, place[nodes.size(0) :], node_rows[edge_index])
