"""Encoders of positional encodings, made of options, whose results are concatenated with the nodes or added to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleList

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.laplacian_spectrum import LAPLACIANS, VECTOR_NORMS, Laplacian, VectorNorm
from pyg_samsa.nn.encoding.laplacian_encoder import RAW_NORMS, SPECTRAL_MODELS, LaplacianEncoder
from pyg_samsa.nn.encoding.positional import PositionalEncoder, check_encodings
from pyg_samsa.nn.encoding.structural_encoder import COLUMN_MODELS, StructuralEncoder
from pyg_samsa.options import Option, check_memory, check_options, keep_plain
from pyg_samsa.typing import Float, Int

_WIDTH = 2**16
_DEPTH = 100


@dataclass(frozen=True)
class EncodingOptions:
    """How positional encodings become channels of the nodes; None is the default, and a default that is given is none.

    Without any option, encodings are mapped by a `PositionalEncoder`, which limits them after the normalisation. With
    the models ``"deepset"`` and ``"transformer"`` they are a spectrum, for a `LaplacianEncoder`; others are encoded by
    a `StructuralEncoder`. These limit nothing. ``laplacian`` and ``vector_norm`` describe a spectrum that a network
    computes itself. An option without effect is an error.

    Example:
        >>> EncodingOptions(model="deepset", channels=16).is_spectrum
        True
        >>> EncodingOptions(model="deepset", heads=2)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: heads: got 2, expected nothing, because model is 'deepset'
    """

    channels: Annotated[
        int | None,
        Option(
            "Channels of a node that are its encoding, beside those of its features; 0 or empty: the encoding is added "
            "to all channels.",
            low=0,
            high=_WIDTH,
        ),
    ] = None
    model: Annotated[
        str | None,
        Option(
            "Encoder: of a spectrum deepset or transformer, else linear or mlp; empty for deepset or linear.",
            (*SPECTRAL_MODELS, *COLUMN_MODELS),
        ),
    ] = None
    layers: Annotated[int | None, Option("Layers of deepset, transformer or mlp; empty for 2.", low=1, high=_DEPTH)] = (
        None
    )
    heads: Annotated[int | None, Option("Heads of transformer; empty for 4.", low=1, high=1024)] = None
    post_layers: Annotated[
        int | None, Option("Of a spectrum: layers after the sum; empty for 0.", low=0, high=_DEPTH)
    ] = None
    norm: Annotated[
        str | None,
        Option("Whether encodings are normalised over the batch; empty: not a spectrum, others are.", RAW_NORMS),
    ] = None
    walk_channels: Annotated[
        int | None, Option("The same as channels, of the walks beside a spectrum.", low=0, high=_WIDTH)
    ] = None
    walk_model: Annotated[
        str | None, Option("Encoder of walks beside a spectrum; empty for linear.", COLUMN_MODELS)
    ] = None
    walk_layers: Annotated[
        int | None, Option("Layers of mlp of walks beside a spectrum; empty for 2.", low=1, high=_DEPTH)
    ] = None
    walk_norm: Annotated[
        str | None, Option("Whether walks beside a spectrum are normalised over the batch; empty for batch.", RAW_NORMS)
    ] = None
    laplacian: Laplacian | None = None
    vector_norm: VectorNorm | None = None

    def __post_init__(self) -> None:
        check_options(type(self), vars(keep_plain(self)))
        given = self.given()
        for name in unread(self.model, self.walk_model):
            if name in given:
                value = given[name]
                model, key = (self.walk_model, "walk_model") if name == "walk_layers" else (self.model, "model")
                raise ConfigError(name, value, f"nothing, because {key} is {model or 'linear'!r}")
        if bool(self.channels) != bool(self.walk_channels) and self.walk_channels is not None:
            expected = "both above 0, or both 0: encodings are concatenated or added"
            raise ConfigError("walk_channels", self.walk_channels, f"{expected}; channels is {self.channels or 0}")
        if self.channels:
            self.check_heads(self.channels)

    def check_heads(self, channels: int) -> None:
        """Refuse heads of a transformer that do not divide its channels.

        Args:
            channels: Channels C of the encoding.

        Raises:
            ConfigError: They do not.

        Example:
            >>> EncodingOptions(model="transformer", heads=3).check_heads(64)
            Traceback (most recent call last):
            pyg_samsa.errors.ConfigError: heads: got 3, expected a divisor of 64 channels of the encoding
        """
        heads = self.heads or _DEFAULTS["heads"]
        if self.model == "transformer" and channels % heads:
            raise ConfigError("heads", heads, f"a divisor of {channels} channels of the encoding")

    @property
    def is_spectrum(self) -> bool:
        """Whether the first encodings are a spectrum.

        Example:
            >>> EncodingOptions(model="linear").is_spectrum
            False
        """
        return self.model in SPECTRAL_MODELS

    @property
    def width(self) -> int:
        """Channels of a node that are its encodings; 0 if they are added to all.

        Example:
            >>> EncodingOptions(model="deepset", channels=16, walk_channels=20).width
            36
        """
        return (self.channels or 0) + (self.walk_channels or 0)

    def least_weights(self, channels: int) -> int:
        """Return how many weights the encoders have at least: those of their largest matrices.

        Args:
            channels: Channels D of a node.

        Example:
            >>> EncodingOptions(model="deepset", channels=8, layers=3).least_weights(64)
            384
        """
        width, layers = self.channels or channels, self.layers or 2
        walk_layers = (self.walk_layers or 2) if self.walk_model == "mlp" else 0
        found = _weights_of_mlp(self.walk_channels or channels, walk_layers)
        found += _weights_of_mlp(width, self.post_layers or 0)
        if self.model == "transformer":
            return found + layers * width * (4 * width + 4096)
        return found + (_weights_of_mlp(width, layers) if self.model in ("deepset", "mlp") else 0)

    def given(self) -> dict[str, Any]:
        """Return the options that are neither None nor the default.

        Example:
            >>> EncodingOptions(channels=16, norm="batch").given()
            {'channels': 16}
        """
        return without_defaults(asdict(self))


_DEFAULTS: dict[str, Any] = {
    "channels": 0,
    "model": "linear",
    "layers": 2,
    "heads": 4,
    "post_layers": 0,
    "norm": "batch",
}
_DEFAULTS |= {"walk_channels": 0, "walk_model": "linear", "walk_layers": 2, "walk_norm": "batch"}
_DEFAULTS |= {"laplacian": LAPLACIANS[0], "vector_norm": VECTOR_NORMS[0]}


def without_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `EncodingOptions` that are neither None nor the default.

    Args:
        options: Name -> value. The default of ``norm`` depends on the ``model``.

    Example:
        >>> without_defaults({"model": "deepset", "norm": "batch", "layers": 2}), without_defaults({"norm": "batch"})
        ({'model': 'deepset', 'norm': 'batch'}, {})
    """
    defaults = _DEFAULTS | ({"norm": "none"} if options.get("model") in SPECTRAL_MODELS else {})
    return {name: value for name, value in options.items() if value not in (None, defaults[name])}


def _weights_of_mlp(channels: int, layers: int) -> int:
    return 4 * max(0, layers - 2) * channels**2 + (2 * channels**2 if layers > 1 else 0)


_OF_SPECTRUM = ("post_layers", "laplacian", "vector_norm", "walk_channels", "walk_model", "walk_layers", "walk_norm")


def unread(model: str | None, walk_model: str | None = None) -> tuple[str, ...]:
    """Return the names of the options that have no effect with these models.

    Args:
        model: Model of the first encodings; None for the linear one.
        walk_model: Model of the walks beside a spectrum.

    Example:
        >>> unread("deepset", "mlp"), unread("mlp")[:2]
        (('heads',), ('heads', 'post_layers'))
    """
    names: tuple[str, ...] = () if model in ("deepset", "transformer", "mlp") else ("layers",)
    names += () if model == "transformer" else ("heads",)
    if model not in SPECTRAL_MODELS:
        return (*names, *_OF_SPECTRUM)
    return names if walk_model == "mlp" else (*names, "walk_layers")


class JoinedEncoder(Module):
    r"""Encoders of positional encodings, each of some of the columns.

    .. math::
        h_i = [\mathrm{E}_1(\mathrm{pe}_i^{(1)}), \mathrm{E}_2(\mathrm{pe}_i^{(2)})] \quad \text{or} \quad
        h_i = \mathrm{E}_1(\mathrm{pe}_i^{(1)}) + \mathrm{E}_2(\mathrm{pe}_i^{(2)})

    Args:
        encoders: Encoders, called as `PositionalEncoder`.
        widths: How many columns of the encodings each of them gets.
        concatenated: Whether results are concatenated, and will be with the nodes; else they are added.

    Shapes:
        - **input:** encodings [N, P], graph numbers [N]
        - **output:** [N, C]

    Raises:
        ShapeError: The encodings are missing or have another shape.
        NumericalError: An encoding is not finite.

    Example:
        >>> encoders = [LaplacianEncoder(8, 16), StructuralEncoder(20, 12)]
        >>> JoinedEncoder(encoders, [16, 20], True)(torch.rand(3, 36), torch.tensor([0, 0, 1]), 2).shape
        torch.Size([3, 28])

    Cost: That of the encoders.
    """

    def __init__(self, encoders: list[Module], widths: list[int], concatenated: bool) -> None:
        super().__init__()
        self.encoders, self.widths, self.concatenated = ModuleList(encoders), list(widths), concatenated

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for encoder in self.encoders:
            encoder.reset_parameters()  # type: ignore[operator]

    def forward(
        self, pe: Float[Tensor, "N P"] | None, graph: Int[Tensor, " N"], num_graphs: int
    ) -> Float[Tensor, "N C"]:
        """Return the results of the encoders.

        Args:
            pe: Encodings of the nodes.
            graph: Graph number of every node.
            num_graphs: Number of graphs.

        Example:
            >>> encoder = JoinedEncoder([StructuralEncoder(2, 8), StructuralEncoder(1, 8)], [2, 1], False)
            >>> encoder(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), 1).shape  # no nodes
            torch.Size([0, 8])
        """
        columns = check_encodings(pe, graph.size(0), sum(self.widths)).split(self.widths, dim=1)
        found = [encoder(part, graph, num_graphs) for encoder, part in zip(self.encoders, columns, strict=True)]
        return torch.cat(found, dim=1) if self.concatenated else torch.stack(found).sum(0)

    def extra_repr(self) -> str:
        """Return the widths as they appear in the ``repr``."""
        return f"widths={self.widths}, concatenated={self.concatenated}"


def make_position_encoder(
    pe_channels: int, channels: int, flip_signs: bool | int = False, options: Mapping[str, Any] | None = None
) -> PositionalEncoder | JoinedEncoder:
    r"""Return the encoder of positional encodings that options describe, :math:`\mathrm{pe}_i \mapsto h_i`.

    Args:
        pe_channels: Width P of the encodings. With a spectrum of K eigenvectors, 2 K columns, then those of walks.
        channels: Channels D of a node.
        flip_signs: Whether to flip signs in training, or of how many columns; with a spectrum the number K, or True if
            there are no walks.
        options: Those of `EncodingOptions` that are set; None for a `PositionalEncoder`.

    Raises:
        ConfigError: An option is unknown, not allowed, or has no effect.

    Example:
        >>> type(make_position_encoder(4, 16)).__name__
        'PositionalEncoder'
        >>> make_position_encoder(12, 64, 4, {"model": "deepset", "channels": 8, "walk_channels": 8}).widths
        [8, 4]
    """
    own = encoding_options(options, channels)
    given = own.given()
    if not given:
        return PositionalEncoder(pe_channels, channels, flip_signs)
    check_memory("pe_options", given, own.least_weights(channels))
    width = own.channels or channels
    if not own.is_spectrum:
        column = {name: value for name, value in given.items() if name in ("model", "layers", "norm")}
        encoder = StructuralEncoder(pe_channels, width, flip_signs=flip_signs, **column)
        return JoinedEncoder([encoder], [pe_channels], bool(own.channels))
    count = pe_channels // 2 if flip_signs is True and pe_channels % 2 == 0 else int(flip_signs)
    walks = pe_channels - 2 * count
    if count < 1 or walks < 0 or (flip_signs is True and pe_channels % 2):
        expected = f"the number of eigenvectors, which have two of the {pe_channels} columns each"
        raise ConfigError("flip_signs", flip_signs, expected)
    spectral = {name: value for name, value in given.items() if name in _OF_LAPLACIAN_ENCODER}
    encoders: list[Module] = [LaplacianEncoder(count, width, **spectral)]
    of_walks = {name.removeprefix("walk_"): value for name, value in given.items() if name.startswith("walk_")}
    if not walks:
        if of_walks:
            name, value = next(iter(of_walks.items()))
            raise ConfigError(
                f"pe_options: walk_{name}", value, "nothing, because there are no walks beside the spectrum"
            )
        return JoinedEncoder(encoders, [pe_channels], bool(own.channels))
    if own.channels and not own.walk_channels:
        raise ConfigError("pe_options: walk_channels", None, "a number above 0, because channels is one")
    walk_width = of_walks.pop("channels", 0) or channels
    encoders.append(StructuralEncoder(walks, walk_width, **of_walks))
    return JoinedEncoder(encoders, [2 * count, walks], bool(own.channels))


_OF_LAPLACIAN_ENCODER = ("model", "layers", "heads", "post_layers", "norm")


_OF_COMPUTED = ("laplacian", "vector_norm")


def encoding_options(
    options: Mapping[str, Any] | None, channels: int | None = None, *, computed: bool = True
) -> EncodingOptions:
    """Return options as a dataclass.

    Args:
        options: Name -> value; None for none.
        channels: Channels D of a node, which the encodings must fit; None if they are not known.
        computed: Whether the network computes encodings, which ``laplacian`` and ``vector_norm`` describe.

    Raises:
        ConfigError: An option is unknown, not allowed, does not fit the channels, or has no effect.

    Example:
        >>> encoding_options({"models": "mlp"})
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: pe_options: got 'models', expected one of ...
    """
    known = tuple(EncodingOptions.__dataclass_fields__)
    if not isinstance(options, Mapping | None):
        raise ConfigError("pe_options", options, "options of EncodingOptions, or None")
    for name in options or {}:
        if name not in known:
            raise ConfigError("pe_options", name, known)
    try:
        own = EncodingOptions(**(options or {}))
        if channels is not None and own.width >= channels:
            raise ConfigError("channels", own.width, f"less than the channels of a node ({channels})")
        if channels is not None and not own.channels:
            own.check_heads(channels)
        for name, value in own.given().items():
            if name in _OF_COMPUTED and not computed:
                raise ConfigError(name, value, "nothing, because this network does not compute encodings itself")
    except ConfigError as error:
        raise error.renamed(f"pe_options: {error.key}") from None
    return own


def without_computed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `EncodingOptions` for a network that gets its encodings.

    Args:
        options: Name -> value.

    Example:
        >>> without_computed({"model": "deepset", "laplacian": "none"})
        {'model': 'deepset'}
    """
    return {name: value for name, value in options.items() if name not in _OF_COMPUTED}


def with_positions(
    h: Float[Tensor, "T F"],
    encoder: PositionalEncoder | JoinedEncoder,
    pe: Float[Tensor, "N P"] | None,
    graph: Int[Tensor, " N"],
    num_graphs: int,
    rows: Int[Tensor, " N"] | None = None,
) -> Float[Tensor, "T D"]:
    r"""Return nodes with their positional encodings, :math:`h_i + \mathrm{E}(\mathrm{pe}_i)` or :math:`[h_i,
    \mathrm{E}(\mathrm{pe}_i)]`.

    Args:
        h: Encoded features of the nodes, or of tokens.
        encoder: From `make_position_encoder`.
        pe: Positional encodings of the nodes.
        graph: Graph number of every node.
        num_graphs: Number of graphs.
        rows: Which of the tokens each node is; the encoding of others is zero. None if tokens are nodes.

    Example:
        >>> encoder = make_position_encoder(4, 16, options={"channels": 6})
        >>> with_positions(torch.ones(3, 10), encoder, torch.rand(3, 4), torch.tensor([0, 0, 1]), 2).shape
        torch.Size([3, 16])
    """
    encoded = encoder(pe, graph, num_graphs)
    if rows is not None:
        encoded = encoded.new_zeros(h.size(0), encoded.size(1)).index_copy(0, rows, encoded)
    if getattr(encoder, "concatenated", False):
        return torch.cat([h, encoded.to(h.dtype)], dim=1)
    return h + encoded
