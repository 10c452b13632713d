"""The settings ``pe.*`` of positional encodings, as the arguments of ``pyg_samsa.nn.SAMSA``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets.encodings import encoding_widths
from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.node_encodings import EIGENVECTORS, SPECTRUM, WITH_SPECTRUM
from pyg_samsa.graphgym.layer_type import refuse_role, weights_messages
from pyg_samsa.graphgym.settings import key_of, values_for
from pyg_samsa.nn.encoding.joined_encoder import EncodingOptions, unread, without_defaults
from pyg_samsa.nn.encoding.joined_encoder import encoding_options as read_options
from pyg_samsa.nn.encoding.laplacian_encoder import SPECTRAL_MODELS
from pyg_samsa.nn.encoding.structural_encoder import COLUMN_MODELS

PE_OPTIONS = "pe_options: "


def node_width(options: Mapping[str, Any]) -> int:
    """Return the channels of the encoded features of a node, without encodings that are concatenated with them.

    Args:
        options: Options of a network.

    Raises:
        ConfigError: There are none left, or heads of the encoding do not fit.

    Example:
        >>> node_width({"channels": 16, "pe_options": {"channels": 4}})
        12
    """
    try:
        return int(options["channels"]) - read_options(options.get("pe_options"), options["channels"]).width
    except ConfigError as error:
        raise as_setting(error) from None


def as_setting(error: ConfigError) -> ConfigError:
    """Return an error about an option of encodings by the name of its setting."""
    return error.renamed(f"pe.{error.key.removeprefix(PE_OPTIONS)}")


def encoding_options() -> dict[str, Any]:
    """Return the width of the positional encodings of ``pe.*``, which of them are eigenvectors, and what they do.

    Raises:
        ConfigError: Their distances are to weight messages, and there are no encodings, or no such messages.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> encoding_options()
        {'pe_channels': 0, 'flip_signs': False, 'pe_role': 'add'}
    """
    widths, role = encoding_widths(cfg.pe.kind, cfg.pe.dim, cfg.pe.steps), cfg.pe.role
    eigenvectors: bool | int = not EIGENVECTORS.keys().isdisjoint(widths)
    if len(widths) > 1:
        eigenvectors = cfg.pe.dim
    options = values_for(EncodingOptions, cfg)
    if SPECTRUM in widths:
        if role != "add":
            hint = "Distances are those of eigenvectors without eigenvalues: pe.kind lap1."
            raise ConfigError("pe.role", role, f"'add' with pe.kind {cfg.pe.kind}", hint=hint)
        options["model"] = options["model"] or "deepset"
        eigenvectors = cfg.pe.dim
    _check_encoder_options(options, widths, role)
    if role != "add":
        if not widths:
            raise ConfigError("pe.role", role, "'add' without encodings", hint="Set pe.kind lap, or leave out pe.role.")
        if not weights_messages():
            raise refuse_role()
        # Their signs need not be flipped: SAMSA is told how many there are, to compute both kinds itself.
        eigenvectors = eigenvectors if cfg.model.type == "samsa" and len(widths) > 1 else False
    found = {"pe_channels": sum(widths.values()), "flip_signs": eigenvectors, "pe_role": role}
    given = without_defaults(options)
    return found | ({"pe_options": given} if given else {})


def unread_encoder_options() -> list[str]:
    """Return the settings ``pe.*`` of encoders that have no effect with the kind of encodings and their model.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.pe.kind, cfg.pe.model = "rwse", "mlp"
        >>> "pe.layers" in unread_encoder_options(), "pe.heads" in unread_encoder_options()
        (False, True)
        >>> set_cfg(cfg)
    """
    kind, model = cfg.pe.kind, cfg.pe.model
    names = tuple(EncodingOptions.__dataclass_fields__)
    if kind != "none" and cfg.pe.role == "add":
        if kind in WITH_SPECTRUM:
            names = unread("deepset" if model is None else model, cfg.pe.walk_model)
            names += () if "+" in kind else ("walk_channels", "walk_model", "walk_layers", "walk_norm")
        else:
            names = unread(model)
        allowed = SPECTRAL_MODELS if kind in WITH_SPECTRUM else COLUMN_MODELS
        names += () if model is None or model in allowed else ("model",)
    return list(dict.fromkeys(key_of(EncodingOptions, name) for name in names))


def _check_encoder_options(options: dict[str, Any], widths: Mapping[str, int], role: str) -> None:
    """Refuse settings of encoders without effect, by the name of the setting."""
    known = {key_of(EncodingOptions, name): value for name, value in without_defaults(options).items()}
    models = SPECTRAL_MODELS if SPECTRUM in widths else COLUMN_MODELS
    if widths and role == "add" and options["model"] not in (None, *models):
        raise ConfigError("pe.model", options["model"], f"{' or '.join(models)} with pe.kind {cfg.pe.kind}")
    for key in unread_encoder_options():
        if key in known:
            chosen = f"pe.kind {cfg.pe.kind}, pe.role {role}, pe.model {cfg.pe.model or 'empty'}"
            raise ConfigError(key, known[key], f"nothing, because it has no effect with {chosen}")
    try:
        EncodingOptions(**options)
        if len(widths) > 1 and SPECTRUM in widths and options["channels"] and not options["walk_channels"]:
            raise ConfigError("walk_channels", None, "a number above 0, because pe.channels is one")
    except ConfigError as error:
        raise as_setting(error) from None
