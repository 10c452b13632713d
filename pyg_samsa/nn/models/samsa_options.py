from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.fused import FUSED_ACTIVATIONS
from pyg_samsa.functional.node_encodings import NODE_ENCODINGS
from pyg_samsa.nn.block import REZERO
from pyg_samsa.nn.conv.local_layers import GATED_BY_DISTANCE, LOCAL_LAYERS
from pyg_samsa.nn.conv.operators import OPERATORS
from pyg_samsa.nn.conv.samsa_conv import AttentionBackend, Noise, NumSamples, Sampling, Tau
from pyg_samsa.nn.conv.token_conv import AttentionDropout
from pyg_samsa.nn.encoding.distance_gate import PE_ROLES
from pyg_samsa.nn.encoding.joined_encoder import encoding_options
from pyg_samsa.nn.mlp_head import HEAD_NORMS
from pyg_samsa.nn.pair_decoder import EDGE_DECODINGS
from pyg_samsa.nn.readout import INTERACTIONS, LEVELS, POOLS
from pyg_samsa.nn.tokenizers.graph_bridge import EVAL_CODES
from pyg_samsa.nn.tokenizers.node import POSITIONS
from pyg_samsa.nn.tokenizers.tokenizer_registry import TOKENIZERS
from pyg_samsa.options import Option, check_integer, check_memory, check_no_effect, check_options, keep_plain

OF_TOKENIZER = ("bridge", "num_codes", "eval_codes", "sigma", "positions", "coordinate_free", "centroid_distance")
"""Options of the tokenizers of the package."""
OPERATOR_ARGUMENTS = ("num_samples", "sampling", "tau", "noise", "attn_backend")
"""Options of a network that are arguments of its attention operator, if the operator takes them."""


_WITH_SUPPORT = ("samsa", "sft")
# Common values, to tell which of several is the extraordinary one.
_COMMON = {
    **{"channels": 128, "ffn_channels": 512, "num_layers": 24, "num_samples": 128},
    **{"graph_hidden": 128, "graph_levels": 1024, "graph_channels": 1024},
}


@dataclass(frozen=True)
class SAMSAOptions:
    """The flat options of a `SAMSA` network, as configurations and saved networks hold them.

    Options of the attention operator that are None take the operator's default. An option that has no effect in a
    combination is an error.

    Example:
        >>> SAMSAOptions(channels=64, num_layers=2).attention
        'samsa'
        >>> SAMSAOptions(bridge=False, num_codes=2)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: num_codes: got 2, expected the default 1, because bridge is False
    """

    channels: Annotated[int, Option("Channels D of a token; a multiple of heads.", low=1, high=2**16)] = 128
    num_layers: Annotated[int, Option("Number of blocks L.", low=1, high=1000)] = 24
    ffn_channels: Annotated[
        int | None, Option("Hidden channels of the feed-forward networks; empty for 4 D.", low=1, high=2**18)
    ] = None
    act: Annotated[str, Option("Activation of the feed-forward networks; ReLU is faster.", FUSED_ACTIVATIONS)] = "gelu"
    dropout: Annotated[float, Option("Dropout of the feed-forward networks and the head.", low=0, below=1)] = 0.0
    drop_path: Annotated[
        float, Option("Probability that the residual branch of a graph is dropped in training.", low=0, below=1)
    ] = 0.0
    rezero: Annotated[str, Option("One ReZero scalar for all blocks (the paper), or one per block.", REZERO)] = "shared"
    checkpointing: Annotated[
        bool, Option("Whether blocks are computed again in the backward pass: less memory, a third more time.")
    ] = False

    attention: Annotated[str, Option("Attention operator of the blocks.", OPERATORS)] = "samsa"
    local: Annotated[
        str | None, Option("Message passing beside the attention, along the edges; empty for none.", LOCAL_LAYERS)
    ] = None
    heads: Annotated[int, Option("Number of attention heads H.", low=1, high=1024)] = 8
    num_samples: NumSamples | None = None
    sampling: Sampling | None = None
    tau: Tau | None = None
    noise: Noise | None = None
    attn_dropout: AttentionDropout = 0.0
    attn_backend: AttentionBackend | None = None
    attention_options: Mapping[str, Any] | None = None

    tokenizer: Annotated[
        str | None,
        Option("A tokenizer that was registered; empty for Graph-Bridge or nodes, as bridge says.", TOKENIZERS),
    ] = None
    tokenizer_options: Mapping[str, Any] | None = None
    bridge: Annotated[bool, Option("Whether edges are tokens too (Graph-Bridge), or nodes only.")] = True
    num_codes: Annotated[int, Option("Codes per node in Graph-Bridge; 0 is the ablation without noise.", (0, 1, 2))] = 1
    eval_codes: Annotated[str, Option("What the codes are derived from in evaluation.", EVAL_CODES)] = "structural"
    sigma: Annotated[float, Option("Initial standard deviation of the noise in the codes.", above=0)] = 1.0
    positions: Annotated[
        str, Option("What is added to nodes: nothing, or sinusoids of their places, for sequences.", POSITIONS)
    ] = "none"
    coordinate_free: Annotated[
        bool, Option("Point clouds with SFT: tokens do not know coordinates, so that rotations change nothing.")
    ] = False
    centroid_distance: Annotated[
        bool, Option("Whether coordinate-free tokens know their distance to the centroid.")
    ] = False
    pe_channels: Annotated[
        int, Option("Width of the positional encodings of nodes, 0 for none.", low=0, high=2**16)
    ] = 0
    flip_signs: Annotated[
        bool | int,
        Option("Whether signs of positional encodings are flipped at random in training, or of how many.", low=0),
    ] = False
    pe_kind: Annotated[
        str | None, Option("Encodings that the network computes from the edges if none are passed.", NODE_ENCODINGS)
    ] = None
    pe_role: Annotated[
        str,
        Option(
            "What positional encodings do: they are added to nodes, or their distances weight the messages of local "
            "gine or gatedgcn, without or with a learned map.",
            PE_ROLES,
        ),
    ] = "add"
    pe_options: Mapping[str, Any] | None = None
    modality_vector: Annotated[
        bool, Option("Whether a learned vector is added to all tokens, by which a trunk tells modalities apart.")
    ] = False
    num_eval_samples: Annotated[int, Option("Draws of codes that an evaluation averages.", low=1, high=1000)] = 1

    level: Annotated[str, Option("What is predicted for.", LEVELS)] = "graph"
    pool: Annotated[str, Option("Pooling of the tokens of a graph.", POOLS)] = "attention"
    towers: Annotated[int, Option("Consecutive graphs that share one prediction.", low=1, high=1000)] = 1
    interaction: Annotated[
        str, Option("Pairs: the head sees [a, b] (the paper), or [a, b, a b, |a - b|].", INTERACTIONS)
    ] = "concat"
    context: Annotated[bool, Option("Node level: whether the head also sees the pooled graph.")] = False
    num_categories: Annotated[
        int, Option("Node level: categories of graphs that the head is told.", low=0, high=2**20)
    ] = 0
    graph_channels: Annotated[
        int, Option("Features of a whole graph that the head sees; 0 for none.", low=0, high=2**20)
    ] = 0
    graph_levels: Annotated[
        int,
        Option(
            "Largest number of thresholds by which these features are encoded; 0 for scaled values.", low=0, high=2**20
        ),
    ] = 0
    graph_hidden: Annotated[
        int | None, Option("Channels of these features encoded; empty for channels.", low=1, high=2**16)
    ] = None
    graph_dropout: Annotated[
        float | None, Option("Dropout of these features before they are encoded; empty for dropout.", low=0, below=1)
    ] = None
    edge_decoding: Annotated[
        str, Option("Link level: how the vectors of both nodes of a pair become its score.", EDGE_DECODINGS)
    ] = "dot"
    head_norm: Annotated[
        str, Option("Whether the head sees pooled vectors as they are (the paper) or normalised.", HEAD_NORMS)
    ] = "none"
    scale_targets: Annotated[bool, Option("Whether outputs are scaled to the units of the targets.")] = False

    def __post_init__(self) -> None:
        check_options(type(self), vars(keep_plain(self)))
        check_integer("channels", self.channels)
        self._check_memory()
        encoding_options(self.pe_options, self.channels, computed=self.pe_kind is not None)
        needed_without: tuple[str, ...]
        if not self.pe_channels:
            self._must_be_default(("flip_signs", "pe_kind", "pe_role", "pe_options"), "pe_channels is 0")
        if self.pe_role != "add" and self.local not in GATED_BY_DISTANCE:
            hint = f"Set local to {' or '.join(GATED_BY_DISTANCE)}."
            expected = f"'add', because no messages of local {self.local!r} can be weighted by distances"
            raise ConfigError("pe_role", self.pe_role, expected, hint=hint)
        if self.tokenizer is not None:
            self._must_be_default(OF_TOKENIZER, f"tokenizer is {self.tokenizer!r}")
            return
        if self.tokenizer_options:
            raise ConfigError("tokenizer_options", dict(self.tokenizer_options), "nothing without a tokenizer")
        if self.bridge:
            needed_without = ("coordinate_free", "centroid_distance")
        else:
            needed_without = ("num_codes", "eval_codes", "sigma")
        self._must_be_default(needed_without, f"bridge is {self.bridge}")
        if self.local == "incidence" and not self.bridge:
            raise ConfigError("local", self.local, "a layer for nodes, because bridge is False: edges are no tokens")
        if not self.coordinate_free:
            self._must_be_default(("centroid_distance",), "coordinate_free is False")
        elif self.pe_role != "add":
            raise ConfigError("pe_role", self.pe_role, "'add' with coordinate_free")
        elif self.pe_options:
            raise ConfigError("pe_options", dict(self.pe_options), "none with coordinate_free")
        elif self.positions != "none":
            raise ConfigError("positions", self.positions, "'none' with coordinate_free")
        if not self.has_draws:
            self._must_be_default(("num_eval_samples",), "no token holds a random code")

    @property
    def has_draws(self) -> bool:
        """Whether tokens hold random codes."""
        return self.coordinate_free or (self.bridge and self.num_codes > 0)

    def _must_be_default(self, names: tuple[str, ...], reason: str) -> None:
        check_no_effect(type(self), {name: getattr(self, name) for name in names}, reason=reason)

    def least_weights(self) -> int:
        """Return how many weights a network of these options has at least: those of its largest matrices.

        Example:
            >>> SAMSAOptions(channels=64, num_layers=2).least_weights()
            98304
        """
        layer = 2 * self.channels * (self.ffn_channels or 4 * self.channels) + 4 * self.channels**2
        if self.attention in _WITH_SUPPORT and self.num_samples:
            layer += 4 * self.num_samples * self.channels
        hidden = self.graph_hidden or self.channels
        features = hidden * (self.graph_levels or self.graph_channels)
        encoders = encoding_options(self.pe_options).least_weights(self.channels) if self.pe_options else 0
        return self.num_layers * layer + encoders + features + (self.graph_hidden or 0) ** 2

    def _check_memory(self) -> None:
        """Refuse a network whose weights alone do not fit into the memory of this machine."""
        name = max(_COMMON, key=lambda name: (getattr(self, name) or 0) / _COMMON[name])
        check_memory(name, getattr(self, name), self.least_weights())

    def operator(self) -> dict[str, Any]:
        """Return the arguments of the attention operator that are set.

        Raises:
            ConfigError: An argument is set twice.

        Example:
            >>> SAMSAOptions(num_samples=32, attn_dropout=0.1).operator()
            {'heads': 8, 'dropout': 0.1, 'num_samples': 32}
        """
        options: dict[str, Any] = {"heads": self.heads}
        if self.attn_dropout:
            options["dropout"] = self.attn_dropout
        for name in OPERATOR_ARGUMENTS:
            if getattr(self, name) is not None:
                options[name] = getattr(self, name)
        for name, value in (self.attention_options or {}).items():
            if name in options:
                raise ConfigError(f"attention_options: {name}", value, f"left out: {name} is set already")
            options[name] = value
        return options
