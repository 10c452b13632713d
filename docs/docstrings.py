"""Docstrings of the package as Markdown: a griffe extension, and the list of names that the API reference shows.

The docstrings are written for people who read source: equations in ``.. math::`` blocks, names in single backticks,
literals in double ones. Here they become what MkDocs renders: equations between TeX delimiters, links to the page of
a name, tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from griffe import Extension, Object

ROOMS = (
    "nn",
    "functional",
    "transforms",
    "datasets",
    "chem",
    "metrics",
    "io",
    "hub",
    "predict",
    "explain",
    "viz",
    "training",
    "estimators",
    "notebook",
    "options",
    "task",
    "errors",
)
# Modules whose public members are shown besides the names that their room lists.
MODULES = {
    "explain": ("molecule_explanation", "sampled", "occlusion", "gradient"),
    "io": ("files", "download", "safe_pickle", "csv_rows", "csv_columns"),
    "training": ("losses", "optimizers", "samplers", "schedulers"),
    "viz": ("molecules.drawing", "report.html_report"),
    "options": ("",),
    "task": ("",),
    "errors": ("",),
}
# Folder -> headline, in the order of the page.
GROUPS = {
    "conv": "Operators",
    "models": "Networks",
    "tokenizers": "Tokenizers",
    "": "Blocks and layers",
    "encoding": "Encodings",
}


class Entry(NamedTuple):
    """A name in the reference, where it is imported from, and the headline it is listed under."""

    name: str
    path: str
    group: str


@cache
def documented() -> dict[str, tuple[Entry, ...]]:
    """Return room -> public names."""
    return {room: tuple(_entries(room)) for room in ROOMS}


def _entries(room: str) -> list[Entry]:
    package = f"pyg_samsa.{room}"
    module = import_module(package)
    found = {}
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        folder = next(iter(getattr(value, "__module__", package).split(".")[2:-1]), "")
        found[name] = Entry(name, f"{package}.{name}", GROUPS.get(folder, "") if room == "nn" else "")
    for part in MODULES.get(room, ()):
        path = f"{package}.{part}" if part else package
        inner = import_module(path)
        for name, value in vars(inner).items():
            if (
                not name.startswith("_")
                and getattr(value, "__module__", None) == path
                and getattr(value, "__doc__", None)
                and name not in found
            ):
                found[name] = Entry(name, f"{path}.{name}", path if part else "")
    order = list(GROUPS.values())
    return sorted(
        found.values(),
        key=lambda entry: (order.index(entry.group) if entry.group in order else 0, entry.group, entry.name.lower()),
    )


@cache
def targets() -> dict[str, str]:
    """Return what docstrings may call a name -> the identifier of its entry in the reference."""
    known: dict[str, str] = {}
    for entries in documented().values():
        for entry in entries:
            known.setdefault(entry.name, entry.path)
            known[entry.path] = entry.path
            module, _, name = entry.path.rpartition(".")
            value = getattr(import_module(module), name)
            if hasattr(value, "__qualname__"):
                known[f"{value.__module__}.{value.__qualname__}"] = entry.path
    return known


class Docstrings(Extension):
    """Turns the docstring of every object into Markdown when the package has been read."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Convert one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value, lambda name: _target(name, obj))


def _target(name: str, obj: Object) -> str | None:
    name = name.removesuffix("()").removeprefix("~")
    if name in targets():
        return targets()[name]
    head, _, method = name.rpartition(".")
    if head in targets() and not method.startswith("_"):
        owner = getattr(import_module(targets()[head].rpartition(".")[0]), targets()[head].rpartition(".")[2], None)
        return f"{targets()[head]}.{method}" if isinstance(owner, type) and method in vars(owner) else None
    owner = obj if obj.is_class else obj.parent
    if (
        owner is not None
        and owner.is_class
        and owner.path in targets()
        and name in owner.members
        and owner.members[name].docstring is not None
        and not name.startswith("_")
    ):
        return f"{targets()[owner.path]}.{name}"
    return None


def to_markdown(text: str, target: Callable[[str], str | None]) -> str:
    r"""Return a docstring as Markdown.

    Args:
        text: Docstring, without its indentation.
        target: Returns the identifier that a name in single backticks is linked to, or None.

    Example:
        >>> to_markdown("Half of :math:`x_i`, see `mean` and ``None``.", {"mean": "lib.mean"}.get)
        'Half of \\(x_i\\), see [`mean`][lib.mean] and `None`.'
    """
    text = re.sub(r"^( *)Cost:[ ]+((?:\S.*\n?[ ]*)+)", _cost, text, flags=re.MULTILINE)
    text = re.sub(r"^( *)Shapes:\n((?:\1 +.*(?:\n|\Z))+)", _shapes, text, flags=re.MULTILINE)
    text = re.sub(r"^( *)Example:", r"\1Examples:", text, flags=re.MULTILINE)
    text = re.sub(r"^( *)\.\. math::[ ]*(.*\n(?:\1 +.*(?:\n|\Z)|[ ]*\n)*)", _equation, text, flags=re.MULTILINE)
    text = re.sub(r"^( *)\.\. code-block:: (\w+)\n((?:\1 +.*(?:\n|\Z)|[ ]*\n)*)", _code, text, flags=re.MULTILINE)
    text = re.sub(r"^( *)=+ [= ]+\n((?:.*\n)+?)\1=+ [= ]+\n((?:.*\n)+?)\1=+ [= ]+$", _table, text, flags=re.MULTILINE)
    # What a reader would type stays as it is.
    pieces = re.split(
        r"(^ *>>> .*(?:\n *(?:\.\.\.|>>>).*|\n *\S.*)*|^ *```[\s\S]*?```|\\\[[\s\S]*?\\\])", text, flags=re.MULTILINE
    )
    return "".join(piece if number % 2 else _inline(piece, target) for number, piece in enumerate(pieces))


def _cost(match: re.Match[str]) -> str:
    return f"{match[1]}**Cost:** {' '.join(match[2].split())}\n"


def _shapes(match: re.Match[str]) -> str:
    # What is indented would become a box of its own.
    lines = match[2].splitlines()
    margin = len(lines[0]) - len(lines[0].lstrip()) - len(match[1])
    return "\n".join([f"{match[1]}**Shapes:**", "", *(line[margin:] for line in lines), ""])


def _equation(match: re.Match[str]) -> str:
    indent = match[1]
    parts = [" ".join(part.split()) for part in re.split(r"\n[ ]*\n", match[2]) if part.strip()]
    body = r" \\ ".join(parts)
    if len(parts) > 1 or (("&" in body or r"\\" in body) and r"\begin" not in body):
        body = rf"\begin{{aligned}} {body} \end{{aligned}}"
    return f"\n{indent}\\[ {body} \\]\n\n"


def _code(match: re.Match[str]) -> str:
    lines = match[3].strip("\n").splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip()) - len(match[1])
    return "\n".join([f"{match[1]}```{match[2]}", *(line[margin:] for line in lines), f"{match[1]}```", "", ""])


def _table(match: re.Match[str]) -> str:
    rule = match[0].splitlines()[0]
    spans = [found.span() for found in re.finditer("=+", rule)]
    ends = [*(start for start, _ in spans[1:]), None]

    def row(line: str) -> str:
        cells = [line[start:end].strip().replace("|", r"\|") for (start, _), end in zip(spans, ends, strict=True)]
        return f"{match[1]}| {' | '.join(cells)} |"

    head = [row(line) for line in match[2].splitlines()]
    return "\n".join([*head, f"{match[1]}|{'---|' * len(spans)}", *(row(line) for line in match[3].splitlines())])


def _inline(text: str, target: Callable[[str], str | None]) -> str:
    kept: list[str] = []

    def keep(piece: str) -> str:
        kept.append(piece)
        return f"\0{len(kept) - 1}\0"

    def reference(match: re.Match[str]) -> str:
        name = match[1]
        shown = name.rsplit(".", 1)[-1] if name.startswith("~") else name.removeprefix("~")
        path = target(name)
        return keep(f"[`{shown}`][{path}]" if path else f"`{shown}`")

    text = re.sub(r"``(.+?)``", lambda match: keep(f"`{match[1]}`"), text, flags=re.DOTALL)
    text = re.sub(r":math:`(.+?)`", lambda match: keep(rf"\({' '.join(match[1].split())}\)"), text, flags=re.DOTALL)
    text = re.sub(
        r"`([^`<>]+?)\s*<(https?://[^>]+)>`_+", lambda match: keep(f"[{' '.join(match[1].split())}]({match[2]})"), text
    )
    text = re.sub(r":(?:func|class|meth|obj|data|mod|attr|exc):`([^`]+)`", reference, text)
    text = re.sub(r"`(~?[A-Za-z_][\w.]*(?:\(\))?)`", reference, text)
    return re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], text)
