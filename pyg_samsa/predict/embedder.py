"""Embeddings of molecules: what the head of a network sees, for clustering and similarity."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.predict.interface import MoleculeInputs, Predictor, refuse_spread
from pyg_samsa.predict.predictor import MoleculePredictor
from pyg_samsa.task import Task


class MoleculeEmbedder(Predictor):
    r"""Returns the embedding of each molecule: the input of the head of a network, before its last layers.

    .. math::
        z = \Bigl[\mathrm{pool}_t(x_t), h\Bigr] \in \mathbb{R}^W

    where x are the tokens after the encoder and h are the encoded features of the molecule, if the network reads some.
    Like molecules have like embeddings. Compare them by the cosine of their angle.

    Args:
        predictor: The predictor of a network.

    Example:
        >>> embedder = MoleculeEmbedder.from_network("peptides")
        >>> result = embedder.predict(["NCC(=O)O", "C1CC"])
        >>> result.values.shape == (2, embedder.width), result.errors
        (True, ['', 'RDKit cannot read this SMILES (ring 1 is not closed)'])

    Cost: That of a prediction.
    """

    column_suffix = ""

    def __init__(self, predictor: MoleculePredictor) -> None:
        self.predictor = predictor
        self.width = int(predictor.model.readout.head.in_channels)  # type: ignore[union-attr]
        """Numbers W of an embedding."""
        digits = len(str(self.width))
        self.task = Task("regression", [f"e{number:0{digits}d}" for number in range(1, self.width + 1)])
        self.fingerprint = hashlib.sha256(f"embedding of {predictor.fingerprint}".encode()).hexdigest()
        self.descriptors, self.extra_columns = predictor.descriptors, predictor.extra_columns
        self.standardize = predictor.standardize

    @classmethod
    def from_network(cls, name: str | os.PathLike[str], **options: Any) -> MoleculeEmbedder:
        """Load a saved network.

        Args:
            name: Folder of a saved network, or of a run with one, or name of a model that comes with the package.
            **options: ``tokens_per_batch`` and ``device``.

        Raises:
            DataNotFoundError: There is no such network.
            DataIntegrityError: A file is damaged.
            ConfigError: The network does not read molecules, or was saved without a task.

        Example:
            >>> MoleculeEmbedder.from_network("peptides").task.names[0]
            'e01'
        """
        return cls(MoleculePredictor.from_network(name, **options))

    def outputs(self, inputs: MoleculeInputs, *, draws: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return embeddings of readable molecules, float64 [K, W], see `Predictor.outputs`.

        Raises:
            ConfigError: A standard deviation is requested.

        Example:
            >>> from pyg_samsa.chem.parsing import parse_molecules
            >>> embedder = MoleculeEmbedder.from_network("peptides")
            >>> values, spread = embedder.outputs(MoleculeInputs(parse_molecules(["NCC(=O)O"])))
            >>> values.shape == (1, embedder.width), spread is None
            (True, True)
        """
        if draws is not None:
            refuse_spread("an embedding")
        values = np.full((len(inputs.smiles), self.width), np.nan)
        for places, batch in self.predictor.batches(inputs):
            values[places] = self._embed(batch).cpu().double().numpy()
        return values, None

    @torch.inference_mode()
    def _embed(self, inputs: dict[str, Any]) -> Tensor:
        """Return embeddings [B, W], the mean over the draws of codes that the network averages."""
        model: Any = self.predictor.model
        features = inputs.pop("graph_features", None)
        found = [
            model.readout.features(model.encode(**inputs, draw=draw), graph_features=features)
            for draw in range(int(model.num_eval_samples))
        ]
        return torch.stack(found).mean(0)
