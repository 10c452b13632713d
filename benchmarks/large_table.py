"""Peak memory of preparing a large table of molecules, and of an epoch with it: ``python -m benchmarks.large_table``.

The table is made of combinations of fragments. Each part runs in a process of its own, whose memory is read twenty
times a second. Memory is counted that cannot be given back without losing data: pages of mapped files are not.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import yaml

# fmt: off
_LEFT = ["C", "CC", "CCC", "CC(C)", "O", "OC", "OCC", "N", "NC", "NCC", "CN", "CNC", "CO", "COC", "COCC", "F", "Cl",
         "Br", "N#C", "CS", "CSC", "OC(=O)", "NC(=O)", "CC(=O)", "COC(=O)", "CC(=O)N", "CNC(=O)", "CS(=O)(=O)",
         "FC(F)(F)", "C1CC1", "C1CCC1C", "C1CCN(C)C1"]
_CORE = ["c8ccc({})cc8{}", "c8cnc({})cc8{}", "c8cc({})ccc8{}", "C8CCC({})CC8{}", "C8CCN({})CC8{}",
         "c8ccc9cc({})ccc9c8{}", "c8cc9cc({})[nH]c9cc8{}", "c8nc({})sc8{}", "c8cc({})oc8{}", "c8nc({})ncc8{}",
         "C8OCC({})CC8{}", "c8ccc({})nc8{}"]
_RIGHT = ["C", "CC", "C(C)C", "CCO", "CCN", "OC", "OCC", "NC", "N(C)C", "C(=O)O", "C(=O)N", "C(=O)NC", "C(=O)OC", "C#N",
          "CF", "CCl", "CBr", "C(F)(F)F", "CS", "CCSC", "C1CC1", "C1CCCC1", "C1CCCCC1", "C1CCOCC1", "C1CCNCC1",
          "c1ccccc1", "c1ccncc1", "c1ccc(F)cc1", "c1ccc(Cl)cc1", "c1ccc(C)cc1", "c1ccc(O)cc1", "c1ccc(N)cc1",
          "Cc1ccccc1", "Cc1ccncc1", "CCc1ccccc1", "C(=O)c1ccccc1", "C(=O)Nc1ccccc1", "CNC(=O)c1ccccc1", "CC(=O)N1CCCC1",
          "CN1CCOCC1", "CN1CCN(C)CC1", "C(=O)N1CCCC1", "CCN1CCCC1", "CCCC", "CCCCC", "CCCCCC", "CC(C)C", "CC(C)(C)C",
          "COC", "CCOC", "COCC", "CCOCC"]
# fmt: on
_SECONDS = 0.05
ROOT = Path(__file__).parent.parent


def write_table(path: Path, rows: int) -> None:
    """Write a table of different molecules with a target.

    Args:
        path: CSV file.
        rows: Number of molecules, at most those of the combinations, about a million.
    """
    made = (left + core.format(*ends) for left, core, *ends in product(_LEFT, _CORE, _RIGHT, _RIGHT))
    smiles = list(made)
    if rows > len(smiles):
        raise ValueError(f"there are {len(smiles):,} combinations, fewer than {rows:,}")
    generator = random.Random(0)
    generator.shuffle(smiles)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "y"])
        writer.writerows([text, round(len(text) / 10 + generator.gauss(0, 1), 4)] for text in smiles[:rows])


def measure(arguments: Sequence[str]) -> dict[str, float]:
    """Run a command, and return its seconds and the peak of its memory in MiB, all its processes together.

    Args:
        arguments: Arguments of Python.
    """
    start, peak, main_peak = time.monotonic(), 0.0, 0.0
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT)
    while process.poll() is None:
        parts = [_held(child) for child in _family(process.pid)]
        peak, main_peak = max(peak, sum(parts)), max(main_peak, parts[0])
        time.sleep(_SECONDS)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
    seconds = time.monotonic() - start
    return {"seconds": round(seconds), "MiB": round(peak), "MiB of the main process": round(main_peak)}


def _family(pid: int) -> list[int]:
    """Return a process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(one for child in children for one in _family(int(child)))]


def _held(pid: int) -> float:
    """Return the memory of a process, in MiB, without pages of files."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return sum(int(lines.get(key, "0 kB").split()[0]) for key in ("RssAnon", "RssShmem")) / 1024


def _config(folder: Path, table: Path, descriptors: Sequence[str], members: str, encodings: str) -> Path:
    content = {
        "out_dir": str(folder / "results"),
        "num_threads": 1,
        "dataset": {"format": "samsa", "name": "csv", "dir": str(folder / "data"), "csv": str(table)},
        "train": {"batch_size": 256},
        "model": {"type": "samsa", "loss_fun": "l1"},
        "metric_best": "mae",
        "samsa": {"layers": 1, "channels": 8, "heads": 1, "num_samples": 4},
        "pe": {"kind": encodings},
        "predictor": {"members": members},
        "optim": {"optimizer": "adamW", "max_epoch": 1},
    }
    if descriptors:
        content["dataset"] |= {"descriptors": list(descriptors)}
    path = folder / "large.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a table, prepare it, train with it, and print the peaks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_table", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="molecules of the table")
    parser.add_argument("--only-prepare", action="store_true", help="leave the training out")
    parser.add_argument("--descriptors", nargs="*", default=(), help="descriptors beside the graphs")
    parser.add_argument("--encodings", default="none", help="positional encodings (default: none)")
    parser.add_argument("--members", default="network", help="members of the predictor (default: network)")
    parser.add_argument("--workers", type=int, default=1, help="processes that convert molecules")
    parser.add_argument("--folder", type=Path, help="where table and data are kept; deleted at the end by default")
    given = parser.parse_args(arguments)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="large-table-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        table = folder / "large.csv"
        write_table(table, given.rows)
        config = _config(folder, table, given.descriptors, given.members, given.encodings)
        code = (
            "from pyg_samsa.datasets import CSVMolecules as C\n"
            f"C({str(folder / 'data')!r}, csv={str(table)!r}, workers={given.workers}, progress=False)"
        )
        found = {"preparation": measure(["-P", "-c", code])}
        if not given.only_prepare:
            found["training"] = measure(["-P", "-m", "graphgym", "--cfg", str(config)])
        size = sum(file.stat().st_size for file in (folder / "data").rglob("*") if file.is_file())
        print(json.dumps({"rows": given.rows, "MB of data": round(size / 1e6)} | found, indent=1))
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
