"""Random inputs for everything that reads files of strangers: none may end in an error that the project does not know.

    python -m benchmarks.fuzz --target smiles --inputs 100000 --out smiles.json

The inputs come from hypothesis: correct ones, of which some parts are replaced. A target is a reader with the errors
that it may raise; every other error, a lost row, an input that takes more than ten seconds, or more memory than
`MOST_MEMORY` is a failure. Hypothesis makes a failing input small and prints it.
"""

from __future__ import annotations

import argparse
import csv
import json
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import yaml
from hypothesis import HealthCheck
from hypothesis import strategies as st

from pyg_samsa.errors import SAMSAError
from pyg_samsa.io.files import atomic_write

BATCH = 2000
"""Most inputs of one run of hypothesis, which remembers all of them."""
MOST_MEMORY = 512
"""MiB that a target may take beside what it takes for its first inputs."""
_SLOWEST = timedelta(seconds=10)
_MOLECULES = [
    "CCO",
    "c1ccccc1",
    "NC(=O)[C@@H](N)Cc1ccc(O)cc1",
    "C/C=C\\C",
    "[NH4+].[Cl-]",
    "O=[N+]([O-])c1ccccc1",
    "[H][H]",
]
_MOLECULES += ["C1CC2CCC1C2", "CC(C)(C)OC(=O)N1CCC(CC1)c1nnc2ccccc2n1", "[13CH4]", "B(O)(O)c1ccncc1", "N#Cc1ccc(F)cc1"]
_SMILES_PARTS = [
    *"CNOSPFIcnos=#()[]123456789+-@/\\%.*:$~?HB",
    "Cl",
    "Br",
    "[C@H]",
    "%10",
    "[Fe]",
    "[999C]",
    " ",
    "\t",
    "\x00",
    "é",
]
_FIELDS = [
    "",
    "1",
    "-0.5",
    "1,5",
    ">3",
    "1e400",
    "nan",
    "n.d.",
    "active",
    "inactive",
    "CCO",
    "C1CC",
    "'",
    "=1+1",
    "#N/A",
    "ü",
]
_YAML_PARTS = [
    "a: ",
    "- ",
    "&x ",
    "*x",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ": ",
    "\n",
    "  ",
    "!!python/object:os.system ",
    "!!binary ",
    "1",
]
_YAML_PARTS += [
    "0x_",
    "1e999",
    "2001-99-99",
    "|",
    ">",
    "'",
    '"',
    "#",
    "---",
    "...",
    "%YAML 9.9\n",
    "? ",
    "<<: ",
    "null",
    "~",
    "\t",
    "é",
    "\x07",
]


def _mutated(good: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Replace, insert or remove some bytes of correct content."""
    change = st.tuples(st.integers(0, 2**16), st.integers(0, 8), st.binary(max_size=8))

    def apply(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
        for place, length, new in changes:
            at = place % (len(content) + 1)
            content = content[:at] + new + content[at + length :]
        return content

    return st.builds(apply, good, st.lists(change, max_size=6))


def _smiles() -> tuple[st.SearchStrategy[Any], Callable[[Any, Path], int]]:
    from pyg_samsa.chem.parsing import parse_molecules

    parts = st.lists(st.sampled_from(_SMILES_PARTS), max_size=25).map("".join)
    mutated = _mutated(st.sampled_from(_MOLECULES).map(str.encode)).map(lambda text: text.decode("latin-1"))
    texts = st.lists(st.one_of(parts, mutated, st.none()), min_size=8, max_size=8)

    def check(given: list[Any], folder: Path) -> int:
        parsed = parse_molecules(given, max_atoms=1000)
        places = [*parsed.kept, *(refusal.position for refusal in parsed.refused)]
        assert sorted(places) == list(range(len(given))), "a molecule is lost"
        assert len(parsed.table.num_nodes) == len(parsed.kept)
        return len(given)

    return texts, check


def _table_bytes() -> tuple[st.SearchStrategy[Any], Callable[[Any, Path], int]]:
    from pyg_samsa.io.csv_rows import open_rows

    starts = [
        b"smiles,y\nCCO,1\nCC,2\n",
        b'sep=;\nsmiles;y\n"C\nC";1\n',
        b"# made by hand\na|b|c\n1|2|3\n",
        b"\xff\xfea\x00,\x00",
    ]
    content = st.one_of(_mutated(st.sampled_from(starts)), st.binary(max_size=60))

    def check(given: bytes, folder: Path) -> int:
        path = folder / "table.csv"
        path.write_bytes(given)
        with open_rows(path) as rows:
            assert all(isinstance(field, str) for row in rows for field in row)
        return 1

    return content, check


def _table_rows() -> tuple[st.SearchStrategy[Any], Callable[[Any, Path], int]]:
    from pyg_samsa.datasets.molecules.csv_table import open_molecule_table

    row = st.tuples(st.sampled_from(_MOLECULES), st.sampled_from(_FIELDS), st.sampled_from(_FIELDS))
    tables = st.tuples(st.sampled_from([",", ";", "\t"]), st.lists(row, min_size=1, max_size=12))

    def check(given: tuple[str, list[tuple[str, ...]]], folder: Path) -> int:
        delimiter, rows = given
        path = folder / "table.csv"
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=delimiter).writerows([("smiles", "y", "note"), *rows])
        left_out: list[Any] = []
        table = open_molecule_table(path, smiles_column="smiles", target_columns=["y"])
        read = list(table.rows(left_out))
        found = sorted([row.row for row in read] + [one.row for one in left_out])
        assert found == list(range(1, len(rows) + 1)), "a row is lost"
        assert all(row.targets == [rows[row.row - 1][1]] for row in read), "a field is changed"
        return len(rows)

    return tables, check


def _yaml() -> tuple[st.SearchStrategy[Any], Callable[[Any, Path], int]]:
    from pyg_samsa.io.documents import parse_yaml

    good = yaml.safe_dump({"seed": 1, "samsa": {"layers": 2, "names": ["a", None, 1.5]}, "out_dir": "results"}).encode()
    mutated = _mutated(st.just(good)).map(lambda text: text.decode("utf-8", "replace"))
    texts = st.one_of(st.lists(st.sampled_from(_YAML_PARTS), max_size=25).map("".join), mutated)

    def check(given: str, folder: Path) -> int:
        parse_yaml(given)
        return 1

    return texts, check


def _config() -> tuple[st.SearchStrategy[Any], Callable[[Any, Path], int]]:
    from pyg_samsa.hub import find_pretrained
    from pyg_samsa.hub.model_config import read_config

    good = (find_pretrained("peptides") / "config.json").read_bytes()
    content = json.loads(good)
    leaf = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({})
    )
    values = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    )
    changed = st.builds(
        lambda changes: json.dumps({**content, **changes}).encode(),
        st.dictionaries(st.sampled_from([*content, "more"]), values, min_size=1, max_size=2),
    )

    def check(given: bytes, folder: Path) -> int:
        (folder / "config.json").write_bytes(given)
        read_config(folder)
        return 1

    return st.one_of(changed, _mutated(st.just(good))), check


def _pickle() -> tuple[st.SearchStrategy[Any], Callable[[Any, Path], int]]:
    from pyg_samsa.io import safe_pickle

    values = [{"a": [1, 2.5, "x", None], "b": (True, b"y")}, np.arange(6).reshape(2, 3), [np.float32(1), {1, 2}]]
    good = [pickle.dumps(value, protocol) for value in values for protocol in (0, 2, 4, 5)]

    def check(given: bytes, folder: Path) -> int:
        path = folder / "data.pkl"
        path.write_bytes(given)
        safe_pickle.load(path)
        return 1

    return st.one_of(_mutated(st.sampled_from(good)), st.binary(max_size=60)), check


TARGETS: dict[str, tuple[Callable[[], Any], tuple[type[BaseException], ...], str]] = {
    "smiles": (_smiles, (SAMSAError,), "SMILES to graphs"),
    "table-bytes": (_table_bytes, (SAMSAError,), "CSV reader, damaged tables"),
    "table-rows": (_table_rows, (SAMSAError,), "CSV reader, rows of correct tables"),
    "yaml": (_yaml, (yaml.YAMLError,), "YAML"),
    "config": (_config, (SAMSAError,), "config.json of a model"),
    "pickle": (_pickle, (SAMSAError,), "pickle files"),
}
"""Name -> what makes inputs and check, the errors that are allowed, and a title."""


def fuzz(name: str, inputs: int, *, seed: int = 0) -> dict[str, Any]:
    """Give a target random inputs.

    Args:
        name: Name in `TARGETS`.
        inputs: Least number of inputs.
        seed: Seed of the inputs.

    Returns:
        ``inputs``, ``refused`` (runs that ended in an allowed error), ``failure`` (empty for none), ``seconds`` and
        ``memory``: MiB beside those of the first batch.
    """
    make, allowed, _ = TARGETS[name]
    strategy, check = make()
    counts = {"inputs": 0, "refused": 0}
    started, first, failure = time.perf_counter(), 0.0, ""
    with tempfile.TemporaryDirectory() as folder:

        def one(given: Any) -> None:
            try:
                counts["inputs"] += check(given, Path(folder))
            except allowed:
                counts["inputs"] += 1
                counts["refused"] += 1

        batch = 0
        options: dict[str, Any] = {"database": None, "deadline": _SLOWEST, "suppress_health_check": list(HealthCheck)}
        while counts["inputs"] < inputs and not failure:
            test = hypothesis.settings(max_examples=min(BATCH, inputs), **options)(hypothesis.given(strategy)(one))
            try:
                hypothesis.seed(seed + batch)(test)()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                notes = getattr(error, "__notes__", [])
                failure = " ".join([f"{type(error).__name__}: {error}", *notes])[:500]
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            first = first or memory
            if memory - first > MOST_MEMORY:
                failure = failure or f"{memory - first:.0f} MiB more than for the first inputs"
            batch += 1
    seconds = round(time.perf_counter() - started, 1)
    return {**counts, "failure": failure, "seconds": seconds, "memory": round(memory - first)}


def main(argv: list[str] | None = None) -> int:
    """Fuzz one target and write the outcome; return 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--target", required=True, choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=10_000, help="least number of inputs (default: 10,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the outcome")
    args = parser.parse_args(argv)
    found = fuzz(args.target, args.inputs, seed=args.seed)
    with atomic_write(args.out) as partial:
        partial.write_text(json.dumps(found), encoding="utf-8")
    print(found)
    return int(bool(found["failure"]))


if __name__ == "__main__":
    sys.exit(main())
