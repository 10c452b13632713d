"""Grids of settings for sweeps, read from YAML or from GraphGym's text format."""

from __future__ import annotations

import ast
import hashlib
import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.graphgym.config import PACKAGED
from pyg_samsa.io.documents import LARGEST_YAML, parse_yaml, read_text
from pyg_samsa.options import is_number

GRIDS = PACKAGED / "grids"
_KEYS = ("base", "set", "grid", "cells", "seeds", "metric")
_LONGEST_NAME = 96
_MOST = 10_000


@dataclass(frozen=True)
class Cell:
    """One combination of settings.

    Args:
        name: Name of the folder of its runs.
        label: Name in tables.
        varied: Dotted name -> value of the settings that differ between cells.
        given: Name in the grid; empty for a plain combination.

    Example:
        >>> Cell("layers=2", "layers=2", {"samsa.layers": 2}).varied
        {'samsa.layers': 2}
    """

    name: str
    label: str
    varied: Mapping[str, Any]
    given: str = ""


@dataclass(frozen=True)
class Grid:
    """The runs of a sweep.

    Args:
        name: Name of the grid.
        base: Config of all cells, a file or a packaged name.
        common: Dotted name -> value of the settings of all cells.
        cells: The combinations.
        seeds: Seeds of each cell.
        metric: Metric in tables and plots; empty for the one that chooses the best epoch.
        axes: Varied settings of which all combinations are run.

    Example:
        >>> cells = [Cell(f"layers={n}", f"layers={n}", {"samsa.layers": n}) for n in (2, 4)]
        >>> grid = Grid("depth", "quickstart", {}, cells, seeds=[0, 1], axes=["samsa.layers"])
        >>> grid.keys, grid.columns
        (['samsa.layers'], ['samsa.layers'])
    """

    name: str
    base: str
    common: Mapping[str, Any]
    cells: Sequence[Cell]
    seeds: Sequence[int]
    metric: str = ""
    axes: Sequence[str] = ()

    @property
    def keys(self) -> list[str]:
        """Dotted names of all settings that differ between cells."""
        return list(dict.fromkeys(key for cell in self.cells for key in cell.varied))

    @property
    def columns(self) -> list[str]:
        """Columns that identify a cell in tables and plots: its name, if the grid has names, and the axes."""
        return [*(["name"] if any(cell.given for cell in self.cells) else []), *self.axes]


def read_grid(path: str | os.PathLike[str], *, base: str | None = None, seeds: Sequence[int] | None = None) -> Grid:
    """Read a grid.

    A YAML grid:

    .. code-block:: yaml

        base: quickstart                        # a config, as for --cfg
        set: {optim.max_epoch: 5}               # settings of all cells
        grid:                                   # all combinations of these values
          samsa.num_samples: [8, 16, 32]
        cells:                                  # and/or named combinations
          hard: {samsa.sampling: hard}
          random keys: {samsa.importance: random}
        seeds: [0, 1, 2]                        # or a number of seeds
        metric: ap                              # metric of tables and plots

    With both ``grid`` and ``cells``, every cell is run with every combination. A text grid has GraphGym's format: lines
    ``key alias [v1,v2]``, comments after ``#``, and a blank line begins another grid, whose cells are added.

    Args:
        path: File, or name of a packaged grid.
        base: Overrides the base of the file; required for a text grid.
        seeds: Override the seeds of the file.

    Raises:
        ConfigError: There is no such file, or it has an error.

    Example:
        >>> grid = read_grid("sampling", seeds=[0])
        >>> grid.seeds, len(grid.cells) > 1
        ([0], True)
    """
    file = find_grid(path)
    try:
        text = read_text(file, LARGEST_YAML)
    except ValueError as error:
        raise ConfigError("GRID", str(file), f"a text file; it cannot be read: {error}") from error
    content = _from_text(text, file) if file.suffix == ".txt" else _from_yaml(text, file)
    chosen = base or content.get("base")
    if not chosen:
        raise ConfigError("--base", None, "a config for all cells of the grid")
    if base is None and (file.parent / str(chosen)).is_file():
        chosen = file.parent / str(chosen)
    return Grid(
        name=file.stem,
        base=str(chosen),
        common=content.get("set", {}),
        cells=_named(content["cells"]),
        seeds=list(seeds) if seeds is not None else content.get("seeds", [0]),
        metric=content.get("metric", ""),
        axes=content["axes"],
    )


def find_grid(name: str | os.PathLike[str]) -> Path:
    """Return the file of a grid, given as a path or as the name of a packaged grid, with or without suffix.

    Raises:
        ConfigError: There is no such file.

    Example:
        >>> find_grid("sampling").name
        'sampling.yaml'
    """
    given = Path(name).expanduser()
    endings = [""] if given.suffix in (".yaml", ".yml", ".txt") else [".yaml", ".yml", ".txt"]
    places = [given] if given.is_absolute() else [given, GRIDS / given]
    for place in places:
        for ending in endings:
            candidate = place.with_name(place.name + ending)
            if candidate.is_file():
                return candidate
    if given.is_file():
        raise ConfigError("GRID", str(name), "a file that ends in .yaml or .txt")
    known = sorted(path.stem for path in GRIDS.glob("*") if path.suffix in (".yaml", ".txt"))
    raise ConfigError("GRID", str(name), known or "a file that exists")


def parse_seeds(text: str) -> list[int]:
    """Parse seeds: a number of seeds, or a comma-separated list.

    Raises:
        ConfigError: The text is neither.

    Example:
        >>> parse_seeds("3"), parse_seeds("4,7"), parse_seeds("7,")
        ([0, 1, 2], [4, 7], [7])
    """
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = []
    return _seeds(numbers if "," in text else (numbers or [0])[0], "--seeds", shown=text)


def _seeds(value: Any, key: str, *, shown: Any = None) -> list[int]:
    if is_number(value, whole=True) and 1 <= value <= _MOST:
        return list(range(value))
    if isinstance(value, list) and value and all(is_number(seed, whole=True) and seed >= 0 for seed in value):
        return list(dict.fromkeys(value))
    expected = f"a number of seeds from 1 to {_MOST:,}, or a list of seeds"
    raise ConfigError(key, value if shown is None else shown, expected)


def _from_yaml(text: str, file: Path) -> dict[str, Any]:
    try:
        content = parse_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark is not None else ""
        reason = getattr(error, "problem", None) or error
        raise ConfigError("GRID", str(file), f"a valid YAML file{place}: {reason}") from error
    if not isinstance(content, Mapping):
        raise ConfigError("GRID", str(file), f"a YAML file with {', '.join(_KEYS)}")
    for key in content:
        check_choice(f"{file.name}: unknown key", key, _KEYS)
    grid = _flat(content.get("grid") or {}, f"{file.name}: grid")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{file.name}: grid.{key}", values, "a list of values")
    named = content.get("cells") or {}
    if not isinstance(named, Mapping) or not all(isinstance(cell, Mapping) or cell is None for cell in named.values()):
        raise ConfigError(f"{file.name}: cells", named, "names with settings, such as hard: {samsa.sampling: hard}")
    if not grid and not named:
        raise ConfigError(
            f"{file.name}: grid", None, "at least one setting with a list of values, or at least one cell"
        )
    _check_count(file, len(named or [0]) * math.prod(map(len, grid.values())))
    result: dict[str, Any] = {
        "base": content.get("base"),
        "set": _flat(content.get("set") or {}, f"{file.name}: set"),
        "metric": str(content.get("metric") or ""),
        "axes": list(grid),
        "cells": [
            (str(name) if name is not None else None, {**cell, **combination})
            for name, cell in (
                [(name, _flat(cell or {}, f"{file.name}: {name}")) for name, cell in named.items()] or [(None, {})]
            )
            for combination in _product(grid)
        ],
    }
    if content.get("seeds") is not None:
        result["seeds"] = _seeds(content["seeds"], f"{file.name}: seeds")
    return result


def _flat(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ConfigError(where, content, "settings as 'key: value'")
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat.update(
            {f"{name}.{inner}": leaf for inner, leaf in _flat(value, where).items()}
            if isinstance(value, Mapping)
            else {str(name): value}
        )
    return flat


def _from_text(text: str, file: Path) -> dict[str, Any]:
    """Read GraphGym's format. The alias, which names folders in GraphGym, is ignored."""
    grids: list[dict[str, list[Any]]] = [{}]
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].split(maxsplit=2)
        if not words:
            if not line.strip() and grids[-1]:
                grids.append({})
            continue
        try:
            key, _, values = words
            parsed = ast.literal_eval(values)
        except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two: nested too deep
            parsed = None
        if not isinstance(parsed, list) or not parsed:
            raise ConfigError(f"{file.name}, line {number}", line.strip(), "'key alias [value, value]'")
        grids[-1][key] = parsed
    _check_count(file, sum(math.prod(map(len, grid.values())) for grid in grids if grid))
    cells = [(None, combination) for grid in grids if grid for combination in _product(grid)]
    if not cells:
        raise ConfigError("GRID", str(file), "at least one line 'key alias [value, value]'")
    return {"cells": cells, "axes": list(dict.fromkeys(key for grid in grids for key in grid))}


def _check_count(file: Path, cells: int) -> None:
    if cells > _MOST:
        raise ConfigError("GRID", str(file), f"a grid of at most {_MOST:,} cells; it has {cells:,}")


def _product(grid: Mapping[str, Sequence[Any]]) -> Iterable[dict[str, Any]]:
    return (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))


def _named(cells: Sequence[tuple[str | None, Mapping[str, Any]]]) -> list[Cell]:
    keys = list(dict.fromkeys(key for _, varied in cells for key in varied))
    short = {key: key.rpartition(".")[2] for key in keys}
    if len(set(short.values())) < len(keys):
        short = {key: key for key in keys}
    named = {name for name, _ in cells if name is not None}
    result: list[Cell] = []
    for name, varied in cells:
        # The label of a named cell is its name and the settings that vary within it.
        alike = [other for other_name, other in cells if other_name == name]
        shown = [key for key in varied if any(other[key] != varied[key] for other in alike)] if named else list(varied)
        label = (
            ", ".join([*([name] if name else []), *(f"{short[key]}={show_value(varied[key])}" for key in shown)])
            or "all"
        )
        result.append(Cell(_folder_name(label, varied), label, dict(varied), name or ""))
    result = _apart_in_any_case(result)
    counts = Counter(cell.name for cell in result)
    doubled = next((cell.label for cell in result if counts[cell.name] > 1), None)
    if doubled is not None:
        raise ConfigError("GRID", doubled, "cells with different settings or names")
    return result


def _apart_in_any_case(cells: Sequence[Cell]) -> list[Cell]:
    """Rename folders that differ in capitals alone, which some file systems do not tell apart.

    The name in small letters is kept, so that names do not depend on the order of the cells.
    """
    alike = Counter(folder.casefold() for folder in {cell.name for cell in cells})
    return [
        replace(cell, name=_with_digest(cell.name, cell.label, cell.varied))
        if alike[cell.name.casefold()] > 1 and cell.name != cell.name.casefold()
        else cell
        for cell in cells
    ]


def _folder_name(label: str, varied: Mapping[str, Any]) -> str:
    name = re.sub(r"[^\w.=+-]+", "_", label).strip("_.") or "cell"
    # Labels can become equal without special characters, and file names have a largest length.
    if len(name) > _LONGEST_NAME or name != label.replace(", ", "_").replace(" ", "_"):
        name = _with_digest(name, label, varied)
    return name


def _with_digest(name: str, label: str, varied: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(repr((label, sorted(varied.items(), key=str))).encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]}-{digest}"


def show_value(value: Any) -> str:
    """Format a value as YAML in one line.

    Example:
        >>> show_value(True), show_value([1, "a"]), show_value(0.5)
        ('True', '[1, a]', '0.5')
    """
    if isinstance(value, list):
        return f"[{', '.join(map(show_value, value))}]"
    return "none" if value is None else str(value)
