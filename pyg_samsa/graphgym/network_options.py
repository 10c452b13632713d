"""The settings of a network, as the arguments of ``pyg_samsa.nn.SAMSA``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.encoding_settings import PE_OPTIONS, as_setting, encoding_options
from pyg_samsa.graphgym.layer_type import parse_layer_type
from pyg_samsa.graphgym.settings import (
    ALIASES,
    FIXED_IN_SAMSA,
    FROM_DATA,
    SETTINGS,
    UNSET_FLOAT,
    UNSET_INT,
    key_of,
    part_settings,
    value_of,
    values_for,
)
from pyg_samsa.nn import OPERATORS, TOKENIZERS, SAMSAOptions
from pyg_samsa.nn.conv.operators import operator_options
from pyg_samsa.nn.models.samsa_options import OPERATOR_ARGUMENTS
from pyg_samsa.nn.readout import POOLS
from pyg_samsa.task import MASKED


def model_options() -> dict[str, Any]:
    """Return the options of `pyg_samsa.nn.SAMSA.from_options` that the configuration holds.

    Raises:
        ConfigError: A setting of other networks is set, or see `samsa_options`.
    """
    for key, fixed in FIXED_IN_SAMSA.items():
        if (value := value_of(key, cfg)) != fixed:
            hint = "This setting is for the networks gcn, gcnii, gine, gatedgcn, mlp, gps, graphormer and san."
            raise ConfigError(key, value, f"{fixed!r} with this network", hint=hint)
    return samsa_options()


def samsa_options() -> dict[str, Any]:
    """Return the same for a network that uses other settings beside those of ``samsa.*``, such as GraphGym's ``gnn``.

    Raises:
        ConfigError: ``gt.*`` and ``samsa.*`` contradict each other, there is no such readout, or a setting has no
            effect with this attention operator.
    """
    values = values_for(SAMSAOptions, cfg)
    names = {key_of(SAMSAOptions, name): name for name in values}
    for other, key in ALIASES.items():
        value, name = value_of(other, cfg), names[key]
        if value in (UNSET_INT, UNSET_FLOAT) and SETTINGS[other].default == value:
            continue
        if values[name] not in (SETTINGS[key].default, value):
            raise ConfigError(other, value, f"the same as {key} ({values[name]})", hint="Set only one of the two.")
        values[name] = value
    if cfg.gt.layer_type != "samsa":
        for name, value in parse_layer_type(cfg.gt.layer_type).items():
            default = SETTINGS[key_of(SAMSAOptions, name)].default
            if values[name] not in (default, value):
                key = key_of(SAMSAOptions, name)
                expected = f"one that agrees with {key} {values[name]}"
                hint = f"Set gt.layer_type alone, or {key} alone."
                raise ConfigError("gt.layer_type", cfg.gt.layer_type, expected, hint=hint)
            values[name] = value
    attention, tokenizer = values["attention"], values["tokenizer"]
    values["attention_options"] = _options_of_part("samsa.attention", OPERATORS, attention)
    values["tokenizer_options"] = _options_of_part("samsa.tokenizer", TOKENIZERS, tokenizer)
    takes = operator_options(attention)
    if FROM_DATA in takes:
        # A place in a sequence is one number; other data have positions.
        dims = 1 if cfg.samsa.positions == "sinusoidal" and not cfg.share.num_dims else cfg.share.num_dims
        values["attention_options"] = {**(values["attention_options"] or {}), FROM_DATA: dims}
    values |= {**encoding_options(), "pe_kind": cfg.pe.kind if cfg.pe.kind != "none" else None}
    pooling = cfg.model.graph_pooling
    if pooling in POOLS:
        values["pool"] = pooling
    elif pooling != "add":
        raise ConfigError("model.graph_pooling", pooling, POOLS, hint="Or remove this setting and set samsa.pool.")
    refused = [name for name in OPERATOR_ARGUMENTS if values[name] is not None and name not in takes]
    if refused:
        keys = [key_of(SAMSAOptions, name) for name in refused]
        _refuse(keys[0], values[refused[0]], None, f"samsa.attention is {attention!r}", keys)
    return values


def asks_for_masked() -> bool:
    """Say whether the settings ask for training without labels.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> asks_for_masked()
        False
    """
    return MASKED in (cfg.dataset.task_type, cfg.dataset.get("csv_task"))


def edges_are_tokens() -> bool:
    """Say whether the network makes tokens of edges, so that a graph has N + E tokens instead of N."""
    if cfg.model.type != "samsa":
        return True
    return TOKENIZERS[cfg.samsa.tokenizer].edges_are_tokens if cfg.samsa.tokenizer else cfg.samsa.bridge


OF_GRAPH_FEATURES = ("graph_levels", "graph_hidden", "graph_dropout")
OF_READOUT = ("pool", "interaction", "context", "head_norm", *OF_GRAPH_FEATURES)
WITHOUT_GRAPH_FEATURES = ("bag_of_features", "point_net")
"""Networks that do not take features of whole graphs."""


@contextmanager
def named_as_settings(attention: str) -> Iterator[None]:
    """Let an error about an argument name the setting that feeds it.

    Args:
        attention: Name of the attention operator, whose own arguments are settings of its group.
    """
    try:
        yield
    except ConfigError as error:
        if error.key.startswith(PE_OPTIONS):
            raise as_setting(error) from None
        own, shared = part_settings(OPERATORS, attention), values_for(SAMSAOptions, cfg)
        if error.key in own:
            raise error.renamed(own[error.key]) from None
        if error.key in shared:
            raise error.renamed(key_of(SAMSAOptions, error.key)) from None
        raise


def _options_of_part(key: str, parts: Mapping[str, Any], chosen: str | None) -> dict[str, Any] | None:
    """Return the settings of an operator or a tokenizer that differ from their defaults, or None.

    Args:
        key: The setting that names the part.
        parts: The parts of this kind.
        chosen: The one that is used, if any.

    Raises:
        ConfigError: A setting of another one is set.
    """
    options: dict[str, Any] = {}
    for part in parts:
        for name, own in part_settings(parts, part).items():
            value, default = value_of(own, cfg), SETTINGS[own].default
            if value == default:
                continue
            if part != chosen:
                _refuse(own, value, default, f"{key} is {chosen!r}")
            options[name] = value
    return options or None


def _refuse(key: str, value: Any, default: Any, reason: str, keys: Sequence[str] = ()) -> NoReturn:
    """Raise an error about a setting without effect; ``keys`` are all settings of which the same holds."""
    text = "null" if default is None else str(default)
    hint = f"Set {' '.join(f'{each} {text}' for each in keys or (key,))}."
    raise ConfigError(key, value, f"{text}, because {reason}, which does not use it", hint=hint)
