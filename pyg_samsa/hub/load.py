"""Reads models from folders. Nothing in such a folder is ever executed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from pyg_samsa._version import __version__
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.hub.folder import CONFIG, COPY_AGAIN, WEIGHTS, find_pretrained
from pyg_samsa.hub.model_config import CLASSES, ModelConfig, read_config
from pyg_samsa.nn import SAMSA, SAMSAOptions

_SIZES = (
    "channels",
    "num_layers",
    "ffn_channels",
    "num_samples",
    "out_channels",
    "in_channels",
    "edge_channels",
    "graph_channels",
    "graph_hidden",
    "pe_channels",
    "num_categories",
    "towers",
)


def load_pretrained(name: str | os.PathLike[str]) -> tuple[SAMSA, ModelConfig]:
    """Read a model, on the CPU and in evaluation mode.

    Args:
        name: Folder that `save_pretrained` wrote, folder of a run, or name of a model that comes with the package.

    Returns:
        The network, and the content of ``config.json``.

    Raises:
        DataNotFoundError: There is no such folder, a file is missing, or the folder holds a predictor and no network of
            its own; `pyg_samsa.predict.load_predictor` reads it.
        DataIntegrityError: A file is damaged, or weights and options do not match.
        ConfigError: The class or an option is unknown.

    Example:
        >>> model, config = load_pretrained("peptides")
        >>> config.task.names
        ('antimicrobial', 'anticancer', 'transmembrane')
    """
    folder = find_pretrained(name)
    config = read_config(folder)
    state = read_weights(folder / WEIGHTS)
    model = _build(config, state, folder / CONFIG)
    _check_weights(model, state, folder / WEIGHTS)
    model.load_state_dict(state)
    return model.eval(), config


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read ``model.safetensors``.

    Raises:
        DataNotFoundError: The file does not exist.
        DataIntegrityError: The file is damaged.

    Example:
        >>> weights = read_weights(find_pretrained("peptides") / WEIGHTS)
        >>> weights["encoder.alpha"].ndim
        0
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file", hint=COPY_AGAIN)
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        got = f"a truncated or damaged file ({reason})"
        raise DataIntegrityError(path, "a safetensors file", got, hint=COPY_AGAIN) from error


def _build(config: ModelConfig, state: Mapping[str, Tensor], path: Path) -> SAMSA:
    known = {"in_channels", "out_channels", "edge_channels", *SAMSAOptions.__dataclass_fields__}
    for name in config.options:
        if name not in known:
            hint = f"Written by pyg_samsa {config.version}; this is {__version__}. Update it."
            raise ConfigError(f"{path}: options", name, f"an option of {config.class_name}", hint=hint)
    # Shapes can be compared only after the network is built: a description of a huge network must not fill the memory.
    largest = max([len(state), *(max(value.shape, default=1) for value in state.values())])
    for name in _SIZES:
        # No weight is as large as the features of a graph that are encoded by levels.
        if name == "graph_channels" and config.options.get("graph_levels"):
            name = "graph_levels"
        value = config.options.get(name)
        size = sum(value) if isinstance(value, list) and all(isinstance(item, int) for item in value) else value
        if isinstance(size, int) and size > largest:
            raise DataIntegrityError(path, f"the {name} of the weights", str(value)[:80], hint=COPY_AGAIN)
    for part in ("attention_options", "tokenizer_options", "pe_options"):
        options = config.options.get(part)
        for name, value in options.items() if isinstance(options, Mapping) else ():
            if (name.startswith("num_") or name.endswith("channels")) and isinstance(value, int) and value > largest:
                raise DataIntegrityError(path, f"the {name} of the weights", str(value)[:80], hint=COPY_AGAIN)
    try:
        options = {name: value for name, value in config.options.items() if name in SAMSAOptions.__dataclass_fields__}
        least, found = SAMSAOptions(**options).least_weights(), sum(value.numel() for value in state.values())
        if least > found:
            got = f"options of a network with at least {least:,}"
            raise DataIntegrityError(path, f"options of a network with the {found:,} weights beside it", got)
        return CLASSES[config.class_name].from_options(**config.options)
    except ConfigError as error:
        hint = error.hint
        if config.modules:
            names = " ".join(f"--import {name}" for name in config.modules)
            hint = f"A part of this network was registered by {', '.join(config.modules)}: pass {names}, or import it."
        raise ConfigError(f"{path}: {error.key}", error.value, error.expected, hint=hint) from error
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise DataIntegrityError(
            path, f"options of {config.class_name}", f"others ({reason})", hint=COPY_AGAIN
        ) from error


def _check_weights(model: SAMSA, state: Mapping[str, Tensor], path: Path) -> None:
    expected = model.state_dict()
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    hint = f"{CONFIG} and {WEIGHTS} are of different models. {COPY_AGAIN}"
    if missing:
        got = f"no such weight ({len(missing)} of {len(expected)} are missing)"
        raise DataIntegrityError(path, f"the weight {missing[0]}", got, hint=hint)
    if extra:
        raise DataIntegrityError(path, f"{len(expected)} weights", f"{len(extra)} more, such as {extra[0]}", hint=hint)
    for name, weight in expected.items():
        if weight.shape != state[name].shape:
            shapes = f"{name} {list(weight.shape)}", f"{name} {list(state[name].shape)}"
            raise DataIntegrityError(path, *shapes, hint=hint)
