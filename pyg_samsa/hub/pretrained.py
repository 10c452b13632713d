"""Networks in folders: weights as safetensors, everything else as JSON, and a card for people. Nothing in such a folder is ever run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyg_samsa._version import __version__
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, suggest
from pyg_samsa.hub.model_card import write_card
from pyg_samsa.io.files import atomic_directory
from pyg_samsa.nn import SAMSA, CategoricalEncoder, SAMSAOptions, num_parameters

FORMAT = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
CLASSES: dict[str, type[nn.Module]] = {"SAMSA": SAMSA}
"""The classes that a folder may name."""
KINDS = ("regression", "binary", "multilabel", "multiclass")
FEATURISERS = ("ogb",)
SHIPPED = Path(__file__).resolve().parents[1] / "pretrained"
"""Folder of the networks that come with the package."""
_MAX_JSON = 2**20
_AGAIN = "Copy the whole folder again, or write it again with save_pretrained."


def save_pretrained(
    model: nn.Module,
    directory: str | os.PathLike[str],
    *,
    task: Mapping[str, Any] | None = None,
    card: Mapping[str, str] | None = None,
) -> Path:
    """Write a network to a folder, whole or not at all: ``model.safetensors``, ``config.json`` and the model card ``README.md``.

    Args:
        model: A network of one of :data:`CLASSES`. Encoders given as modules must be such as a list of cardinalities or a width describes.
        directory: Folder to write; an earlier model in it is replaced, any other folder with something in it is left alone.
        task: What the outputs mean: ``kind`` (one of :data:`KINDS`), ``target_names``, ``featuriser`` (``"ogb"``), for regressions ``mean`` and
            ``std`` by which outputs are scaled back into their units, and ``metrics`` (split -> name -> value).
        card: Headline -> text (Markdown), added to the card.

    Returns:
        The folder.

    Raises:
        ConfigError: The network or the task cannot be described, or the folder holds something else.

    Example:
        >>> import tempfile
        >>> model = SAMSA.from_options([4, 2], 1, channels=8, num_layers=1, heads=2, num_samples=4)
        >>> folder = save_pretrained(model, Path(tempfile.mkdtemp()) / "model")
        >>> sorted(path.name for path in folder.iterdir()), load_pretrained(folder)[1]["class"]
        (['README.md', 'config.json', 'model.safetensors'], 'SAMSA')
    """
    from safetensors.torch import save

    folder = Path(directory)
    if folder.exists() and not (folder / CONFIG).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("directory", str(folder), "a folder that is empty, new, or holds an earlier model")
    config = {
        "format": FORMAT,
        "class": _class_name(model),
        "arguments": _described(model.options, model),  # type: ignore[arg-type]  # checked by _class_name
        "parameters": num_parameters(model, trainable=False),
        "task": None if task is None else check_task(task, origin="task"),
        "versions": _versions(),
    }
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_directory(folder, overwrite=True) as temporary:
        # Written as any file is: safetensors itself makes one that only its owner may read.
        (temporary / WEIGHTS).write_bytes(save(state, metadata={"format": "pt"}))
        (temporary / CONFIG).write_text(
            json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )
        (temporary / CARD).write_text(write_card(config, folder.name, card or {}), encoding="utf-8")
    return folder


def load_pretrained(directory: str | os.PathLike[str]) -> tuple[nn.Module, dict[str, Any]]:
    """Read a network from a folder, on the CPU and set to evaluation.

    Args:
        directory: Folder that :func:`save_pretrained` wrote, the folder of a run that has one as ``model``, or the name of a network that comes
            with the package.

    Returns:
        The network, and the content of ``config.json``.

    Raises:
        DataNotFoundError: There is no such folder, or a file of it is missing.
        DataIntegrityError: A file is damaged, or weights and configuration do not belong together.
        ConfigError: The configuration names a class or an argument that there is not.
    """
    folder = find_pretrained(directory)
    config = read_config(folder)
    state = read_weights(folder / WEIGHTS)
    model = _make(config, state, folder / CONFIG)
    _check_fit(model, state, folder / WEIGHTS)
    model.load_state_dict(state)
    return model.eval(), config


def shipped() -> list[str]:
    """Return the names of the networks that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{CONFIG}"))


def find_pretrained(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a network: as given, the ``model`` in the folder of a run, else among those that come with the package.

    Raises:
        DataNotFoundError: There is none; the names of those that come with the package are told.
    """
    given = Path(name).expanduser()
    for folder in (given, given / "model"):
        if (folder / CONFIG).is_file():
            return folder
    # A name is a plain word: a path that is wrong must not silently become another model.
    if str(name) in shipped():
        return SHIPPED / str(name)
    known = f", or a name of one that comes with the package: {', '.join(shipped())}" if shipped() else ""
    hint = suggest(str(name), shipped()) or f"Give a folder with {CONFIG} and {WEIGHTS}{known}."
    raise DataNotFoundError(f"{name}: no model there", hint=hint)


def read_config(folder: Path) -> dict[str, Any]:
    """Read and check ``config.json``.

    Raises:
        DataIntegrityError: It is no JSON, or not of the right form.
        ConfigError: It was written by a newer version, or names something that there is not.
    """
    path = folder / CONFIG
    try:
        if path.stat().st_size > _MAX_JSON:
            raise DataIntegrityError(path, "a small JSON file", f"{path.stat().st_size:,} bytes", hint=_AGAIN)
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataIntegrityError(path, "a JSON file", f"one that cannot be read ({reason})", hint=_AGAIN) from error
    if (
        not isinstance(config, dict)
        or not isinstance(config.get("format"), int)
        or not isinstance(config.get("arguments"), dict)
    ):
        raise DataIntegrityError(
            path, "the description of a network: format, class, arguments", "something else", hint=_AGAIN
        )
    if config["format"] > FORMAT:
        written = (
            config.get("versions", {}).get("pyg_samsa", "a newer version")
            if isinstance(config.get("versions"), dict)
            else "a newer version"
        )
        raise ConfigError(
            f"{path}: format",
            config["format"],
            f"at most {FORMAT}",
            hint=f"Written by pyg_samsa {written}; this is {__version__}. Update.",
        )
    if not isinstance(config.get("class"), str) or config["class"] not in CLASSES:
        raise ConfigError(f"{path}: class", config.get("class"), CLASSES)
    if config.get("task") is not None:
        config["task"] = check_task(config["task"], origin=str(path))
    return config


def check_task(task: Any, *, origin: str) -> dict[str, Any]:
    """Return the description of a task, complete and plain.

    Args:
        task: See :func:`save_pretrained`.
        origin: Where it comes from, for the errors.

    Raises:
        ConfigError: It is incomplete or contradicts itself.

    Example:
        >>> check_task({"kind": "regression", "target_names": ["logS"]}, origin="task")["target_names"]
        ['logS']
    """
    if not isinstance(task, Mapping):
        raise ConfigError(f"{origin}: task", type(task).__name__, "names and values: kind, target_names, ...")
    kind, names, featuriser = task.get("kind"), task.get("target_names"), task.get("featuriser", "ogb")
    if kind not in KINDS:
        raise ConfigError(f"{origin}: task.kind", kind, KINDS)
    if (
        not isinstance(names, Sequence)
        or isinstance(names, str)
        or not names
        or not all(isinstance(name, str) for name in names)
    ):
        raise ConfigError(f"{origin}: task.target_names", names, "a list of at least one name")
    if featuriser not in FEATURISERS:
        raise ConfigError(f"{origin}: task.featuriser", featuriser, FEATURISERS)
    plain: dict[str, Any] = {"kind": kind, "target_names": list(names), "featuriser": featuriser}
    metrics = task.get("metrics") or {}
    if not isinstance(metrics, Mapping):
        raise ConfigError(f"{origin}: task.metrics", type(metrics).__name__, "split -> name -> value")
    return {**plain, "metrics": _plain_metrics(metrics)}


def _plain_metrics(value: Any) -> Any:
    """JSON has no NaN: a metric that is not defined is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain_metrics(inner) for key, inner in value.items()}
    return (float(value) if math.isfinite(value) else None) if isinstance(value, float) else value


def _class_name(model: nn.Module) -> str:
    for name, known in CLASSES.items():
        if type(model) is known:
            return name
    raise ConfigError(
        "model",
        type(model).__name__,
        f"a network of the class {' or '.join(CLASSES)}",
        hint="Of a wrapped network, give the one inside.",
    )


def _described(arguments: Mapping[str, Any] | None, model: nn.Module) -> dict[str, Any]:
    if arguments is None:
        hint = "Build it with SAMSA.from_options, whose arguments are saved."
        raise ConfigError("model", "a network built from parts", "a network built from options", hint=hint)
    described = {}
    for name, value in arguments.items():
        if isinstance(value, CategoricalEncoder):
            value = value.cardinalities
        elif (
            isinstance(value, nn.Linear)
            and value.bias is not None
            and value.out_features == getattr(model, "channels", None)
        ):
            value = value.in_features
        elif isinstance(value, nn.Module):
            hint = "Give the number of float features or the cardinalities of categorical ones instead of a module."
            raise ConfigError(name, type(value).__name__, "an encoder that can be described in JSON", hint=hint)
        try:
            described[name] = json.loads(
                json.dumps(dict(value) if isinstance(value, Mapping) else value, allow_nan=False)
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(name, value, "a value that can be described in JSON") from error
    return described


def _versions() -> dict[str, str]:
    versions = {"pyg_samsa": __version__, "torch": torch.__version__.split("+")[0]}
    for name in ("torch-geometric", "rdkit"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read ``model.safetensors``.

    Raises:
        DataNotFoundError: There is no such file.
        DataIntegrityError: It is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file", hint=_AGAIN)
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataIntegrityError(
            path, "a safetensors file", f"a truncated or damaged one ({reason})", hint=_AGAIN
        ) from error


def _make(config: Mapping[str, Any], state: Mapping[str, torch.Tensor], path: Path) -> nn.Module:
    known, arguments = CLASSES[config["class"]], config["arguments"]
    takes = {"in_channels", "out_channels", "edge_channels", *SAMSAOptions.__dataclass_fields__}
    for name in arguments:
        if name not in takes:
            versions = config.get("versions")
            written = versions.get("pyg_samsa", "another version") if isinstance(versions, dict) else "another version"
            hint = f"Written by pyg_samsa {written}; this is {__version__}. Update."
            raise ConfigError(f"{path}: arguments", name, f"an argument of {known.__name__}", hint=hint)
    # A network is made before its shapes can be compared: a description of a much larger one than the weights must not fill the memory.
    largest = max([len(state), *(max(value.shape, default=1) for value in state.values())])
    for name in (
        "channels",
        "num_layers",
        "ffn_channels",
        "num_samples",
        "out_channels",
        "in_channels",
        "edge_channels",
    ):
        value = arguments.get(name)
        size = sum(value) if isinstance(value, list) and all(isinstance(item, int) for item in value) else value
        if isinstance(size, int) and size > largest:
            raise DataIntegrityError(path, f"{name} of a network with the weights beside it", str(value), hint=_AGAIN)
    try:
        return known.from_options(**arguments)
    except ConfigError as error:
        raise ConfigError(
            f"{path}: {error.key}", error.value, "an argument that this version allows", hint=error.hint
        ) from error
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise DataIntegrityError(path, f"arguments of {config['class']}", f"others ({reason})", hint=_AGAIN) from error


def _check_fit(model: nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    expected = model.state_dict()
    missing, extra = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    hint = f"{CONFIG} and {WEIGHTS} are of different models: {_AGAIN[0].lower()}{_AGAIN[1:]}"
    if missing:
        raise DataIntegrityError(
            path,
            f"the weight {missing[0]}",
            f"none of that name ({len(missing)} of {len(expected)} are missing)",
            hint=hint,
        )
    if extra:
        raise DataIntegrityError(path, f"{len(expected)} weights", f"{len(extra)} more, such as {extra[0]}", hint=hint)
    for name, weight in expected.items():
        if weight.shape != state[name].shape:
            raise DataIntegrityError(
                path, f"{name} {list(weight.shape)}", f"{name} {list(state[name].shape)}", hint=hint
            )
