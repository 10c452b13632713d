"""Lists of packaged YAML files with what each is for."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path


def print_files(paths: Mapping[str, Path]) -> None:
    """Print each name with the first line of comments of its file, wrapped to the width of the terminal.

    Args:
        paths: Name -> file.
    """
    indent = " " * (max(map(len, paths), default=0) + 2)
    width = max(shutil.get_terminal_size().columns, len(indent) + 20)
    for name, path in paths.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        first = next((line.lstrip("# ").rstrip() for line in lines if line.startswith("#")), "")
        start = f"{name:<{len(indent)}}"
        text = textwrap.fill(first, width, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)
        print(text or name)  # fill() returns nothing for an empty text, not even the indent
