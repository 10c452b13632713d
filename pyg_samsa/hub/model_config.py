"""The content of ``config.json``: everything about a saved model but its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from pyg_samsa._version import __version__
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.hub.folder import CONFIG, COPY_AGAIN
from pyg_samsa.hub.json_file import finite, parse_json, read_steps
from pyg_samsa.io.extra_column import ExtraColumn
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task

FORMAT = 2
CLASSES: dict[str, type[SAMSA]] = {"SAMSA": SAMSA}
"""The classes that a saved model can have."""
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class ModelConfig:
    """Describes a saved model.

    Args:
        class_name: One of :data:`CLASSES`.
        options: Flat options of the network, see `SAMSA.from_options`.
        num_parameters: Number of weights.
        task: What the outputs mean; None if that was not saved.
        metrics: Split -> name of a metric -> value; undefined values are None.
        card: Headline -> text (Markdown) of the model card.
        versions: Package -> version with which the model was saved.
        descriptors: Names of the molecular descriptors that the network reads beside the graph.
        extra_columns: Names of the columns of numbers that it reads after them, see
            `pyg_samsa.io.extra_column.ExtraColumn`.
        standardize: Steps by which molecules are standardised before, see `pyg_samsa.chem.standardize.Standardizer`.
        modules: Modules of the user's own that register parts of the network. They must be imported before it is read;
            reading it imports nothing.

    Example:
        >>> config = ModelConfig("SAMSA", {"channels": 8}, num_parameters=100, metrics={"test": {"ap": float("nan")}})
        >>> config.as_dict()["metrics"]
        {'test': {'ap': None}}
    """

    class_name: str
    options: Mapping[str, Any]
    num_parameters: int
    task: Task | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    descriptors: Sequence[str] = ()
    extra_columns: Sequence[str] = ()
    standardize: Sequence[str] = ()
    modules: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold.

        Example:
            >>> ModelConfig("SAMSA", {}, 0, task=Task("binary", ["toxic"])).as_dict()["task"]["names"]
            ['toxic']
        """
        return {
            # Versions that know no standardisation refuse a model with it.
            "format": FORMAT if self.standardize else 1,
            "class": self.class_name,
            "options": dict(self.options),
            "num_parameters": self.num_parameters,
            "task": None if self.task is None else self.task.as_dict(),
            "metrics": finite(self.metrics),
            "card": dict(self.card),
            "versions": dict(self.versions),
            "descriptors": list(self.descriptors),
            "extra_columns": [ExtraColumn.of(column).as_json() for column in self.extra_columns],
            **({"standardize": list(self.standardize)} if self.standardize else {}),
            **({"modules": list(self.modules)} if self.modules else {}),
        }

    @property
    def inputs(self) -> dict[str, Any]:
        """What a predictor has to know about the inputs of the network, by the names of the arguments.

        Example:
            >>> ModelConfig("SAMSA", {}, 0, descriptors=["maccs"]).inputs
            {'descriptors': ['maccs'], 'extra_columns': (), 'standardize': ()}
        """
        return {name: getattr(self, name) for name in ("descriptors", "extra_columns", "standardize")}

    @property
    def version(self) -> str:
        """Version of this package with which the model was saved.

        Example:
            >>> ModelConfig("SAMSA", {}, 0, versions={"pyg_samsa": "1.2"}).version
            '1.2'
        """
        return str(self.versions.get("pyg_samsa", "another version"))


def read_config(folder: Path) -> ModelConfig:
    """Read and check ``config.json``.

    Args:
        folder: Folder of a saved model.

    Raises:
        DataIntegrityError: The file is not JSON, or has the wrong structure.
        ConfigError: The file was written by a newer version, or has a value that is not allowed.

    Example:
        >>> from pyg_samsa.hub import find_pretrained
        >>> read_config(find_pretrained("peptides")).task.kind
        'multilabel'
    """
    path = folder / CONFIG
    content = _read_json(path)
    checks = {"format": int, "options": Mapping, "metrics": Mapping, "card": Mapping, "versions": Mapping}
    for key, kind in checks.items():
        if not isinstance(content.get(key, {} if key not in ("format", "options") else None), kind):
            expected = f"{key} of a saved model"
            raise DataIntegrityError(path, expected, repr(content.get(key))[:80], hint=COPY_AGAIN)
    columns = content.get("extra_columns", [])
    for key in ("descriptors", "modules"):
        names = content.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataIntegrityError(path, f"{key} of a saved model", repr(names)[:80], hint=COPY_AGAIN)
    try:
        extra = tuple(map(ExtraColumn.from_json, columns))
    except (TypeError, ValueError):
        expected = "extra_columns of a saved model"
        raise DataIntegrityError(path, expected, repr(columns)[:80], hint=COPY_AGAIN) from None
    if content["format"] > FORMAT:
        written = content.get("versions", {}).get("pyg_samsa", "another version")
        hint = f"Written by pyg_samsa {written}; this is {__version__}. Update it."
        raise ConfigError(f"{path}: format", content["format"], f"at most {FORMAT}", hint=hint)
    found = ModelConfig(
        class_name=content.get("class", ""),
        options=content["options"],
        num_parameters=content.get("num_parameters", 0),
        task=None if content.get("task") is None else Task.from_dict(content["task"], origin=f"{path}: task"),
        metrics=content.get("metrics", {}),
        card={str(headline): str(text) for headline, text in content.get("card", {}).items()},
        versions=content.get("versions", {}),
        descriptors=tuple(content.get("descriptors", ())),
        extra_columns=extra,
        standardize=read_steps(content, path),
        modules=tuple(content.get("modules", ())),
    )
    if not isinstance(found.class_name, str) or found.class_name not in CLASSES:
        raise ConfigError(f"{path}: class", found.class_name, CLASSES)
    return found


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that a model depends on.

    Example:
        >>> {"pyg_samsa", "torch"} <= package_versions().keys()
        True
    """
    versions = {"pyg_samsa": __version__, "torch": torch.__version__.split("+")[0]}
    for name in ("torch-geometric", "rdkit"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _read_json(path: Path) -> dict[str, Any]:
    content = parse_json(path, _MAX_BYTES)
    if not isinstance(content, dict):
        raise DataIntegrityError(path, "a JSON object", type(content).__name__, hint=COPY_AGAIN)
    return content
