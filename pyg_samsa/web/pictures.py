"""Pictures of the molecules of a table."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pyg_samsa.chem.ogb_features import parse_smiles, why_too_large
from pyg_samsa.errors import ConfigError
from pyg_samsa.explain.molecule_explanation import MoleculeExplanation
from pyg_samsa.explain.page import Card, make_card
from pyg_samsa.explain.predictor_explanation import explain_predictor
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.result_table import ResultRow
from pyg_samsa.web.served_models import ServedModel

PICTURES = ("svg", "png")


def why_not_drawn(smiles: str, max_atoms: int) -> str:
    """Return why a structure is not drawn; empty if it is.

    Args:
        smiles: The molecule.
        max_atoms: Most atoms.

    Example:
        >>> why_not_drawn("CCO", 2), why_not_drawn("CCO", 3)
        ('3 atoms, more than 2', '')
    """
    mol = parse_smiles(smiles)
    return mol if isinstance(mol, str) else why_too_large(mol, max_atoms)


class Explainer:
    """Colours atoms and bonds of the molecules of a table, and keeps the last results.

    Args:
        limits: Limits of the server.

    Example:
        >>> from pathlib import Path
        >>> from pyg_samsa.web.served_models import load_models
        >>> model, = load_models(["peptides"], Path("unused"))
        >>> row = ResultRow(1, "glycine", "NCC(=O)O", "", [], [], [])
        >>> list(Explainer(Limits()).card(model, row, [], target="anticancer").methods)
        ['sampled', 'contribution', 'occlusion']
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._explain = lru_cache(maxsize=256)(self._compute)

    def card(self, model: ServedModel, row: ResultRow, header: list[str], target: str = "") -> Card:
        """Return a molecule with a layer of colours for each method.

        Args:
            model: The model.
            row: The row of the table.
            header: Names of the columns of the table.
            target: Prediction that is explained; empty takes the most likely one, or the first value.

        Raises:
            ConfigError: There is no such target, or the molecule has too many atoms.
            SmilesError: The molecule cannot be read.

        Example:
            >>> from pathlib import Path
            >>> from pyg_samsa.web.served_models import load_models
            >>> model, = load_models(["peptides"], Path("unused"))
            >>> row = ResultRow(1, "glycine", "NCC(=O)O", "", [], [], [])
            >>> Explainer(Limits()).card(model, row, [], "anticancer").target
            'anticancer'
        """
        return make_card(self._found(model, row, header, target), 0)

    def picture(
        self, model: ServedModel, row: ResultRow, header: list[str], *, target: str, method: str, theme: str, kind: str
    ) -> bytes:
        """Return a coloured drawing with headline and colour bar.

        Args:
            model: The model.
            row: The row of the table.
            header: Names of the columns of the table.
            target: Prediction that is explained; empty takes the most likely one, or the first value.
            method: One of the methods of the model; empty takes the first.
            theme: ``"light"`` or ``"dark"``.
            kind: ``"svg"`` or ``"png"``.

        Raises:
            ConfigError: There is no such target or method, or the molecule has too many atoms.
            SmilesError: The molecule cannot be read.

        Example:
            >>> from pathlib import Path
            >>> from pyg_samsa.web.served_models import load_models
            >>> model, = load_models(["peptides"], Path("unused"))
            >>> row = ResultRow(1, "glycine", "NCC(=O)O", "", [], [], [])
            >>> options = {"target": "anticancer", "method": "sampled", "theme": "light", "kind": "svg"}
            >>> Explainer(Limits()).picture(model, row, [], **options)[:4]
            b'<svg'
        """
        found = self._found(model, row, header, target)
        if method and method not in found.importance:
            raise ConfigError("method", method, list(found.importance))
        drawing = found.draw(method or next(iter(found.importance)), theme=theme)
        return drawing.svg.encode() if kind == "svg" else drawing.png()

    def _found(self, model: ServedModel, row: ResultRow, header: list[str], target: str) -> MoleculeExplanation:
        numbers: list[float] = []
        if model.predictor.extra_columns:
            from pyg_samsa.io.csv_columns import find_extra_columns
            from pyg_samsa.io.extra_column import ExtraColumn

            columns = [ExtraColumn.of(name) for name in model.predictor.extra_columns]
            places = find_extra_columns(header, columns, key="table")
            read = [column.read(row.fields[places[column]], decimal="auto", delimiter=",") for column in columns]
            numbers = [float("nan") if value is None else value for value in read]
        return self._explain(model, row.name or f"row {row.row}", row.smiles, target, tuple(numbers))

    def _compute(
        self, model: ServedModel, title: str, smiles: str, target: str, numbers: tuple[float, ...]
    ) -> MoleculeExplanation:
        extra = {column: [value] for column, value in zip(model.predictor.extra_columns, numbers, strict=True)}
        options: dict[str, Any] = {"target": target or None, "extra_columns": extra}
        with model.lock:
            found = explain_predictor(model.predictor, [(title, smiles)], max_atoms=self.limits.drawn_atoms, **options)
            return next(iter(found))
