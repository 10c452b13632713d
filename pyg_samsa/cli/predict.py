"""``pyg-samsa predict``: a CSV of molecules in, the same CSV with predictions out."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyg_samsa.errors import ConfigError

HELP = "predict for the molecules of a CSV file, or for one SMILES"
EPILOG = """\
examples:
  pyg-samsa predict peptides in.csv out.csv              with the network that comes with the package
  pyg-samsa predict results/esol/0 in.csv out.csv        with one of your own: the run's folder, or model/ in it
  pyg-samsa predict peptides "NCC(=O)NCC(=O)O"           one molecule, to the screen
  cat in.csv | pyg-samsa predict peptides - - | head     from and to other programs
  pyg-samsa predict peptides in.csv out.csv --uncertainty

Every row comes out, in order, with all its columns; rows that cannot be read say why in the column `error`. A run that was stopped goes on where it
was when it is started again.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="folder of a saved network or of a run, or the name of one that comes with the package",
    )
    parser.add_argument("input", metavar="IN", help="CSV file, - for the standard input, or a single SMILES")
    parser.add_argument(
        "output", metavar="OUT", nargs="?", default="-", help="CSV file, or - for the standard output (default)"
    )
    parser.add_argument(
        "--smiles-column",
        default="",
        metavar="S",
        help="name or number of the column of SMILES (default: smiles or a relative of it)",
    )
    parser.add_argument(
        "--no-header",
        action="store_true",
        help="the first row is a molecule, too; the SMILES are in column 1 or --smiles-column",
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="add the spread over draws of the Graph-Bridge codes; takes as many times longer",
    )
    parser.add_argument("--draws", type=int, default=8, metavar="N", help="draws for --uncertainty (default: 8)")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that read molecules (default: 1)"
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads of the network (default: one for each core)"
    )
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (default: cpu)")
    parser.add_argument(
        "--max-atoms", type=int, default=100_000, metavar="N", help="larger molecules get an error (default: 100000)"
    )


def run(args: argparse.Namespace) -> int:
    """Predict."""
    import torch

    from pyg_samsa.io.csv_rows import open_rows
    from pyg_samsa.io.files import lock
    from pyg_samsa.io.progress import progress_bar
    from pyg_samsa.predict.predictor import MoleculePredictor
    from pyg_samsa.predict.stream import StreamOptions, TablePredictor, predict_to_file, predict_to_stream

    _check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    predictor = MoleculePredictor.from_pretrained(args.model, device=args.device)
    source, single = _source(args.input)
    options = StreamOptions(args.smiles_column, args.uncertainty, args.draws, args.workers, args.max_atoms)
    with open_rows(source, header=single or not args.no_header) as rows:
        table = TablePredictor(predictor, rows, options)
        total = None if single or args.input == "-" else _count_lines(Path(args.input))
        shown = args.verbosity >= 0 and not single and sys.stderr.isatty()
        with progress_bar(f"Predicting {', '.join(predictor.target_names[:3])}", total, enabled=shown) as advance:
            if args.output == "-":
                with _standard_output() as output:
                    done = predict_to_stream(table, output, advance=advance)
            else:
                with lock(args.output, wait=False, setting="OUT"):
                    done = predict_to_file(table, Path(args.output), advance=advance)
    if args.verbosity >= 0 and not single:
        told = (
            f"{done.rows:,} rows, {done.errors:,} of them without a prediction (see the column error)"
            if done.errors
            else f"{done.rows:,} rows"
        )
        print(told + ("" if args.output == "-" else f": {args.output}"), file=sys.stderr)
    return 0


def resume_hint(args: argparse.Namespace) -> str:
    """Return how to continue a prediction that was stopped."""
    return "" if args.output == "-" else "The same command goes on where it stopped."


def _check(args: argparse.Namespace) -> None:
    for key in ("workers", "draws", "max_atoms"):
        if getattr(args, key) < 1:
            raise ConfigError(f"--{key.replace('_', '-')}", getattr(args, key), "a number of at least 1")
    if args.threads < 0:
        raise ConfigError("--threads", args.threads, "a number of at least 1")
    if (
        args.output != "-"
        and args.input != "-"
        and Path(args.output).exists()
        and Path(args.input).exists()
        and os.path.samefile(args.input, args.output)
    ):
        raise ConfigError("OUT", args.output, "another file than IN")
    if args.output != "-" and Path(args.output).is_dir():
        raise ConfigError("OUT", args.output, "the name of a file; this is a folder")


def _source(given: str) -> tuple[Any, bool]:
    """Return what to read, and whether it is a single molecule."""
    if given == "-":
        return sys.stdin.buffer, False
    if Path(given).is_file() or Path(given).suffix.lower() in (".csv", ".tsv", ".txt", ".smi"):
        return given, False
    from pyg_samsa.chem.ogb_features import parse_smiles
    from pyg_samsa.errors import DataNotFoundError

    if isinstance(reason := parse_smiles(given), str):
        raise DataNotFoundError(
            f"{given}: no such file, and no molecule either ({reason})", hint="Give a CSV file, - or a SMILES."
        )
    escaped = given.replace('"', '""')
    return io.BytesIO(f'smiles\n"{escaped}"\n'.encode()), True


def _count_lines(path: Path) -> int:
    """Return the number of lines after the first: about that of the rows, at the speed of the disk."""
    with path.open("rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1)


@contextlib.contextmanager
def _standard_output() -> Iterator[Any]:
    # In UTF-8 whatever the terminal, as files are.
    raw = getattr(sys.stdout, "buffer", None)
    output: Any = sys.stdout if raw is None else io.TextIOWrapper(raw, encoding="utf-8", newline="", write_through=True)
    try:
        yield output
    finally:
        if output is not sys.stdout:
            output.detach()
