"""``pyg-samsa explain --similar``: the training molecules that are most similar to each molecule."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import check_integer

if TYPE_CHECKING:
    from pyg_samsa.experiments.similar_training import SimilarTraining
    from pyg_samsa.explain.molecule_explanation import MoleculeExplanation

BY = ("embedding", "fingerprint")
TABLE = "similar.csv"
_DEFAULT, _MOST = 3, 20


def add_similar(parser: argparse.ArgumentParser) -> None:
    """Add ``--similar`` and ``--similar-by``.

    Args:
        parser: Parser to extend.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_similar(parser)
        >>> parser.parse_args(["--similar"]).similar, parser.parse_args(["--similar", "5"]).similar
        (3, 5)
    """
    parser.add_argument(
        "--similar",
        nargs="?",
        type=_count,
        const=_DEFAULT,
        metavar="N",
        help=f"also show the N most similar training molecules of each molecule, 1 to {_MOST} (without N: {_DEFAULT})",
    )
    parser.add_argument(
        "--similar-by",
        choices=BY,
        help="embedding: cosine of what the network makes of molecules (default for models with a network); "
        "fingerprint: Tanimoto",
    )


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f"expected a number of molecules, got {text!r}; write --similar after the molecules"
        raise argparse.ArgumentTypeError(message) from None


def check_similar(args: argparse.Namespace) -> None:
    """Raise a `ConfigError` unless the arguments fit.

    Args:
        args: Parsed arguments.

    Example:
        >>> check_similar(argparse.Namespace(similar=None, similar_by="fingerprint"))
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: --similar-by: got 'fingerprint', expected --similar beside it
    """
    if args.similar is not None:
        check_integer("--similar", args.similar, low=1, high=_MOST)
    elif args.similar_by is not None:
        raise ConfigError("--similar-by", args.similar_by, "--similar beside it")


def open_similar(args: argparse.Namespace, predictor: Any) -> SimilarTraining | None:
    """Return what finds similar training molecules; None unless it is asked for.

    Args:
        args: Parsed arguments.
        predictor: The predictor of the model.

    Raises:
        DataNotFoundError: The training molecules of the model are not known.
        ConfigError: The model has no network, and embeddings are asked for.
    """
    if args.similar is None:
        return None
    from pyg_samsa.experiments.similar_training import SimilarTraining, networks_of
    from pyg_samsa.experiments.training_molecules import find_training_molecules

    has_network = bool(networks_of(predictor))
    if args.similar_by == "embedding" and not has_network:  # before the training molecules are read
        hint = "The network of a run, if it has one, is in its subfolder model."
        raise ConfigError("--similar-by", "embedding", "'fingerprint', because this model has no network", hint=hint)
    by = args.similar_by or BY[0 if has_network else 1]
    training = find_training_molecules(args.model)
    return SimilarTraining(training, by, predictor, progress=args.verbosity >= 0)


def with_similar(
    explanation: MoleculeExplanation, finder: SimilarTraining | None, count: int, extra: Mapping[str, float]
) -> MoleculeExplanation:
    """Return an explanation with similar training molecules, if they are asked for.

    Args:
        explanation: The explanation.
        finder: What finds them; None for none.
        count: Most of them.
        extra: Extra columns of the molecule.
    """
    if finder is None:
        return explanation
    return replace(explanation, similar=finder.find(explanation.smiles, count, extra))


def similar_rows(explanation: MoleculeExplanation, targets: Sequence[str]) -> list[dict[str, str]]:
    """Return a row for each similar molecule of an explanation, for ``similar.csv``.

    Args:
        explanation: The explanation.
        targets: Names of the targets of the model.
    """
    rows = []
    for number, one in enumerate(explanation.similar, start=1):
        row = {"molecule": explanation.name, "smiles": explanation.smiles, "number": f"{number}"}
        row |= {"similar_smiles": one.smiles, "similarity": f"{one.similarity:.6g}", "similarity_by": one.by}
        measured = one.measured if explanation.kind != "multiclass" else {"class": one.measured.get("class", "")}
        names = ["class"] if explanation.kind == "multiclass" else targets
        rows.append(row | {f"{name}_measured": measured.get(name, "") for name in names})
    return rows


def save_similar(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Write ``similar.csv``.

    Args:
        rows: Its rows, from `similar_rows`.
        path: File to write.
    """
    import pandas as pd

    from pyg_samsa.io.files import atomic_write
    from pyg_samsa.io.formulas import escape_table

    with atomic_write(path) as temporary:
        escape_table(pd.DataFrame(rows)).to_csv(temporary, index=False)
