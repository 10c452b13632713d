"""Predictions for SMILES with a saved model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.chem.descriptors import check_descriptors, descriptor_labels
from pyg_samsa.chem.graph_table import GraphTable
from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.chem.standardize import ordered_steps
from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.float64 import to_float64
from pyg_samsa.hub.folder import CONFIG, WEIGHTS, find_pretrained
from pyg_samsa.hub.load import load_pretrained
from pyg_samsa.io.files import file_hash
from pyg_samsa.nn import SAMSA, num_parameters
from pyg_samsa.options import check_integer
from pyg_samsa.predict.devices import find_device
from pyg_samsa.predict.interface import MoleculeInputs, Predictor, refuse_spread
from pyg_samsa.task import Task

TOKENS_PER_BATCH = 8192


class MoleculePredictor(Predictor):
    r"""Predicts properties of molecules with a saved model.

    Predictions are deterministic and do not depend on the other molecules. The spread is the standard deviation over
    M deterministic draws of the Graph-Bridge codes. The prediction is that of the mean output over the first E of them,
    E = ``num_eval_samples``, whatever M is. The spread measures only the effect of the codes, not the distance of a
    molecule from the training data.

    .. math::
        \hat y = g\Bigl(\frac{1}{E} \sum_{m \le E} o^{(m)}\Bigr), \qquad
        s = \sqrt{\frac{1}{M} \sum_m \Bigl(g(o^{(m)}) - \frac{1}{M} \sum_l g(o^{(l)})\Bigr)^2}

    with the outputs :math:`o^{(m)}` of the network and g of :meth:`Task.readable <pyg_samsa.task.Task.readable>`.

    Args:
        model: A network with one prediction per molecule.
        task: Its task.
        descriptors: Names of the descriptors that the network reads beside the graph.
        extra_columns: Names of the columns of numbers that it reads after them.
        standardize: Steps by which molecules are standardised before, as in training.
        tokens_per_batch: Number of atoms and directed bonds in a batch; a larger molecule gets its own batch.
        device: Device of the network.

    Raises:
        ConfigError: The network does not read molecules, its outputs do not fit the task, or its features of whole
            graphs are not the descriptors and columns.

    Example:
        >>> sizes = {"edge_channels": BOND_CARDINALITIES, "channels": 8, "num_layers": 1, "heads": 2}
        >>> model = SAMSA.from_options(ATOM_CARDINALITIES, 1, **sizes)
        >>> predictor = MoleculePredictor(model, Task("binary", ["active"]))
        >>> result = predictor.predict(["CCO", "C1CC"])
        >>> result.values.shape, result.errors
        ((2, 1), ['', 'RDKit cannot read this SMILES (ring 1 is not closed)'])
    """

    _load: ClassVar[Callable[..., Predictor]]
    """``load_predictor``; `pyg_samsa.predict.predictor_folder`, which builds on this class, sets it."""

    def __init__(
        self,
        model: SAMSA,
        task: Task,
        *,
        descriptors: Sequence[str] = (),
        extra_columns: Sequence[str] = (),
        standardize: Sequence[str] = (),
        tokens_per_batch: int = TOKENS_PER_BATCH,
        device: str | torch.device = "cpu",
    ) -> None:
        readout = model.readout if isinstance(model, SAMSA) else None
        if readout is None or readout.level != "graph" or readout.towers != 1:
            raise ConfigError("model", type(model).__name__, "a SAMSA network with one prediction per molecule")
        width = readout.out_channels
        if width != task.num_targets:
            raise ConfigError("task", f"{task.num_targets} targets", f"{width}, the width of the network's output")
        check_integer("tokens_per_batch", tokens_per_batch)
        self.task = task
        atoms, bonds = (getattr(model.tokenizer, f"{kind}_encoder", None) for kind in ("node", "edge"))
        # A network of nodes alone reads no bonds.
        wrong = bonds is not None and getattr(bonds, "cardinalities", None) != tuple(BOND_CARDINALITIES)
        if wrong or getattr(atoms, "cardinalities", None) != tuple(ATOM_CARDINALITIES):
            hint = "Those are the features of pyg_samsa.chem.smiles_to_data."
            raise ConfigError("model", "a network with other features", "OGB's features of atoms and bonds", hint=hint)
        _check_graph_features(model, descriptors, extra_columns)
        self.descriptors, self.extra_columns = tuple(descriptors), tuple(extra_columns)
        self.standardize = ordered_steps(standardize)
        self.device = find_device(device)
        self.model = model.eval().to(self.device)
        self.tokens_per_batch = tokens_per_batch

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], **options: Any) -> Predictor:
        """Load what ``pyg-samsa predict`` predicts with: `pyg_samsa.predict.load_predictor` under another name.

        Args:
            name: Folder of a run, of a predictor or of a saved network, or name of a model that comes with the package.
            **options: ``tokens_per_batch``, ``device`` and ``threads``.

        Returns:
            The predictor of a run, which is its blend if it has one. The folder of a saved network, such as
            ``results/esol/0/model``, gives a `MoleculePredictor` of the network alone.

        Raises:
            DataNotFoundError: There is no such model.
            DataIntegrityError: A file is damaged.
            ConfigError: The model does not read molecules, or was saved without a task.

        Example:
            >>> MoleculePredictor.from_pretrained("peptides").task.kind
            'multilabel'
        """
        return cls._load(name, **options)

    @classmethod
    def from_network(cls, name: str | os.PathLike[str], **options: Any) -> MoleculePredictor:
        """Load a saved network alone.

        Args:
            name: Folder of a saved network, or of a run with one, or name of a model that comes with the package.
            **options: ``tokens_per_batch`` and ``device``.

        Raises:
            DataNotFoundError: There is no such network.
            DataIntegrityError: A file is damaged.
            ConfigError: The network does not read molecules, or was saved without a task.

        Example:
            >>> MoleculePredictor.from_network("peptides").descriptors
            ()
        """
        folder = find_pretrained(name)
        model, config = load_pretrained(folder)
        if config.task is None:
            hint = "Save it with save_pretrained(..., task=...)."
            raise ConfigError(f"{folder / CONFIG}: task", None, "the task of the model", hint=hint)
        predictor = cls(model, config.task, **config.inputs, **options)
        predictor.fingerprint = _fingerprint(folder)
        predictor.metrics, predictor.limits = config.metrics, config.card.get("Limits", "")
        return predictor

    @property
    def target_std(self) -> np.ndarray | None:
        """Standard deviations of the training targets [C], see :attr:`Predictor.target_std`."""
        scale = self.model.scale if self.task.kind == "regression" else None
        return None if scale is None else scale.std.cpu().double().numpy()

    def outputs(self, inputs: MoleculeInputs, *, draws: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return predictions of readable molecules, see :meth:`Predictor.outputs`.

        Raises:
            ConfigError: The standard deviation is requested of a network without random codes.

        Example:
            >>> from pyg_samsa.chem.parsing import parse_molecules
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> values, spread = predictor.outputs(MoleculeInputs(parse_molecules(["NCC(=O)O"])))
            >>> values.shape, spread is None
            ((1, 3), True)
        """
        if draws is not None and not getattr(self.model.tokenizer, "has_draws", False):
            refuse_spread("a single network without random codes")
        values = np.full((len(inputs.smiles), self.task.num_targets), np.nan)
        spread = None if draws is None else np.full_like(values, np.nan)
        for places, batch in self.batches(inputs):
            mean, deviation = self._batch(batch, draws or 1)
            values[places] = mean.cpu().numpy()
            if spread is not None:
                spread[places] = deviation.cpu().numpy()
        return values, spread

    def batches(self, inputs: MoleculeInputs) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        """Yield batches of at most ``tokens_per_batch`` tokens: numbers of molecules, and the inputs of the network.

        Args:
            inputs: K molecules.

        Example:
            >>> from pyg_samsa.chem.parsing import parse_molecules
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> [places.tolist() for places, _ in predictor.batches(MoleculeInputs(parse_molecules(["CC", "C"])))]
            [[1, 0]]
        """
        features = self.graph_features(inputs)
        for places, batch in _batches(inputs.table, self.tokens_per_batch):
            moved = {
                name: value.to(self.device) if isinstance(value, Tensor) else value for name, value in batch.items()
            }
            if features is not None:
                moved["graph_features"] = features[places].to(self.device)
            yield places, moved

    def graph_features(self, inputs: MoleculeInputs) -> Tensor | None:
        """Return the features of whole graphs that the network reads, float32 [K, F]; None if it reads none.

        Args:
            inputs: K molecules.

        Raises:
            ConfigError: An extra column is missing.

        Example:
            >>> from pyg_samsa.chem.parsing import parse_molecules
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> predictor.graph_features(MoleculeInputs(parse_molecules(["NCC(=O)O"]))) is None
            True
        """
        if self.model.graph_features is None:
            return None
        parts = [inputs.descriptors(self.descriptors), inputs.extra(self.extra_columns)]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    @torch.inference_mode()
    def _batch(self, inputs: Mapping[str, Any], draws: int) -> tuple[Tensor, Tensor]:
        """Return predictions and their standard deviations over the draws [B, C].

        The prediction is the same for any number of draws: it is the mean over the first ``num_eval_samples``.
        """
        used = int(self.model.num_eval_samples)
        inputs = dict(inputs)
        features, outputs = inputs.pop("graph_features", None), []
        readout: Any = self.model.readout  # graph level: it is there
        for draw in range(max(draws, used)):
            tokens = self.model.encode(**inputs, draw=draw)
            outputs.append(to_float64(readout(tokens, graph_features=features)))
        stacked = torch.stack(outputs)
        return self.task.readable(stacked[:used].mean(0)), self.task.readable(stacked[:draws]).std(0, correction=0)

    def __repr__(self) -> str:
        names = ", ".join(self.task.names)
        return f"{type(self).__name__}({self.task.kind}: {names}; {num_parameters(self.model):,} weights)"


def _check_graph_features(model: SAMSA, descriptors: Sequence[str], extra_columns: Sequence[str]) -> None:
    check_descriptors(descriptors)
    reads = 0 if model.graph_features is None else model.graph_features.in_channels
    width = len(descriptor_labels(descriptors)) + len(extra_columns)
    if width != reads:
        given = f"{width} columns of {', '.join([*descriptors, *extra_columns]) or 'no descriptors'}"
        hint = "Pass the descriptors of its training; those of another version of RDKit may have other columns."
        raise ConfigError("descriptors", given, f"the {reads} features of a molecule that the network reads", hint=hint)


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
