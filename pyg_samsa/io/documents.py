"""Reads YAML and JSON of bounded size, depth and number of values, whatever a file asks for.

A YAML file of a few lines can name the same list again and again and stand for a billion values. The limits are checked
while the file is read, before anything is unfolded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

LARGEST_YAML = 2**22
"""Largest size in bytes of a YAML file that is read."""
DEEPEST = 50
"""Largest number of levels of a YAML or JSON file."""
_MOST_VALUES = 100_000
_LONGEST_INTEGER = 100


def read_text(path: Path, max_bytes: int) -> str:
    """Return the text of a file in UTF-8; no more than ``max_bytes`` are read.

    Raises:
        ValueError: The file is larger, or not in UTF-8.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "run.yaml"
        >>> _ = path.write_text("seed: 1")
        >>> read_text(path, 100)
        'seed: 1'
        >>> read_text(path, 3)
        Traceback (most recent call last):
        ValueError: it has more than 3 bytes
    """
    with open(path, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it has more than {max_bytes:,} bytes")
    return content.decode("utf-8").replace("\r\n", "\n")


def parse_yaml(text: str) -> Any:
    """Return the content of a text in YAML, as ``yaml.safe_load`` does.

    At most 100,000 values are read, counted as often as their aliases name them, in at most 50 levels.

    Raises:
        yaml.YAMLError: The text is no YAML, or is larger.

    Example:
        >>> parse_yaml("seeds: [0, 1]")
        {'seeds': [0, 1]}
        >>> parse_yaml("[" * 60 + "]" * 60)
        Traceback (most recent call last):
        yaml.composer.ComposerError: it has more than 50 levels
          in "<unicode string>", line 1, column 51:
        ...
    """
    if len(text) > LARGEST_YAML:
        raise yaml.YAMLError(f"it has more than {LARGEST_YAML:,} bytes")
    try:
        return yaml.load(text, _BoundedLoader)
    except (ValueError, OverflowError, RecursionError) as error:  # such as the date 2001-99-99
        raise yaml.YAMLError(str(error).splitlines()[0]) from error


def parse_json(text: str) -> Any:
    """Return the content of a text in JSON, of at most 50 levels.

    Raises:
        ValueError: The text is no JSON, or has more levels.

    Example:
        >>> parse_json("[1, 2]")
        [1, 2]
        >>> parse_json("[" * 60 + "]" * 60)
        Traceback (most recent call last):
        ValueError: it has more than 50 levels
    """
    too_deep = f"it has more than {DEEPEST} levels"
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError(too_deep) from None
    level = [content]
    for _ in range(DEEPEST):
        held = [value for value in level if type(value) in (list, dict)]
        level = [inner for value in held for inner in (value.values() if type(value) is dict else value)]
    if level:
        raise ValueError(too_deep)
    return content


class _BoundedLoader(yaml.SafeLoader):
    """Counts what a document stands for, with its aliases unfolded."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = 0
        # Node -> the number of values that it stands for, and of its levels; absent while it is read.
        self._sizes: dict[int, tuple[int, int]] = {}
        self._taken: list[list[int]] = [[0, 0]]

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark
        self._levels += 1
        self._check(0, 0, mark)
        self._taken.append([1, 0])
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)  # type: ignore[no-untyped-call]
        values, levels = self._taken.pop()
        self._levels -= 1
        if is_alias:
            if id(node) not in self._sizes:
                raise yaml.composer.ComposerError(None, None, "an alias that contains itself", mark)
            values, levels = self._sizes[id(node)]
        else:
            self._sizes[id(node)] = values, levels
        outer = self._taken[-1]
        outer[0], outer[1] = outer[0] + values, max(outer[1], levels + 1)
        self._check(outer[0], levels, mark)
        return node

    def _check(self, values: int, levels: int, mark: Any) -> None:
        if self._levels + levels > DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"it has more than {DEEPEST} levels", mark)
        if values > _MOST_VALUES:
            problem = f"it has more than {_MOST_VALUES:,} values, with its aliases unfolded"
            raise yaml.composer.ComposerError(None, None, problem, mark)

    def construct_yaml_int(self, node: Any) -> int:
        if len(node.value) > _LONGEST_INTEGER:
            problem = f"an integer of more than {_LONGEST_INTEGER} digits"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_yaml_int(node)  # type: ignore[no-untyped-call, no-any-return]


_BoundedLoader.add_constructor("tag:yaml.org,2002:int", _BoundedLoader.construct_yaml_int)
