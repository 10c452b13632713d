from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.inputs import edges_of
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.block import SAMSABlock
from pyg_samsa.nn.encoder import Encoder
from pyg_samsa.nn.encoding.feature_encoder import Features
from pyg_samsa.nn.encoding.joined_encoder import without_computed
from pyg_samsa.nn.graph_features import GraphFeatures
from pyg_samsa.nn.models.samsa_options import SAMSAOptions
from pyg_samsa.nn.readout import Readout
from pyg_samsa.nn.target_scale import TargetScale
from pyg_samsa.nn.tokenizers.graph import GraphTokenizer
from pyg_samsa.nn.tokenizers.node import NodeTokenizer
from pyg_samsa.nn.tokenizers.points import PointTokenizer
from pyg_samsa.nn.tokenizers.tokenizer_registry import make_tokenizer
from pyg_samsa.nn.tokenizers.tokens import Tokens
from pyg_samsa.options import check_integer, plain
from pyg_samsa.typing import Float, Int, Shaped


class SAMSA(Module):
    r"""The network of `"SAMSA: Efficient Transformer for Many Data Modalities" <https://arxiv.org/abs/2408.05391>`_.

    It has three parts:

    .. math::
        \hat y = \mathrm{Readout}(\mathrm{Encoder}(\mathrm{Tokenizer}(x, \mathrm{edges})))

    The tokenizer depends on the modality, the encoder is a stack of `SAMSABlock`, and the readout pools and predicts.
    Pass your own parts, or build all three from flat options with `from_options`.

    Args:
        tokenizer: Makes `Tokens`: `GraphTokenizer`, `PointTokenizer`, `SequenceTokenizer`, `NodeTokenizer`, or a module
            with their signature.
        encoder: `Encoder`.
        readout: `Readout`; None for a network without predictions, see `encode`.
        num_eval_samples: Number of deterministic draws of random codes over which predictions are averaged in
            evaluation.
        modality: A learned vector [D] that is added to all tokens, see `MultiTask`; None for none.

    Shapes:
        - **input:** nodes [N, F], edges [2, E], edge features [E, F'] (*optional*), graph numbers [N] (*optional*),
          features of graphs [B, F''] (*optional*), pairs of nodes [2, L] (*for predictions of pairs*)
        - **output:** [B, out_channels], [N, out_channels] for predictions of nodes, or [L, out_channels] of pairs

    Raises:
        ConfigError: The parts do not fit each other.
        ShapeError: The inputs do not fit the network or each other.
        NumericalError: A feature or an importance score is not finite.

    Example:
        >>> from pyg_samsa.nn import Encoder, GraphTokenizer, Readout, SAMSABlock
        >>> blocks = [SAMSABlock(16, heads=4, num_samples=8, rezero="shared") for _ in range(2)]
        >>> model = SAMSA(GraphTokenizer(16, 5, 3), Encoder(blocks), Readout(16, 2))
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> model(torch.randn(4, 5), edge_index, torch.randn(4, 3), batch=torch.tensor([0, 0, 0, 1])).shape
        torch.Size([2, 2])

    Cost: O(L (T D^2 + T D D_ff + T K D)) time, with T = N + E tokens.
    """

    def __init__(
        self,
        tokenizer: Module,
        encoder: Encoder,
        readout: Readout | None = None,
        *,
        num_eval_samples: int = 1,
        modality: Parameter | None = None,
    ) -> None:
        super().__init__()
        check_integer("num_eval_samples", num_eval_samples)
        for name, part in (("tokenizer", tokenizer), ("encoder", encoder)):
            if not isinstance(part, Module):
                hint = "To build a network from numbers, use SAMSA.from_options(in_channels, out_channels, ...)."
                raise ConfigError(name, part, "a module", hint=hint)
        if readout is not None and not isinstance(readout, Module):
            raise ConfigError("readout", readout, "a module, or None for a network without predictions")
        self.tokenizer, self.encoder, self.readout = tokenizer, encoder, readout
        if modality is not None and modality.shape != (self.channels,):
            raise ShapeError("modality", list(modality.shape), f"[{self.channels}], a vector like those of the tokens")
        self.modality = modality
        """The learned vector [D] that is added to all tokens, or None."""
        self.num_eval_samples = int(num_eval_samples)
        self.options: dict[str, Any] | None = None
        """The flat options that were passed to `from_options`; None for a network that was built from parts."""

    @classmethod
    def from_options(
        cls, in_channels: Features, out_channels: int | None, *, edge_channels: Features | None = None, **options: Any
    ) -> SAMSA:
        """Build a network from flat options, as configurations and saved networks hold them.

        Args:
            in_channels: The node features: the number of float features (a linear encoder), the cardinalities of
                categorical features (a sum of embeddings), or an encoder module that returns [N, channels].
            out_channels: Number of predictions per graph or node; None for a network without a readout.
            edge_channels: The edge features, in the same forms; None if edges have no features.
            **options: See `SAMSAOptions`.

        Raises:
            ConfigError: An option is unknown, not allowed, or has no effect.

        Example:
            >>> model = SAMSA.from_options(5, 2, channels=16, num_layers=2, heads=4, num_samples=8)
            >>> model(torch.randn(4, 5), batch=torch.tensor([0, 0, 0, 1])).shape
            torch.Size([2, 2])
        """
        in_channels, out_channels, edge_channels, options = plain((in_channels, out_channels, edge_channels, options))
        known = SAMSAOptions.__dataclass_fields__
        for name in options:
            if name not in known:
                raise ConfigError("unknown option", name, known)
        chosen = SAMSAOptions(**options)
        if not chosen.bridge and chosen.local is None:
            edge_channels = None  # A data set may describe edges that this network does not use.
        network = cls(
            _make_tokenizer(in_channels, edge_channels, chosen),
            Encoder(_make_blocks(chosen, edge_channels is not None), chosen.checkpointing),
            None if out_channels is None else _make_readout(out_channels, chosen),
            num_eval_samples=chosen.num_eval_samples,
            modality=Parameter(torch.zeros(chosen.channels)) if chosen.modality_vector else None,
        )
        if chosen.coordinate_free and not network.encoder.uses_positions:
            hint = "For example attention='sft', attention_options={'encoding': 'dist'}."
            raise ConfigError("coordinate_free", True, "False for an operator that encodes no positions", hint=hint)
        network.options = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "edge_channels": edge_channels,
            **options,
        }
        return network

    @property
    def channels(self) -> int:
        """Channels D of a token.

        Example:
            >>> SAMSA.from_options(5, 2, channels=16, num_layers=1).channels
            16
        """
        return self.tokenizer.channels  # type: ignore[return-value]

    @property
    def scale(self) -> TargetScale | None:
        """The scale of the targets, or None.

        Example:
            >>> SAMSA.from_options(5, 2, channels=16, num_layers=1, scale_targets=True).scale
            TargetScale(2)
        """
        return None if self.readout is None else self.readout.scale

    @property
    def graph_features(self) -> GraphFeatures | None:
        """The encoder of features of whole graphs, or None.

        Example:
            >>> SAMSA.from_options(5, 2, channels=16, num_layers=1, graph_channels=7).graph_features
            GraphFeatures(7, 16)
        """
        return None if self.readout is None else self.readout.graph_features

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the optional inputs of the network, such as ``pos``, ``pe``, ``graph_features``, ``code_keys``.

        Example:
            >>> sorted(SAMSA.from_options(5, 2, channels=16, num_layers=1, pe_channels=4).inputs)
            ['code_keys', 'pe']
        """
        names = set(getattr(self.tokenizer, "inputs", ()))
        if self.readout is not None:
            names |= self.readout.inputs
        return frozenset(names | ({"pos", "normal"} if self.encoder.uses_positions else set()))

    takes_graph_index = True
    """Whether ``batch`` may be a `pyg_samsa.functional.GraphIndex`."""

    def reset_parameters(self) -> None:
        """Draw new weights and set the ReZero scalars and the vector of the modality to zero."""
        for part in (self.tokenizer, self.encoder, self.readout):
            if part is not None:
                part.reset_parameters()  # type: ignore[operator]
        if self.modality is not None:
            torch.nn.init.zeros_(self.modality)

    def encode(
        self,
        x: Shaped[Tensor, "N ..."],
        edge_index: Int[Tensor, "2 E"] | Float[Tensor, "N N"] | None = None,
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        batch: Int[Tensor, " N"] | RaggedIndex | None = None,
        *,
        batch_size: int | None = None,
        node_keys: Int[Tensor, " N"] | None = None,
        edge_keys: Int[Tensor, " E"] | None = None,
        code_keys: Int[Tensor, " N"] | None = None,
        draw: int = 0,
        pos: Shaped[Tensor, "N l"] | None = None,
        normal: Shaped[Tensor, "N _"] | None = None,
        pe: Float[Tensor, "N P"] | None = None,
    ) -> Tokens:
        """Return the tokens after the encoder.

        Args:
            x: Node features [N, F]; floats of any precision, which get that of the weights.
            edge_index: Directed edges, or ``adj_t``, see `pyg_samsa.functional.edges_of`; None means no edges.
            edge_attr: Edge features [E, F']. A network without ``edge_channels`` does not read them, as ``GATConv``
                without ``edge_dim``.
            batch: Graph number of each node, in any order, or the index of the batch, see
                `pyg_samsa.functional.GraphIndex`; None means one graph.
            batch_size: Number of graphs, if some at the end may be empty.
            node_keys: Keys of the nodes from which deterministic codes are drawn; by default those of ``x``.
            edge_keys: Keys of the edges; by default those of ``edge_attr``.
            code_keys: Keys of the codes in evaluation, if they were computed before; they replace the other keys.
            draw: Number of the deterministic draw of codes in evaluation, from 0.
            pos: Positions of the nodes, for operators that encode positions; an edge is at the mean of its two nodes.
                For sequences they default to the places of the symbols.
            normal: Normals of the nodes, for operators that encode normals.
            pe: Positional encodings of the nodes, if ``pe_channels`` is set.

        Example:
            >>> model = SAMSA.from_options(5, 2, channels=16, num_layers=2, heads=4, num_samples=8)
            >>> model.encode(torch.randn(3, 5), torch.tensor([[0, 1], [1, 0]])).x.shape
            torch.Size([5, 16])
        """
        keys = {"node_keys": node_keys, "edge_keys": edge_keys}
        if code_keys is not None:
            keys["code_keys"] = code_keys
        edge_index, edge_attr = edges_of(edge_index, edge_attr)
        tokens = self.tokenizer(
            x, edge_index, edge_attr, batch, batch_size=batch_size, draw=draw, pos=pos, pe=pe, **keys
        )
        if self.modality is not None:
            tokens = tokens._replace(x=tokens.x + self.modality)
        if self.encoder.uses_positions:
            tokens = self.tokenizer.locate(tokens, edge_index, pos, normal)  # type: ignore[operator]
        return self.encoder(tokens)

    def forward(
        self,
        x: Shaped[Tensor, "N ..."],
        edge_index: Int[Tensor, "2 E"] | Float[Tensor, "N N"] | None = None,
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        batch: Int[Tensor, " N"] | RaggedIndex | None = None,
        *,
        batch_size: int | None = None,
        category: Int[Tensor, "..."] | None = None,
        pos: Shaped[Tensor, "N l"] | None = None,
        normal: Shaped[Tensor, "N _"] | None = None,
        pe: Float[Tensor, "N P"] | None = None,
        graph_features: Shaped[Tensor, "B F"] | None = None,
        code_keys: Int[Tensor, " N"] | None = None,
        edge_label_index: Int[Tensor, "2 L"] | None = None,
    ) -> Float[Tensor, "rows out"]:
        """Return the predictions; in evaluation their mean over ``num_eval_samples`` draws of codes.

        Arguments as in `encode`, and for a readout that uses them ``category`` [B], the category of each graph, and
        ``graph_features``, with NaN where a value is missing; for a readout of pairs ``edge_label_index`` [2, L].

        Example:
            >>> model = SAMSA.from_options(5, 2, channels=16, num_layers=2, level="node")
            >>> model(torch.randn(3, 5), torch.tensor([[0, 1], [1, 0]])).shape
            torch.Size([3, 2])
            >>> model = SAMSA.from_options(5, 1, channels=16, num_layers=2, level="link")
            >>> model(torch.randn(3, 5), edge_label_index=torch.tensor([[0, 0], [1, 2]])).shape
            torch.Size([2, 1])
        """
        inputs: dict[str, Any] = {
            "edge_index": edge_index,
            "edge_attr": edge_attr,
            "batch": batch,
            "batch_size": batch_size,
            "pos": pos,
            "normal": normal,
            "pe": pe,
            "code_keys": code_keys,
        }
        seen: dict[str, Any] = {
            "category": category,
            "graph_features": graph_features,
            "edge_label_index": edge_label_index,
        }
        if self.training or self.num_eval_samples == 1:
            return self._predict(x, seen, **inputs)
        return self.predict_with_spread(x, **seen, **inputs)[0]

    def predict_with_spread(
        self,
        x: Shaped[Tensor, "N ..."],
        edge_index: Int[Tensor, "2 E"] | Float[Tensor, "N N"] | None = None,
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        batch: Int[Tensor, " N"] | RaggedIndex | None = None,
        *,
        num_draws: int | None = None,
        category: Int[Tensor, "..."] | None = None,
        graph_features: Shaped[Tensor, "B F"] | None = None,
        edge_label_index: Int[Tensor, "2 L"] | None = None,
        read: Callable[[Tensor], Tensor] | None = None,
        **inputs: Any,
    ) -> tuple[Float[Tensor, "*size"], Float[Tensor, "*size"]]:
        r"""Return the mean and the standard deviation of the predictions over draws of codes.

        .. math::
            \bar y = \frac{1}{M} \sum_m \hat y^{(m)}, \qquad
            s = \sqrt{\frac{1}{M} \sum_m (\hat y^{(m)} - \bar y)^2}

        Args:
            x: As in `encode`.
            edge_index: As in `encode`.
            edge_attr: As in `encode`.
            batch: As in `encode`.
            num_draws: Number M of draws; by default ``num_eval_samples``.
            category: As in `forward`.
            graph_features: As in `forward`.
            edge_label_index: As in `forward`.
            read: Applied to the predictions of each draw, such as ``torch.sigmoid``.
            **inputs: As in `encode`.

        Returns:
            Mean and standard deviation of the predictions; the deviation of one draw is zero.

        Example:
            >>> model = SAMSA.from_options(5, 2, channels=16, num_layers=2).eval()
            >>> mean, deviation = model.predict_with_spread(torch.randn(3, 5), num_draws=4)
            >>> mean.shape, deviation.shape
            (torch.Size([1, 2]), torch.Size([1, 2]))
        """
        inputs |= {"edge_index": edge_index, "edge_attr": edge_attr, "batch": batch}
        seen = {"category": category, "graph_features": graph_features, "edge_label_index": edge_label_index}
        outputs = [self._predict(x, seen, draw=draw, **inputs) for draw in range(num_draws or self.num_eval_samples)]
        draws = torch.stack(outputs if read is None else [read(output) for output in outputs])
        return draws.mean(0), draws.std(0, correction=0)

    def _predict(self, x: Tensor, seen: dict[str, Tensor | None], **inputs: Any) -> Tensor:
        """Return the predictions of one draw; ``seen`` is what the readout sees beside the tokens."""
        if self.readout is None:
            raise ConfigError("readout", None, "a network with a readout; without one it has encode() only")
        tokens = self.encode(x, **inputs)
        return self.readout(tokens, **{name: value for name, value in seen.items() if value is not None})


def _make_tokenizer(in_channels: Features, edge_channels: Features | None, options: SAMSAOptions) -> NodeTokenizer:
    pe: dict[str, Any] = {"pe_channels": options.pe_channels, "flip_signs": options.flip_signs}
    if options.pe_role != "add":
        pe["pe_role"] = options.pe_role
    if options.pe_options:
        pe["pe_options"] = options.pe_options
    if options.tokenizer is not None:
        if options.pe_options:
            pe["pe_options"] = without_computed(options.pe_options)
        given = {**(options.tokenizer_options or {}), **(pe if options.pe_channels else {})}
        return make_tokenizer(options.tokenizer, options.channels, in_channels, edge_channels, **given)
    if options.bridge:
        codes: dict[str, Any] = {
            "num_codes": options.num_codes,
            "eval_codes": options.eval_codes,
            "sigma": options.sigma,
        }
        return GraphTokenizer(
            options.channels,
            in_channels,
            edge_channels,
            positions=options.positions,
            pe_kind=options.pe_kind,
            **codes,
            **pe,
        )
    if options.coordinate_free:
        geometry: dict[str, Any] = {"coordinate_free": True, "centroid_distance": options.centroid_distance}
        return PointTokenizer(options.channels, in_channels, **geometry, **pe)
    pe |= {"positions": options.positions, "pe_kind": options.pe_kind}
    return NodeTokenizer(options.channels, in_channels, edge_channels, **pe)


def _make_blocks(options: SAMSAOptions, edge_features: bool) -> list[SAMSABlock]:
    arguments: dict[str, Any] = {
        "ffn_channels": options.ffn_channels,
        "act": options.act,
        "dropout": options.dropout,
        "drop_path": options.drop_path,
        "rezero": options.rezero,
        "conv": options.attention,
        "local": options.local,
        "distance_gate": options.pe_role != "add",
        # The encoder of a trunk sees edges with and without features.
        "edge_features": options.bridge or edge_features or options.modality_vector,
    }
    operator = options.operator()
    if "dropout" in operator:
        operator["attn_dropout"] = operator.pop("dropout")
    return [SAMSABlock(options.channels, **arguments, **operator) for _ in range(options.num_layers)]


def _make_readout(out_channels: int, options: SAMSAOptions) -> Readout:
    names = (
        "level",
        "pool",
        "towers",
        "interaction",
        "context",
        "num_categories",
        "graph_channels",
        "graph_levels",
        "graph_hidden",
        "graph_dropout",
        "edge_decoding",
        "dropout",
        "head_norm",
        "scale_targets",
    )
    return Readout(options.channels, out_channels, **{name: getattr(options, name) for name in names})
