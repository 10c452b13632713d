"""The models that a page serves."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyg_samsa.errors import ConfigError, SAMSAError
from pyg_samsa.experiments.training_molecules import TrainingMolecules, find_training_molecules
from pyg_samsa.explain.predictor_explanation import methods_of
from pyg_samsa.predict import Predictor, load_predictor
from pyg_samsa.predict.conformal import why_no_interval
from pyg_samsa.predict.predictor_folder import name_of_model
from pyg_samsa.web.examples import example_of


@dataclass(eq=False)
class ServedModel:
    """A model of the page.

    Args:
        name: Name on the page, different for each model.
        predictor: The predictor.
        training: Molecules that it was trained on; None if they are not known.
        without_training: Why they are not known.
        example: Lines of SMILES and names that the page offers.

    Attributes:
        lock: Held while the predictor works: explanations change a network for a moment.

    Example:
        >>> ServedModel("peptides", load_predictor("peptides")).methods
        ('sampled', 'contribution', 'occlusion')
    """

    name: str
    predictor: Predictor
    training: TrainingMolecules | None = None
    without_training: str = ""
    example: Sequence[str] = ()
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that colour atoms and bonds.

        Example:
            >>> ServedModel("peptides", load_predictor("peptides")).methods[0]
            'sampled'
        """
        return methods_of(self.predictor)

    @property
    def most_confidence(self) -> float:
        """Largest confidence of intervals and sets; 0 if the model was not calibrated.

        Example:
            >>> ServedModel("peptides", load_predictor("peptides")).most_confidence
            0.0
        """
        calibration = self.predictor.calibration
        if calibration is None:
            return 0.0
        return calibration.largest_confidence if calibration.kind == "regression" else 1.0

    def possible_interval(self, asked: float | None) -> tuple[float | None, str]:
        """Return the confidence of the intervals of this model, and a note if it has none though they were asked for.

        Args:
            asked: Confidence that was asked for, 0 to 1; None for no intervals.

        Example:
            >>> ServedModel("peptides", load_predictor("peptides")).possible_interval(None)
            (None, '')
            >>> ServedModel("peptides", load_predictor("peptides")).possible_interval(0.9)[1].partition(":")[0]
            'The model peptides gives no uncertainty ranges'
        """
        if asked is not None and (reason := why_no_interval(self.predictor.calibration, asked)):
            return None, f"The model {self.name} gives no uncertainty ranges: {reason}."
        return asked, ""


def load_models(
    models: Sequence[str], scratch: Path, *, device: str = "cpu", threads: int = 1, neighbors: bool = True
) -> list[ServedModel]:
    """Load the models of a page, and the molecules that they were trained on.

    Args:
        models: Folders or names, see `pyg_samsa.predict.load_predictor`.
        scratch: A temporary folder.
        device: Device of the networks.
        threads: Threads of trees and Gaussian processes.
        neighbors: Whether the training molecules are read.

    Raises:
        DataNotFoundError: There is no such model.
        DataIntegrityError: A file of a model is damaged.
        ConfigError: No model is given, one is given twice, or one cannot be served.

    Example:
        >>> loaded, = load_models(["peptides"], Path("unused"))
        >>> loaded.name, loaded.without_training
        ('peptides', 'the folder of this model does not say what it was trained on')
    """
    if not models:
        raise ConfigError("MODEL", None, "at least one model")
    doubled = next((model for place, model in enumerate(models) if model in models[:place]), None)
    if doubled is not None:
        raise ConfigError("MODEL", doubled, "each model once")
    loaded = [ServedModel("", load_predictor(model, device=device, threads=threads)) for model in models]
    for served, name, model in zip(loaded, distinct_names(models), models, strict=True):
        served.name = name
        if not neighbors:
            served.without_training = "the server was started with --no-neighbors"
        else:
            try:
                served.training = find_training_molecules(model, scratch)
            except SAMSAError as error:
                served.without_training = str(error)
        served.example = example_of(model, None if served.training is None else served.training.smiles)
    return loaded


def distinct_names(models: Sequence[str]) -> list[str]:
    """Return the name of each model for the page: that of its experiment, else as much of its path as tells it apart.

    Args:
        models: Folders or names.

    Example:
        >>> distinct_names(["results/esol/0", "peptides"]), distinct_names(["results/esol/0", "results/esol/1"])
        (['esol', 'peptides'], ['esol/0', 'esol/1'])
    """
    names = [name_of_model(model) for model in models]
    parts = [Path(os.path.abspath(Path(model).expanduser())).parts for model in models]
    depth = 1
    while len(set(names)) < len(names) and depth < max(map(len, parts)):
        depth += 1
        shared = {name for name in names if names.count(name) > 1}
        names = ["/".join(path[-depth:]) if name in shared else name for name, path in zip(names, parts, strict=True)]
    return names
