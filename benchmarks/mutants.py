"""Changes single places of the code and counts which changes the tests notice: ``python -m benchmarks.mutants``.

cosmic-ray finds the places and makes the changes. For each change of a fixed list, tests run in a copy of the
repository: first those at the mirrored path and the examples in the file itself, then those of the files that import it
and those that import what it defines. A change that they notice is killed; one that they do not notice survived, and
lacks a test. Changes that cannot be noticed are listed in ``equivalent_mutants.yaml`` with the reason; they do not
count.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PACKAGES = ("functional", "nn", "training", "metrics", "chem", "predict")
# Kernels that run on a GPU alone; tests of them are skipped elsewhere.
GPU_FILES = ("triton_", "flash_packages", "varlen")
COPIED = (
    *("benchmarks", "examples", "graphgym", "graphgym_configs", "pyg_samsa", "tests"),
    *("conftest.py", "pyproject.toml", "setup.cfg"),
)
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.yaml")
_PYTEST = ("-P", "-m", "pytest", "-q", "-p", "hypothesispytest", "-p", "no:cacheprovider", "--no-header", "--tb=line")
_MEMORY = 16 * 2**30


@dataclass(frozen=True)
class Mutant:
    """One change of one place.

    Attributes:
        file: Path below the root, with forward slashes.
        line: Line, counted from 1.
        operator: cosmic-ray's name of the kind of change.
        occurrence: Which of the places where the operator applies.
        before: The line as it is, without blanks around it.
        after: The line after the change; empty if it was removed.
    """

    file: str
    line: int
    operator: str
    occurrence: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"


Place = tuple[tuple[int, int], tuple[int, int]]


def _not_counted(tree: ast.Module) -> list[Place]:
    """Return the ranges of annotations, ``@overload`` and ``if TYPE_CHECKING``, whose changes no test has to notice."""
    nodes: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.arg, ast.AnnAssign)):
            nodes.append(node.annotation)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nodes.append(node.returns)
            nodes += [node] if any(ast.unparse(one) == "overload" for one in node.decorator_list) else []
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes.append(node)
    found = [node for node in nodes if isinstance(node, (ast.expr, ast.stmt))]
    # Decorators come before their function.
    lines = [min([n.lineno, *(one.lineno for one in getattr(n, "decorator_list", ()))]) for n in found]
    places = zip(lines, found, strict=True)
    return [((line, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for line, n in places]


def find_places(source: str) -> dict[Place, list[tuple[str, int]]]:
    """Return where cosmic-ray can change a file: place -> names of operators and their occurrences.

    Args:
        source: Content of a Python file.
    """
    import cosmic_ray.plugins
    from cosmic_ray.ast import ast_nodes, get_ast

    left_out = _not_counted(ast.parse(source))
    nodes = list(ast_nodes(get_ast(source)))
    places: dict[Place, list[tuple[str, int]]] = defaultdict(list)
    for name in sorted(cosmic_ray.plugins.operator_names()):
        operator = cosmic_ray.plugins.get_operator(name)
        if operator.arguments() or name == "core/NoOp":
            continue
        every = (place for node in nodes for place in operator().mutation_positions(node))
        for occurrence, (start, end) in enumerate(every):
            if not any(low <= start and end <= high for low, high in left_out):
                places[start, end].append((name, occurrence))
    return places


def mutate(source: str, operator: str, occurrence: int) -> str:
    """Return a file with one change.

    Args:
        source: Content of the file.
        operator: cosmic-ray's name of the kind of change.
        occurrence: Which of the places where the operator applies.
    """
    import cosmic_ray.plugins
    from cosmic_ray.mutating import mutate_code

    changed = mutate_code(source, cosmic_ray.plugins.get_operator(operator)(), occurrence)
    if changed is None:
        raise ValueError(f"{operator} has no occurrence {occurrence}")
    return str(changed)


def _rank(*parts: object) -> str:
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()


def draw(root: Path, packages: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Draw places at random, as many of each package, and one change at each.

    A draw depends on the seed and the text of the line alone, so changes of other lines hardly change the list.

    Args:
        root: Folder of the repository.
        packages: Names of packages in ``pyg_samsa``.
        count: Number of changes, at least 1.
        seed: Seed of the draw.
    """
    ranked = {package: _ranked_places(root, package, seed) for package in packages}
    chosen: list[Mutant] = []
    for number in range(count):
        package = packages[number % len(packages)]
        file, place, operators = next(ranked[package])
        source = (root / file).read_text(encoding="utf-8")
        operator, occurrence = min(operators, key=lambda operator: _rank(seed, *operator, file, place))
        before, after = _changed_lines(source, mutate(source, operator, occurrence))
        chosen.append(Mutant(file, place[0][0], operator, occurrence, before, after))
    return chosen


def _ranked_places(root: Path, package: str, seed: int) -> Iterator[tuple[str, Place, list[tuple[str, int]]]]:
    found = []
    for path in sorted((root / "pyg_samsa" / package).rglob("*.py")):
        if path.name == "__init__.py" or path.name.startswith(GPU_FILES):
            continue
        file, source = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        lines, seen = source.splitlines(), Counter[tuple[str, int]]()
        for place, operators in sorted(find_places(source).items()):
            key = (lines[place[0][0] - 1].strip(), place[0][1])
            seen[key] += 1
            found.append((_rank(seed, file, *key, seen[key]), file, place, operators))
    for _, file, place, operators in sorted(found):
        yield file, place, operators


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    old, new = ([line[1:].strip() for line in lines if line.startswith(sign)] for sign in "-+")
    return " / ".join(old), " / ".join(new)


def mirrored_tests(root: Path, file: str) -> list[str]:
    """Return the tests of a file: the test file at the mirrored path, and the file itself, whose examples run.

    Args:
        root: Folder of the repository.
        file: Path of the file below it.
    """
    path = Path(file)
    mirror = Path("tests", *path.parts[1:-1], f"test_{path.stem.lstrip('_')}.py")
    return [str(found) for found in (mirror, path) if (root / found).is_file()]


@cache
def _imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports from the package, such as ``pyg_samsa.nn.SAMSAConv``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pyg_samsa":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "pyg_samsa"}
    return found


def _defined(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def other_tests(root: Path, file: str) -> list[str]:
    """Return tests beside the mirrored ones that may notice a change of a file.

    These are the test files that import the file, or what it defines from a package that holds it, and the mirrored
    test files of the files that import it so.

    Args:
        root: Folder of the repository.
        file: Path of the file below it.
    """
    module = file.removesuffix(".py").replace("/", ".")
    names = _defined((root / file).read_text(encoding="utf-8"))

    def reads(path: Path) -> bool:
        for name in _imports(path):
            package, _, last = name.rpartition(".")
            if name == module or package == module or (last in names and module.startswith(f"{package}.")):
                return True
        return False

    found = [path.relative_to(root).as_posix() for path in sorted((root / "tests").rglob("test_*.py")) if reads(path)]
    for path in sorted((root / "pyg_samsa").rglob("*.py")):
        if path.name != "__init__.py" and reads(path):
            found += mirrored_tests(root, path.relative_to(root).as_posix())[:-1]
    known = mirrored_tests(root, file)
    return [test for test in dict.fromkeys(found) if test not in known]


class Trial:
    """A copy of the repository in which changes are tried.

    Args:
        root: Folder of the repository.
        folder: An empty folder for the copy.
        seconds: Time limit of the tests of one change; one that takes longer is killed.
    """

    def __init__(self, root: Path, folder: Path, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(root / name, folder / name)

    def check(self, mutants: Sequence[Mutant]) -> None:
        """Raise an error if the tests of the files fail without any change, or run other code than the copy's."""
        where = self._run(["-P", "-c", "import pyg_samsa; print(pyg_samsa.__file__)"], 600)
        if not where[1].strip().startswith(str(self.folder)):
            raise RuntimeError(f"the tests do not run the copy but {where[1].strip()}")
        files = sorted({mutant.file for mutant in mutants})
        tests = [test for file in files for test in mirrored_tests(self.folder, file)]
        code, output = self._run([*_PYTEST, *dict.fromkeys(tests)], 3600, write=True)
        if code != 0:
            raise RuntimeError(f"the tests fail without any change:\n{output[-3000:]}")

    def outcome(self, mutant: Mutant) -> str:
        """Return ``"killed"``, ``"timeout"`` or ``"survived"``.

        A change for which only the other tests take too long survived: they may be long without it.

        Args:
            mutant: The change.
        """
        # The other tests are found before the change, which may break the syntax of imports.
        others = other_tests(self.folder, mutant.file)
        outcome, _ = self._try(mutant, mirrored_tests(self.folder, mutant.file))
        if outcome != "survived" or not others:
            return outcome
        unsteady: list[str] = []
        while True:
            outcome, failed = self._try(mutant, [*others, *(f"--deselect={test}" for test in unsteady)])
            if outcome != "killed":
                break
            # Tests of processes may fail by themselves where the machine is busy.
            code, output = self._run([*_PYTEST, *failed], self.seconds)
            if code == 0:
                break
            if self._run([*_PYTEST, *failed], self.seconds)[0] != 0:
                raise RuntimeError(f"{mutant}: these tests fail without the change too:\n{output[-3000:]}")
            unsteady += failed
        return "survived" if outcome == "timeout" else outcome

    def _try(self, mutant: Mutant, tests: Sequence[str]) -> tuple[str, list[str]]:
        """Return the outcome of tests, and which failed."""
        path = self.folder / mutant.file
        source = path.read_text(encoding="utf-8")
        # Compiled files are told by whole seconds and size, which a change may not alter.
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
            compiled.unlink()
        try:
            path.write_text(mutate(source, mutant.operator, mutant.occurrence), encoding="utf-8")
            code, output = self._run([*_PYTEST, "-x", *tests], self.seconds)
        finally:
            path.write_text(source, encoding="utf-8")
        if code is None:
            return "timeout", []
        # 4: the change breaks the import of a conftest; 5: no test was run
        if code not in (0, 1, 2, 4) and code >= 0:
            raise RuntimeError(f"{mutant}: pytest ended with {code}\n{output[-3000:]}")
        return "survived" if code == 0 else "killed", failed_tests(output) or list(tests)

    def _run(self, arguments: Sequence[str], seconds: float, *, write: bool = False) -> tuple[int | None, str]:
        changes = {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        changes |= {} if write else {"PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_prepare,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, ""
        return process.returncode, output


def _prepare() -> None:
    """Limit the memory of the tests, and let them hear Ctrl-C also where a shell started this in the background."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def failed_tests(output: str) -> list[str]:
    """Return the names of the tests that failed, or that could not be collected.

    Args:
        output: Output of pytest.
    """
    # The parameters of a test may hold blanks.
    return re.findall(r"^(?:FAILED|ERROR) ([^\s\[]+(?:\[.*?\])?)(?= - |$)", output, re.MULTILINE)


def why_equivalent(mutant: Mutant, path: Path = EQUIVALENT) -> str:
    """Return why no test can notice a change; empty if it is not listed.

    Args:
        mutant: The change.
        path: File with a list of ``file``, ``before``, ``after`` and ``reason``.
    """
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []:
        if (entry["file"], entry["before"], entry["after"]) == (mutant.file, mutant.before, mutant.after):
            return str(entry["reason"])
    return ""


def table(outcomes: Sequence[tuple[Mutant, str]]) -> str:
    """Return the number of changes by package and outcome, and the share of those that were killed.

    Args:
        outcomes: Changes with ``"killed"``, ``"timeout"``, ``"survived"`` or ``"equivalent"``.
    """
    kinds = ("killed", "timeout", "survived", "equivalent")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, outcome in outcomes:
        counts[mutant.file.split("/")[1]][outcome] += 1
    counts["all"] = sum(counts.values(), Counter())
    rows = [f"{'package':12}" + "".join(f"{kind:>12}" for kind in kinds) + f"{'kill rate':>12}"]
    for package, found in counts.items():
        noticed = found["killed"] + found["timeout"]
        rate = noticed / max(1, noticed + found["survived"])
        rows.append(f"{package:12}" + "".join(f"{found[kind]:12}" for kind in kinds) + f"{rate:12.0%}")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw a list of changes, try each, and print which survived and a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100, help="number of changes")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--packages", nargs="+", default=PACKAGES, help="packages in pyg_samsa")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the list that are tried, such as survivors")
    parser.add_argument("--seconds", type=float, default=300, help="time limit of the tests of one change")
    parser.add_argument("--out", type=Path, help="JSON file for the outcomes")
    parser.add_argument("--list", action="store_true", help="print the list and try nothing")
    given = parser.parse_args(arguments)
    numbered = list(enumerate(draw(ROOT, given.packages, given.count, given.seed)))
    numbered = [pair for pair in numbered if given.only is None or pair[0] in given.only]
    if given.list:
        print(*(f"{number:3} {mutant}" for number, mutant in numbered), sep="\n")
        return
    outcomes: list[tuple[Mutant, str]] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trial = Trial(ROOT, Path(folder), given.seconds)
        trial.check([mutant for _, mutant in numbered])
        for number, mutant in numbered:
            reason, start = why_equivalent(mutant), time.monotonic()
            outcome = "equivalent" if reason else trial.outcome(mutant)
            outcomes.append((mutant, outcome))
            print(f"{number:3} {outcome:10} {time.monotonic() - start:4.0f} s  {mutant}  {reason}", flush=True)
            if given.out:
                found = [asdict(mutant) | {"outcome": outcome} for mutant, outcome in outcomes]
                given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"\nseed {given.seed}\n{table(outcomes)}")


if __name__ == "__main__":
    main()
