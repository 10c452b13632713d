"""Write a configuration of another package in settings of this one, with comments on what changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import LoadedConfig, load_config
from pyg_samsa.graphgym.graphgps import Taken
from pyg_samsa.graphgym.settings import value_of


def convert(config: str | os.PathLike[str], opts: Sequence[str] = ()) -> str:
    r"""Return a configuration as YAML in settings of this package, which `load_config` reads with the same result.

    Args:
        config: A YAML file, or the name of a packaged configuration.
        opts: Overrides for the file: ``key value key value ...``.

    Raises:
        ConfigError: The configuration is wrong, also where a run would tell it before data are loaded, or a part of it
            cannot mean the same here.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.yaml"
        >>> _ = path.write_text("model: {type: custom_gnn}\ngnn: {layer_type: gineconv, layers_mp: 5, agg: mean}")
        >>> print(convert(path))
        # Settings of pyg_samsa, made of mine.yaml.
        gnn:
          layers_mp: 5
          batchnorm: false  # of gnn.layer_type gineconv
          residual: false  # the default there
        model:
          type: gine  # of gnn.layer_type gineconv
    """
    try:
        loaded = load_config(config, opts)
        if not cfg.tasks:
            check_run(machine=False)
    except ConfigError as error:
        if error.key != "--cfg":
            raise
        raise error.renamed("CONFIG") from None
    return "\n".join([*_head(loaded), *_groups(_settings(loaded))])


def _settings(loaded: LoadedConfig) -> dict[str, Taken]:
    """Return the settings in the order of the file, with the values that they have in ``cfg``."""
    if loaded.translation is None:
        return {key: Taken(value_of(key, cfg), key) for key in sorted(loaded.given)}
    taken = loaded.translation.settings
    # A default there that is also the default here needs no word.
    needless = {key for key, old in taken.items() if not old.source and value_of(key, cfg) == loaded.defaults.get(key)}
    kept = {key: old for key, old in taken.items() if key in loaded.given - needless}
    return {key: Taken(value_of(key, cfg), old.source, old.told) for key, old in kept.items()}


def _head(loaded: LoadedConfig) -> Iterator[str]:
    yield f"# Settings of pyg_samsa, made of {loaded.path.name}."
    notes = [*(loaded.translation.notes if loaded.translation else ()), *loaded.changes.notes]
    if notes:
        yield "# Not honoured:"
    for note in notes:
        yield f"#   {note}"


def _groups(settings: dict[str, Taken]) -> Iterator[str]:
    groups: dict[str, list[tuple[str, Taken]]] = {}
    for key, taken in settings.items():
        group, _, name = key.rpartition(".")
        groups.setdefault(group, []).append((name, taken))
    for group, members in sorted(groups.items(), key=lambda pair: pair[0] != ""):
        if group:
            yield f"{group}:"
        for name, taken in members:
            key = f"{group}.{name}" if group else name
            yield f"{'  ' if group else ''}{name}: {_value(taken.value)}{_comment(key, taken)}"


def _value(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n").removesuffix("\n...")


def _comment(key: str, taken: Taken) -> str:
    if not taken.source:
        return "  # the default there"
    if taken.source == key and taken.told is None:
        return ""
    return f"  # of {taken.source} {taken.told}" if taken.told is not None else f"  # the default of {taken.source}"
