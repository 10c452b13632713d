"""Predictions of molecules as a table and as pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pyg_samsa.chem.molecule_list import list_molecules
from pyg_samsa.errors import ConfigError, SAMSAError, check_choice
from pyg_samsa.experiments.training_molecules import Neighbor, TrainingMolecules, find_training_molecules
from pyg_samsa.explain.fragment import Molecule, Value, write_fragment
from pyg_samsa.explain.molecule_explanation import MoleculeExplanation, text_of, value_title
from pyg_samsa.explain.predictor_explanation import explain_predictor, methods_of
from pyg_samsa.explain.similar_molecule import SimilarMolecule
from pyg_samsa.options import check_integer
from pyg_samsa.predict import Predictor, load_predictor
from pyg_samsa.predict.conformal import CONFIDENCE, why_no_interval
from pyg_samsa.predict.interface import ExtraColumns, Predictions
from pyg_samsa.viz.molecules.canvas import THEMES

if TYPE_CHECKING:
    import pandas as pd

LIMIT = 20
"""Molecules that a notebook shows, unless more are asked for."""
MAX_ATOMS = 250
"""Larger molecules are not coloured, unless more atoms are asked for."""
_NAME = 40
_LABELS = {(False, False): "none", (True, False): "0", (False, True): "1", (True, True): "0 or 1"}


@dataclass(frozen=True, repr=False)
class PredictedMolecules:
    """Predictions of molecules, which notebooks show as pictures with values. `show_molecules` makes it.

    Attributes:
        table: The predictions of all molecules, a row for each, with the names as index. Columns are those of
            `Predictor.predict_frame`, and ``nearest_smiles``, ``nearest_similarity`` and ``nearest_<target>_measured``
            (``nearest_class_measured`` for classes) if the training molecules are known.
        molecules: The molecules that a notebook shows.
        notes: What the reader should know, such as that molecules are left out.
        kind: Kind of the task, see `Task`.
        interval: Probability of intervals or sets; None without them.
        theme: Colours of the pictures: ``"light"``, ``"dark"`` or ``"auto"``, as the notebook.

    Example:
        >>> shown = show_molecules("peptides", {"glycine": "NCC(=O)O"})
        >>> list(shown.table.index), shown.notes[0]
        (['glycine'], 'The model gives no intervals: it was saved without validation rows to measure them on.')
    """

    table: pd.DataFrame
    molecules: Sequence[Molecule]
    notes: Sequence[str] = ()
    kind: str = "regression"
    interval: float | None = None
    theme: str = "auto"

    def _repr_html_(self) -> str:
        what = "interval" if self.kind == "regression" else "set"
        title = "" if self.interval is None else f"{100 * self.interval:.3g} % {what}"
        return write_fragment(
            self.molecules,
            value_title=value_title(self.kind),
            interval_title=title,
            notes=self.notes,
            theme=self.theme,
        )

    def __repr__(self) -> str:
        return repr(self.table)

    def __len__(self) -> int:
        return len(self.table)


def show_molecules(
    model: Predictor | str | os.PathLike[str],
    molecules: Any,
    *,
    names: Sequence[str] | None = None,
    target: str | None = None,
    method: str | None = None,
    interval: float | Literal["auto"] | None = "auto",
    extra_columns: ExtraColumns | None = None,
    training: TrainingMolecules | None = None,
    neighbors: int = 1,
    limit: int = LIMIT,
    max_atoms: int = MAX_ATOMS,
    theme: str = "auto",
) -> PredictedMolecules:
    """Predict molecules, and show them in a notebook: coloured atoms and bonds, values, intervals, nearest molecules.

    Args:
        model: A predictor, or what `pyg_samsa.predict.load_predictor` loads: a folder or a name.
        molecules: SMILES or molecules of RDKit, as `Predictor.predict` takes them, or a mapping of names to them.
        names: Name of each molecule; by default the SMILES.
        target: Prediction that the colours explain; by default the most likely one of each molecule, or the first
            value.
        method: How the colours are computed, one of `pyg_samsa.explain.predictor_explanation.methods_of`; by default
            the first.
        interval: Probability with which intervals or sets hold the true value, above 0 and below 1; None for none.
            ``"auto"`` is 0.9 if the model was calibrated for it, and none otherwise.
        extra_columns: Name -> a number for each molecule, for a predictor that needs it.
        training: The training molecules, see `find_training_molecules`. With a folder as ``model`` they are found.
        neighbors: Number of the nearest training molecules that are shown, 0 to 20; 0 searches none.
        limit: Number of molecules that are coloured and shown, at least 1. ``table`` has all.
        max_atoms: Molecules with more atoms are predicted and not coloured.
        theme: Colours of the pictures: ``"light"``, ``"dark"`` or ``"auto"``, as the notebook.

    Raises:
        ConfigError: An argument is not allowed, or a column is missing.
        DataNotFoundError: There is no such model.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> shown = show_molecules("peptides", ["NCC(=O)O", "C1CC"], method="sampled")
        >>> shown.table["error"].tolist()
        ['', 'RDKit cannot read this SMILES (ring 1 is not closed)']
        >>> shown._repr_html_()[:22]
        '<div class="pyg-samsa"'

    Cost: that of the predictions, and of one explanation for each shown molecule, see `explain_predictor`.
    """
    check_choice("theme", theme, THEMES)
    for key, value, low, high in (("limit", limit, 1, None), ("neighbors", neighbors, 0, 20)):
        check_integer(key, value, low=low, high=high)
    check_integer("max_atoms", max_atoms)
    texts, titles = _listed(molecules, names)
    predictor = _loaded(model)
    for key, given, known in (("method", method, methods_of(predictor)), ("target", target, predictor.target_names)):
        if given is not None:
            check_choice(key, given, known)
    notes: list[str] = []
    confidence = _confidence(predictor, interval, notes)
    training = training if neighbors == 0 or training is not None else _training_of(model, notes)
    result = predictor.predict(texts, interval=confidence, extra_columns=extra_columns)
    searched = training is not None and neighbors > 0
    nearest = [
        training.nearest(text, neighbors) if training is not None and searched and not error else []
        for text, error in zip(texts, result.errors, strict=True)
    ]
    if len(texts) > limit:
        notes.append(f"The first {limit:,} of {len(texts):,} molecules are shown; the table has all of them.")
    count = min(limit, len(texts))
    asked: dict[str, Any] = {"target": target, "methods": [method or methods_of(predictor)[0]], "max_atoms": max_atoms}
    drawn, refused = _explained(predictor, texts[:count], titles, result, extra_columns, asked)
    pieces = []
    for row in range(count):
        piece, order = Molecule(titles[row], str(texts[row]), error=result.errors[row]), predictor.target_names
        if row in drawn:
            piece, order = drawn[row].fragment(theme=theme), drawn[row].ranked()
        elif row in refused:
            piece = replace(piece, remarks=[f"Not drawn: {refused[row]}."])
        similar = [(one.picture(theme), one.text) for one in map(_similar, nearest[row])]
        pieces.append(replace(piece, values=_values(predictor, result, row, order), similar=similar))
    table = _table(predictor, texts, titles, result, nearest, training if searched else None)
    return PredictedMolecules(table, pieces, notes, predictor.task.kind, confidence, theme)


def _listed(molecules: Any, names: Sequence[str] | None) -> tuple[list[Any], list[str]]:
    """Return molecules and their names."""
    if isinstance(molecules, Mapping):
        if names is not None:
            raise ConfigError("names", "names", "None for a mapping, which has names")
        names, molecules = list(molecules), list(molecules.values())
    texts = [text.strip() if isinstance(text, str) else text for text in list_molecules(molecules, "molecules")]
    if names is None:
        return texts, [text if len(text) <= _NAME else f"{text[: _NAME - 3]}..." for text in map(str, texts)]
    titles = [str(name) for name in ([names] if isinstance(names, str) else names)]
    if len(titles) != len(texts):
        raise ConfigError("names", f"{len(titles)} names", f"{len(texts)}, one for each molecule")
    return texts, titles


def _loaded(model: Any) -> Predictor:
    if isinstance(model, Predictor):
        return model
    if isinstance(model, str | os.PathLike):
        return load_predictor(model)
    hint = "Of an estimator, pass estimator.to_predictor()."
    raise ConfigError("model", type(model).__name__, "a predictor, a folder or a name", hint=hint)


def _confidence(predictor: Predictor, interval: float | str | None, notes: list[str]) -> float | None:
    """Return the probability of intervals, and note why there are none by default."""
    if interval != "auto":
        return interval  # type: ignore[return-value]  # another text is refused with the predictions
    if reason := why_no_interval(predictor.calibration, CONFIDENCE):
        notes.append(f"The model gives no intervals: {reason}.")
        return None
    return CONFIDENCE


def _training_of(model: Any, notes: list[str]) -> TrainingMolecules | None:
    """Return the training molecules of a folder, and note why they are not known."""
    if isinstance(model, Predictor):
        return None
    try:
        return find_training_molecules(model)
    except SAMSAError as error:
        notes.append(f"The nearest training molecules are not known: {error}.")
        return None


def _explained(
    predictor: Predictor,
    texts: Sequence[Any],
    titles: Sequence[str],
    result: Predictions,
    extra_columns: ExtraColumns | None,
    asked: Mapping[str, Any],
) -> tuple[dict[int, MoleculeExplanation], dict[int, str]]:
    """Return the explanations of the rows with a prediction, and why some have none."""
    rows = [row for row in range(len(texts)) if not result.errors[row]]
    refused: dict[int, str] = {}

    def refuse(number: int, name: str, smiles: str, reason: str) -> None:
        refused[rows[number]] = reason

    extra = {name: [values[row] for row in rows] for name, values in (extra_columns or {}).items()}
    pairs = [(titles[row], texts[row]) for row in rows]
    found = list(explain_predictor(predictor, pairs, extra_columns=extra, on_refusal=refuse, **asked))
    return dict(zip([row for row in rows if row not in refused], found, strict=True)), refused


def _values(predictor: Predictor, result: Predictions, row: int, names: Sequence[str]) -> list[Value]:
    """Return the predictions of a row as texts, with intervals or sets."""
    if result.errors[row]:
        return []
    kind, std = predictor.task.kind, predictor.target_std
    places = [predictor.target_names.index(name) for name in names]
    spreads = [None if std is None else float(std[place]) for place in places]
    ends = ["" for _ in places]
    if result.low is not None and result.high is not None:
        pairs = zip(result.low[row, places].tolist(), result.high[row, places].tolist(), spreads, strict=True)
        ends = [f"{text_of(low, kind, std)} to {text_of(high, kind, std)}" for low, high, std in pairs]
    elif result.sets is not None and kind == "multiclass":
        ends = ["in the set" if inside else "" for inside in result.sets[row, places].tolist()]
    elif result.sets is not None:
        ends = [_LABELS[no, yes] for no, yes in result.sets[row, places].tolist()]
    texts = [text_of(float(result.values[row, place]), kind, std) for place, std in zip(places, spreads, strict=True)]
    return [Value(*found) for found in zip(names, texts, ends, strict=True)]


def _similar(neighbor: Neighbor) -> SimilarMolecule:
    return SimilarMolecule(neighbor.smiles, neighbor.similarity, "fingerprint", neighbor.measured)


def _table(
    predictor: Predictor,
    texts: Sequence[Any],
    titles: Sequence[str],
    result: Predictions,
    nearest: Sequence[Sequence[Neighbor]],
    training: TrainingMolecules | None,
) -> pd.DataFrame:
    """Return all predictions, with the nearest training molecule of each row."""
    import pandas as pd

    table = predictor.to_frame(texts, result)
    table.index = pd.Index(titles, name="name")
    if training is not None:
        first = [found[0] if found else Neighbor("", float("nan"), {}) for found in nearest]
        added: dict[str, list[Any]] = {
            "nearest_smiles": [one.smiles for one in first],
            "nearest_similarity": [one.similarity for one in first],
        }
        for name, is_number in training.measured_columns.items():
            texts_of = [one.measured.get(name, "") for one in first]
            column = [float(text or "nan") for text in texts_of] if is_number else texts_of
            added[f"nearest_{name}_measured"] = column
        for name, column in added.items():
            table.insert(len(table.columns) - 1, name, column, allow_duplicates=True)
    return table
