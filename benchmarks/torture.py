"""``python -m benchmarks.torture``: kills, damaged files, attacks and random inputs, again and again, with a table.

Each line of the table is a command of its own, with a log, and can be repeated alone. A line that was done without a
failure is not run again, unless its number of kills or inputs has changed. Linux only; an hour on two cores.

    python -m benchmarks.torture
    python -m benchmarks.torture --kills 100 --inputs 5000000
    python -m benchmarks.torture --only "kills: sweep of two cells"
"""

from __future__ import annotations

import argparse
import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.fuzz import TARGETS
from benchmarks.gpu import run_command
from benchmarks.gpu_report import slug
from benchmarks.killed import SCENARIOS
from pyg_samsa.io.files import atomic_write, check_folder

SHARES = {"smiles": 0.5, "table-rows": 0.25, "table-bytes": 0.08, "yaml": 0.07, "config": 0.05, "pickle": 0.05}
"""Share of the random inputs that each target gets; quick ones get more."""
TESTS = {
    "damaged files": ["tests/crash/test_damaged_files.py", "tests/hub/test_load.py"],
    "full disks": ["tests/crash/test_full_disk.py"],
    "attacks: pickle files, archives, YAML and JSON": [
        "tests/io/test_safe_pickle.py",
        "tests/io/test_unfold.py",
        "tests/io/test_documents.py",
    ],
    "attacks: links and names": ["tests/training/test_run_files.py", "tests/io/test_files.py"],
    "attacks: formulas of spreadsheets": ["tests/io/test_formulas.py"],
}
"""Line of the table -> files of tests."""
_LIMIT = 3 * 3600.0


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Args:
        name: What is tried.
        command: Program and arguments; without the file for the outcome.
        out: Option that takes that file.
        suffix: Ending of the file.
    """

    name: str
    command: tuple[str, ...]
    out: str
    suffix: str

    def shown(self) -> str:
        """Return the command as a user types it."""
        return " ".join(["python", *self.command[1:]])


def lines(kills: int, inputs: int) -> list[Line]:
    """Return all lines.

    Args:
        kills: Kills at random moments for each command.
        inputs: Random inputs, of all targets together.

    Example:
        >>> [line.name for line in lines(30, 1000)][0]
        'kills: training a network'
    """
    python = (sys.executable, "-m")
    found = [
        Line(
            f"kills: {scenario.title}",
            (*python, "benchmarks.killed", "--scenario", name, *_kills(scenario, kills)),
            "--out",
            "json",
        )
        for name, scenario in SCENARIOS.items()
    ]
    found += [
        Line(name, (*python, "pytest", "-q", "-p", "no:cacheprovider", *paths), "--junitxml", "xml")
        for name, paths in TESTS.items()
    ]
    return found + [
        Line(
            f"random inputs: {title}",
            (*python, "benchmarks.fuzz", "--target", name, "--inputs", str(round(SHARES[name] * inputs))),
            "--out",
            "json",
        )
        for name, (_, _, title) in TARGETS.items()
    ]


def _kills(scenario: Any, kills: int) -> tuple[str, ...]:
    return () if scenario.by_file else ("--kills", str(kills))


def outcome(path: Path) -> tuple[int, int]:
    """Return how often something was tried, and how often it failed.

    Args:
        path: JSON file of `benchmarks.killed` or `benchmarks.fuzz`, or XML file of pytest.
    """
    if path.suffix == ".xml":
        (suite,) = ElementTree.parse(path).getroot().iter("testsuite")
        number = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        return number["tests"] - number["skipped"], number["failures"] + number["errors"]
    found = json.loads(path.read_text(encoding="utf-8"))
    if "kills" in found:
        return found["kills"], len(found["failures"])
    return found["inputs"], int(bool(found["failure"]))


def table(state: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table in Markdown.

    Args:
        state: Name of a line -> ``command``, ``tried``, ``failed`` and ``seconds``.

    Example:
        >>> print(table({"YAML": {"command": "python -m x", "tried": 1000, "failed": 0, "seconds": 61.0}}))
        | what is tried | tried | failed | minutes | command |
        |---|---|---|---|---|
        | YAML | 1,000 | 0 | 1.0 | `python -m x` |
    """
    rows = ["| what is tried | tried | failed | minutes | command |", "|---|---|---|---|---|"]
    for name, line in state.items():
        numbers = f"{line['tried']:,} | {line['failed']:,} | {line['seconds'] / 60:.1f}"
        rows.append(f"| {name} | {numbers} | `{line['command']}` |")
    return "\n".join(rows)


def run_lines(todo: list[Line], out: Path) -> dict[str, Any]:
    """Run the commands that are not done, and return and write what became of all lines so far."""
    path = out / "state.json"
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for line in todo:
        before = state.get(line.name, {})
        if before.get("command") == line.shown() and not before["failed"]:
            print(f"{line.name}: done before", flush=True)
            continue
        print(f"\n{line.name}: {line.shown()}", flush=True)
        name = slug(line.name.replace(":", ","))
        result = out / f"{name}.{line.suffix}"
        result.unlink(missing_ok=True)
        command = [*line.command, f"{line.out}={result}"]
        returncode, seconds = run_command(command, out / "logs" / f"{name}.log", _LIMIT)
        tried, failed = outcome(result) if result.exists() else (0, 0)
        # Also a process that ended without an outcome, and one that tried nothing.
        failed = max(failed, int(returncode != 0 or tried == 0))
        state[line.name] = {"command": line.shown(), "tried": tried, "failed": failed, "seconds": round(seconds, 1)}
        for file, text in ((path, json.dumps(state, indent=1)), (out / "table.md", f"{table(state)}\n")):
            with atomic_write(file) as partial:
                partial.write_text(text, encoding="utf-8")
    return state


def main(argv: list[str] | None = None) -> int:
    """Run the lines and print the table; return 1 if something failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.torture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30, help="kills of each command (default: 30)")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="random inputs (default: 1,000,000)")
    parser.add_argument("--only", nargs="+", metavar="LINE", help="names of lines")
    parser.add_argument("--list", action="store_true", help="print names and commands, then stop")
    parser.add_argument("--out", type=Path, default=Path("results/torture"), help="folder of the results")
    args = parser.parse_args(argv)
    todo = lines(args.kills, args.inputs)
    if args.list:
        print("\n".join(f"{line.name}\n    {line.shown()}" for line in todo))
        return 0
    unknown = sorted(set(args.only or ()) - {line.name for line in todo})
    if unknown:
        parser.error(f"--only: there is no {unknown[0]!r}; --list prints the names")
    check_folder("--out", args.out)
    state = run_lines([line for line in todo if not args.only or line.name in args.only], args.out)
    print(f"\n{table(state)}")
    return int(any(line["failed"] for line in state.values()))


if __name__ == "__main__":
    sys.exit(main())
