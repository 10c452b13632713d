"""``python -m benchmarks.molecules``: compare networks and boosted trees on tables of molecules.

Every contestant trains on every table, split and seed, each in a process of its own, and they take turns. Test values,
times and peak memory are printed as tables and written as JSON after each training. If the same command is run again,
finished trainings are not repeated. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pyg_samsa.errors import ConfigError, DataError, SAMSAError

EPILOG = """\
examples:
  python -m benchmarks.molecules tables --chemprop chemprop-venv/bin/chemprop
  python -m benchmarks.molecules tables --sets esol --splits split_s --seeds 0 --peers lightgbm
  python -m benchmarks.molecules tables --ours "samsa=" "mse=model.loss_fun mse" --peers
"""
_LOG_LINES = 15


def _parser() -> argparse.ArgumentParser:
    from benchmarks.molecule_contestants import PEERS

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.molecules",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder of CSV tables with SMILES and split columns"
    )
    parser.add_argument("--sets", nargs="+", metavar="SET", help="tables, without .csv (default: all)")
    parser.add_argument(
        "--splits",
        nargs="+",
        metavar="COLUMN",
        help="columns that hold train, val and test (default: all such columns of a table)",
    )
    parser.add_argument(
        "--targets",
        nargs="+",
        default=[],
        metavar="SET=COLUMNS",
        help="columns to predict, separated by blanks (default: all columns of numbers)",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="seeds (default: 0 1 2)")
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), choices=PEERS, help="other contestants (default: all)"
    )
    parser.add_argument(
        "--ours",
        nargs="*",
        default=["samsa="],
        metavar="NAME=FLAGS",
        help="variants of pyg-samsa train --csv, with further arguments of it (default: one without)",
    )
    parser.add_argument(
        "--chemprop", metavar="PATH", help="executable of chemprop 2, in an environment of its own (default: searched)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads and processors per contestant (default: 1)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/benchmarks/molecules.json"),
        metavar="FILE.json",
        help="results; FILE.md beside it holds the tables (default: results/benchmarks/molecules.json)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the trainings that are missing; return 0, 1 if one failed, 2 or 3 for wrong arguments or tables."""
    args = _parser().parse_args(argv)
    try:
        return _run(args)
    except SAMSAError as error:
        print(f"error: {error}" + (f"\nhint:  {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nstopped. The same command continues.", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from benchmarks import molecule_report as report
    from pyg_samsa.io.files import atomic_write, lock
    from pyg_samsa.training.environment import available_cpus

    console = Console(soft_wrap=True) if sys.stdout.isatty() else Console(width=130, soft_wrap=True)
    if not 1 <= args.threads <= available_cpus():
        raise ConfigError("--threads", args.threads, f"a number from 1 to {available_cpus()}, the processors here")
    if args.out.suffix != ".json":
        raise ConfigError("--out", str(args.out), "a name that ends in .json")
    contestants = _contestants(args, console)
    failed = False
    with lock(args.out, wait=False, setting="--out"):
        cells = report.Cells(args.out)
        data = _read(args, console)
        wanted: list[dict[str, Any]] = []
        for one, split, seed, contestant in _plan(data, args.seeds, contestants):
            key = _key(one, split, seed, contestant, args.threads)
            cell = cells.find(key)
            if cell is None:
                try:
                    cell = key | _train(one, split, seed, contestant, args.threads)
                except DataError as error:
                    console.print(f"[red]failed[/]: {_name(key)}: ", end="")
                    console.print(str(error), markup=False, highlight=False)
                    failed = True
                    continue
                cells.add(cell)
                console.print(_line(cell), markup=False, highlight=False)
            wanted.append(cell)
    if not wanted:
        return int(failed)
    for group in report.groups(wanted):
        console.print(report.table(group))
    page = args.out.with_suffix(".md")
    with atomic_write(page) as temporary:
        temporary.write_text(report.markdown(wanted), encoding="utf-8")
    console.print(f"written: {args.out}, {page}", highlight=False)
    return int(failed)


def _contestants(args: argparse.Namespace, console: Any) -> list[Any]:
    from benchmarks.molecule_contestants import Chemprop, LightGBM, find_chemprop, parse_ours

    found: list[Any] = [parse_ours(text) for text in args.ours]
    for name in dict.fromkeys(args.peers):
        if name != "chemprop":
            found.append(LightGBM(name))
        elif program := find_chemprop(args.chemprop):
            found.append(Chemprop(program))
        else:
            console.print(
                "chemprop is left out: there is no such program on PATH. Install it and pass --chemprop PATH."
            )
    names = [contestant.name for contestant in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError("--ours", name, "names that differ")
    if not found:
        raise ConfigError("--ours and --peers", [], "at least one contestant")
    return found


def _read(args: argparse.Namespace, console: Any) -> list[Any]:
    from benchmarks.molecule_sets import find_sets, read_set

    paths = find_sets(args.folder, args.sets)
    targets = {}
    for text in args.targets:
        name, _, columns = text.partition("=")
        if name not in {path.stem for path in paths} or not columns:
            raise ConfigError("--targets", text, 'SET=COLUMNS with the name of a table, such as "tox21=NR-AR SR-p53"')
        targets[name] = shlex.split(columns)
    found = [read_set(path, splits=args.splits, targets=targets.get(path.stem)) for path in paths]
    for data in found:
        text = f"{data.name}: {data.task} of {', '.join(data.targets)}; {len(data.rows):,} molecules"
        text += f", {data.left_out:,} left out (unreadable, or without a target)" if data.left_out else ""
        console.print(text, markup=False, highlight=False)
    return found


def _plan(data: Sequence[Any], seeds: Sequence[int], contestants: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield all trainings; contestants take turns, so that slow phases of the machine affect all of them."""
    for one in data:
        for split in one.splits:
            for number, seed in enumerate(dict.fromkeys(seeds)):
                for contestant in contestants:
                    if number == 0 or contestant.seeded:
                        yield one, split, seed, contestant


def _key(data: Any, split: str, seed: int, contestant: Any, threads: int) -> dict[str, Any]:
    key = {"set": data.name, "digest": data.digest, "targets": data.targets, "split": split, "seed": seed}
    return key | {"contestant": contestant.name, "flags": contestant.flags, "threads": threads}


def _train(data: Any, split: str, seed: int, contestant: Any, threads: int) -> dict[str, Any]:
    """Run one training in a temporary folder and return what was measured.

    Raises:
        DataError: The command failed, or left no result.
    """
    from benchmarks.measured import measure
    from benchmarks.molecule_contestants import Job, environment
    from pyg_samsa.training.environment import cpu_name

    with tempfile.TemporaryDirectory(prefix="molecules-") as name:
        job = Job(data, split, seed, threads, Path(name))
        data.write(job.table, split)
        log = job.folder / "log.txt"
        command = contestant.command(job)
        used = measure(command, job.folder, log, threads=threads, env=environment(contestant))
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()
        if used.returncode != 0:
            tail = "\n".join(said[-_LOG_LINES:])
            raise DataError(f"exit code {used.returncode} of {shlex.join(command)}\n{tail}")
        try:
            scores = contestant.scores(job)
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"no result of {shlex.join(command)}: {error}") from error
    measured = {"seconds": used.seconds, "cpu_seconds": used.cpu_seconds, "peak_bytes": used.peak_bytes}
    about = {"task": data.task, "metric": data.metric, "sizes": data.sizes(split), "left_out": data.left_out}
    return about | {"scores": scores} | measured | {"cpu": cpu_name(), "versions": contestant.versions()}


def _name(cell: dict[str, Any]) -> str:
    return f"{cell['set']}, {cell['split']}, seed {cell['seed']}, {cell['contestant']}"


def _line(cell: dict[str, Any]) -> str:
    value = next(iter(cell["scores"].values()))["test"]
    return f"{_name(cell)}: {cell['metric']} {value:.3f}, {cell['seconds']:.1f} s"


if __name__ == "__main__":
    # As Ctrl-C, which a shell turns off for commands in the background: the training is ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
