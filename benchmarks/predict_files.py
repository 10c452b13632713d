"""``python -m benchmarks.predict_files``: rows a second and memory of predictions for a large table.

The table is made here: chains of five fragments, each with a number of its own. It is predicted without Dask and with
some numbers of workers, and once with a worker that is killed in the middle. All outputs must have the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

FRAGMENTS = ("C", "CC", "N", "O", "C(C)", "C(O)", "C(N)", "C(=O)", "C(F)", "CO", "CN", "c1ccc(cc1)", "c1cnc(cc1)")
_ROWS_OF_A_GROUP = 2**16
_SECONDS = 0.2


class Run(NamedTuple):
    """One prediction of the table.

    Attributes:
        title: What was done.
        rows: Rows of the table.
        seconds: Wall time of the command, with its start.
        command_bytes: Peak memory of the command.
        worker_bytes: Peak memory of its largest worker; 0 without workers.
        digest: Hash of the output.
        killed: Rows that were written when a worker was killed; None if none was.
    """

    title: str
    rows: int
    seconds: float
    command_bytes: int
    worker_bytes: int
    digest: str
    killed: int | None = None

    def row(self) -> str:
        """Return the run as a row of a table in Markdown."""
        memory = [f"{size / 2**20:,.0f} MiB" if size else "-" for size in (self.command_bytes, self.worker_bytes)]
        rate = self.rows / self.seconds
        return f"| {self.title} | {self.rows:,} | {self.seconds:,.0f} s | {rate:,.0f} | {memory[0]} | {memory[1]} |"


def molecules(count: int) -> Iterator[str]:
    """Yield chains of five fragments: ``len(FRAGMENTS) ** 5`` of them are different."""
    base = len(FRAGMENTS)
    for number in range(count):
        yield "".join(FRAGMENTS[number // base**place % base] for place in range(5))


def write_table(path: Path, count: int) -> None:
    """Write a Parquet file with the columns ``id`` and ``smiles``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.int64()), ("smiles", pa.string())])
    source = molecules(count)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, count, _ROWS_OF_A_GROUP):
            numbers = range(start, min(start + _ROWS_OF_A_GROUP, count))
            columns = [pa.array(numbers, pa.int64()), pa.array([next(source) for _ in numbers])]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def predict(
    model: str, table: Path, rows: int, workers: int, folder: Path, *, kill: bool = False, words: Sequence[str] = ()
) -> Run:
    """Predict a table with the command, and watch its processes.

    Args:
        model: The model.
        table: The table.
        rows: Number of its rows.
        workers: Workers of a local cluster; 0 for no cluster.
        folder: Folder for the output, which is deleted.
        kill: Whether a worker is killed after a third of the rows.
        words: Further arguments of the command.
    """
    output = folder / "out.parquet"
    dask = ["--dask", "local", "--workers", str(workers)] if workers else []
    command = [sys.executable, "-P", "-m", "pyg_samsa", "predict", "-q", model, str(table), str(output), *dask, *words]
    peaks: dict[int, int] = {}
    killed: int | None = None
    began = time.perf_counter()
    process = subprocess.Popen(command)
    while process.poll() is None:
        for pid in (process.pid, *_children(process.pid)):
            peaks[pid] = max(peaks.get(pid, 0), _peak(pid))
        if kill and killed is None and (done := _rows_written(output)) >= rows // 3:
            killed = done
            os.kill(max(_workers(process.pid), key=_peak), signal.SIGKILL)
        time.sleep(_SECONDS)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    digest = hashlib.sha256(output.read_bytes()).hexdigest()
    output.unlink()
    title = (f"{workers} worker{'s' * (workers > 1)}" if workers else "no Dask") + (", one killed" if kill else "")
    main = peaks.pop(process.pid)
    return Run(title, rows, seconds, main, max(peaks.values(), default=0) if workers else 0, digest, killed)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
        for thread in threads:
            with suppress(OSError):
                found += [int(child) for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
        return sorted(set(found))
    return []


def _workers(pid: int) -> list[int]:
    """Return the processes of the cluster that predict: those that multiprocessing spawned, without its tracker."""
    return [child for child in _children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _peak(pid: int) -> int:
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


def _rows_written(output: Path) -> int:
    try:
        return int(json.loads(output.with_name(f"{output.name}.partial.json").read_text())["rows"])
    except (OSError, ValueError):
        return 0


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="peptides", help="folder or name of the model (default: peptides)")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], help="rows of the tables")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="workers; 0 for no cluster")
    parser.add_argument("--threads", type=int, default=1, help="threads of a process (default: 1)")
    parser.add_argument("--no-kill", action="store_true", help="leave out the run whose worker is killed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder, words = Path(made), ["--threads", str(args.threads)]
        print("| processes | rows | time | rows a second | peak memory of the command | of the largest worker |")
        print("|---|---|---|---|---|---|", flush=True)
        for rows in args.rows:
            table = folder / "in.parquet"
            write_table(table, rows)
            runs = []
            kills = [] if args.no_kill or rows != max(args.rows) else [max(args.workers)]
            for workers, kill in [*((workers, False) for workers in args.workers), *((each, True) for each in kills)]:
                runs.append(predict(args.model, table, rows, workers, folder, kill=kill, words=words))
                print(runs[-1].row(), flush=True)
                if runs[-1].killed is not None:
                    print(f"killed after {runs[-1].killed:,} rows", file=sys.stderr)
            if len({run.digest for run in runs}) > 1:
                raise SystemExit("the outputs differ")
            print(f"{rows:,} rows: all outputs have the SHA-256 {runs[0].digest[:16]}...", file=sys.stderr)


if __name__ == "__main__":
    main()
