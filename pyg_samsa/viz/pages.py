"""HTML pages from jinja templates: each page is one file that needs no network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pyg_samsa.errors import MissingDependencyError
from pyg_samsa.io.files import atomic_write


def render_html(template: str | os.PathLike[str], context: dict[str, Any]) -> str:
    """Render a template to a text.

    Values are escaped. A name that ``context`` lacks is an error.

    Args:
        template: Template file; it can include the files beside it.
        context: Name -> value, what the template shows.

    Raises:
        MissingDependencyError: Jinja2 is not installed.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "hello.html.j2"
        >>> _ = file.write_text("<p>{{ name }}</p>")
        >>> render_html(file, {"name": "A & B"})
        '<p>A &amp; B</p>'
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError("jinja2", "all", "Writing an HTML page") from error
    source = Path(template)
    environment = Environment(
        loader=FileSystemLoader(source.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(source.name).render(context)


def write_html(template: str | os.PathLike[str], path: str | os.PathLike[str], context: dict[str, Any]) -> Path:
    """Render a template to a file, see `render_html`.

    Args:
        template: Template file; it can include the files beside it.
        path: HTML file to write; an existing one is replaced.
        context: Name -> value, what the template shows.

    Returns:
        ``path``.

    Raises:
        MissingDependencyError: Jinja2 is not installed.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "hello.html.j2").write_text("<p>{{ name }}</p>")
        >>> write_html(folder / "hello.html.j2", folder / "hello.html", {"name": "A & B"}).read_text()
        '<p>A &amp; B</p>'
    """
    target = Path(path)
    html = render_html(template, context)
    with atomic_write(target) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return target
