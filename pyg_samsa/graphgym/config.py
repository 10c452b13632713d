"""Load a configuration: fill GraphGym's ``cfg`` from YAML and the command line, and name every mistake in one line."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import CN, cfg, set_cfg

from pyg_samsa.errors import ConfigError, suggest
from pyg_samsa.graphgym.changes import Changes
from pyg_samsa.graphgym.checks import check_settings
from pyg_samsa.graphgym.defaults import fit_defaults
from pyg_samsa.graphgym.graphgps import Translation, is_graphgps, translate
from pyg_samsa.graphgym.plain_node import keep_plain_numbers
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.settings import (
    CHANGED_DEFAULTS,
    DUMPED_BY_GRAPHGYM,
    SETTINGS,
    add_registered,
    value_of,
)
from pyg_samsa.graphgym.share import UNKNOWN
from pyg_samsa.io.documents import LARGEST_YAML, parse_yaml, read_text
from pyg_samsa.nn.readout import POOLS
from pyg_samsa.options import plain
from pyg_samsa.training.run_folder import CONFIG, SHORTENED, TABLES

PACKAGED = Path(__file__).resolve().parents[2] / "graphgym_configs"
_LONGEST_NAME = 100


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration that was loaded.

    Args:
        name: Name of the run.
        path: File it was read from.
        given: Dotted names that the user has set.
        changed: Those of them whose values are not the defaults.
        changes: Settings of the file that gave way to those of the command line, or that give way to the data, see
            `pyg_samsa.graphgym.defaults` and `pyg_samsa.graphgym.data_defaults`.
        translation: Where the settings come from, if the file is one of GraphGPS or its relatives.
        defaults: Dotted name -> default of all settings.
        of_user: Those of ``given`` that the user has written into the file himself; none of a packaged file, and none
            of one that holds most settings, such as the configuration in the folder of a run.
    """

    name: str
    path: Path
    given: frozenset[str]
    changed: frozenset[str] = frozenset()
    changes: Changes = field(default_factory=Changes)
    translation: Translation | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    of_user: frozenset[str] = frozenset()


def add_options(config: CN) -> None:
    """Add the settings of this package, with their defaults, to GraphGym's configuration.

    Args:
        config: ``cfg``, or another configuration of GraphGym.
    """
    keep_plain_numbers(config)
    add_registered()
    for setting in SETTINGS.values():
        if setting.added:
            group, _, name = setting.key.rpartition(".")
            if group and group not in config:
                config[group] = CN()
            (config[group] if group else config)[name] = setting.default
    for key, value in CHANGED_DEFAULTS.items():
        group, _, name = key.rpartition(".")
        (config[group] if group else config)[name] = value
    config.share.update(UNKNOWN)


register_once(register.config_dict, "samsa", add_options)


def find_config(name: str | os.PathLike[str]) -> Path:
    """Return the file of a configuration: as given, else among the packaged ones, with or without ``.yaml``.

    Raises:
        ConfigError: There is no such file; the nearest packaged name is suggested.

    Example:
        >>> find_config("quickstart").name
        'quickstart.yaml'
    """
    given = Path(name).expanduser()
    base = given.name if given.suffix in (".yaml", ".yml") else f"{given.name}.yaml"
    near = given.with_name(base)
    # Outside a checkout, graphgym_configs/small/x.yaml means the packaged small/x.yaml.
    inside = near.parts[near.parts.index(PACKAGED.name) + 1 :] if PACKAGED.name in near.parts else near.parts
    for candidate in [given, near, *([] if near.is_absolute() else [PACKAGED.joinpath(*inside)])]:
        if candidate.is_file():
            return candidate
    known = packaged_configs()
    if (given / CONFIG).is_file():
        hint = f"The configuration of a run is in its folder: --cfg {given / CONFIG}"
        raise ConfigError("--cfg", str(name), "a YAML file, not a folder", hint=hint)
    if given.is_dir():
        found = sorted(path.name for path in given.iterdir() if path.suffix in (".yaml", ".yml"))
        shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
        hint = f"YAML files in it: {shown}" if found else "It holds no YAML file."
        raise ConfigError("--cfg", str(name), "a YAML file, not a folder", hint=hint)
    hint = suggest(base.removesuffix(".yaml"), known) or "`pyg-samsa train --list` prints the packaged configs."
    raise ConfigError("--cfg", str(name), "a YAML file that exists", hint=hint)


def packaged_configs() -> list[str]:
    """Return the names of the configurations that come with the package; grids are left out."""
    names = (path.relative_to(PACKAGED).with_suffix("").as_posix() for path in PACKAGED.rglob("*.yaml"))
    return sorted(name for name in names if not name.startswith("grids/"))


def load_config(name: str | os.PathLike[str], opts: Sequence[Any] = ()) -> LoadedConfig:
    """Reset GraphGym's global ``cfg`` and fill it from a file and from ``key value`` pairs.

    Numbers are converted where nothing is lost: ``1`` to a float, ``1e-3`` to a number, ``16.0`` to an int.
    ``devices`` may be ``auto``.

    Args:
        name: File, or name of a packaged configuration.
        opts: ``key value key value ...`` (or ``key=value``), texts or values; overrides for the file.

    Raises:
        ConfigError: The file is missing or is not YAML, a name is unknown (the nearest one is suggested), or a value is
            not allowed.
    """
    path = find_config(name)
    cfg.defrost()
    set_cfg(cfg)
    content = dict(_read_yaml(path))
    earlier = content.pop(SHORTENED, None) or {}
    content.pop(TABLES, None)
    leaves, pairs = [*_leaves(content), *_leaves(earlier)], list(_pairs(opts))
    translation = None
    defaults = {key: value_of(key, cfg) for key in all_keys()}
    for origin, pieces in ((str(name), leaves), ("command line", pairs)):
        for key, _ in pieces:
            if key.startswith("share."):
                _locate(key, origin)
    if is_graphgps(together := dict([*leaves, *pairs]), known := set(defaults)):
        translation = translate(together, known, typed := {key for key, _ in pairs})
        leaves, pairs = translation.split(typed)
        translation.notes.sort(key=lambda note: note.split()[0] not in typed)
    given = _merge(leaves, origin=str(name))
    of_user = _of_user(path, given, translation)
    asked = _merge(pairs, origin="command line")
    given |= asked
    for key, setting in SETTINGS.items():
        setting.check(value_of(key, cfg))
    changed = frozenset(key for key in given if value_of(key, cfg) != defaults[key])
    changes = Changes(frozenset(asked), frozenset(given), frozenset(earlier))
    fit_defaults(changes)
    check_settings()
    if "model.graph_pooling" in asked and (cfg.model.type, cfg.model.graph_pooling) == ("samsa", "add"):
        hint = "Leave out this setting, or set samsa.pool."
        raise ConfigError("model.graph_pooling", "add", f"{' or '.join(POOLS)} with the network samsa", hint=hint)
    if cfg.optim.num_warmup_epochs and cfg.optim.num_warmup_steps:
        raise ConfigError(
            "optim.num_warmup_steps", cfg.optim.num_warmup_steps, "0 where optim.num_warmup_epochs is set"
        )
    run_name = cfg.run_name or _run_name(path)
    for key, part in (("run_name", run_name), ("name_tag", cfg.name_tag)):
        check_folder_name(key, part)
    full_name = f"{run_name}-{cfg.name_tag}" if cfg.name_tag else run_name
    return LoadedConfig(full_name, path, frozenset(given), changed, changes, translation, defaults, of_user)


def _of_user(path: Path, given: Collection[str], translation: Translation | None) -> frozenset[str]:
    """Return the settings of a file that the user has written into it."""
    if path.resolve().is_relative_to(PACKAGED) or len(given) > len(all_keys()) / 2:
        return frozenset()
    made = {} if translation is None else translation.settings
    return frozenset(key for key in given if key not in made or made[key].source)


def check_folder_name(key: str, name: str) -> None:
    """Refuse names of folders that lead out of the folder of the results on any system.

    Args:
        key: Name of the setting.
        name: Name of the folder.

    Raises:
        ConfigError: It is no name of a folder, or too long.

    Example:
        >>> check_folder_name("run_name", "..")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: run_name: got '..', expected the name of a folder, without slashes ...
    """
    if name in (".", "..") or any(sign in name for sign in "/\\\0") or len(name.encode()) > _LONGEST_NAME:
        expected = f"the name of a folder, without slashes and of at most {_LONGEST_NAME} bytes"
        raise ConfigError(key, name, expected, hint="out_dir is the folder of all results.")


def _run_name(path: Path) -> str:
    """Return the name of a file without its ending; for packaged files in a folder, with the folder as a prefix."""
    inside = path.resolve().relative_to(PACKAGED) if path.resolve().is_relative_to(PACKAGED) else Path(path.name)
    return "-".join(inside.with_suffix("").parts)


def resolved(
    loaded: LoadedConfig,
    settings: Mapping[str, Any] = MappingProxyType({}),
    tables: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the present ``cfg``, with what followed from it, as plain nested values that `load_config` takes again.

    Args:
        loaded: From `load_config`; its name takes the place of ``run_name`` and ``name_tag``, so that a re-run does not
            append the tag once more.
        settings: Dotted name -> value, in place of those of ``cfg``.
        tables: Setting or task -> hash of its table.
    """
    plain = _plain({key: value for key, value in cfg.items() if key != "share" and key not in DUMPED_BY_GRAPHGYM})
    for key, value in {"run_name": loaded.name, "name_tag": "", **settings}.items():
        group, _, name = key.rpartition(".")
        (plain[group] if group else plain)[name] = value
    groups: dict[str, dict[str, Any]] = {SHORTENED: dict(loaded.changes.shortened), TABLES: dict(tables)}
    return plain | {name: group for name, group in groups.items() if group}


def tables_of(datasets: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of the tables of some data sets, without those that were made from something else.

    Args:
        datasets: Setting or task -> its data set.

    Example:
        >>> from types import SimpleNamespace
        >>> tables_of({"dataset.csv": SimpleNamespace(table_hash="0a1b"), "peptides": SimpleNamespace()})
        {'dataset.csv': '0a1b'}
    """
    found = {name: getattr(dataset, "table_hash", None) for name, dataset in datasets.items()}
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else plain(value)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = parse_yaml(read_text(path, LARGEST_YAML))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise ConfigError(
            "--cfg", str(path), f"a YAML file; it cannot be read{place}: {getattr(error, 'problem', None) or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError("--cfg", str(path), "a text file in UTF-8") from error
    except ValueError as error:
        raise ConfigError("--cfg", str(path), f"a YAML file; it cannot be read: {error}") from error
    if not isinstance(content, Mapping):
        raise ConfigError("--cfg", str(path), f"a YAML file of settings as 'key: value'; it holds {_kind(content)}")
    return content


def _leaves(content: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found += _leaves(value, f"{key}.")
        elif value is None and isinstance(value_of(key, cfg), CN):
            continue  # a group with nothing in it
        else:
            found.append((key, value))
    return found


def _pairs(opts: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    words: list[Any] = []
    for word in opts:
        key, equals, value = str(word).partition("=")
        words += [key, value] if equals and len(words) % 2 == 0 else [plain(word)]
    if len(words) % 2:
        raise ConfigError(
            "command line", words[-1], "a value after every key", hint="For example: optim.max_epoch 10 samsa.layers 4"
        )
    for key, text in zip(map(str, words[::2]), words[1::2], strict=True):
        if not isinstance(text, str):  # from Python
            yield key, text
            continue
        try:
            value = parse_yaml(text)
        except yaml.YAMLError:
            value = text
        yield key, text if value is None and text.strip().lower() not in ("null", "~", "") else value


def _merge(leaves: Sequence[tuple[str, Any]], *, origin: str) -> set[str]:
    given: set[str] = set()
    for key, value in leaves:
        group = key.split(".", 1)[0]
        if key in DUMPED_BY_GRAPHGYM or group == "share":
            continue
        node, name = _locate(key, origin)
        node[name] = _coerce(key, value, node[name])
        given.add(key)
    return given


def _locate(key: str, origin: str) -> tuple[CN, str]:
    node, parts = cfg, key.split(".")
    for part in parts[:-1]:
        node = node[part] if isinstance(node, CN) and part in node else None
    if not isinstance(node, CN) or parts[-1] not in node:
        known = all_keys()
        # Most often the name is right and the group is wrong: that is nearer than a similar spelling.
        elsewhere = [other for other in known if other.rsplit(".", 1)[-1] == parts[-1]]
        near = suggest(key, elsewhere) or (f"Did you mean {elsewhere[0]!r}?" if elsewhere else suggest(key, known))
        hint = near or "All settings are listed in the reference of the documentation; graphgym_configs/ has examples."
        raise ConfigError("unknown setting", key, f"a name that exists ({origin})", hint=hint)
    if isinstance(node[parts[-1]], CN):
        raise ConfigError(
            key,
            "a single value",
            "a group of settings",
            hint=f"For example: {key}.{next(iter(node[parts[-1]]), '...')}",
        )
    return node, parts[-1]


def all_keys(node: CN | None = None, prefix: str = "") -> list[str]:
    """Return the dotted names of all settings below a node, by default of the whole configuration."""
    keys: list[str] = []
    for name, value in (cfg if node is None else node).items():
        if isinstance(value, CN):
            if name != "share":
                keys += all_keys(value, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text", list: "a list"}


def _coerce(key: str, value: Any, default: Any) -> Any:
    """Read a value as one of the types of its setting.

    Raises:
        ConfigError: It is of none of them.
    """
    if key == "devices":
        return _devices(value)
    if key == "optim.scheduler" and value is None:
        return "none"
    types = SETTINGS[key].types if key in SETTINGS else (type(default),)
    if types == (type(None),):
        return value
    for kind in types:
        read = _read(kind, value)
        if type(read) is (list if kind is tuple else kind) and read == read:
            return read
    if {list, tuple} & set(types) and isinstance(value, str) and value:
        return [value]  # one word for a list of words
    names = " or ".join(_WORDS[list if kind is tuple else kind] for kind in types if kind is not type(None))
    raise ConfigError(key, value, names + (", or nothing" if type(None) in types else ""))


def _read(kind: type, value: Any) -> Any:
    """Convert a value to a type where nothing is lost: 1 to 1.0, "1e-3" to 0.001, 16.0 to 16, 12 to "12"."""
    if kind in (int, float) and not isinstance(value, bool):
        number = _number(value)
        if kind is float and isinstance(number, int):
            return float(number)
        return int(number) if kind is int and isinstance(number, float) and number.is_integer() else number
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return list(value) if kind in (list, tuple) and isinstance(value, (list, tuple)) else value


def _number(value: Any) -> Any:
    """Read a number that YAML 1.1 takes for text, such as 1e-3."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _devices(value: Any) -> int | str:
    if value == "auto":
        return value
    value = _number(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or int(value) < 1:
        raise ConfigError("devices", value, "a number of at least 1, or 'auto'")
    return int(value)


def _kind(content: Any) -> str:
    return {"NoneType": "nothing", "str": "plain text", "list": "a list"}.get(
        type(content).__name__, type(content).__name__
    )
