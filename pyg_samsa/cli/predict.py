"""``pyg-samsa predict``: add predictions to tables of molecules."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyg_samsa.cli._arguments import (
    add_decimal,
    add_device,
    add_import,
    add_max_atoms,
    add_model,
    add_smiles_column,
    import_modules,
)
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.dask_cluster import check_address
from pyg_samsa.io.files import check_file, check_folder
from pyg_samsa.io.tables.formats import FORMATS
from pyg_samsa.io.worker_pool import MOST
from pyg_samsa.options import check_integer

if TYPE_CHECKING:
    from pyg_samsa.chem.molecule_changes import ChangeCounts
    from pyg_samsa.experiments.training_molecules import TrainingMolecules
    from pyg_samsa.io.tables.table import TableReader
    from pyg_samsa.predict import Predictor
    from pyg_samsa.predict.shards import Shard
    from pyg_samsa.predict.stream import Progress
    from pyg_samsa.predict.table_predictor import ChunkPredictor, StreamOptions

HELP = "predict properties of molecules: CSV, Parquet or SDF files, folders of them, or one SMILES"
EPILOG = """\
examples:
  pyg-samsa predict peptides "NCC(=O)NCC(=O)O"           one molecule; prints the prediction
  pyg-samsa predict peptides in.csv out.csv              a table, with the model that comes with the package
  pyg-samsa predict results/esol/0 in.csv out.csv        a table, with your own predictor: the folder of a run
  pyg-samsa predict results/esol/0/model in.csv out.csv  the network of that run alone
  pyg-samsa predict results/esol/0 in.csv out.csv --uncertainty
  pyg-samsa predict results/esol/0 in.csv out.csv --interval 0.9
  pyg-samsa predict results/esol/0 in.csv out.csv --nearest
  cat in.csv | pyg-samsa predict peptides - - | head     read stdin and write stdout
  pyg-samsa predict peptides in.parquet out.parquet      Parquet; also in.csv.gz, in.sdf, in.sdf.gz, in.mol
  pyg-samsa predict peptides shards/ predicted/          a folder of files of one format, file by file
  pyg-samsa predict peptides shards/ predicted/ --dask local --workers 8
  pyg-samsa predict peptides in.csv out.csv --dask tcp://10.0.0.1:8786

The output has all rows and columns of the input, in the same order, followed by the predictions. If a molecule cannot
be read, the column `error` says why. A model that standardises molecules adds the column `standardized`, and lists
what it changed in OUT-standardized.csv (of a folder, in OUT/_predictions).
Run the same command again to continue an interrupted prediction.
An OUT that exists, also one of another table or model, is replaced when the new prediction is complete.
"""


LATE = "output"
_OPTIONS = ("device", "uncertainty")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_model(parser)
    parser.add_argument(
        "input", metavar="IN", help="CSV, Parquet or SDF file, a folder of such files, - for stdin, or one SMILES"
    )
    parser.add_argument(
        "output", metavar="OUT", nargs="?", default="-", help="file, folder if IN is one, or - for stdout (default)"
    )
    _add_formats(parser)
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
        "--nearest",
        action="store_true",
        help="add the most similar training molecule, its similarity and its measured values; the model must be the "
        "folder of a run. A similarity below 0.3 means that the molecule is far from the training",
    )
    parser.add_argument(
        "--escape-formulas",
        action="store_true",
        help="write an apostrophe before cells of IN that spreadsheets read as formulas; cells that are added always "
        "have it",
    )
    _add_processes(parser)
    add_device(parser)
    add_max_atoms(parser, "a prediction")


def _add_formats(parser: argparse.ArgumentParser) -> None:
    for option, word in (("--input-format", "IN"), ("--output-format", "OUT")):
        parser.add_argument(
            option, choices=FORMATS, help=f"format of {word} (default: what the name says, else csv; see the examples)"
        )


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="predict on a cluster of Dask: tcp://HOST:PORT of its scheduler, or local for --workers processes here",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that read molecules (default: 1); with --dask local, that predict (default: one per core)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="threads of the network (default: one per core; with --dask 1 for each worker)",
    )


def run(args: argparse.Namespace) -> int:
    """Predict and write the table."""
    _check(args)
    import_modules(args)
    told = _predict_folder(args) if _is_folder(args) else _predict_table(args)
    if args.verbosity >= 0 and told:
        print(told, file=sys.stderr)
    return 0


class _Work(NamedTuple):
    """What predicts, and how."""

    predictor: Predictor
    options: StreamOptions
    nearest: TrainingMolecules | None


def _predict_table(args: argparse.Namespace) -> str:
    """Predict one table, and return the closing lines, which are empty for a single molecule."""
    from pyg_samsa.chem.molecule_table import open_molecule_table
    from pyg_samsa.io.tables.formats import check_conversion, check_output, format_of
    from pyg_samsa.predict.changes_list import list_beside

    source, single = _source(args)
    check_output(args.output)
    args.input_format = args.input_format or (format_of(args.input) if not single else None) or "csv"
    if args.output_format is None:
        written = format_of(args.output) or ("sdf" if args.input_format.startswith("sdf") else "csv")
        args.output_format = written
    check_conversion(args.input_format, args.output_format)
    if args.output == "-" and args.output_format == "parquet":
        raise ConfigError("OUT", "-", "the path of a Parquet file, which cannot be written to a stream")
    # What is wrong with the table is told before the libraries of the network are imported.
    options: dict[str, Any] = {"header": single or not args.no_header, "smiles_column": args.smiles_column}
    opened = open_molecule_table(source, args.input_format, **options)
    with opened as (reader, args.smiles_column), _named_options():
        done = _predict(args, reader, single=single)
    if single:
        return ""
    told = _closing_line(done.rows, done.errors) + ("" if args.output == "-" else f": {args.output}")
    listed = "" if args.output == "-" else str(list_beside(Path(args.output)))
    return told + closing_changes(done.changes, listed) + closing_far(done.rows - done.errors, done.far, args.model)


def _predict_folder(args: argparse.Namespace) -> str:
    """Predict the files of a folder, and return the closing line."""
    from pyg_samsa.chem.molecule_table import open_molecule_table
    from pyg_samsa.predict.shards import find_shards, sum_results

    options: dict[str, Any] = {"input_format": args.input_format, "output_format": args.output_format}
    shards = find_shards(Path(args.input), Path(args.output), **options, header=not args.no_header)
    args.output_format = args.output_format or shards[0].format
    first: dict[str, Any] = {"header": not args.no_header, "smiles_column": args.smiles_column}
    with open_molecule_table(shards[0].source, shards[0].format, **first):
        pass
    with _named_options():
        results = _predict_shards(args, shards)
    done = sum_results(results)
    skipped = sum(result.skipped for result in results)
    files = f"{len(shards):,} file{'s' * (len(shards) != 1)}"
    files += f" ({skipped:,} of them finished before)" if skipped else ""
    told = f"{_closing_line(done.rows, done.errors)}, in {files}: {args.output}"
    told += closing_changes(done.changes, str(shards[0].listed.parent))
    return told + closing_far(done.rows - done.errors, done.far, args.model)


def _closing_line(rows: int, errors: int) -> str:
    """Return how many rows were read and written, which was checked."""
    told = f"{rows:,} row{'s' * (rows != 1)} in, {rows:,} row{'s' * (rows != 1)} out"
    return told + (f", {errors:,} of them without a prediction (see the column error)" if errors else "")


def closing_changes(changes: ChangeCounts | None, listed: str) -> str:
    r"""Return the line about standardised molecules, after a line break; empty without standardisation.

    Args:
        changes: How many there are.
        listed: Where they are listed; empty for nowhere.

    Example:
        >>> from pyg_samsa.chem.molecule_changes import ChangeCounts
        >>> closing_changes(ChangeCounts(2), "out.csv"), closing_changes(None, "")
        ('\nstandardised 0 of 2 molecules', '')
    """
    if changes is None:
        return ""
    return f"\n{changes.text()}" + (f"; listed in {listed}" if changes.changed and listed else "")


def closing_far(molecules: int, far: int | None, model: str) -> str:
    r"""Return the line about molecules that are far from the training, after a line break; empty if they are not known.

    Args:
        molecules: Number of molecules with a prediction.
        far: How many of them are far; None if that was not searched.
        model: Folder or name of the model, whose training molecules may be known.

    Example:
        >>> closing_far(10, 2, "peptides")
        '\n2 of 10 molecules are far from the training (nearest_similarity below 0.3): trust their predictions less'
        >>> closing_far(10, 0, "peptides"), closing_far(10, None, "peptides")
        ('\n0 of 10 molecules are far from the training (nearest_similarity below 0.3)', '')
        >>> closing_far(0, 0, "peptides"), closing_far(0, None, "results/esol/0")
        ('', '')
    """
    from pyg_samsa.experiments.training_molecules import run_of
    from pyg_samsa.predict.nearest import FAR

    if not molecules:
        return ""
    if far is None:
        return "" if run_of(model) is None else "\nWith --nearest, each row gets its most similar training molecule."
    told = f"\n{far:,} of {molecules:,} molecule{'s' * (molecules != 1)} {'is' if far == 1 else 'are'} far from "
    told += f"the training (nearest_similarity below {FAR})"
    return told + (": trust their predictions less" if far else "")


@contextlib.contextmanager
def _named_options() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        # The option is the argument of its name.
        raise error.renamed(f"--{error.key}") if error.key in _OPTIONS else error from None


def _predict(args: argparse.Namespace, reader: TableReader, *, single: bool) -> Progress:
    from pyg_samsa.io.csv_columns import refuse_molecules_alone
    from pyg_samsa.io.progress import progress_bar
    from pyg_samsa.predict.changes_list import check_list
    from pyg_samsa.predict.stream import predict_to_file, predict_to_stream
    from pyg_samsa.predict.table_predictor import TablePredictor

    work = _load(args)
    if work.predictor.standardize and args.output != "-":
        check_list(args.input, Path(args.output))
    if single:
        refuse_molecules_alone(work.predictor.extra_columns, key="IN")
    shown = args.verbosity >= 0 and not single and sys.stderr.isatty()
    total = _count_rows(args, reader) if shown and args.input != "-" else None
    title = f"Predicting {', '.join(work.predictor.target_names[:3])}"
    table = TablePredictor(work.predictor, reader, work.options, work.nearest)
    if not reader.header and not reader.has_blocks and args.verbosity >= 0:
        print(f"no header is written; each row ends with: {', '.join(table.header())}", file=sys.stderr)
    with _cluster(args, work) as predict:
        table.predict = predict or table.predict
        with progress_bar(title, total, enabled=shown) as advance:
            if args.output == "-":
                with _standard_output() as output:
                    done = predict_to_stream(table, output, advance=advance)
            else:
                done = predict_to_file(table, Path(args.output), advance=advance)
    return done


def _predict_shards(args: argparse.Namespace, shards: list[Shard]) -> list[Any]:
    from pyg_samsa.io.dask_cluster import open_cluster
    from pyg_samsa.io.progress import progress_bar
    from pyg_samsa.predict.cluster import check_workers, predict_shards_on
    from pyg_samsa.predict.shards import predict_shard

    work = _load(args)
    shown = args.verbosity >= 0 and sys.stderr.isatty()
    with progress_bar(f"Predicting {len(shards):,} files", len(shards), enabled=shown) as advance:
        if args.dask is None:
            results = []
            for shard in shards:
                results.append(predict_shard(work.predictor, shard, work.options, nearest=work.nearest))
                advance(1)
            return results
        with open_cluster(args.dask, workers=args.workers) as client:
            model = _shared(args, work)
            check_workers(client, model)
            return predict_shards_on(client, model, work.options, shards, advance=advance)


def _load(args: argparse.Namespace) -> _Work:
    import torch

    from pyg_samsa.predict import load_predictor
    from pyg_samsa.predict.conformal import check_confidence
    from pyg_samsa.predict.table_predictor import StreamOptions

    columns = (args.smiles_column, args.uncertainty, args.draws, args.workers or 1, args.max_atoms)
    writing: dict[str, Any] = {"escape_formulas": args.escape_formulas, "output_format": args.output_format}
    options = StreamOptions(*columns, interval=args.interval, decimal=args.decimal, **writing)
    if args.threads:
        torch.set_num_threads(args.threads)
    predictor = load_predictor(args.model, device=args.device, threads=torch.get_num_threads())
    if args.interval is not None:
        check_confidence(predictor.calibration, args.interval, key="--interval")
    return _Work(predictor, options, _find_training(args.model) if args.nearest else None)


def _find_training(model: str) -> TrainingMolecules:
    from pyg_samsa.experiments.training_molecules import find_training_molecules

    return find_training_molecules(model)


@contextlib.contextmanager
def _cluster(args: argparse.Namespace, work: _Work) -> Iterator[ChunkPredictor | None]:
    """Yield what predicts chunks on a cluster; None without one."""
    if args.dask is None:
        yield None
        return
    from pyg_samsa.io.dask_cluster import open_cluster
    from pyg_samsa.predict.cluster import check_workers, predict_chunks_on

    model = _shared(args, work)
    with open_cluster(args.dask, workers=args.workers) as client:
        check_workers(client, model)
        yield lambda inputs: predict_chunks_on(client, model, work.options, inputs)


def _shared(args: argparse.Namespace, work: _Work) -> Any:
    from pyg_samsa.predict.cluster import SharedModel

    options: dict[str, Any] = {"device": args.device, "threads": args.threads or 1, "imports": args.imports}
    return SharedModel.of(args.model, work.predictor.fingerprint, **options)


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
    check_integer("--workers", 1 if args.workers is None else args.workers, high=MOST)
    check_integer("--threads", args.threads, low=0, high=MOST)
    if args.dask is not None:
        check_address(args.dask, args.workers)
    if (
        args.output != "-"
        and args.input != "-"
        and Path(args.output).exists()
        and Path(args.input).exists()
        and os.path.samefile(args.input, args.output)
    ):
        raise ConfigError("OUT", args.output, "a file that is not IN, which would be overwritten")
    if _is_folder(args):
        if args.output == "-":
            raise ConfigError("OUT", args.output, "a folder, because IN is one")
        if args.nearest and args.dask is not None:
            hint = "Leave --dask out, or predict the files one by one."
            raise ConfigError("--dask", args.dask, "no cluster for a folder with --nearest", hint=hint)
        check_folder("OUT", args.output)
    elif args.output != "-":
        check_file("OUT", args.output)


def _is_folder(args: argparse.Namespace) -> bool:
    return args.input != "-" and bool(args.input) and Path(args.input).is_dir()


def _source(args: argparse.Namespace) -> tuple[Any, bool]:
    """Return the input, and whether it is a single molecule."""
    from pyg_samsa.io.tables.formats import format_of

    given = args.input
    if given == "-":
        return sys.stdin.buffer, False
    if Path(given).is_file() or format_of(given) is not None or args.input_format is not None:
        return given, False
    from pyg_samsa.chem.ogb_features import parse_smiles
    from pyg_samsa.errors import DataNotFoundError

    if isinstance(reason := parse_smiles(given), str):
        hint = "Pass a CSV, Parquet or SDF file, a folder of such files, - for stdin, or a SMILES."
        raise DataNotFoundError(f"{given or repr(given)}: neither a file nor a SMILES ({reason})", hint=hint)
    escaped = given.replace('"', '""')
    return io.BytesIO(f'smiles\n"{escaped}"\n'.encode()), True


def _count_rows(args: argparse.Namespace, reader: TableReader) -> int | None:
    """Return about the number of rows, for the progress; None if that takes long."""
    if args.input_format == "parquet":
        return reader.num_rows
    if args.input_format != "csv":
        return None
    with open(args.input, "rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1)


@contextlib.contextmanager
def _standard_output() -> Iterator[Any]:
    # Bytes, so that texts are UTF-8 as in files, whatever the encoding of the terminal.
    raw = getattr(sys.stdout, "buffer", None)
    if raw is not None:
        yield raw
        return
    output = io.BytesIO()
    try:
        yield output
    finally:
        sys.stdout.write(output.getvalue().decode())
