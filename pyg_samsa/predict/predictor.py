"""From SMILES to predictions with a saved network."""

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
from pyg_samsa.hub.pretrained import CONFIG, WEIGHTS, find_pretrained, load_pretrained
from pyg_samsa.io.files import file_hash
from pyg_samsa.nn import SAMSA, num_parameters

if TYPE_CHECKING:
    import pandas as pd

TOKENS_PER_BATCH = 8192
UNCERTAINTY_DRAWS = 8


class Predictions(NamedTuple):
    """What a network says of G molecules.

    Attributes:
        values: float64 [G, C], in the units of the training data, or probabilities; NaN where a molecule cannot be read.
        spread: float64 [G, C], the standard deviation over draws of codes in the same units, or None where it was not asked for.
        errors: Why a molecule cannot be read, G texts, empty where it can.
    """

    values: np.ndarray
    spread: np.ndarray | None
    errors: list[str]


class MoleculePredictor:
    r"""Predicts for molecules with a network that :func:`~pyg_samsa.hub.pretrained.save_pretrained` wrote.

    Predictions depend on the molecule alone: not on its neighbours in the list, and not on chance. The spread is the standard deviation of the
    prediction over ``draws`` deterministic draws of the Graph-Bridge codes; the prediction is then that of the mean output over these draws. It tells
    how far the codes alone move a prediction, and nothing of how far the molecule is from those of the training.

    Args:
        model: The network, one prediction a molecule.
        task: Its task, see :func:`~pyg_samsa.hub.pretrained.save_pretrained`.
        tokens_per_batch: Atoms and directed bonds that are computed together; a larger molecule is computed alone.
        device: Where to compute.

    Raises:
        ConfigError: The network is not one for molecules.

    Example:
        >>> predictor = MoleculePredictor(SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, channels=8, num_layers=1, heads=2),
        ...                               {"kind": "binary", "target_names": ["active"]})
        >>> result = predictor.predict(["CCO", "C1CC"])
        >>> result.values.shape, result.errors
        ((2, 1), ['', 'RDKit cannot read this SMILES'])
    """

    def __init__(
        self,
        model: SAMSA,
        task: Mapping[str, Any],
        *,
        tokens_per_batch: int = TOKENS_PER_BATCH,
        device: str | torch.device = "cpu",
    ) -> None:
        from pyg_samsa.hub.pretrained import check_task

        readout = model.readout if isinstance(model, SAMSA) else None
        if readout is None or readout.level != "graph" or readout.towers != 1:
            raise ConfigError("model", type(model).__name__, "a SAMSA network with one prediction a molecule")
        if tokens_per_batch < 1:
            raise ConfigError("tokens_per_batch", tokens_per_batch, "a number of at least 1")
        self.task = check_task(task, origin="task")
        features = (
            getattr(model.tokenizer.node_encoder, "cardinalities", None),
            getattr(getattr(model.tokenizer, "edge_encoder", None), "cardinalities", None),
        )
        if features != (tuple(ATOM_CARDINALITIES), tuple(BOND_CARDINALITIES)):
            raise ConfigError("model", model, "a network of OGB's atom and bond features")
        self.device = torch.device(device)
        self.model = model.eval().to(self.device)
        self.tokens_per_batch = tokens_per_batch
        self.fingerprint = ""
        """Hash of the files that the network was read from; empty for one that was not."""

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], **options: Any) -> MoleculePredictor:
        """Read a network from its folder, from the folder of a run, or one that comes with the package by its name.

        Args:
            name: Folder or name.
            **options: ``tokens_per_batch`` and ``device``.

        Raises:
            DataNotFoundError: There is no such folder.
            DataIntegrityError: A file of it is damaged.
            ConfigError: It is no network for molecules.
        """
        folder = find_pretrained(name)
        model, config = load_pretrained(folder)
        if config["task"] is None:
            raise ConfigError(
                f"{folder / CONFIG}: task",
                None,
                "the description of a task",
                hint="Save it with save_pretrained(..., task=...).",
            )
        predictor = cls(model, config["task"], **options)  # type: ignore[arg-type]  # checked there
        predictor.fingerprint = _fingerprint(folder)
        return predictor

    @property
    def target_names(self) -> list[str]:
        """Names of the C targets, or of the classes."""
        return list(self.task["target_names"])

    def predict(
        self, smiles: Sequence[object], *, uncertainty: bool = False, draws: int = UNCERTAINTY_DRAWS, workers: int = 1
    ) -> Predictions:
        """Predict for a list of SMILES.

        Args:
            smiles: G molecules.
            uncertainty: Whether the spread is computed; ``draws`` times as much work.
            draws: Draws of codes for it, at least 2.
            workers: Processes that read the molecules.

        Raises:
            ConfigError: ``draws`` or ``workers`` is out of range.
        """
        parsed = join_parsed([parsed for _, parsed in parse_stream(in_chunks(smiles), workers=workers)])
        return self.predict_parsed(parsed, uncertainty=uncertainty, draws=draws)

    def predict_frame(self, smiles: Sequence[object], **options: Any) -> pd.DataFrame:
        """Return the predictions as a table: ``smiles``, a column a target, ``<target>_spread`` with ``uncertainty``, and ``error``.

        Args:
            smiles: Molecules.
            **options: As in :meth:`predict`.
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
        """Predict for molecules that are read already; arguments as in :meth:`predict`."""
        if uncertainty and draws < 2:
            raise ConfigError("draws", draws, "at least 2 draws for a spread")
        count, width = len(parsed.kept) + len(parsed.refused), len(self.task["target_names"])
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
                errors[row] = "the network's output is not finite"
        return Predictions(values, spread, errors)

    @torch.inference_mode()
    def _batch(self, inputs: Mapping[str, Any], draws: int) -> tuple[Tensor, Tensor]:
        """Return predictions and their deviation over the draws, [B, C] each, in units or probabilities."""
        inputs = {name: value.to(self.device) if isinstance(value, Tensor) else value for name, value in inputs.items()}
        outputs = []
        for draw in range(draws):
            tokens = self.model.encode(**inputs, draw=draw)
            outputs.append(self.model.readout(tokens).double())  # type: ignore[misc]  # graph level: it is there
        stacked = torch.stack(outputs)
        return self._meaning(stacked.mean(0)), self._meaning(stacked).std(0, correction=0)

    def _meaning(self, output: Tensor) -> Tensor:
        kind = self.task["kind"]
        if kind == "regression":
            return output
        return output.softmax(-1) if kind == "multiclass" else output.sigmoid()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.task['kind']}: {', '.join(self.task['target_names'])}; {num_parameters(self.model):,} weights)"


def _fingerprint(folder: Path) -> str:
    return hashlib.sha256(f"{file_hash(folder / CONFIG)}{file_hash(folder / WEIGHTS)}".encode()).hexdigest()


def _batches(table: GraphTable, budget: int) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """Cut graphs, ordered by size, into batches of at most ``budget`` tokens; yield their places in the table and the inputs of the network."""
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
