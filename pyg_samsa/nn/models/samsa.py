from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleList, Parameter
from torch.utils.checkpoint import checkpoint

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.codes import feature_keys
from pyg_samsa.functional.positions import sequence_positions, sinusoidal_positions
from pyg_samsa.functional.ragged import inverse_permutation, resolve
from pyg_samsa.nn.attention import make_attention
from pyg_samsa.nn.block import SAMSABlock
from pyg_samsa.nn.encoding.feature_encoder import Features, encode_features, make_encoder, one_hot_categories
from pyg_samsa.nn.encoding.positional import PositionalEncoder
from pyg_samsa.nn.head import HEAD_NORMS, MLPHead
from pyg_samsa.nn.models.pretrained import Pretrained
from pyg_samsa.nn.pool.attention_pool import AttentionPool, MeanPool
from pyg_samsa.nn.tokenizers.coordinate_free import CoordinateFree
from pyg_samsa.nn.tokenizers.graph_bridge import GraphBridge, Tokens

LEVELS = ("graph", "node")
POOLS = ("attention", "mean")
POSITIONS = ("none", "sinusoidal")
INTERACTIONS = ("concat", "nli")


class SAMSA(Pretrained, Module):
    r"""The whole network of `"SAMSA: Efficient Transformer for Many Data Modalities" <https://arxiv.org/abs/2408.05391>`_.

    Encoders, Graph-Bridge tokens of nodes and edges, ``num_layers`` blocks (`SAMSABlock`) with one shared ReZero scalar, readout and head.

    Args:
        in_channels: What a node has: the number of float features (a linear encoder), the cardinalities of its categorical features (a sum of
            embeddings), or an encoder module of your own that returns [N, ``channels``].
        out_channels: Number of predictions per graph or node; None for a network without a head, see `encode`.
        edge_channels: What an edge has, in the same three forms; None when edges have no features.
        channels: Channels D of a token.
        num_layers: Number of blocks.
        heads: Number of heads H.
        num_samples: Number K of tokens that each head of each graph samples.
        ffn_channels: Hidden channels of the feed-forward networks; by default 4 D.
        sampling: ``"hard"``, ``"soft"`` or ``"replacement"``, see `SAMSAConv`.
        tau: Temperature of the sampling gradient.
        noise: ``"train"``, ``"always"`` or ``"never"``, see `SAMSAConv`.
        dropout: Dropout of the feed-forward networks and the head.
        attn_dropout: Dropout of attention weights.
        drop_path: Probability that a residual branch of a graph is dropped in training.
        rezero: ``"shared"``: one scalar for all layers, as in the paper; ``"own"``: one per layer.
        bridge: Make tokens of nodes and edges with `GraphBridge`; without it the nodes alone are tokens (sets, point clouds, sequences).
        num_codes: Codes per node in `GraphBridge`, 1 or 2.
        num_eval_samples: In evaluation, the output is the mean over this many deterministic draws of codes.
        eval_codes: ``"structural"``, ``"index"`` or ``"random"``, see `GraphBridge`.
        sigma: Initial standard deviation of the noise in the codes, see `GraphBridge`.
        level: ``"graph"``: one prediction a graph; ``"node"``: one a node.
        pool: ``"attention"`` or ``"mean"`` readout for graph-level predictions.
        positions: ``"sinusoidal"`` adds the place of each node in its graph, for sequences; ``"none"`` is for sets and graphs.
        towers: Graph-level predictions for so many consecutive graphs together (2 for pairs of documents): one encoder, one head over their readouts.
        interaction: What the head sees of two towers with readouts a and b: ``"concat"``, both, as in the paper; ``"nli"``, both,
            :math:`a \cdot b` and :math:`|a - b|`, as models of natural language inference do; likeness is then learned in fewer steps.
        head_norm: ``"none"``, the paper's, or ``"batch"``: what the head sees is normalised over the batch, see `MLPHead`; learning starts at once.
        context: In node-level predictions, let the head see the readout of the whole graph besides the node.
        num_categories: In node-level predictions, number of categories of graphs that the head is told, 0 for none.
        attn_backend: See `SAMSAConv`.
        attention: ``"samsa"``, or another operator in the same blocks: ``"sft"`` (`SFTConv`), ``"flt"`` (`FLTConv`), ``"full"`` (`AttentionConv`),
            ``"performer"`` (`PerformerConv`). Arguments above that an operator does not have, such as ``num_samples`` of the last three, have no
            effect on it.
        attention_options: Arguments of that operator alone, such as ``{"encoding": "dist"}`` for `SFTConv`.
        coordinate_free: For clouds (``bridge=False``) under an operator that encodes positions: tokens come from `CoordinateFree`, not from the
            features, so that the output does not change when a cloud is moved, turned or mirrored.
        radius: Tokens of ``coordinate_free`` also know their distance to the centroid.
        pe_channels: Width P of positional encodings that nodes are given as ``pe``, see `PositionalEncoder`; 0 for none.
        flip_signs: In training, flip the signs of these encodings at random, which is what eigenvectors need.
        checkpointing: In training, keep only the tokens between blocks and compute each block again in the backward pass: memory of one block instead
            of ``num_layers``, for a third more time. The result is the same.

    Shapes:
        - **input:** nodes [N, F], edges [2, E], edge features [E, F'] (*optional*), graph numbers [N] (*optional*), categories [B] where
          ``num_categories`` is set, positions and normals [N, l] where the operator encodes them
        - **output:** [B / towers, out_channels], or [N, out_channels] for ``level="node"``

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit the network or each other.
        NumericalError: A feature or an importance score is not finite.

    Example:
        >>> model = SAMSA(in_channels=5, out_channels=2, edge_channels=3, channels=16, num_layers=2, heads=4, num_samples=8)
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> model(torch.randn(4, 5), edge_index, torch.randn(4, 3), batch=torch.tensor([0, 0, 0, 1])).shape
        torch.Size([2, 2])

    Cost: O(L (T D^2 + T D D_ff + T K D)) time, with T = N + E.
    """

    def __init__(
        self,
        in_channels: Features,
        out_channels: int | None,
        *,
        edge_channels: Features | None = None,
        channels: int = 128,
        num_layers: int = 24,
        heads: int = 8,
        num_samples: int = 256,
        ffn_channels: int | None = None,
        sampling: str = "hard",
        tau: float = 1.0,
        noise: str = "train",
        dropout: float = 0.0,
        attn_dropout: float = 0.0,
        drop_path: float = 0.0,
        rezero: str = "shared",
        bridge: bool = True,
        num_codes: int = 1,
        num_eval_samples: int = 1,
        eval_codes: str = "structural",
        sigma: float = 1.0,
        level: str = "graph",
        pool: str = "attention",
        positions: str = "none",
        towers: int = 1,
        interaction: str = "concat",
        head_norm: str = "none",
        context: bool = False,
        num_categories: int = 0,
        attn_backend: str = "auto",
        attention: str = "samsa",
        attention_options: Mapping[str, Any] | None = None,
        coordinate_free: bool = False,
        radius: bool = False,
        pe_channels: int = 0,
        flip_signs: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        check_choice("level", level, LEVELS)
        check_choice("pool", pool, POOLS)
        check_choice("positions", positions, POSITIONS)
        check_choice("interaction", interaction, INTERACTIONS)
        check_choice("head_norm", head_norm, HEAD_NORMS)
        counts = {
            "channels": channels,
            "num_layers": num_layers,
            "num_eval_samples": num_eval_samples,
            "towers": towers,
        }
        for key, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(key, value, "an integer of at least 1")
        _check_head(level, towers, interaction, context, num_categories)
        _check_tokens(bridge, coordinate_free, radius)
        self.channels, self.level, self.num_eval_samples, self.checkpointing = (
            channels,
            level,
            num_eval_samples,
            checkpointing,
        )
        self.positions, self.towers, self.interaction, self.num_categories = (
            positions,
            towers,
            interaction,
            num_categories,
        )
        self.coordinate_free, self.pe_channels = coordinate_free, pe_channels
        self.node_encoder = (
            CoordinateFree(channels, radius=radius)
            if coordinate_free
            else make_encoder("in_channels", in_channels, channels)
        )
        self.pe_encoder = PositionalEncoder(pe_channels, channels, flip_signs) if pe_channels else None
        self.edge_encoder = (
            None if edge_channels is None or not bridge else make_encoder("edge_channels", edge_channels, channels)
        )
        self.bridge = (
            GraphBridge(channels, num_codes, self.edge_encoder is not None, eval_codes, sigma) if bridge else None
        )
        self.blocks = ModuleList()
        for number in range(num_layers):
            conv = make_attention(
                attention,
                channels,
                heads,
                options=attention_options,
                num_samples=num_samples,
                sampling=sampling,
                tau=tau,
                dropout=attn_dropout,
                noise=noise,
                attn_backend=attn_backend,
            )
            conv.name = f"layer {number} of {num_layers}, {type(conv).__name__}"  # type: ignore[assignment]
            self.blocks.append(SAMSABlock(channels, ffn_channels, dropout, drop_path, rezero, conv))
        self.alpha = Parameter(torch.zeros(())) if rezero == "shared" else None
        # Whether the operator encodes where tokens are, and so wants ``pos``.
        self.uses_positions = getattr(self.blocks[0].conv, "encoding", "none") != "none"
        if coordinate_free and not self.uses_positions:
            allowed = "False where the operator encodes no positions: it would see nothing of the cloud"
            raise ConfigError(
                "coordinate_free",
                True,
                allowed,
                hint="For example attention='sft', attention_options={'encoding': 'dist'}.",
            )
        pooled = out_channels is not None and (level == "graph" or context)
        self.pool = (AttentionPool(channels) if pool == "attention" else MeanPool()) if pooled else None
        width = (
            (2 * towers if interaction == "nli" else towers) * channels
            if level == "graph"
            else (1 + context) * channels + num_categories
        )
        self.head = None if out_channels is None else MLPHead(width, out_channels, dropout=dropout, norm=head_norm)

    def reset_parameters(self) -> None:
        """Draw new weights everywhere and set the ReZero scalars to zero."""
        for module in (
            self.node_encoder,
            self.pe_encoder,
            self.edge_encoder,
            self.bridge,
            *self.blocks,
            self.pool,
            self.head,
        ):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        if self.alpha is not None:
            torch.nn.init.zeros_(self.alpha)

    def encode(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        batch_size: int | None = None,
        node_keys: Tensor | None = None,
        edge_keys: Tensor | None = None,
        draw: int = 0,
        pos: Tensor | None = None,
        normal: Tensor | None = None,
        pe: Tensor | None = None,
    ) -> Tokens:
        """Return the tokens after the last block, before readout and head.

        Args:
            x: Node features [N, F].
            edge_index: Directed edges [2, E]; None means no edges.
            edge_attr: Edge features [E, F'].
            batch: Graph number of each node [N], in any order; None means one graph.
            batch_size: Number of graphs, where some at the end may be empty.
            node_keys: Keys [N] from which deterministic codes are drawn; by default those of ``x``.
            edge_keys: Keys [E] of the edges; by default those of ``edge_attr``.
            draw: Number of the deterministic draw of codes in evaluation.
            pos: Positions of the nodes [N, l], for operators that encode them; an edge stands between its nodes. Sequences (``positions`` is
                ``"sinusoidal"``) have their places.
            normal: Normals of the nodes [N, l], likewise.
            pe: Positional encodings of the nodes [N, P], where ``pe_channels`` is set.
        """
        h = self._encode_nodes(x, batch, batch_size, draw, pos, pe)
        if self.bridge is None:
            index, perm = resolve(h.size(0), h.device, batch, None, batch_size)
            if perm is None:
                tokens = Tokens(h, index, torch.arange(h.size(0), device=h.device))
            else:
                tokens = Tokens(h[perm], index, inverse_permutation(perm))
        else:
            edge_index = torch.empty(2, 0, dtype=torch.long, device=x.device) if edge_index is None else edge_index
            e = self._encode_edges(edge_index, edge_attr, h)
            if not self.training:
                node_keys = feature_keys(x) if node_keys is None else node_keys
                if edge_keys is None and self.edge_encoder is not None and edge_attr is not None:
                    edge_keys = feature_keys(edge_attr)
            tokens = self.bridge(
                h, edge_index, e, batch, batch_size=batch_size, node_keys=node_keys, edge_keys=edge_keys, draw=draw
            )
        # Mixed precision computes in half precision, but the residual stream keeps the precision of the weights.
        h = tokens.x.to(next(self.blocks.parameters()).dtype)
        again = self.checkpointing and self.training and torch.is_grad_enabled()
        geometry = self._geometry(tokens, edge_index, batch, batch_size, pos, normal) if self.uses_positions else {}
        for block in self.blocks:
            run = partial(block, ptr=tokens.index, alpha=self.alpha, **geometry)
            h = checkpoint(run, h, use_reentrant=False) if again else run(h)
        return tokens._replace(x=h)

    def _encode_nodes(
        self, x: Tensor, batch: Tensor | None, batch_size: int | None, draw: int, pos: Tensor | None, pe: Tensor | None
    ) -> Tensor:
        """Return what is known of each node, [N, D]."""
        if isinstance(self.node_encoder, CoordinateFree):
            if pos is None:
                raise ShapeError(
                    "pos", None, f"positions [{x.size(0)}, l], because the network was made with coordinate_free"
                )
            h = self.node_encoder(pos, batch, batch_size=batch_size, draw=draw)
        else:
            h = encode_features("x", self.node_encoder, x, self.channels)
        if self.positions == "none" and self.pe_encoder is None:
            return h
        index, perm = resolve(h.size(0), h.device, batch, None, batch_size)
        rank = None if perm is None else inverse_permutation(perm)
        if self.positions == "sinusoidal":
            places = sinusoidal_positions(index, self.channels, dtype=h.dtype)
            h = h + (places if rank is None else places[rank])
        if self.pe_encoder is not None:
            h = h + self.pe_encoder(pe, index.batch if rank is None else index.batch[rank], index.num_graphs)
        return h

    def _geometry(
        self,
        tokens: Tokens,
        edge_index: Tensor | None,
        batch: Tensor | None,
        batch_size: int | None,
        pos: Tensor | None,
        normal: Tensor | None,
    ) -> dict[str, Tensor | None]:
        """Return positions and normals of the tokens [T, l], where there are some."""
        if pos is None and self.positions == "sinusoidal":
            index, perm = resolve(tokens.node_index.size(0), tokens.x.device, batch, None, batch_size)
            place = sequence_positions(index)
            pos = (place if perm is None else place[inverse_permutation(perm)]).to(tokens.x.dtype).unsqueeze(1)

        def of_tokens(name: str, of_nodes: Tensor | None) -> Tensor | None:
            if of_nodes is None:
                return None
            if of_nodes.dim() != 2 or of_nodes.size(0) != tokens.node_index.size(0):
                raise ShapeError(name, list(of_nodes.shape), f"[{tokens.node_index.size(0)}, l], one row per node")
            out = tokens.x.new_zeros(tokens.x.size(0), of_nodes.size(1))
            out[tokens.node_index] = of_nodes.to(out.dtype)
            if tokens.edge_index is not None and edge_index is not None:
                out[tokens.edge_index] = (of_nodes[edge_index[0]] + of_nodes[edge_index[1]]).to(out.dtype) / 2
            return out

        return {"pos": of_tokens("pos", pos), "normal": of_tokens("normal", normal)}

    def _encode_edges(self, edge_index: Tensor, edge_attr: Tensor | None, h: Tensor) -> Tensor | None:
        if self.edge_encoder is None:
            return None
        if edge_attr is None:
            if edge_index.size(1):
                raise ShapeError(
                    "edge_attr",
                    None,
                    f"features of {edge_index.size(1)} edges, because the network was made with edge_channels",
                )
            return h.new_zeros(0, self.channels)
        if edge_attr.size(0) != edge_index.size(1):
            raise ShapeError("edge_attr", list(edge_attr.shape), f"[{edge_index.size(1)}, ...], one row per edge")
        return encode_features("edge_attr", self.edge_encoder, edge_attr, self.channels)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        batch_size: int | None = None,
        category: Tensor | None = None,
        pos: Tensor | None = None,
        normal: Tensor | None = None,
        pe: Tensor | None = None,
    ) -> Tensor:
        """Return the predictions; in evaluation their mean over ``num_eval_samples`` draws of codes.

        Arguments as in `encode`, and ``category`` [B], the category of each graph, where ``num_categories`` is set.
        """
        inputs: dict[str, Any] = {
            "edge_index": edge_index,
            "edge_attr": edge_attr,
            "batch": batch,
            "batch_size": batch_size,
            "pos": pos,
            "normal": normal,
            "pe": pe,
        }
        if self.training or self.num_eval_samples == 1 or (self.bridge is None and not self.coordinate_free):
            return self._predict(x, category, **inputs)
        return self.predict_with_spread(x, category=category, **inputs)[0]

    def predict_with_spread(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        edge_attr: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        category: Tensor | None = None,
        **inputs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the predictions over ``num_eval_samples`` draws of codes; the deviation of one draw is zero.

        Arguments as in `forward`.
        """
        inputs |= {"edge_index": edge_index, "edge_attr": edge_attr, "batch": batch}
        draws = torch.stack([self._predict(x, category, draw=draw, **inputs) for draw in range(self.num_eval_samples)])
        return draws.mean(0), draws.std(0, correction=0)

    def _predict(self, x: Tensor, category: Tensor | None, **inputs: Any) -> Tensor:
        if self.head is None:
            raise ConfigError(
                "out_channels", None, "a number of predictions; a network without a head only has encode()"
            )
        tokens = self.encode(x, **inputs)
        pooled = None if self.pool is None else self.pool(tokens.x, ptr=tokens.index)
        if self.level == "graph":
            if tokens.index.num_graphs % self.towers:
                raise ShapeError("batch", f"{tokens.index.num_graphs} graphs", f"a multiple of towers = {self.towers}")
            seen_by_head = pooled.view(-1, self.towers * self.channels)  # type: ignore[union-attr]
            if self.interaction == "nli":
                first, second = seen_by_head.chunk(2, dim=1)
                seen_by_head = torch.cat([seen_by_head, first * second, (first - second).abs()], dim=1)
            return self.head(seen_by_head)  # type: ignore[misc]
        graph = tokens.index.batch[tokens.node_index]
        seen = [tokens.x.index_select(0, tokens.node_index)]
        if pooled is not None:
            seen.append(pooled[graph])
        if self.num_categories:
            seen.append(
                one_hot_categories(category, tokens.index.num_graphs, self.num_categories).to(tokens.x.dtype)[graph]
            )
        return self.head(torch.cat(seen, dim=1))

    def num_parameters(self) -> int:
        """Return the number of trainable weights."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def __repr__(self) -> str:
        conv = self.blocks[0].conv
        return (
            f"{type(self).__name__}({self.channels}, num_layers={len(self.blocks)}, conv={conv}, level={self.level!r})"
        )


def _check_head(level: str, towers: int, interaction: str, context: bool, num_categories: int) -> None:
    """Raise ConfigError where what the head is to see does not belong together."""
    if level == "graph" and (context or num_categories):
        raise ConfigError(
            "context" if context else "num_categories",
            context or num_categories,
            "predictions for nodes (level='node')",
        )
    if level == "node" and towers > 1:
        raise ConfigError("towers", towers, "1, or predictions for graphs (level='graph')")
    if interaction == "nli" and towers != 2:
        raise ConfigError("interaction", interaction, "concat, or pairs of graphs (towers=2)")


def _check_tokens(bridge: bool, coordinate_free: bool, radius: bool) -> None:
    """Raise ConfigError where what tokens are to know does not belong together."""
    if coordinate_free and bridge:
        raise ConfigError("coordinate_free", True, "False for tokens of Graph-Bridge (bridge=True)")
    if radius and not coordinate_free:
        raise ConfigError("radius", True, "False for tokens that know their coordinates (coordinate_free=False)")
