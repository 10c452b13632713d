"""Predictions for SMILES with a saved model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.chem.graph_table import GraphTable
from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.chem.parsing import Parsed, in_chunks, join_parsed, parse_stream
from pyg_samsa.errors import ConfigError
from pyg_samsa.hub.folder import CONFIG, WEIGHTS, find_pretrained
from pyg_samsa.hub.load import load_pretrained
from pyg_samsa.io.files import file_hash
from pyg_samsa.nn import SAMSA, num_parameters
from pyg_samsa.options import check_integer
from pyg_samsa.task import Task

if TYPE_CHECKING:
    import pandas as pd

TOKENS_PER_BATCH = 8192
UNCERTAINTY_DRAWS = 8


class Predictions(NamedTuple):
    """Predictions for G molecules.

    Attributes:
        values: Values in the units of the training data, or probabilities, float64 [G, C]; NaN if unreadable.
        spread: Standard deviations over draws of codes, float64 [G, C]; None unless requested.
        errors: Why each molecule is unreadable; empty if it is readable.

    Example:
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> result = predictor.predict(["NCC(=O)O"])
        >>> result.values.shape, result.spread is None, result.errors
        ((1, 3), True, [''])
    """

    values: np.ndarray
    spread: np.ndarray | None
    errors: list[str]


class MoleculePredictor:
    r"""Predicts properties of molecules with a saved model.

    Predictions are deterministic and do not depend on the other molecules. The spread is the standard deviation over
    M deterministic draws of the Graph-Bridge codes, with the prediction of the mean output. It measures only the effect
    of the codes, not the distance of a molecule from the training data.

    .. math::
        \hat y = g\Bigl(\frac{1}{M} \sum_m o^{(m)}\Bigr), \qquad
        s = \sqrt{\frac{1}{M} \sum_m \Bigl(g(o^{(m)}) - \frac{1}{M} \sum_l g(o^{(l)})\Bigr)^2}

    with the outputs :math:`o^{(m)}` of the network and g of :meth:`Task.readable <pyg_samsa.task.Task.readable>`.

    Args:
        model: A network with one prediction per molecule.
        task: Its task.
        tokens_per_batch: Number of atoms and directed bonds in a batch; a larger molecule gets its own batch.
        device: Device of the network.

    Raises:
        ConfigError: The network does not read molecules, or its outputs do not fit the task.

    Example:
        >>> sizes = {"edge_channels": BOND_CARDINALITIES, "channels": 8, "num_layers": 1, "heads": 2}
        >>> model = SAMSA.from_options(ATOM_CARDINALITIES, 1, **sizes)
        >>> predictor = MoleculePredictor(model, Task("binary", ["active"]))
        >>> result = predictor.predict(["CCO", "C1CC"])
        >>> result.values.shape, result.errors
        ((2, 1), ['', 'RDKit cannot read this SMILES'])
    """

    def __init__(
        self,
        model: SAMSA,
        task: Task,
        *,
        tokens_per_batch: int = TOKENS_PER_BATCH,
        device: str | torch.device = "cpu",
    ) -> None:
        readout = model.readout if isinstance(model, SAMSA) else None
        if readout is None or readout.level != "graph" or readout.towers != 1:
            raise ConfigError("model", type(model).__name__, "a SAMSA network with one prediction per molecule")
        width = readout.head.out_channels
        if width != task.num_targets:
            raise ConfigError("task", f"{task.num_targets} targets", f"{width}, the width of the network's output")
        check_integer("tokens_per_batch", tokens_per_batch)
        self.task = task
        features = (
            getattr(model.tokenizer.node_encoder, "cardinalities", None),
            getattr(getattr(model.tokenizer, "edge_encoder", None), "cardinalities", None),
        )
        if features != (tuple(ATOM_CARDINALITIES), tuple(BOND_CARDINALITIES)):
            raise ConfigError("model", model, "a network with OGB's atom and bond features")
        self.device = torch.device(device)
        self.model = model.eval().to(self.device)
        self.tokens_per_batch = tokens_per_batch
        self.fingerprint = ""
        """Hash of the files of the model; empty if it was not loaded from files."""

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], **options: Any) -> MoleculePredictor:
        """Load a saved model.

        Args:
            name: Folder of a model or of a run, or name of a model that comes with the package.
            **options: ``tokens_per_batch`` and ``device``.

        Raises:
            DataNotFoundError: There is no such model.
            DataIntegrityError: A file is damaged.
            ConfigError: The model does not read molecules, or was saved without a task.

        Example:
            >>> MoleculePredictor.from_pretrained("peptides").task.kind
            'multilabel'
        """
        folder = find_pretrained(name)
        model, config = load_pretrained(folder)
        if config.task is None:
            hint = "Save it with save_pretrained(..., task=...)."
            raise ConfigError(f"{folder / CONFIG}: task", None, "the task of the model", hint=hint)
        predictor = cls(model, config.task, **options)
        predictor.fingerprint = _fingerprint(folder)
        return predictor

    @property
    def target_names(self) -> list[str]:
        """Names of the C targets or classes.

        Example:
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> predictor.target_names
            ['antimicrobial', 'anticancer', 'transmembrane']
        """
        return list(self.task.names)

    def predict(
        self, smiles: Sequence[object], *, uncertainty: bool = False, draws: int = UNCERTAINTY_DRAWS, workers: int = 1
    ) -> Predictions:
        """Predict for a list of SMILES.

        Args:
            smiles: G molecules.
            uncertainty: Whether to compute the spread, which takes ``draws`` times as long.
            draws: Number of draws of codes for the spread, at least 2.
            workers: Number of processes that read molecules.

        Raises:
            ConfigError: ``draws`` or ``workers`` is not allowed.

        Example:
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> result = predictor.predict(["NCC(=O)O", "C1CC"], uncertainty=True, draws=2)
            >>> result.spread.shape, result.errors
            ((2, 3), ['', 'RDKit cannot read this SMILES'])
        """
        parsed = join_parsed([parsed for _, parsed in parse_stream(in_chunks(smiles), workers=workers)])
        return self.predict_parsed(parsed, uncertainty=uncertainty, draws=draws)

    def predict_frame(self, smiles: Sequence[object], **options: Any) -> pd.DataFrame:
        """Return the predictions as a table.

        Columns: ``smiles``, one per target, ``<target>_spread`` with ``uncertainty``, and ``error``.

        Args:
            smiles: Molecules.
            **options: As in :meth:`predict`.

        Example:
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> list(predictor.predict_frame(["NCC(=O)O"]))
            ['smiles', 'antimicrobial', 'anticancer', 'transmembrane', 'error']
        """
        import pandas as pd

        result = self.predict(smiles, **options)
        columns: dict[str, Any] = {"smiles": list(smiles)}
        for number, name in enumerate(self.target_names):
            columns[name] = result.values[:, number]
            if result.spread is not None:
                columns[f"{name}_spread"] = result.spread[:, number]
        return pd.DataFrame(columns | {"error": result.errors})

    def predict_parsed(
        self, parsed: Parsed, *, uncertainty: bool = False, draws: int = UNCERTAINTY_DRAWS
    ) -> Predictions:
        """Predict for parsed molecules; arguments as in :meth:`predict`."""
        if uncertainty:
            check_integer("draws", draws, low=2)
        count, width = len(parsed.kept) + len(parsed.refused), self.task.num_targets
        values = np.full((count, width), np.nan)
        spread = np.full((count, width), np.nan) if uncertainty else None
        errors = [""] * count
        for position, reason in parsed.refused:
            errors[position] = reason
        kept = np.asarray(parsed.kept, dtype=np.int64)
        for places, inputs in _batches(parsed.table, self.tokens_per_batch):
            mean, deviation = self._batch(inputs, draws if uncertainty else self.model.num_eval_samples)
            rows = kept[places]
            values[rows] = mean.cpu().numpy()
            if spread is not None:
                spread[rows] = deviation.cpu().numpy()
            for row in rows[~np.isfinite(values[rows]).all(1)]:
                errors[row] = "the output of the network is not finite"
        return Predictions(values, spread, errors)

    @torch.inference_mode()
    def _batch(self, inputs: Mapping[str, Any], draws: int) -> tuple[Tensor, Tensor]:
        """Return predictions and their standard deviations over the draws [B, C]."""
        inputs = {name: value.to(self.device) if isinstance(value, Tensor) else value for name, value in inputs.items()}
        outputs = []
        for draw in range(draws):
            tokens = self.model.encode(**inputs, draw=draw)
            outputs.append(self.model.readout(tokens).double())  # type: ignore[misc]  # graph level: it is there
        stacked = torch.stack(outputs)
        return self.task.readable(stacked.mean(0)), self.task.readable(stacked).std(0, correction=0)

    def __repr__(self) -> str:
        names = ", ".join(self.task.names)
        return f"{type(self).__name__}({self.task.kind}: {names}; {num_parameters(self.model):,} weights)"


def _fingerprint(folder: Path) -> str:
    return hashlib.sha256(f"{file_hash(folder / CONFIG)}{file_hash(folder / WEIGHTS)}".encode()).hexdigest()


def _batches(table: GraphTable, budget: int) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Yield batches of at most ``budget`` tokens: positions in the table, and the inputs of the network."""
    nodes, edges = table.num_nodes, table.num_edges
    starts = {"node": np.concatenate([[0], nodes.cumsum()]), "edge": np.concatenate([[0], edges.cumsum()])}
    order = np.argsort(nodes + edges, kind="stable")
    begin = 0
    while begin < len(order):
        sizes = (nodes + edges)[order[begin:]].cumsum()
        end = begin + max(1, int(np.searchsorted(sizes, budget, side="right")))
        places = order[begin:end]
        rows = {
            kind: np.concatenate([np.arange(start[place], start[place + 1]) for place in places])
            for kind, start in starts.items()
        }
        shift = np.concatenate([[0], nodes[places].cumsum()[:-1]])
        edge_index = table.edge_index[:, rows["edge"]].astype(np.int64) + np.repeat(shift, edges[places])
        inputs = {
            "x": torch.from_numpy(table.x[rows["node"]].astype(np.int64)),
            "edge_index": torch.from_numpy(edge_index),
            "edge_attr": torch.from_numpy(table.edge_attr[rows["edge"]].astype(np.int64)),
            "batch": torch.from_numpy(np.repeat(np.arange(len(places)), nodes[places])),
            "batch_size": len(places),
        }
        yield places, inputs
        begin = end
