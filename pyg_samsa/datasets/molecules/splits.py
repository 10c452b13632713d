"""Splits of molecules: by chance, by scaffold, or as a column says. The same molecule never stands on two sides."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_samsa.chem.ogb_features import import_rdkit
from pyg_samsa.datasets.molecules.peptides import stratified_split
from pyg_samsa.errors import ConfigError

SPLITS = ("train", "val", "test")
SPLIT_KINDS = ("random", "scaffold", "column")
_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_NAMES |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")
_BINS = 5


def check_fractions(fractions: Sequence[float]) -> dict[str, float]:
    """Return the shares of training, validation and test.

    Raises:
        ConfigError: They are not two or three shares that add up to 1.

    Example:
        >>> check_fractions([0.8, 0.2])
        {'train': 0.8, 'val': 0.2}
    """
    shares = [float(share) for share in fractions]
    if not 2 <= len(shares) <= 3 or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0 or shares[0] == 0:
        raise ConfigError("fractions", list(fractions), "two or three shares (train, val, test) that add up to 1")
    return dict(zip(SPLITS, shares, strict=False))


def random_split(
    smiles: Sequence[str], y: Tensor, fractions: Sequence[float], seed: int, *, classes: bool
) -> dict[str, Tensor]:
    """Split by chance, stratified on the labels (on fifths of the first target, for numbers); rows of one molecule stay together.

    Args:
        smiles: G canonical SMILES.
        y: Targets [G, C].
        fractions: Shares of train, val and test.
        seed: Another number gives another split.
        classes: Whether targets are labels.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        rows[text].append(row)
    names = list(rows)
    groups = _strata(y[[rows[name][0] for name in names]], classes)
    chosen = stratified_split(names, groups, check_fractions(fractions), seed=seed)
    return _checked(
        {
            split: _sorted(row for place in places.tolist() for row in rows[names[place]])
            for split, places in chosen.items()
        }
    )


def _strata(y: Tensor, classes: bool) -> list[int]:
    if not classes:
        known = y[:, 0].nan_to_num(nan=float(y[:, 0].nanmean()))
        return torch.bucketize(known, known.quantile(torch.linspace(0, 1, _BINS + 1, dtype=known.dtype)[1:-1])).tolist()
    return torch.unique(y.nan_to_num(nan=-1.0), dim=0, return_inverse=True)[1].tolist()


def scaffold_split(smiles: Sequence[str], fractions: Sequence[float], seed: int) -> dict[str, Tensor]:
    """Split by Bemis-Murcko scaffold (Bemis and Murcko, J. Med. Chem. 39, 1996): molecules of one scaffold stand on one side.

    Scaffolds of more molecules than half of a smaller split come first, into training as long as they fit; the others follow, in an order that
    depends on ``seed`` alone.
    Molecules without a ring count as one scaffold.

    Args:
        smiles: G SMILES.
        fractions: Shares of train, val and test.
        seed: Another number gives another split.

    Raises:
        ConfigError: There are too few scaffolds.
    """
    shares = check_fractions(fractions)
    members: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        members[_scaffold(text)].append(row)
    small = min((share for share in list(shares.values())[1:] if share), default=0.0) * len(smiles) / 2
    order = sorted(
        members, key=lambda name: (len(members[name]) <= small, hashlib.sha256(f"{seed}:{name}".encode()).digest())
    )
    chosen: dict[str, list[int]] = {split: [] for split in shares}
    for name in order:
        rows = members[name]
        # The split that lacks most takes it, relative to its size; one that it would overfill does not, as long as another has room.
        lacking = {split: share * len(smiles) - len(chosen[split]) for split, share in shares.items()}
        fits = [split for split in shares if lacking[split] >= len(rows)]
        if len(rows) > small:
            split = fits[0] if fits else "train"
        else:
            split = max(fits or ["train"], key=lambda split: lacking[split] / (shares[split] * len(smiles)))
        chosen[split] += rows
    return _checked(
        {split: _sorted(rows) for split, rows in chosen.items()},
        wanted=[split for split, share in shares.items() if share],
    )


def _scaffold(smiles: str) -> str:
    import_rdkit()
    from rdkit import Chem, rdBase
    from rdkit.Chem.Scaffolds import MurckoScaffold

    with rdBase.BlockLogs():
        try:
            return Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(Chem.MolFromSmiles(smiles)), isomericSmiles=False)
        except Exception:  # a molecule whose scaffold breaks the rules of valence is its own
            return smiles


def column_split(texts: Sequence[str], rows: Sequence[int], name: str) -> dict[str, Tensor]:
    """Split as a column says: train, val (valid, validation, dev) and test, in any case.

    Args:
        texts: G texts of the column.
        rows: Row of the file [G] of each, for the error.
        name: Name of the column.

    Raises:
        ConfigError: Another text, or no training row.

    Example:
        >>> {split: rows.tolist() for split, rows in column_split(["Train", "test", "train"], [1, 2, 3], "set").items()}
        {'train': [0, 2], 'test': [1]}
    """
    chosen: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        split = _NAMES.get(text.strip().lower())
        if split is None:
            raise ConfigError(f"row {rows[place]}, column {name!r}", text, sorted(_NAMES))
        chosen.setdefault(split, []).append(place)
    return _checked({split: _sorted(chosen[split]) for split in SPLITS if split in chosen}, wanted=["train"])


def canonical_smiles(smiles: Sequence[str]) -> list[str]:
    """Return canonical SMILES of molecules that can be read."""
    chem = import_rdkit()
    from rdkit import rdBase

    with rdBase.BlockLogs():
        return [chem.MolToSmiles(chem.MolFromSmiles(text)) for text in smiles]


def _sorted(rows: object) -> Tensor:
    return torch.tensor(sorted(rows), dtype=torch.long)  # type: ignore[call-overload]


def _checked(split_idx: dict[str, Tensor], wanted: Sequence[str] = ("train",)) -> dict[str, Tensor]:
    empty = [split for split in wanted if not len(split_idx.get(split, ()))]
    if empty:
        found = {split: len(rows) for split, rows in split_idx.items()}
        raise ConfigError(
            "split", found, f"at least one molecule for {', '.join(empty)}", hint="Use another --split, or more data."
        )
    return {split: rows for split, rows in split_idx.items() if len(rows)}
