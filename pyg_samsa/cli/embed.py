"""``pyg-samsa embed``: write the embeddings of molecules by a network, for clustering and similarity."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyg_samsa.cli._arguments import (
    add_decimal,
    add_device,
    add_import,
    add_max_atoms,
    add_model,
    add_smiles_column,
    import_modules,
)
from pyg_samsa.cli.predict import closing_changes
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.files import check_file
from pyg_samsa.options import check_integer

HELP = "write what a network makes of molecules, for clustering and similarity"
NPY = ".npy"
EPILOG = """\
examples:
  pyg-samsa embed peptides in.csv out.csv                all rows and columns, then e01, e02, ... and error
  pyg-samsa embed results/esol/0/model in.csv out.npy    an array [rows, width] of float32, NaN in rows with an error
  pyg-samsa embed results/esol/0 in.sdf out.csv          also .parquet, .csv.gz

An embedding is the input of the head of the network: its pooled tokens and, if it reads some, the encoded descriptors.
Like molecules have like embeddings; compare them by the cosine. Predictors without a network have none.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_model(parser)
    parser.add_argument("input", metavar="IN", help="CSV, Parquet or SDF file")
    parser.add_argument("output", metavar="OUT", help="file: .csv, .csv.gz, .parquet, or .npy for the numbers alone")
    add_import(parser)
    add_smiles_column(parser)
    add_decimal(parser, "as in training")
    add_device(parser)
    add_max_atoms(parser, "an embedding")


def run(args: argparse.Namespace) -> int:
    """Write the embeddings."""
    from pyg_samsa.chem.molecule_table import open_molecule_table
    from pyg_samsa.io.tables.formats import check_conversion, check_output, format_of

    check_integer("--max-atoms", args.max_atoms)
    output = Path(args.output)
    is_array = output.suffix == NPY
    source, target = format_of(args.input) or "csv", format_of(output)
    if target is None and not is_array:
        raise ConfigError("OUT", args.output, "a file that ends in .csv, .csv.gz, .parquet, .sdf or .npy")
    check_output(output)
    if not is_array:
        check_conversion(source, str(target))
    if output.exists() and Path(args.input).exists() and os.path.samefile(args.input, output):
        raise ConfigError("OUT", args.output, "a file that is not IN, which would be overwritten")
    check_file("OUT", output)
    import_modules(args)
    # What is wrong with the table is told before the libraries of the network are imported.
    with open_molecule_table(args.input, source, smiles_column=args.smiles_column) as (reader, column):
        from pyg_samsa.predict import MoleculeEmbedder
        from pyg_samsa.predict.changes_list import check_list, list_beside
        from pyg_samsa.predict.stream import predict_to_file
        from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor

        embedder = MoleculeEmbedder.from_network(args.model, device=args.device)
        if embedder.standardize:
            check_list(args.input, output)
        written: dict[str, Any] = {} if is_array else {"output_format": target}
        options = StreamOptions(column, max_atoms=args.max_atoms, decimal=args.decimal, **written)
        table = TablePredictor(embedder, reader, options)
        done = _write_array(table, output) if is_array else predict_to_file(table, output)
    if args.verbosity >= 0:
        told = f", {done.errors:,} of them without an embedding" if done.errors else ""
        told = f"{done.rows:,} row{'s' * (done.rows != 1)}{told}, {embedder.width} numbers each: {output}"
        print(told + closing_changes(done.changes, str(list_beside(output))), file=sys.stderr)
    return 0


def _write_array(table: Any, path: Path) -> Any:
    """Write the numbers of all rows, and return the progress."""
    import numpy as np

    from pyg_samsa.io.files import atomic_write
    from pyg_samsa.predict.changes_list import ChangesList, list_beside
    from pyg_samsa.predict.stream import Progress

    found: list[Any] = []
    predict, done = table.predict, Progress.of(table)

    def kept(inputs: Any) -> Any:
        for result in predict(inputs):
            found.append(result.values.astype(np.float32))
            yield result

    table.predict = kept
    with ExitStack() as stack:
        listed = stack.enter_context(ChangesList(list_beside(path))) if table.predictor.standardize else None
        for chunk in table.chunks():
            if listed is not None:
                listed.add(chunk.changes, first=done.rows + 1)
            done.add(chunk)
        values = np.concatenate([np.empty((0, table.predictor.width), np.float32), *found])
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.save(file, values, allow_pickle=False)
        if listed is not None:
            listed.finish()
    return done
