from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Data
from torch_geometric.explain import Explanation
from torch_geometric.explain.algorithm import ExplainerAlgorithm
from torch_geometric.explain.config import MaskType, ModelTaskLevel

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.explain.importance import METHODS, token_importance


class SamplingExplainer(ExplainerAlgorithm):
    r"""Token importance as an algorithm of ``torch_geometric.explain``.

    It returns node and edge masks of a `SAMSA` network, whose edges are tokens, by a method of
    :func:`~pyg_samsa.explain.token_importance`. Masks of ``contribution``, ``occlusion`` and ``gradient`` have a sign.

    Args:
        method: One of :data:`~pyg_samsa.explain.METHODS`.
        output: Number of the prediction to explain.

    Raises:
        ConfigError: There is no such method, or the network cannot be explained by it.

    Example:
        >>> from torch_geometric.explain import Explainer
        >>> from pyg_samsa.nn import SAMSA
        >>> model = SAMSA.from_options(in_channels=5, out_channels=1, channels=16, num_layers=2, heads=4, num_samples=8)
        >>> explainer = Explainer(
        ...     model,
        ...     algorithm=SamplingExplainer(),
        ...     explanation_type="model",
        ...     node_mask_type="object",
        ...     edge_mask_type="object",
        ...     model_config={"mode": "regression", "task_level": "graph", "return_type": "raw"},
        ... )
        >>> explanation = explainer(torch.randn(3, 5), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> explanation.node_mask.shape, explanation.edge_mask.shape
        (torch.Size([3, 1]), torch.Size([4]))

    Cost: that of the method.
    """

    def __init__(self, method: str = "sampled", output: int = 0) -> None:
        super().__init__()
        check_choice("method", method, METHODS)
        self.method, self.output = method, output

    def forward(
        self,
        model: Module,
        x: Any,
        edge_index: Any,
        *,
        target: Tensor,
        index: int | Tensor | None = None,
        **kwargs: Any,
    ) -> Explanation:
        """Return the node mask [N, 1] and the edge mask [E] of a graph, or of all graphs of a batch (``batch``)."""
        if index is not None:
            raise ConfigError("index", index, "None, because whole graphs are explained")
        if not isinstance(x, Tensor) or not isinstance(edge_index, Tensor):
            raise ConfigError("x", type(x).__name__, "a tensor, of a homogeneous graph")
        batch, edge_attr, features = (kwargs.get(name) for name in ("batch", "edge_attr", "graph_features"))
        graph_of = x.new_zeros(x.size(0), dtype=torch.long) if batch is None else batch
        count = int(kwargs.get("batch_size") or (int(graph_of.max()) + 1 if graph_of.numel() else 1))
        node_mask, edge_mask = (
            x.new_zeros(x.size(0), 1, dtype=torch.get_default_dtype()),
            x.new_zeros(edge_index.size(1), dtype=torch.get_default_dtype()),
        )
        place = torch.empty_like(graph_of)
        members = [(graph_of == number).nonzero().flatten() for number in range(count)]
        edges = [(graph_of[edge_index[0]] == number).nonzero().flatten() for number in range(count)]
        graphs = []
        for number, (nodes, kept) in enumerate(zip(members, edges, strict=True)):
            place[nodes] = torch.arange(nodes.numel(), device=nodes.device)
            graphs.append(
                Data(
                    x=x[nodes],
                    edge_index=place[edge_index[:, kept]],
                    edge_attr=None if edge_attr is None else edge_attr[kept],
                    graph_features=None if features is None else features[[number]],
                )
            )
        for nodes, kept, found in zip(
            members, edges, token_importance(model, graphs, self.method, target=self.output), strict=True
        ):
            node_mask[nodes, 0], edge_mask[kept] = found.node.to(node_mask), found.edge.to(edge_mask)
        return Explanation(node_mask=node_mask, edge_mask=edge_mask)

    def supports(self) -> bool:
        """Return whether PyG's settings fit: graph-level tasks, and masks of whole nodes and edges."""
        masks = {self.explainer_config.node_mask_type, self.explainer_config.edge_mask_type}
        return self.model_config.task_level == ModelTaskLevel.graph and masks <= {MaskType.object, None}
