"""``pyg-samsa explain``: importance of atoms and bonds for the predictions of a model."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_samsa.cli._arguments import add_decimal, add_import, add_model, add_smiles_column, import_modules
from pyg_samsa.cli._molecules import GivenMolecules, read_molecules
from pyg_samsa.cli._similar import (
    TABLE,
    add_similar,
    check_similar,
    open_similar,
    save_similar,
    similar_rows,
    with_similar,
)
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.io.files import check_folder
from pyg_samsa.options import check_integer

if TYPE_CHECKING:
    from pyg_samsa.explain.molecule_explanation import MoleculeExplanation
    from pyg_samsa.explain.page import Refused

HELP = "show the importance of atoms and bonds for predictions"
EPILOG = """\
examples:
  pyg-samsa explain peptides "NCC(=O)N[C@@H](CS)C(=O)O" --out explained
  pyg-samsa explain results/my_run molecules.csv --out explained
  pyg-samsa explain my_model molecules.csv --smiles-column structure --name-column id --target logS --out explained
  pyg-samsa explain my_model docked.sdf --out explained                           titles of its records are the names
  pyg-samsa explain my_model molecules.csv --method sampled --out explained       without occlusion, which is slow
  pyg-samsa explain results/my_run molecules.csv --out explained --similar        with similar training molecules

methods:
  sampled       share of all attention that goes to an atom or bond
  contribution  what the attention to it adds to the prediction, to first order
  occlusion     how much the prediction falls without it

A predictor with models on descriptors or several members is explained by occlusion of the molecule itself: each atom
and each bond is removed, hydrogen fills the valences, and the prediction is computed again.

The output folder gets index.html (all molecules), molecules.csv (a row per molecule, with the SMILES by which atoms are
numbered), scores.csv (a row per atom and per direction of a bond), and pictures as SVG and PNG. With --similar also
similar.csv (a row per molecule and similar training molecule), and scores of the atoms and bonds that make them
similar.
"""
LATE = "molecules"
METHODS = ("all", "sampled", "contribution", "occlusion")
THEMES = ("auto", "light", "dark")
_DEFAULT_LIMIT = 100
PAGE = "index.html"
_MAX_ATOMS = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_model(parser)
    parser.add_argument(
        "molecules", nargs="+", metavar="SMILES|TABLE", help="one or more SMILES, or a CSV, Parquet or SDF file"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write; it must be new or empty, see --overwrite",
    )
    parser.add_argument(
        "--target",
        metavar="NAME",
        help="prediction to explain (default: the most likely of each molecule; for regressions the first)",
    )
    parser.add_argument(
        "--method", choices=METHODS, default="all", help="how scores are computed, see below (default: all)"
    )
    add_import(parser)
    add_smiles_column(parser)
    add_decimal(parser, "as in training")
    parser.add_argument(
        "--name-column",
        default="",
        metavar="NAME",
        help="column or property with the names of the molecules (default: a column named name, iupac, id or similar, "
        "or the titles of an SDF file)",
    )
    add_similar(parser)
    limit = f"number of rows to explain, 0 for all (default: {_DEFAULT_LIMIT})"
    parser.add_argument("--limit", type=int, default=_DEFAULT_LIMIT, metavar="N", help=limit)
    parser.add_argument(
        "--max-atoms",
        type=int,
        default=_MAX_ATOMS,
        metavar="N",
        help=f"molecules with more atoms are listed and not explained (default: {_MAX_ATOMS})",
    )
    parser.add_argument(
        "--theme",
        choices=THEMES,
        default="auto",
        help="colours of page and pictures (default: auto, which follows the system; pictures are light)",
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="headline of the page")
    parser.add_argument("--overwrite", action="store_true", help="replace files of the same name in --out")


def run(args: argparse.Namespace) -> int:
    """Explain the molecules and write page, table and pictures."""
    check_integer("--limit", args.limit, low=0)
    check_integer("--max-atoms", args.max_atoms)
    check_similar(args)
    _check_folder(args.out, overwrite=args.overwrite)
    import_modules(args)
    from pyg_samsa.explain.page import write_page
    from pyg_samsa.explain.predictor_explanation import methods_of
    from pyg_samsa.io.files import staged_folder
    from pyg_samsa.predict import load_predictor
    from pyg_samsa.predict.predictor_folder import name_of_model

    predictor = load_predictor(args.model)
    task = predictor.task
    methods = methods_of(predictor) if args.method == "all" else (args.method,)
    if args.method not in ("all", *methods_of(predictor)):
        hint = "Others explain a single network that samples tokens; that of a run is in its subfolder model."
        raise ConfigError("--method", args.method, "'occlusion'", hint=hint)
    options = {"target": _find_target(args.target, task.names), "methods": methods, "max_atoms": args.max_atoms}
    given = read_molecules(
        args.molecules, args.smiles_column, args.name_column, args.limit, predictor.extra_columns, args.decimal
    )
    finder, notes = open_similar(args, predictor), list(given.notes)
    if given.left_out:
        notes.append(f"The first {args.limit} rows; {given.left_out:,} more were skipped (see --limit).")
    with staged_folder(args.out) as folder:
        cards, frames, refused, similar = _explain(predictor, given, folder, args, finder, **options)
        if not cards:
            first = _line(refused[0]) if refused else "the table is empty"
            hint = "Check the structures." if given.unreadable else "Check --smiles-column and the SMILES."
            raise DataError(f"No molecule could be explained; {first}", hint=hint)
        _save_table([molecule for molecule, _ in frames], folder / "molecules.csv")
        _save_table([scores for _, scores in frames], folder / "scores.csv")
        if finder is not None:
            save_similar(similar, folder / TABLE)
        title = args.title or f"Explanations by {name_of_model(args.model)}"
        about: dict[str, Any] = {"title": title, "kind": task.kind, "notes": notes, "theme": args.theme}
        write_page(cards, folder / PAGE, refused=refused, **about)
    for item in refused:
        print(_line(item), file=sys.stderr)
    if args.verbosity >= 0:
        print(
            f"{args.out / PAGE}  {len(cards)} molecule{'s' * (len(cards) != 1)}"
            + (f", {len(refused)} could not be explained" if refused else "")
            + "".join(f"\n{note}" for note in notes)
        )
    return 0


def _explain(
    predictor: Any, given: GivenMolecules, folder: Path, args: argparse.Namespace, finder: Any, **options: Any
) -> tuple[list[Any], list[tuple[Any, Any]], list[Refused], list[dict[str, str]]]:
    """Explain and draw the molecules; return cards, tables, what was refused, and rows of similar molecules.

    The tables of each molecule are its row of ``molecules.csv`` and its rows of ``scores.csv``.
    """
    import pandas as pd

    from pyg_samsa.explain.page import Refused, make_card
    from pyg_samsa.explain.predictor_explanation import explain_predictor
    from pyg_samsa.io.progress import progress_bar

    refused: list[Refused] = []
    cards: list[Any] = []
    frames: list[tuple[Any, Any]] = []
    similar: list[dict[str, str]] = []
    shown = args.verbosity >= 0 and len(given.molecules) > 1
    with progress_bar("Explaining", len(given.molecules), enabled=shown) as advance:

        def refuse(number: int, name: str, smiles: str, reason: str) -> None:
            refused.append(Refused(given.rows[number], name, smiles, reason))
            advance(1)

        options |= {"extra_columns": given.extra_columns, "on_refusal": refuse}
        for found in explain_predictor(predictor, given.molecules, **options):
            # Those that came before it were explained or refused.
            number = len(cards) + len(refused)
            numbers = {name: column[number] for name, column in given.extra_columns.items()}
            found = with_similar(found, finder, args.similar, numbers)
            row = given.rows[number]
            similar += [{"row": f"{row}", **one} for one in similar_rows(found, predictor.target_names)]
            cards.append(make_card(found, len(cards)))
            told = {"row": row, "molecule": found.name, "smiles": found.smiles, "target": found.target}
            scores = found.to_frame()
            scores.insert(0, "row", row)
            frames.append((pd.DataFrame([told | {"prediction": found.predictions[found.target]}]), scores))
            _save_pictures(found, folder / "pictures", len(cards), "dark" if args.theme == "dark" else "light")
            advance(1)
    unreadable = [Refused(row, name, "", reason) for row, name, reason in given.unreadable]
    return cards, frames, sorted([*refused, *unreadable]), similar


def _find_target(given: str | None, names: Sequence[str]) -> str | None:
    """Return the name of a target; ``y`` and ``active`` find ``y=active``, the target of a column of two words."""
    if given is None or given in names:
        return given
    same = [name for name in names if given in (name.rpartition("=")[0], name.rpartition("=")[2])]
    if len(same) != 1:
        raise ConfigError("--target", given, names)
    return same[0]


def _line(item: Refused) -> str:
    name = "" if item.name == f"row {item.row}" else item.name
    return f"row {item.row}: {item.reason}" + (f": {shown[:80]!r}" if (shown := item.smiles or name) else "")


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    check_folder("--out", folder)
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ConfigError(
            "--out",
            str(folder),
            "a new or empty folder",
            hint="--overwrite replaces files of the same name in it.",
        )


def _save_pictures(found: MoleculeExplanation, folder: Path, number: int, theme: str) -> None:
    slug = re.sub(r"[^\w.-]+", "-", found.name, flags=re.ASCII).strip("-.")[:40] or "molecule"
    for method in found.importance:
        drawing = found.draw(method, theme=theme)
        for ending in (".svg", ".png"):
            drawing.save(folder / f"{number:04d}-{slug}-{method}{ending}")


def _save_table(frames: list[Any], path: Path) -> None:
    import pandas as pd

    from pyg_samsa.io.cells import spread_of, write_number
    from pyg_samsa.io.files import atomic_write
    from pyg_samsa.io.formulas import escape_table

    table = pd.concat(frames)
    for name in table.select_dtypes("float").columns:
        spread = spread_of(table[name].to_numpy())
        table[name] = ["" if value != value else write_number(value, spread) for value in table[name].tolist()]
    with atomic_write(path) as temporary:
        escape_table(table).to_csv(temporary, index=False)
