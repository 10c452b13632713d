"""Lists that commands print: packaged YAML files with what each is for, and tables."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


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


def print_table(console: Any, head: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """Print a table: in a terminal with a title and aligned columns, else a line per row, with tabs between columns.

    Args:
        console: A rich console.
        head: Names of the columns.
        rows: The cells; a cell may hold several lines.
        title: Title in a terminal.
    """
    if console.is_terminal:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(
            *head, title=title or None, title_style="bold", title_justify="left", header_style="bold", box=SIMPLE_HEAD
        )
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    elif not console.quiet:
        for row in (head, *rows):
            print("\t".join(cell.replace("\n", ", ") for cell in row).rstrip(), file=console.file)
