"""The molecules that a model was trained on, with what was measured for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from pyg_samsa.chem.similarity import SimilarMolecules
from pyg_samsa.chem.standardize import Standardizer
from pyg_samsa.errors import DataError, DataNotFoundError, SmilesError
from pyg_samsa.hub.folder import PREDICTOR, SHIPPED
from pyg_samsa.io.cells import write_number
from pyg_samsa.io.files import file_hash
from pyg_samsa.predict.predictor_folder import find_predictor
from pyg_samsa.task import Task
from pyg_samsa.training.run_folder import CONFIG, saved_tables

_CHANGED = "Predictions are not affected. Put the earlier table back, or train again with the new one."
_BOUNDS = {1: "> ", -1: "< ", 0: ""}


class Neighbor(NamedTuple):
    """A molecule of the training that resembles another one.

    Attributes:
        smiles: The molecule.
        similarity: Tanimoto similarity of the fingerprints, from 0 to 1.
        measured: Name of a target -> what was measured, as text; targets without a value are left out.

    Example:
        >>> Neighbor("CCO", 1.0, {"logS": "0.5"}).measured
        {'logS': '0.5'}
    """

    smiles: str
    similarity: float
    measured: dict[str, str]


@dataclass
class TrainingMolecules:
    """Molecules that a model was trained on, searched by similarity.

    Args:
        task: Task of the model.
        smiles: G molecules.
        target: What was measured, float [G, C], NaN where nothing was; numbers of classes [G] for classes.
        bound: Int8 [G, C], 1 where a value is a lower bound, -1 for an upper one; None without bounds.
        extra: Name of an extra column of the model -> a number for each molecule.
        standardize: Steps by which they were standardised, as is a molecule that is compared with them.

    Example:
        >>> known = TrainingMolecules(Task("regression", ["logS"]), ["CCO", "C"], np.array([[0.25], [np.nan]]))
        >>> known.nearest("CCO", 1)
        [Neighbor(smiles='CCO', similarity=1.0, measured={'logS': '0.25'})]
    """

    task: Task
    smiles: Sequence[str]
    target: np.ndarray
    bound: np.ndarray | None = None
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    standardize: Sequence[str] = ()
    index: SimilarMolecules = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.index = SimilarMolecules(self.smiles)

    def __len__(self) -> int:
        return len(self.smiles)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the molecules, of what was measured for them, and of how they are standardised.

        Example:
            >>> known = TrainingMolecules(Task("regression", ["logS"]), ["CCO"], np.array([[0.25]]))
            >>> len(known.fingerprint)
            64
        """
        digest = sha256("\n".join([*self.smiles, "", *self.task.names, "", *self.standardize]).encode())
        for values in (self.target, self.bound):
            digest.update(b"" if values is None else np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    @property
    def measured_columns(self) -> dict[str, bool]:
        """Name of what was measured, as in `Neighbor.measured` -> whether it is numbers alone, without bounds.

        Example:
            >>> TrainingMolecules(Task("binary", ["toxic"]), ["C"], np.array([[1.0]])).measured_columns
            {'toxic': True}
        """
        if self.task.kind == "multiclass":
            return {"class": False}
        names = self.task.names
        bounded = np.zeros(len(names)) if self.bound is None else (np.asarray(self.bound) != 0).any(0)
        return {name: not found for name, found in zip(names, bounded, strict=True)}

    @cached_property
    def _standardizer(self) -> Standardizer:
        return Standardizer(self.standardize)

    def nearest(self, smiles: str, count: int = 3, *, standardized: bool = False) -> list[Neighbor]:
        """Return the most similar molecules, best first; none for a molecule that cannot be read.

        Args:
            smiles: The molecule.
            count: Most of them.
            standardized: Whether it is standardised already, by the same steps.

        Example:
            >>> TrainingMolecules(Task("binary", ["toxic"]), ["C"], np.array([[1.0]])).nearest("C")[0].measured
            {'toxic': '1'}

        Cost: that of `SimilarMolecules.nearest`, and of the steps by which the molecule is standardised.
        """
        compared = smiles if standardized else self.standardized(smiles)
        return [] if compared is None else self.described(self.index.nearest(compared, count))

    def standardized(self, smiles: str) -> str | None:
        """Return a molecule as it is compared with the others; None if it cannot be standardised as they were.

        Args:
            smiles: The molecule.

        Example:
            >>> task, y = Task("binary", ["toxic"]), np.array([[1.0]])
            >>> TrainingMolecules(task, ["C"], y, standardize=["neutralize"]).standardized("C[NH3+]")
            'CN'
        """
        if not self.standardize:
            return smiles
        try:
            return self._standardizer(smiles)
        except SmilesError:
            return None

    def described(self, found: Iterable[tuple[int, float]]) -> list[Neighbor]:
        """Return molecules with what was measured for them.

        Args:
            found: Their places in the list, and their similarities.

        Example:
            >>> TrainingMolecules(Task("binary", ["toxic"]), ["C"], np.array([[0.0]])).described([(0, 0.5)])
            [Neighbor(smiles='C', similarity=0.5, measured={'toxic': '0'})]
        """
        return [Neighbor(self.smiles[place], similarity, self._measured(place)) for place, similarity in found]

    def _measured(self, place: int) -> dict[str, str]:
        names = self.task.names
        if self.task.kind == "multiclass":
            number = self.target[place]
            return {"class": names[int(number)]} if number >= 0 else {}
        bounds = np.zeros(len(names)) if self.bound is None else self.bound[place]
        return {
            name: _BOUNDS[int(bound)] + write_number(float(value))
            for name, value, bound in zip(names, self.target[place], bounds, strict=True)
            if np.isfinite(value)
        }


def run_of(model: str | os.PathLike[str]) -> Path | None:
    """Return the folder of the run that a model was saved by; None for a model without one.

    Args:
        model: Folder of a run, of a predictor or of a saved network, or name of a packaged model.

    Example:
        >>> run_of("peptides") is None
        True
    """
    folder = find_predictor(model).resolve()
    if folder.is_relative_to(SHIPPED):
        return None
    places = [folder, folder.parent]
    if (folder.parent / PREDICTOR).is_file():  # a network of a blend, such as predictor/network_0 of a run
        places.append(folder.parents[1])
    return next((place for place in places if (place / CONFIG).is_file()), None)


def find_training_molecules(model: str | os.PathLike[str], scratch: Path | None = None) -> TrainingMolecules:
    """Read the molecules that a model has seen: those of the training and of the validation.

    The configuration in the folder of the run names the table. It is read as for the training, from the folder of the
    data sets where it is prepared already, and else into ``scratch``. The settings in ``cfg`` stay as they are.

    Args:
        model: Folder of a run, of a predictor or of a saved network, or name of a packaged model.
        scratch: A temporary folder; None makes one and removes it.

    Raises:
        DataNotFoundError: The model was saved without its run, or its data are not on this machine.
        DataError: The table has changed since the training.
        ConfigError: The configuration of the run cannot be read, or the data set has no SMILES.

    Example:
        >>> find_training_molecules("peptides")
        Traceback (most recent call last):
        pyg_samsa.errors.DataNotFoundError: the folder of this model does not say what it was trained on

    Cost: that of reading the data set; a table that is not prepared takes about 20 microseconds an atom.
    """
    folder = run_of(model)
    if folder is None:
        hint = "Pass the folder of a run, such as results/esol/0, to see the nearest training molecules."
        raise DataNotFoundError("the folder of this model does not say what it was trained on", hint=hint)
    from pyg_samsa.graphgym.mixed_tasks import restored

    with restored(), TemporaryDirectory(prefix="pyg-samsa-") as temporary:
        return _read(folder, scratch or Path(temporary))


def _read(folder: Path, scratch: Path) -> TrainingMolecules:
    """Read the training molecules of the run in a folder; this changes ``cfg``."""
    from torch_geometric.graphgym.config import cfg

    import pyg_samsa.experiments.fingerprint_baseline  # noqa: F401  # adds the settings fingerprint.*
    from pyg_samsa.datasets import catalog
    from pyg_samsa.experiments.molecule_rows import MoleculeRows
    from pyg_samsa.graphgym.config import load_config
    from pyg_samsa.graphgym.loader import load_for_runner

    load_config(folder / CONFIG)
    name, root = str(cfg.dataset.name), Path(str(cfg.dataset.dir)).expanduser()
    is_table = (cfg.dataset.format, name) == ("samsa", "csv")
    if is_table and not Path(str(cfg.dataset.csv)).expanduser().is_file():
        hint = "Start in the folder where the model was trained, or put the table back where it was."
        raise DataNotFoundError(f"{cfg.dataset.csv}: the table of the training is not there", hint=hint)
    trained = saved_tables(folder).get("dataset.csv")  # runs of earlier versions have none
    if is_table and trained is not None and trained != file_hash(Path(str(cfg.dataset.csv)).expanduser()):
        what = "the table of the training has changed since, so what was measured is not known"
        raise DataError(f"{cfg.dataset.csv}: {what}", hint=_CHANGED)
    if is_table and not root.is_dir():
        cfg.dataset.dir = str(scratch)
    if not is_table and not (catalog.knows("samsa", name) and catalog.is_prepared(name, root)):
        raise DataNotFoundError(f"The data set {name} is not prepared in {root}", hint="Start in the training folder.")
    rows = MoleculeRows(load_for_runner(progress=False, encodings=False, notify=False), name)
    seen = rows.pool()
    bound = None if rows.bound is None else rows.bound[seen]
    extra = dict(zip(rows.extra_columns, rows.extra()[seen].T, strict=True))
    smiles = [rows.smiles[row] for row in seen]
    return TrainingMolecules(rows.task, smiles, rows.target[seen], bound, extra, rows.standardize)
