"""What all predictors share: they read molecules and return values or probabilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from pyg_samsa.chem.molecule_changes import Change
from pyg_samsa.chem.molecule_list import list_molecules
from pyg_samsa.chem.parsing import Parsed, in_chunks, join_parsed, parse_stream
from pyg_samsa.errors import ConfigError
from pyg_samsa.options import check_integer
from pyg_samsa.predict.conformal import Calibration, check_confidence, prediction_intervals, prediction_sets
from pyg_samsa.task import Task

if TYPE_CHECKING:
    import pandas as pd

UNCERTAINTY_DRAWS = 8
MAX_ATOMS = 100_000
"""Larger molecules get an error instead of a prediction, unless more is asked for."""
ExtraColumns = Mapping[str, Sequence[float]]
"""Name of a column -> a number for each molecule; NaN where it is missing."""


class Predictions(NamedTuple):
    """Predictions for G molecules.

    Attributes:
        values: Values in the units of the training data, or probabilities, float64 [G, C]; NaN if unreadable.
        spread: Standard deviations, float64 [G, C]; None unless requested.
        errors: Why each molecule is unreadable; empty if it is readable.
        low: Lower ends of the intervals of a regression, float64 [G, C]; None unless requested.
        high: Upper ends, float64 [G, C].
        sets: Whether a label is in the set, bool [G, C, 2] (0, 1), or a class, bool [G, C]; None unless requested.
        changes: The molecules that were standardised to others before they were predicted.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> result = predictor.predict(["NCC(=O)O"])
        >>> result.values.shape, result.spread is None, result.errors
        ((1, 3), True, [''])
    """

    values: np.ndarray
    spread: np.ndarray | None
    errors: list[str]
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    sets: np.ndarray | None = None
    changes: Sequence[Change] = ()


class MoleculeInputs:
    """Readable molecules with everything that a predictor may ask of them; descriptors are computed once.

    Args:
        parsed: G parsed molecules, K of them readable.
        extra_columns: Name -> a number for each of the G molecules.

    Example:
        >>> from pyg_samsa.chem.parsing import parse_molecules
        >>> inputs = MoleculeInputs(parse_molecules(["CC", "?", "C"]), {"pH": [7.0, 7.0, 5.5]})
        >>> inputs.smiles, inputs.extra(["pH"]).tolist()
        (['CC', 'C'], [[7.0], [5.5]])
    """

    def __init__(self, parsed: Parsed, extra_columns: ExtraColumns | None = None) -> None:
        self.parsed = parsed
        self.table, self.smiles = parsed.table, parsed.smiles
        self._kept = np.asarray(parsed.kept, dtype=np.int64)
        self._extra = dict(extra_columns or {})
        self._descriptors = dict(parsed.descriptors)

    def descriptors(self, names: Sequence[str]) -> np.ndarray:
        """Return descriptors, float32 [K, F]; NaN where undefined.

        Args:
            names: Names of :obj:`pyg_samsa.chem.descriptors.DESCRIPTORS`.

        Example:
            >>> from pyg_samsa.chem.parsing import parse_molecules
            >>> MoleculeInputs(parse_molecules(["CC", "?"])).descriptors(["maccs"]).shape
            (1, 167)
        """
        from pyg_samsa.chem.descriptors import compute_descriptors

        for name in names:
            if name not in self._descriptors:
                self._descriptors[name] = compute_descriptors(self.smiles, [name], workers=1, progress=False)
        parts = [self._descriptors[name] for name in names]
        return np.concatenate([np.empty((len(self.smiles), 0), np.float32), *parts], axis=1)

    def extra(self, names: Sequence[str]) -> np.ndarray:
        """Return columns of numbers, float32 [K, len(names)].

        Args:
            names: Names of the columns.

        Raises:
            ConfigError: A column is missing, or has another length.

        Example:
            >>> from pyg_samsa.chem.parsing import parse_molecules
            >>> MoleculeInputs(parse_molecules(["CC", "?"]), {"pH": [7.0, 5.5]}).extra(["pH"]).tolist()
            [[7.0]]
        """
        count = len(self.parsed.kept) + len(self.parsed.refused)
        columns = [np.empty((count, 0), np.float32)]
        for name in names:
            if name not in self._extra:
                hint = "The model was trained with this column: pass its numbers, NaN where they are unknown."
                raise ConfigError("extra_columns", sorted(self._extra), f"a column {name!r}", hint=hint)
            column = np.asarray(self._extra[name], dtype=np.float32)
            if column.shape != (count,):
                raise ConfigError(f"extra_columns[{name!r}]", f"{column.shape}", f"{count} numbers, one per molecule")
            columns.append(column[:, None])
        return np.concatenate(columns, axis=1)[self._kept]


class Predictor(ABC):
    """Base of all predictors: of a network, of a model on descriptors, and of a blend.

    A subclass implements `outputs`.

    Attributes:
        task: The task.
        fingerprint: Hash of the files of the model; empty if it was not loaded from files.
        descriptors: Names of the descriptors that it computes from the SMILES.
        extra_columns: Names of the columns of numbers that it needs beside the SMILES.
        standardize: Steps by which molecules are standardised before, as in training, see
            `pyg_samsa.chem.standardize.Standardizer`.
        calibration: Calibration of intervals and sets; None if the predictor was not calibrated.
        metrics: Split -> name -> value, as measured when the model was made; empty if nothing was saved.
        limits: For which molecules it was made, and for which not, as one text; empty if nothing was saved.
        column_suffix: What follows the name of a target in the name of the column of its predictions in a table.
    """

    task: Task
    fingerprint: str = ""
    descriptors: Sequence[str] = ()
    extra_columns: Sequence[str] = ()
    standardize: Sequence[str] = ()
    calibration: Calibration | None = None
    metrics: Mapping[str, Any] = MappingProxyType({})
    limits: str = ""
    column_suffix: str = "_pred"

    @property
    def target_std(self) -> np.ndarray | None:
        """Standard deviations of the training targets of a regression [C], in the units of the data; None if unknown.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> MoleculePredictor.from_pretrained("peptides").target_std is None
            True
        """
        return None

    @abstractmethod
    def outputs(self, inputs: MoleculeInputs, *, draws: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return values or probabilities of readable molecules, and their standard deviations if requested.

        Args:
            inputs: K molecules.
            draws: Number of draws of codes for the standard deviations; None for no standard deviations.

        Shapes:
            - **output:** float64 [K, C], values as :meth:`Task.readable <pyg_samsa.task.Task.readable>` returns them,
              and standard deviations or None.

        Raises:
            ConfigError: A column is missing, or the predictor has no standard deviations.
        """

    @property
    def target_names(self) -> list[str]:
        """Names of the C targets or classes.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> predictor.target_names
            ['antimicrobial', 'anticancer', 'transmembrane']
        """
        return list(self.task.names)

    def predict(
        self,
        smiles: Sequence[object],
        *,
        extra_columns: ExtraColumns | None = None,
        uncertainty: bool = False,
        draws: int = UNCERTAINTY_DRAWS,
        interval: float | None = None,
        workers: int = 1,
        max_atoms: int | None = MAX_ATOMS,
        standardized: bool = False,
    ) -> Predictions:
        """Predict for a list of SMILES.

        Args:
            smiles: G molecules, as SMILES or ``rdkit.Chem.Mol``; a table of pandas is read by its column of SMILES,
                and one text is one molecule.
            extra_columns: Name -> G numbers, for a predictor with :attr:`extra_columns`.
            uncertainty: Whether to compute the spread.
            draws: Number of draws of codes for the spread of a network, at least 2.
            interval: Probability with which intervals or sets hold the true value, such as 0.9; None for none. See
                :mod:`pyg_samsa.predict.conformal`.
            workers: Number of processes that read molecules.
            max_atoms: Molecules with more atoms get an error instead of a prediction; None takes any.
            standardized: Whether the molecules are to be taken as they are, also by a model with :attr:`standardize`.

        Raises:
            ConfigError: ``draws``, ``interval`` or ``workers`` is not allowed, a column is missing, or the predictor
                was not calibrated.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> result = predictor.predict(["NCC(=O)O", "C1CC"])
            >>> result.values.shape, result.errors
            ((2, 3), ['', 'RDKit cannot read this SMILES (ring 1 is not closed)'])
        """
        chunks = in_chunks(list_molecules(smiles))
        reading: dict[str, Any] = {"workers": workers, "max_atoms": max_atoms, "descriptors": self.descriptors}
        stream = parse_stream(chunks, **reading, standardize=() if standardized else self.standardize)
        parsed = join_parsed([parsed for _, parsed in stream])
        options: dict[str, Any] = {"uncertainty": uncertainty, "draws": draws, "interval": interval}
        return self.predict_parsed(parsed, extra_columns=extra_columns, **options)

    def predict_frame(self, smiles: Sequence[object], **options: Any) -> pd.DataFrame:
        """Return the predictions as a table.

        Columns: ``smiles``, one per target, ``<target>_spread`` with ``uncertainty``, with ``interval`` also
        ``<target>_low`` and ``<target>_high``, ``<label>_set`` or ``set`` (see `set_texts`), for a predictor that
        standardises molecules ``standardized`` (the one that was predicted, where it is not the given one), and
        ``error``. A target with one of these names has ``_pred`` behind its name.

        Args:
            smiles: Molecules.
            **options: As in :meth:`predict`.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> list(predictor.predict_frame(["NCC(=O)O"]))
            ['smiles', 'antimicrobial', 'anticancer', 'transmembrane', 'error']
        """
        smiles = list_molecules(smiles)
        return self.to_frame(smiles, self.predict(smiles, **options))

    def to_frame(self, smiles: Sequence[object], result: Predictions) -> pd.DataFrame:
        """Return predictions that this predictor has made as a table, see `predict_frame`.

        Args:
            smiles: The molecules.
            result: Their predictions.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> len(predictor.to_frame(["NCC(=O)O"], predictor.predict(["NCC(=O)O"])))
            1
        """
        import pandas as pd

        columns: dict[str, Any] = {"smiles": smiles}
        own = {"smiles", "standardized", "error"}
        for number, target in enumerate(self.target_names):
            name = f"{target}{self.column_suffix}" if target in own else target
            columns[name] = result.values[:, number]
            if result.spread is not None:
                columns[f"{name}_spread"] = result.spread[:, number]
            if result.low is not None and result.high is not None:
                columns |= {f"{name}_low": result.low[:, number], f"{name}_high": result.high[:, number]}
        if result.sets is not None:
            columns |= set_texts(self.task, result)
        if self.standardize:
            after = {change.position: change.after for change in result.changes}
            columns["standardized"] = [after.get(row, "") for row in range(len(result.errors))]
        return pd.DataFrame(columns | {"error": result.errors})

    def predict_parsed(
        self,
        parsed: Parsed,
        *,
        extra_columns: ExtraColumns | None = None,
        uncertainty: bool = False,
        draws: int = UNCERTAINTY_DRAWS,
        interval: float | None = None,
    ) -> Predictions:
        """Predict for parsed molecules; arguments as in :meth:`predict`."""
        if interval is not None:
            check_confidence(self.calibration, interval, key="interval")
        if uncertainty:
            check_integer("draws", draws, low=2)
        asked, uncertainty = uncertainty, uncertainty or (interval is not None and self._needs_spread)
        count, width = len(parsed.kept) + len(parsed.refused), self.task.num_targets
        inputs = MoleculeInputs(parsed, extra_columns)
        found, deviation = self.outputs(inputs, draws=draws if uncertainty else None)
        values = np.full((count, width), np.nan)
        spread = np.full((count, width), np.nan) if uncertainty else None
        errors = [""] * count
        for refusal in parsed.refused:
            errors[refusal.position] = refusal.reason
        kept = np.asarray(parsed.kept, dtype=np.int64)
        values[kept] = found
        if spread is not None:
            spread[kept] = deviation
        for row in kept[~np.isfinite(values[kept]).all(1)]:
            errors[row] = "the output of the model is not finite"
        result = Predictions(values, spread, errors, changes=parsed.changes)
        if interval is not None and self.calibration is not None:  # it is there: it was checked above
            result = add_interval(self.task, self.calibration, result, interval)
        return result if asked else result._replace(spread=None)

    @property
    def _needs_spread(self) -> bool:
        return self.calibration is not None and self.calibration.uses_spread


def add_interval(task: Task, calibration: Calibration, result: Predictions, interval: float) -> Predictions:
    """Return predictions with intervals, or with sets of labels or classes.

    Args:
        task: Their task.
        calibration: Calibration of the predictor.
        result: Predictions, with a spread if the calibration uses it.
        interval: Probability with which intervals or sets hold the true value.

    Raises:
        ConfigError: The probability is not allowed, or the spread is missing.

    Example:
        >>> task, calibration = Task("regression", ["logS"]), Calibration("regression", (np.arange(1, 10) / 10,))
        >>> add_interval(task, calibration, Predictions(np.array([[2.0]]), None, [""]), 0.8).high.round(6).tolist()
        [[2.8]]
    """
    if task.kind != "regression":
        return result._replace(sets=prediction_sets(calibration, result.values, confidence=interval))
    low, high = prediction_intervals(calibration, result.values, spread=result.spread, confidence=interval)
    return result._replace(low=low, high=high)


def refuse_spread(what: str) -> NoReturn:
    """Raise the error about standard deviations of a predictor that has none.

    Args:
        what: The predictor, for the message.

    Raises:
        ConfigError: Always.

    Example:
        >>> refuse_spread("a single tree")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: uncertainty: a single tree has no standard deviation
    """
    hint = "Ask for an interval (--interval 0.9), or train an ensemble of networks (train --csv ... --ensemble 5)."
    raise ConfigError("uncertainty", True, "False", hint=hint, told=f"{what} has no standard deviation")


def set_texts(task: Task, result: Predictions) -> dict[str, list[str]]:
    """Return the sets of predictions as columns of text: ``<label>_set`` for labels, ``set`` for classes.

    Labels or classes in a set are joined by ``|``. ``-`` is the empty set. The text is empty for unreadable molecules.

    Args:
        task: Of labels or classes.
        result: Predictions with sets.

    Example:
        >>> sets = np.array([[[True, False], [True, True]]])
        >>> result = Predictions(np.array([[0.1, 0.5]]), None, [""], sets=sets)
        >>> set_texts(Task("multilabel", ["toxic", "active"]), result)
        {'toxic_set': ['0'], 'active_set': ['0|1']}
    """
    sets, known = np.asarray(result.sets), np.isfinite(result.values).all(1)

    def texts(rows: np.ndarray, names: Sequence[str]) -> list[str]:
        joined = ("|".join(name for name, inside in zip(names, row, strict=True) if inside) or "-" for row in rows)
        return [text if readable else "" for text, readable in zip(joined, known, strict=True)]

    if task.kind == "multiclass":
        return {"set": texts(sets, task.names)}
    return {f"{name}_set": texts(sets[:, place], ("0", "1")) for place, name in enumerate(task.names)}
