"""Finds the training molecules that are most similar to a molecule, and what makes them similar."""

from __future__ import annotations

from collections.abc import Mapping

from pyg_samsa.chem.ogb_features import parse_smiles
from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.experiments.training_molecules import TrainingMolecules
from pyg_samsa.explain.embedding_scores import embedding_scores
from pyg_samsa.explain.fingerprint_scores import fingerprint_scores
from pyg_samsa.explain.importance import TokenImportance
from pyg_samsa.explain.similar_molecule import BY, SimilarMolecule
from pyg_samsa.predict import BlendPredictor, MoleculeEmbedder, MoleculePredictor, Predictor
from pyg_samsa.predict.similar_embeddings import SimilarEmbeddings


class SimilarTraining:
    """Finds training molecules by fingerprints, or by the embeddings of the networks of a predictor.

    Args:
        training: The training molecules.
        by: ``"embedding"``, see `SimilarEmbeddings`, or ``"fingerprint"``, see
            `pyg_samsa.chem.similarity.SimilarMolecules`.
        predictor: The predictor, for embeddings: a network, or a blend with networks.
        progress: Whether to show a progress bar while the training molecules are embedded.

    Raises:
        ConfigError: ``by`` is not allowed, or the predictor has no network.

    Example:
        >>> import numpy as np
        >>> from pyg_samsa.task import Task
        >>> training = TrainingMolecules(Task("regression", ["logS"]), ["CCO", "C"], np.array([[0.25], [1.0]]))
        >>> found, = SimilarTraining(training, "fingerprint").find("OCC", 1)
        >>> found.smiles, found.similarity, found.measured
        ('CCO', 1.0, {'logS': '0.25'})

    Cost: nothing for fingerprints; one prediction of each network for each different molecule for embeddings.
    """

    def __init__(
        self,
        training: TrainingMolecules,
        by: str = "embedding",
        predictor: Predictor | None = None,
        *,
        progress: bool = False,
    ) -> None:
        check_choice("by", by, BY)
        self.training, self.by = training, by
        self._embeddings: SimilarEmbeddings | None = None
        if by == "embedding":
            networks = networks_of(predictor)
            if not networks:
                hint = "The network of a run, if it has one, is in its subfolder model."
                raise ConfigError("by", by, "'fingerprint', because this model has no network", hint=hint)
            embedders = [MoleculeEmbedder(network) for network in networks]
            self._embeddings = SimilarEmbeddings(embedders, training.smiles, training.extra, progress=progress)

    def find(
        self, smiles: str, count: int = 3, extra: Mapping[str, float] | None = None, *, scores: bool = True
    ) -> list[SimilarMolecule]:
        """Return the most similar training molecules, best first; none for a molecule that cannot be read.

        Args:
            smiles: The molecule; it is standardised as those of the training, and scores are those of the result.
            count: Most of them, at least 1.
            extra: Its extra columns, for embeddings by networks that read some.
            scores: Whether to compute what makes the molecules similar, see `embedding_scores` and
                `fingerprint_scores`.

        Example:
            >>> import numpy as np
            >>> from pyg_samsa.task import Task
            >>> training = TrainingMolecules(Task("binary", ["toxic"]), ["CCO"], np.array([[1.0]]))
            >>> SimilarTraining(training, "fingerprint").find("CCN")[0].importance.node.shape
            torch.Size([3])

        Cost: with embeddings and scores, up to one pass for each atom and bond, each network and each molecule that is
        found.
        """
        compared = self.training.standardized(smiles)
        if compared is None or isinstance(parse_smiles(compared), str):
            return []
        smiles = compared
        if self._embeddings is None:
            found = self.training.index.nearest(smiles, count)
        else:
            found = self._embeddings.nearest(smiles, count, extra)
        importance = self._scores(smiles, [place for place, _ in found], extra) if scores else [None] * len(found)
        return [
            SimilarMolecule(near.smiles, near.similarity, self.by, near.measured, one)
            for near, one in zip(self.training.described(found), importance, strict=True)
        ]

    def _scores(
        self, smiles: str, places: list[int], extra: Mapping[str, float] | None
    ) -> list[TokenImportance | None]:
        if self._embeddings is not None:
            return embedding_scores(self._embeddings, smiles, places, extra)
        return [fingerprint_scores(smiles, self.training.smiles[place]) for place in places]


def networks_of(predictor: Predictor | None) -> list[MoleculePredictor]:
    """Return the networks of a predictor that have a weight; none for models on descriptors.

    Args:
        predictor: A network, or a blend.

    Example:
        >>> len(networks_of(MoleculePredictor.from_pretrained("peptides")))
        1
    """
    members = [predictor]
    if isinstance(predictor, BlendPredictor):
        used = zip(predictor.members, predictor.weights, strict=True)
        members = [member for member, weights in used if weights.any()]
    return [member for member in members if isinstance(member, MoleculePredictor)]
