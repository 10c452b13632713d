"""Real peptides that come with the ``modlamp`` package: no download needed."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.chem.peptide_sequences import sequence_to_smiles
from pyg_samsa.chem.smiles import convert_smiles
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.option_types import Seed
from pyg_samsa.datasets.prepared import Prepared, molecules_to_prepared, prepare_once, select_graphs
from pyg_samsa.datasets.sources import EMBEDDED
from pyg_samsa.datasets.splits import stratified_split
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, MissingDependencyError
from pyg_samsa.options import Option, check_integer
from pyg_samsa.task import Task

LISTS = ("antimicrobial", "anticancer", "transmembrane", "uniprot", "random")
"""The lists of peptides; the first three are the targets."""

_NAMES = {"AMP": "antimicrobial", "ACP": "anticancer", "TM": "transmembrane", "UniProt": "uniprot", "Random": "random"}
_TARGETS = LISTS[:3]
# A list of peptides of one kind says nothing on another kind that such peptides may well have too.
_UNKNOWN = {"antimicrobial": ("anticancer",), "anticancer": ("antimicrobial",), "transmembrane": ("uniprot",)}
_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_VERSION = 1
_REINSTALL = "pip install --force-reinstall --no-deps 'modlamp>=4.3'"


class EmbeddedPeptides(SplitDataset):
    """6,018 real peptides as molecular graphs with three functions to predict, a multi-label task like Peptides-func.

    **Origin.** The four tables of the package modlAMP (Mueller, Gabernet, Hiss and Schneider, "modlAMP: Python for
    antimicrobial peptides", Bioinformatics 33, 2017), BSD-3-Clause, (c) ETH Zurich; they are read from the installed
    package and hold one-letter sequences of 7 to 174 residues (median 26): 2,600 antimicrobial peptides of the APD3
    database against 2,600 random entries of UniProt with 10 to 50 residues; 206 antimicrobial peptides of APD2 and CAMP
    against 206 transmembrane regions of proteins; 413 anticancer peptides of CancerPPD against 413 transmembrane
    helices of PDBTM, and against 413 random sequences with the composition of antimicrobial peptides.

    **Molecules.** RDKit reads the linear, neutral peptide of L-amino acids (no disulfide bridges: sequences do not tell
    them); a graph has 52 to 1,359 heavy atoms, 229 on average, and 465 directed bonds. Features are OGB's 9 per atom
    and 3 per bond. ``data.smiles`` and ``data.sequence`` say where a graph comes from.

    **How labels were merged.** The tables have 7,264 rows and 6,018 different sequences, and a sequence is listed as

    ============================== =====  ============= ========== =============
    listed as                      count  antimicrobial anticancer transmembrane
    ============================== =====  ============= ========== =============
    antimicrobial                  2,471  1             unknown    0
    UniProt                        2,080  0             0          unknown
    transmembrane                    619  0             0          1
    random                           413  0             0          0
    anticancer                       343  unknown       1          0
    antimicrobial and anticancer      70  1             1          0
    antimicrobial and UniProt         22  1             unknown    unknown
    ============================== =====  ============= ========== =============

    The three functions are the targets. "UniProt" and "random" are no functions but the backgrounds that the tables'
    authors took as negatives, and that is what they are here: presumed, not measured, negatives. A pair is *unknown*
    (NaN, which losses and metrics of this package leave out) where a list cannot tell: 17 % of the anticancer peptides
    are listed as antimicrobial too, so one list does not deny the other, and short UniProt entries may be membrane
    proteins. Known pairs and base rates: antimicrobial 2,563 of 5,675 (45 %), anticancer 413 of 3,525 (12 %),
    transmembrane 619 of 3,916 (16 %). ``unlabelled="negative"`` writes 0 for unknown, the convention of Peptides-func.

    **Split.** 70 / 15 / 15 % by unique sequence, stratified on the combinations above: 4,212 / 903 / 903 peptides. A
    peptide's place follows from a hash of its letters, so it depends on no library's random numbers. Similar peptides
    may be in different splits, as in Peptides-func.

    Args:
        root: Folder of the data sets; the graphs are kept in ``<root>/peptides-embedded``.
        unlabelled: ``"unknown"`` (NaN) or ``"negative"`` (0): what an unlabelled pair is.
        max_residues: Largest number of residues; longer peptides are left out.
        subset: Keep only about this many peptides, the same share of each split.
        seed: Seed of the split.
        workers: Processes that prepare the graphs; None is one for each core.
        progress: Show a progress bar while preparing.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [N, 9], ``edge_index`` int64 [2, E], ``edge_attr`` int64 [E, 3], ``y`` float [1, 3].

    Raises:
        MissingDependencyError: Modlamp or RDKit is not installed.
        DataIntegrityError: Modlamp's tables are not the ones this class was written for.

    Example:
        >>> dataset = EmbeddedPeptides("datasets")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets, dataset[0].sequence  # doctest: +SKIP
        (6018, 3, 'GLWSKIKEVGKEAAKAAAKAAGKAALGAVSEAV')

    Cost: prepared once in about forty seconds of one core (36 MB on disk), then loaded in less than a second.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        unlabelled: Annotated[
            str, Option("What an unlabelled pair of peptide and function is.", ("unknown", "negative"))
        ] = "unknown",
        max_residues: Annotated[int | None, Option("Largest number of residues of a peptide.", low=1)] = None,
        subset: Annotated[int | None, Option("About how many peptides are kept.", low=3)] = None,
        seed: Seed = 0,
        workers: int | None = None,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if unlabelled not in ("unknown", "negative"):
            raise ConfigError("unlabelled", unlabelled, ["unknown", "negative"])
        prepared = prepare_once(prepared_path(root), lambda: _prepare(workers, progress))
        sequences, listed = prepared.data["sequence"], prepared.extra["listed"].bool()
        prepared.data["y"] = _labels(listed, unlabelled)
        prepared.slices["y"] = torch.arange(len(sequences) + 1)
        groups = _combinations(listed)
        prepared.split_idx = stratified_split(sequences, groups, _SHARES, seed=seed)
        keep = _choose(sequences, groups, prepared.split_idx, max_residues, subset, seed)
        if keep is not None:
            prepared = select_graphs(prepared, keep)
            listed = listed[keep]
        super().__init__(prepared, Task("multilabel", _TARGETS), MOLECULES, transform=transform, root=root)
        self.listed = listed
        """bool [G, 5]: on which of :data:`LISTS` each peptide stands."""


def prepared_path(root: str | os.PathLike[str]) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets").parent.as_posix()
        'datasets/peptides-embedded'
    """
    return Path(root) / "peptides-embedded" / f"peptides-embedded-v{_VERSION}.pt"


def read_lists() -> dict[str, set[str]]:
    """Read modlamp's tables: sequence -> names of the lists that contain it.

    Example:
        >>> lists = read_lists()
        >>> len(lists), sorted(lists["AAKKWAKAKWAKAKKWAKAA"])
        (6018, ['anticancer'])
    """
    listed: dict[str, set[str]] = defaultdict(set)
    for name, known_hash in EMBEDDED.items():
        lines = _read_table(name, known_hash)
        _, _, zero, one = lines[0].split(",")
        for line in lines[1:]:
            sequence, label = line.split(",")
            listed[sequence.strip()].add(_NAMES[(zero, one)[int(label)].strip()])
    return dict(listed)


def _read_table(name: str, known_hash: str) -> list[str]:
    # The package is not imported, which would take seconds and print warnings.
    from importlib.util import find_spec

    spec = find_spec("modlamp")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("modlamp", "chem", "The embedded peptides")
    resource = Path(spec.submodule_search_locations[0]) / "data" / name
    if not resource.is_file():
        raise DataNotFoundError(f"{resource}: no such file", hint=_REINSTALL)
    # Line ends differ between modlamp's wheels and source archives; the letters must not.
    lines = [line.strip() for line in resource.read_bytes().decode("ascii", "replace").splitlines()]
    found = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    if found != known_hash:
        raise DataIntegrityError(resource, f"sha256 {known_hash}", f"sha256 {found}", hint=_REINSTALL)
    return lines


def _prepare(workers: int | None, progress: bool) -> Prepared:
    lists = read_lists()
    sequences = list(lists)
    smiles = [sequence_to_smiles(sequence) for sequence in sequences]
    table = convert_smiles(smiles, workers=workers, progress=progress, description="Embedded peptides")
    prepared = molecules_to_prepared(table, {}, smiles=smiles, sequence=sequences)
    prepared.extra["listed"] = torch.tensor(
        [[name in lists[sequence] for name in LISTS] for sequence in sequences], dtype=torch.uint8
    )
    return prepared


def _labels(listed: Tensor, unlabelled: str) -> Tensor:
    y = listed[:, : len(_TARGETS)].float()
    if unlabelled == "negative":
        return y
    for column, target in enumerate(_TARGETS):
        cannot_tell = listed[:, [LISTS.index(name) for name in _UNKNOWN[target]]].any(1)
        y[cannot_tell & (y[:, column] == 0), column] = float("nan")
    return y


def _combinations(listed: Tensor) -> list[int]:
    return (listed.long() * 2 ** torch.arange(listed.size(1))).sum(1).tolist()


def _choose(
    sequences: Sequence[str],
    groups: Sequence[int],
    split_idx: Mapping[str, Tensor],
    max_residues: int | None,
    subset: int | None,
    seed: int,
) -> Tensor | None:
    if max_residues is None and subset is None:
        return None
    if max_residues is not None:
        check_integer("max_residues", max_residues)
    if subset is not None:
        check_integer("subset", subset, low=len(_SHARES))
    kept: list[int] = []
    short = [max_residues is None or len(sequence) <= max_residues for sequence in sequences]
    total = sum(short)
    for positions in split_idx.values():
        candidates = [position for position in positions.tolist() if short[position]]
        if subset is not None and subset < total:
            share = {"kept": subset / total, "left": 1 - subset / total}
            names = [sequences[position] for position in candidates]
            part = stratified_split(names, [groups[position] for position in candidates], share, seed=seed + 1)["kept"]
            candidates = [candidates[position] for position in part.tolist()]
        kept += candidates
    if not kept:
        raise ConfigError(
            "max_residues", max_residues, f"at least {min(map(len, sequences))}, the shortest peptide's length"
        )
    return torch.tensor(sorted(kept), dtype=torch.long)


register_dataset("peptides-embedded", EmbeddedPeptides, prepared_path=prepared_path)
