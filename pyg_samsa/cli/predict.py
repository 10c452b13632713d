"""``pyg-samsa predict``: add predictions to a CSV file of molecules."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_samsa.cli._arguments import add_decimal, add_import, add_model, add_smiles_column, import_modules
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.files import check_file
from pyg_samsa.io.worker_pool import MOST
from pyg_samsa.options import check_integer

if TYPE_CHECKING:
    from pyg_samsa.io.csv_rows import CsvRows
    from pyg_samsa.predict.stream import Progress

HELP = "predict properties of molecules: a CSV file, or one SMILES"
EPILOG = """\
examples:
  pyg-samsa predict peptides "NCC(=O)NCC(=O)O"           one molecule; prints the prediction
  pyg-samsa predict peptides in.csv out.csv              a table, with the model that comes with the package
  pyg-samsa predict results/esol/0 in.csv out.csv        a table, with your own predictor: the folder of a run
  pyg-samsa predict results/esol/0/model in.csv out.csv  the network of that run alone
  pyg-samsa predict results/esol/0 in.csv out.csv --uncertainty
  pyg-samsa predict results/esol/0 in.csv out.csv --interval 0.9
  cat in.csv | pyg-samsa predict peptides - - | head     read stdin and write stdout

The output has all rows and columns of the input, in the same order, followed by the predictions. If a molecule cannot
be read, the column `error` says why. Run the same command again to continue an interrupted prediction.
An OUT that exists, also one of another table or model, is replaced when the new prediction is complete.
"""


LATE = "output"
_OPTIONS = ("device", "uncertainty")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_model(parser)
    parser.add_argument("input", metavar="IN", help="CSV file, - for stdin, or one SMILES")
    parser.add_argument("output", metavar="OUT", nargs="?", default="-", help="CSV file, or - for stdout (default)")
    add_import(parser)
    add_smiles_column(parser)
    add_decimal(parser, "as in training")
    parser.add_argument(
        "--no-header",
        action="store_true",
        help="the table has no header (found if its first row holds a molecule); the SMILES are in column 1, or in "
        "column --smiles-column",
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="add the standard deviation over the members, or of a network over --draws draws of its codes",
    )
    parser.add_argument(
        "--draws",
        type=int,
        default=8,
        metavar="N",
        help="draws for --uncertainty; the time is proportional to N (default: 8)",
    )
    parser.add_argument(
        "--interval",
        type=float,
        metavar="C",
        help="add intervals (sets of labels or classes) that hold the true value with probability C, such as 0.9",
    )
    parser.add_argument(
        "--escape-formulas",
        action="store_true",
        help="write an apostrophe before cells of IN that spreadsheets read as formulas; cells that are added always "
        "have it",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that read molecules (default: 1)"
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="threads of the network (default: one per core)"
    )
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (default: cpu)")
    parser.add_argument(
        "--max-atoms",
        type=int,
        default=100_000,
        metavar="N",
        help="molecules with more atoms get an error instead of a prediction (default: 100000)",
    )


def run(args: argparse.Namespace) -> int:
    """Predict and write the table."""
    from pyg_samsa.chem.first_row import open_molecules
    from pyg_samsa.io.csv_columns import SMILES_NAMES, find_column

    _check(args)
    import_modules(args)
    source, single = _source(args.input)
    # What is wrong with the table is told before the libraries of the network are imported.
    opened = open_molecules(source, header=single or not args.no_header, smiles_column=args.smiles_column)
    with opened as (rows, args.smiles_column):
        if rows.header:
            find_column(rows.header, args.smiles_column, key="--smiles-column", fallbacks=SMILES_NAMES)
        try:
            done = _predict(args, rows, single=single)
        except ConfigError as error:
            # The option is the argument of its name.
            raise error.renamed(f"--{error.key}") if error.key in _OPTIONS else error from None
    if args.verbosity >= 0 and not single:
        summary = f"{done.rows:,} row{'s' * (done.rows != 1)}"
        summary += f", {done.errors:,} of them without a prediction (see the column error)" if done.errors else ""
        print(summary + ("" if args.output == "-" else f": {args.output}"), file=sys.stderr)
    return 0


def _predict(args: argparse.Namespace, rows: CsvRows, *, single: bool) -> Progress:
    import torch

    from pyg_samsa.io.csv_columns import refuse_molecules_alone
    from pyg_samsa.io.progress import progress_bar
    from pyg_samsa.predict import load_predictor
    from pyg_samsa.predict.conformal import check_confidence
    from pyg_samsa.predict.stream import StreamOptions, TablePredictor, predict_to_file, predict_to_stream

    if args.threads:
        torch.set_num_threads(args.threads)
    predictor = load_predictor(args.model, device=args.device, threads=torch.get_num_threads())
    if single:
        refuse_molecules_alone(predictor.extra_columns, key="IN")
    if args.interval is not None:
        check_confidence(predictor.calibration, args.interval, key="--interval")
    columns = (args.smiles_column, args.uncertainty, args.draws, args.workers, args.max_atoms)
    options = StreamOptions(
        *columns, interval=args.interval, decimal=args.decimal, escape_formulas=args.escape_formulas
    )
    table = TablePredictor(predictor, rows, options)
    if not rows.header and args.verbosity >= 0:
        print(f"no header is written; each row ends with: {', '.join(table.header())}", file=sys.stderr)
    total = None if single or args.input == "-" else _count_lines(Path(args.input))
    shown = args.verbosity >= 0 and not single and sys.stderr.isatty()
    with progress_bar(f"Predicting {', '.join(predictor.target_names[:3])}", total, enabled=shown) as advance:
        if args.output == "-":
            with _standard_output() as output:
                return predict_to_stream(table, output, advance=advance)
        return predict_to_file(table, Path(args.output), advance=advance)


def resume_hint(args: argparse.Namespace) -> str:
    """Return how to continue a prediction that was stopped.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> configure(parser)
        >>> print(resume_hint(parser.parse_args(["peptides", "new.csv", "predictions.csv"])))
        Run the same command again to continue.
    """
    return "" if args.output == "-" else "Run the same command again to continue."


def _check(args: argparse.Namespace) -> None:
    check_integer("--draws", args.draws, low=2 if args.uncertainty else 1)
    check_integer("--max-atoms", args.max_atoms)
    check_integer("--workers", args.workers, high=MOST)
    check_integer("--threads", args.threads, low=0, high=MOST)
    if (
        args.output != "-"
        and args.input != "-"
        and Path(args.output).exists()
        and Path(args.input).exists()
        and os.path.samefile(args.input, args.output)
    ):
        raise ConfigError("OUT", args.output, "a file that is not IN, which would be overwritten")
    if args.output != "-":
        check_file("OUT", args.output)


def _source(given: str) -> tuple[Any, bool]:
    """Return the input, and whether it is a single molecule."""
    if given == "-":
        return sys.stdin.buffer, False
    if Path(given).is_file() or Path(given).suffix.lower() in (".csv", ".tsv", ".txt", ".smi"):
        return given, False
    from pyg_samsa.chem.ogb_features import parse_smiles
    from pyg_samsa.errors import DataNotFoundError

    if isinstance(reason := parse_smiles(given), str):
        reason = "a folder" if given and Path(given).is_dir() else reason
        hint = "Pass a CSV file, - for stdin, or a SMILES."
        raise DataNotFoundError(f"{given or repr(given)}: neither a file nor a SMILES ({reason})", hint=hint)
    escaped = given.replace('"', '""')
    return io.BytesIO(f'smiles\n"{escaped}"\n'.encode()), True


def _count_lines(path: Path) -> int:
    """Return the number of lines after the header, which is about the number of rows."""
    with path.open("rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1)


@contextlib.contextmanager
def _standard_output() -> Iterator[Any]:
    # UTF-8 as in files, whatever the encoding of the terminal.
    raw = getattr(sys.stdout, "buffer", None)
    output: Any = sys.stdout if raw is None else io.TextIOWrapper(raw, encoding="utf-8", newline="", write_through=True)
    try:
        yield output
    finally:
        if output is not sys.stdout:
            output.detach()
