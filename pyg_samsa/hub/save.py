"""Writes models to folders: weights as safetensors, everything else as JSON, and a model card."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pyg_samsa.chem.standardize import ordered_steps
from pyg_samsa.errors import ConfigError
from pyg_samsa.hub.folder import CARD, CONFIG, WEIGHTS, is_replaceable
from pyg_samsa.hub.model_card import model_card
from pyg_samsa.hub.model_config import CLASSES, ModelConfig, package_versions
from pyg_samsa.io.files import atomic_directory
from pyg_samsa.nn import OPERATORS, TOKENIZERS, CategoricalEncoder, num_parameters
from pyg_samsa.options import plain
from pyg_samsa.task import Task


def save_pretrained(
    model: nn.Module,
    folder: str | os.PathLike[str],
    *,
    task: Task | None = None,
    metrics: Mapping[str, Any] | None = None,
    card: Mapping[str, str] | None = None,
    descriptors: Sequence[str] = (),
    extra_columns: Sequence[str] = (),
    standardize: Sequence[str] = (),
) -> Path:
    """Write a model to a folder, atomically: ``model.safetensors``, ``config.json`` and the model card ``README.md``.

    Args:
        model: A network that was built with `SAMSA.from_options`.
        folder: Folder to write. An earlier model in it is replaced; any other content is an error.
        task: What the outputs mean; needed by :class:`~pyg_samsa.predict.MoleculePredictor`.
        metrics: Split -> name -> value, shown in the card.
        card: Headline -> text (Markdown) of more sections of the card.
        descriptors: Names of the descriptors that the network reads as ``graph_features``, see
            `pyg_samsa.chem.compute_descriptors`; they are computed again for predictions.
        extra_columns: Names of the columns of numbers that follow them.
        standardize: Steps by which molecules are standardised before, see
            `pyg_samsa.chem.standardize.Standardizer`; they are done again for predictions.

    Returns:
        ``folder``.

    Raises:
        ConfigError: The model cannot be described by options, or the folder holds something else.

    Example:
        >>> import tempfile
        >>> from pyg_samsa.hub import load_pretrained
        >>> from pyg_samsa.nn import SAMSA
        >>> model = SAMSA.from_options([4, 2], 1, channels=8, num_layers=1, heads=2, num_samples=4)
        >>> folder = save_pretrained(model, Path(tempfile.mkdtemp()) / "model", task=Task("binary", ["toxic"]))
        >>> sorted(path.name for path in folder.iterdir())
        ['README.md', 'config.json', 'model.safetensors']
        >>> load_pretrained(folder)[1].task.names
        ('toxic',)
    """
    from safetensors.torch import save

    target = Path(folder)
    if not is_replaceable(target):
        raise ConfigError("folder", str(target), "a new or empty folder, or one that holds a saved model")
    inputs: dict[str, Any] = {"descriptors": descriptors, "extra_columns": extra_columns, "standardize": standardize}
    config = describe_model(model, task=task, metrics=metrics, card=card, **inputs)
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with atomic_directory(target, overwrite=True) as temporary:
        # safetensors' own writer makes files that only their owner can read.
        (temporary / WEIGHTS).write_bytes(save(state, metadata={"format": "pt"}))
        text = json.dumps(config.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        (temporary / CONFIG).write_text(f"{text}\n", encoding="utf-8")
        (temporary / CARD).write_text(model_card(config, target.name), encoding="utf-8")
    return target


def describe_model(
    model: nn.Module,
    *,
    task: Task | None = None,
    metrics: Mapping[str, Any] | None = None,
    card: Mapping[str, str] | None = None,
    descriptors: Sequence[str] = (),
    extra_columns: Sequence[str] = (),
    standardize: Sequence[str] = (),
) -> ModelConfig:
    """Return the content of ``config.json`` for a model; arguments as in `save_pretrained`.

    Raises:
        ConfigError: The model is of another class, or was built from parts, or an option is no plain value.

    Example:
        >>> from pyg_samsa.nn import SAMSA
        >>> model = SAMSA.from_options([4, 2], 1, channels=8, num_layers=1, heads=2)
        >>> describe_model(model).options["channels"]
        8
    """
    name = next((name for name, known in CLASSES.items() if type(model) is known), None)
    if name is None:
        hint = "Pass the wrapped network itself."
        raise ConfigError("model", type(model).__name__, f"a network of the class {' or '.join(CLASSES)}", hint=hint)
    options: Any = model.options
    if options is None:
        hint = "Build it with SAMSA.from_options, whose arguments are saved."
        raise ConfigError("model", "a network built from parts", "a network built from options", hint=hint)
    return ModelConfig(
        class_name=name,
        options={key: _plain(key, value, model) for key, value in options.items()},
        num_parameters=num_parameters(model, trainable=False),
        task=task,
        metrics=metrics or {},
        card=card or {},
        versions=package_versions(),
        descriptors=tuple(descriptors),
        extra_columns=tuple(extra_columns),
        standardize=ordered_steps(standardize),
        modules=_modules(options),
    )


def _modules(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modules outside this package that register the operator and the tokenizer of a network."""
    parts = (OPERATORS.get(options.get("attention", "")), TOKENIZERS.get(options.get("tokenizer") or ""))
    names = (part.__module__ for part in parts if part is not None)
    return tuple(dict.fromkeys(name for name in names if name.partition(".")[0] != "pyg_samsa"))


def _plain(name: str, value: Any, model: Any) -> Any:
    """Return an option as JSON has it; encoders become the number or cardinalities of their features."""
    if isinstance(value, CategoricalEncoder):
        value = value.cardinalities
    elif isinstance(value, nn.Linear) and value.bias is not None and value.out_features == model.channels:
        value = value.in_features
    elif isinstance(value, nn.Module):
        hint = "Pass the number of float features, or the cardinalities of categorical features, instead of a module."
        raise ConfigError(name, type(value).__name__, "an encoder that options can describe", hint=hint)
    try:
        return json.loads(json.dumps(plain(dict(value) if isinstance(value, Mapping) else value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(name, value, "a plain value that JSON can hold") from error
