"""Measures how well a package is documented, annotated and tested: ``python -m benchmarks.ruler``.

Give another package's folder to compare: ``python -m benchmarks.ruler ../other/package --tests ../other/tests``.
Files are parsed, never imported. ``tests/test_conventions.py`` fails when the numbers of this package fall.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import networkx

MAX_LINE, MAX_FUNCTION = 120, 60
FORMULA = re.compile(r"\.\. math::|:math:`")
SHAPE = re.compile(r"\b(Bool|Complex|Float|Int|Shaped)\[")
ROOMS = ("functional", "nn")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Item:
    """A public function, class, or method of a public class.

    Attributes:
        module: Path of its file, relative to the package, without the suffix: ``"functional/topk"``.
        name: Qualified name within the file.
        node: Its definition.
    """

    module: str
    name: str
    node: Definition

    def __str__(self) -> str:
        return f"{self.module}.py: {self.name}"

    @property
    def docstring(self) -> str:
        """The docstring; empty without one."""
        return ast.get_docstring(self.node) or ""

    @property
    def has_formula(self) -> bool:
        """Whether the docstring holds an equation, displayed or inline."""
        return bool(FORMULA.search(self.docstring))

    @property
    def has_doctest(self) -> bool:
        """Whether the docstring holds an example that runs."""
        return ">>>" in self.docstring

    @property
    def takes_tensors(self) -> bool:
        """Whether a function's annotations name tensors."""
        return isinstance(self.node, Function) and "Tensor" in _annotations(self.node)

    @property
    def has_shapes(self) -> bool:
        """Whether a function's annotations hold shapes."""
        return isinstance(self.node, Function) and bool(SHAPE.search(_annotations(self.node)))


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    found = [each.annotation for each in arguments if each is not None and each.annotation is not None]
    return " ".join(ast.unparse(each) for each in [*found, *([node.returns] if node.returns is not None else [])])


class Ruler:
    """What can be measured of a package without importing it.

    Args:
        package: Folder of the package.
        tests: Folder of its tests.
    """

    def __init__(self, package: Path, tests: Path) -> None:
        self.package, self.tests = package.resolve(), tests.resolve()

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """The syntax tree of every module, by its path relative to the package without the suffix."""
        return {
            path.relative_to(self.package).with_suffix("").as_posix(): ast.parse(path.read_text(encoding="utf-8"))
            for path in sorted(self.package.rglob("*.py"))
        }

    def items(self, *rooms: str) -> list[Item]:
        """Return the public functions, classes and methods, of some rooms or of the whole package."""
        return [item for item in self._items if not rooms or item.module.split("/")[0] in rooms]

    @cached_property
    def _items(self) -> list[Item]:
        found = []
        for module, tree in self.trees.items():
            for node in _public(tree.body):
                found.append(Item(module, node.name, node))
                if isinstance(node, ast.ClassDef):
                    found += [Item(module, f"{node.name}.{method.name}", method) for method in _public(node.body)]
        return found

    @cached_property
    def modules(self) -> list[str]:
        """Modules that should have a test file: all but packages."""
        return [name for name in self.trees if name.split("/")[-1] not in ("__init__", "__main__", "_version")]

    def untested_modules(self) -> list[str]:
        """Return the modules without a test file at the mirrored path; ``_name.py`` is mirrored by ``test_name.py``."""

        def mirror(name: str) -> Path:
            *folders, file = name.split("/")
            return self.tests.joinpath(*folders, f"test_{file.lstrip('_')}.py")

        return [name for name in self.modules if not mirror(name).is_file()]

    def long_functions(self, most: int = MAX_FUNCTION) -> dict[str, int]:
        """Return the functions with more than ``most`` lines, without their docstring, and their length."""
        found = {}
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, Function):
                    first = node.body[0]
                    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0  # type: ignore[operator]
                    length = node.end_lineno - node.lineno + 1 - docstring  # type: ignore[operator]
                    if length > most:
                        found[f"{module}.py: {node.name}"] = length
        return found

    def long_lines(self, most: int = MAX_LINE) -> list[str]:
        """Return ``file:line`` of every line of the package or its tests with more than ``most`` characters."""
        return [
            f"{path.relative_to(self.package.parent)}:{number}"
            for folder in (self.package, self.tests)
            for path in sorted(folder.rglob("*.py"))
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if len(line) > most
        ]

    def shared_names(self) -> dict[str, list[str]]:
        """Return the file names that stand for more than one module, and these modules."""
        found = defaultdict(list)
        for name in self.modules:
            found[name.split("/")[-1]].append(name)
        return {file: names for file, names in found.items() if len(names) > 1}

    def import_circles(self) -> list[list[str]]:
        """Return the groups of modules that import each other in a circle, inside functions too."""
        graph = networkx.DiGraph()
        for name, tree in self.trees.items():
            graph.add_edges_from((name, target) for target in self._imports(tree) if target != name)
        return [sorted(group) for group in networkx.strongly_connected_components(graph) if len(group) > 1]

    def _imports(self, tree: ast.Module) -> Iterator[str]:
        for node in _walk_run_time(tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                # ``from package.room import name``: a module of the room, or what its ``__init__`` offers.
                for alias in node.names:
                    yield from self._resolve(f"{node.module}.{alias.name}") or self._resolve(node.module)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._resolve(alias.name)

    def _resolve(self, dotted: str) -> list[str]:
        package, *rest = dotted.split(".")
        if package != self.package.name:
            return []
        name = "/".join(rest)
        return [found for found in (name, f"{name}/__init__".lstrip("/")) if found in self.trees][:1]

    def lines(self, folder: Path) -> int:
        """Return the number of lines of a folder's Python files that are not blank."""
        texts = (path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
        return sum(bool(line.strip()) for text in texts for line in text.splitlines())


def _public(body: Sequence[ast.stmt]) -> list[Definition]:
    found = [node for node in body if isinstance(node, (*Function, ast.ClassDef)) and not node.name.startswith("_")]
    return [node for node in found if not any(ast.unparse(mark) == "overload" for mark in node.decorator_list)]


def _walk_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those below ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _walk_run_time(child)


def share(part: Sequence[object], whole: Sequence[object]) -> float:
    """Return the quotient of two lengths, 1 for an empty whole."""
    return len(part) / len(whole) if whole else 1.0


def measure(ruler: Ruler, rooms: Sequence[str] = ROOMS) -> dict[str, float]:
    """Return the numbers of a package by what they measure; shares are between 0 and 1."""
    everything = ruler.items()
    core = [item for item in ruler.items(*rooms) if item in everything] or everything
    tensors = [item for item in core if item.takes_tensors]
    return {
        "formula": share([item for item in core if item.has_formula], core),
        "doctest": share([item for item in everything if item.has_doctest], everything),
        "docstring": share([item for item in everything if item.docstring], everything),
        "shapes": share([item for item in tensors if item.has_shapes], tensors),
        "mirrored": 1 - share(ruler.untested_modules(), ruler.modules),
        "tests / code": ruler.lines(ruler.tests) / max(1, ruler.lines(ruler.package)),
        "long functions": len(ruler.long_functions()),
        "long lines": len(ruler.long_lines()),
        "import circles": len(ruler.import_circles()),
    }


MEANING = {
    "formula": "public objects of functional and nn with an equation in the docstring",
    "doctest": "public objects with an example that runs",
    "docstring": "public objects with a docstring",
    "shapes": "functions of tensors in functional and nn with shapes in their annotations",
    "mirrored": "modules with a test file at the mirrored path",
    "tests / code": "lines of tests per line of the package, without blank lines",
    "long functions": f"functions of more than {MAX_FUNCTION} lines, without docstring",
    "long lines": f"lines of more than {MAX_LINE} characters, in package and tests",
    "import circles": "groups of files that import each other",
}
# The best of the code bases that we compared: e3nn, torchmetrics, Lightning and PyTorch Geometric's nn.
ANCHORS = {"formula": 0.43, "doctest": 0.57, "tests / code": 1.43, "mirrored": 0.93}


def table(ruler: Ruler) -> str:
    """Return the numbers of a package beside those of the best code base, one line each."""

    def show(name: str, number: float | None) -> str:
        if number is None:
            return "-"
        if name == "tests / code":
            return f"{number:.2f}"
        return f"{number:.0f}" if name.startswith(("long", "import")) else f"{number:.0%}"

    rows = [f"{'here':>6} {'best':>6}  measure"]
    for name, number in measure(ruler).items():
        rows.append(f"{show(name, number):>6} {show(name, ANCHORS.get(name)):>6}  {MEANING[name]}")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    root = Path(__file__).parent.parent
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ruler", description=__doc__.split("\n")[0])
    parser.add_argument("package", type=Path, nargs="?", default=root / "pyg_samsa", help="folder of a package")
    parser.add_argument("--tests", type=Path, help="folder of its tests; tests/ beside the package by default")
    parser.add_argument("--missing", action="store_true", help="list what lacks a formula, an example or a test file")
    given = parser.parse_args(arguments)
    ruler = Ruler(given.package, given.tests or given.package.resolve().parent / "tests")
    print(table(ruler))
    if given.missing:
        lists: dict[str, Sequence[object]] = {
            "no formula": [item for item in ruler.items(*ROOMS) if not item.has_formula],
            "no example": [item for item in ruler.items() if not item.has_doctest],
            "no shapes": [item for item in ruler.items(*ROOMS) if item.takes_tensors and not item.has_shapes],
            "no test file": ruler.untested_modules(),
            "long functions": list(ruler.long_functions()),
            "long lines": ruler.long_lines(),
            "import circles": ruler.import_circles(),
            "shared names": [f"{name}: {', '.join(found)}" for name, found in ruler.shared_names().items()],
        }
        for title, entries in lists.items():
            print(f"\n{title}: {len(entries)}", *entries, sep="\n  ")


if __name__ == "__main__":
    main()
