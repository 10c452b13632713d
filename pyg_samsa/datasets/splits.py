"""Splits of data sets: random, stratified, by scaffold, or read from a column."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pyg_samsa.chem.ogb_features import import_rdkit
from pyg_samsa.chem.smiles_text import SAFE_ATOMS, write_smiles
from pyg_samsa.errors import ConfigError
from pyg_samsa.options import is_number
from pyg_samsa.task import SPLITS

SPLIT_KINDS = ("random", "scaffold", "column")
_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"}
_NAMES |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")
_BINS = 5


def split_sizes(split_idx: Mapping[str, Sequence[int] | Tensor]) -> dict[str, int]:
    """Return the number of rows of each split that has rows, in the order train, val, test.

    Example:
        >>> split_sizes({"test": [1], "train": [0, 2], "val": []})
        {'train': 2, 'test': 1}
    """
    return {split: len(split_idx[split]) for split in SPLITS if len(split_idx.get(split, ())) > 0}


def _rank(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()


def stratified_split(
    names: Sequence[str], groups: Sequence[int], shares: Mapping[str, float], *, seed: int = 0
) -> dict[str, Tensor]:
    """Split each group in the same shares; the same names give the same split on every machine.

    Members of a group are ordered by a hash of seed and name. The sizes of the splits over all groups are within one of
    their shares.

    Args:
        names: G distinct names.
        groups: G numbers of groups.
        shares: Name of the split -> its share; they add up to 1.
        seed: Seed of the split.

    Returns:
        Name of the split -> sorted int64 positions.

    Example:
        >>> split = stratified_split(["a", "b", "c", "d"], [0, 0, 1, 1], {"train": 0.5, "test": 0.5})
        >>> sorted(torch.cat(list(split.values())).tolist()), len(split["train"])
        ([0, 1, 2, 3], 2)
    """
    members: dict[int, list[int]] = defaultdict(list)
    for position in sorted(range(len(names)), key=lambda position: _rank(names[position], seed)):
        members[groups[position]].append(position)
    # Groups are concatenated, and a split takes every position at which its cumulated share passes the next whole
    # number: no group and no total is off by more than one.
    row = [position for group in sorted(members) for position in members[group]]
    credit = dict.fromkeys(shares, 0.0)
    chosen: dict[str, list[int]] = {name: [] for name in shares}
    for position in row:
        for name, share in shares.items():
            credit[name] += share
        winner = max(credit, key=lambda name: credit[name])
        credit[winner] -= 1.0
        chosen[winner].append(position)
    return {name: torch.tensor(sorted(positions), dtype=torch.long) for name, positions in chosen.items()}


def hold_out(positions: Tensor, classes: Tensor, *, share: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Hold out a stratified share of a training set for validation; the same seed gives the same split.

    Args:
        positions: Training positions, int64 [n].
        classes: Their classes, int64 [n].
        share: Share that is held out.
        seed: Seed of the choice.

    Returns:
        Training and held-out positions, both ascending.

    Example:
        >>> train, val = hold_out(torch.arange(100), torch.arange(100) % 2)
        >>> len(train), len(val), int((val % 2).sum())
        (90, 10, 5)
    """
    split = stratified_split(
        [str(position) for position in positions.tolist()],
        classes.tolist(),
        {"train": 1 - share, "val": share},
        seed=seed,
    )
    return positions[split["train"]], positions[split["val"]]


def consecutive_splits(sizes: Sequence[int]) -> dict[str, Tensor]:
    """Return the positions of train, val and test that lie one after the other.

    Example:
        >>> {name: index.tolist() for name, index in consecutive_splits([2, 1, 1]).items()}
        {'train': [0, 1], 'val': [2], 'test': [3]}
    """
    return dict(zip(SPLITS, torch.arange(sum(sizes)).split(list(sizes)), strict=True))


def check_fractions(fractions: Sequence[float]) -> dict[str, float]:
    """Return the shares of training, validation and test.

    Raises:
        ConfigError: They are not two or three shares that add up to 1.

    Example:
        >>> check_fractions([0.8, 0.2])
        {'train': 0.8, 'val': 0.2}
    """
    shares = [float(share) if is_number(share) else -1.0 for share in fractions]
    if not 2 <= len(shares) <= 3 or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0 or shares[0] == 0:
        raise ConfigError("fractions", list(fractions), "two or three shares (train, val, test) that add up to 1")
    return dict(zip(SPLITS, shares, strict=False))


def random_split(
    smiles: Sequence[str], y: Tensor, fractions: Sequence[float], seed: int, *, classes: bool
) -> dict[str, Tensor]:
    """Split at random, stratified on labels or quintiles of the first target; rows of a molecule stay together.

    Args:
        smiles: G canonical SMILES.
        y: Targets [G, C].
        fractions: Shares of train, val and test.
        seed: Seed of the split.
        classes: Whether targets are labels.

    Example:
        >>> split = random_split(["C", "CC", "C", "O"], torch.zeros(4, 1), [0.7, 0.3], seed=0, classes=True)
        >>> any({0, 2} <= set(rows.tolist()) for rows in split.values())
        True
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        rows[text].append(row)
    names = list(rows)
    first = y[[rows[name][0] for name in names]]
    groups = label_strata(first) if classes else quantile_strata(first)
    chosen = stratified_split(names, groups, check_fractions(fractions), seed=seed)
    return _checked(
        {
            split: _sorted(row for place in places.tolist() for row in rows[names[place]])
            for split, places in chosen.items()
        }
    )


def quantile_strata(y: Tensor) -> list[int]:
    """Return the quintile of each value of the first target; missing values count as the mean.

    Args:
        y: Targets [G, C].

    Example:
        >>> quantile_strata(torch.arange(10.0)[:, None])
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """
    first = y[:, 0].nan_to_num(nan=float(y[:, 0].nanmean()))
    return torch.bucketize(first, first.quantile(torch.linspace(0, 1, _BINS + 1, dtype=first.dtype)[1:-1])).tolist()


def label_strata(y: Tensor) -> list[int]:
    """Return a number for each combination of labels; a missing label counts as a label.

    Args:
        y: Labels [G, C].

    Example:
        >>> label_strata(torch.tensor([[1.0, 0.0], [0.0, float("nan")], [1.0, 0.0]]))
        [1, 0, 1]
    """
    return torch.unique(y.nan_to_num(nan=-1.0), dim=0, return_inverse=True)[1].tolist()


def scaffold_split(smiles: Sequence[str], fractions: Sequence[float], seed: int) -> dict[str, Tensor]:
    """Split by Bemis-Murcko scaffold (Bemis and Murcko, J. Med. Chem. 39, 1996); a scaffold is in one split only.

    Scaffolds with more molecules than half of a smaller split are assigned first, to training while they fit; the
    others follow in an order that depends on ``seed`` alone.
    Molecules without a ring are one scaffold.

    Args:
        smiles: G SMILES.
        fractions: Shares of train, val and test.
        seed: Seed of the split.

    Raises:
        ConfigError: A share is not allowed, or there is no molecule.

    Example:
        >>> split = scaffold_split(["c1ccccc1C", "C1CC1", "c1ccccc1O", "C1CC1C"], [0.5, 0.5], seed=0)
        >>> sorted(rows.tolist() for rows in split.values())
        [[0, 2], [1, 3]]
    """
    shares = check_fractions(fractions)
    members: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        members[scaffold_of(text)].append(row)
    small = min((share for share in list(shares.values())[1:] if share), default=0.0) * len(smiles) / 2
    order = sorted(
        members, key=lambda name: (len(members[name]) <= small, hashlib.sha256(f"{seed}:{name}".encode()).digest())
    )
    chosen: dict[str, list[int]] = {split: [] for split in shares}
    for name in order:
        rows = members[name]
        # The split that lacks most takes it, relative to its size; one that it would overfill does not, as long as
        # another has room.
        lacking = {split: share * len(smiles) - len(chosen[split]) for split, share in shares.items()}
        fits = [split for split in shares if lacking[split] >= len(rows)]
        if len(rows) > small:
            split = fits[0] if fits else "train"
        else:
            split = max(fits or ["train"], key=lambda split: lacking[split] / (shares[split] * len(smiles)))
        chosen[split] += rows
    return _checked({split: _sorted(rows) for split, rows in chosen.items()})


def scaffold_of(smiles: str) -> str:
    """Return the Bemis-Murcko scaffold of a molecule as SMILES; empty without a ring.

    A molecule of more than 1,000 atoms is its own scaffold.

    Args:
        smiles: SMILES that can be read.

    Example:
        >>> scaffold_of("Cc1ccccc1"), scaffold_of("CCO")
        ('c1ccccc1', '')
    """
    import_rdkit()
    from rdkit import Chem, rdBase
    from rdkit.Chem.Scaffolds import MurckoScaffold

    with rdBase.BlockLogs():
        try:
            mol = Chem.MolFromSmiles(smiles)
            if mol.GetNumAtoms() > SAFE_ATOMS:
                return smiles
            return write_smiles(MurckoScaffold.GetScaffoldForMol(mol), stereo=False) or ""
        except Exception:  # a molecule with an invalid scaffold is its own scaffold
            return smiles


def column_split(texts: Sequence[str], rows: Sequence[int], name: str) -> dict[str, Tensor]:
    """Read the split from a column: train, val (valid, validation, dev) and test, in upper or lower case.

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
            hint = "Write train, val or test in each row"
            others = dict.fromkeys(word for text in texts if (word := text.strip()) and word.lower() not in _NAMES)
            shown = ", ".join(map(repr, list(others)[:3])) + (", ..." if len(others) > 3 else "")
            hint += f": rename {shown}." if others else "."
            raise ConfigError(f"row {rows[place]}, column {name!r}", text, sorted(_NAMES), hint=hint)
        chosen.setdefault(split, []).append(place)
    return _checked({split: _sorted(chosen[split]) for split in SPLITS if split in chosen}, wanted=["train"])


def is_split(text: str) -> bool:
    """Return whether a field is a word that `column_split` reads.

    Example:
        >>> is_split(" Valid"), is_split("fold 1")
        (True, False)
    """
    return text.strip().lower() in _NAMES


def canonical_smiles(smiles: Sequence[str]) -> list[str]:
    """Return canonical SMILES of molecules that can be read; a molecule of more than 1,000 atoms keeps its text.

    Example:
        >>> canonical_smiles(["OCC", "C(O)C"])
        ['CCO', 'CCO']
    """
    import_rdkit()
    from rdkit import rdBase

    with rdBase.BlockLogs():
        return [_canonical(text) for text in smiles]


def _canonical(text: str) -> str:
    return write_smiles(import_rdkit().MolFromSmiles(text)) or text


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
