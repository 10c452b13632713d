"""Splits of data sets: random, stratified, by scaffold, or read from a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.chem.molecule_names import rank_names, scaffold_of
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


def counted_splits(dataset: Any) -> tuple[dict[str, int], bool]:
    """Return the sizes of the splits of a data set, and whether they count the nodes of one graph instead of rows.

    Example:
        >>> from types import SimpleNamespace
        >>> counted_splits(SimpleNamespace(split_idx={"train": [0, 2], "test": [1]}))
        ({'train': 2, 'test': 1}, False)
    """
    of_nodes = getattr(dataset, "node_sizes", None)
    return (split_sizes(dataset.split_idx), False) if of_nodes is None else (of_nodes, True)


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
    order = np.argsort(rank_names(names, seed), kind="stable")
    parts = _deal(order, np.asarray(groups, dtype=np.int64), shares)
    return {name: torch.from_numpy(np.flatnonzero(parts == number)) for number, name in enumerate(shares)}


def _deal(order: np.ndarray, groups: np.ndarray, shares: Mapping[str, float]) -> np.ndarray:
    """Return the number of the split of each position, uint8 [G], of which each group has the same shares.

    Args:
        order: Positions, int64 [G], in the order in which they are dealt.
        groups: Number of the group of each position, int64 [G].
        shares: Name of the split -> its share.
    """
    # Groups are concatenated, and a split takes every position at which its cumulated share passes the next whole
    # number: no group and no total is off by more than one.
    row = order[np.argsort(groups[order], kind="stable")]
    names, credit = list(shares), dict.fromkeys(shares, 0.0)
    number = {name: place for place, name in enumerate(names)}
    winners = np.empty(len(row), dtype=np.uint8 if len(names) < 256 else np.int64)
    for place in range(len(row)):
        for name, share in shares.items():
            credit[name] += share
        winner = max(credit, key=lambda name: credit[name])
        credit[winner] -= 1.0
        winners[place] = number[winner]
    parts = np.empty_like(winners)
    parts[row] = winners
    return parts


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
    return split_by_rank(rank_names(smiles, seed), y, fractions, classes=classes)


def split_by_rank(ranks: np.ndarray, y: Tensor, fractions: Sequence[float], *, classes: bool) -> dict[str, Tensor]:
    """Split as `random_split` does, with ranks in the place of the molecules.

    Args:
        ranks: Ranks of the canonical SMILES [G], see `pyg_samsa.chem.molecule_names.rank_names`.
        y: Targets [G, C].
        fractions: Shares of train, val and test.
        classes: Whether targets are labels.

    Example:
        >>> names, y = ["C", "CC", "C", "O"], torch.zeros(4, 1)
        >>> split = split_by_rank(rank_names(names, 0), y, [0.7, 0.3], classes=True)
        >>> {name: rows.tolist() for name, rows in split.items()} == {
        ...     name: rows.tolist() for name, rows in random_split(names, y, [0.7, 0.3], 0, classes=True).items()
        ... }
        True

    Cost: O(G log G); about 100 bytes a molecule.
    """
    shares = check_fractions(fractions)
    _, first, inverse = np.unique(ranks, return_index=True, return_inverse=True)
    # Strata are those of the first row of each molecule, in the order of the table.
    appeared = np.argsort(first)
    of_first = y[torch.from_numpy(first[appeared])]
    groups = np.empty(len(first), dtype=np.int64)
    groups[appeared] = label_strata(of_first) if classes else quantile_strata(of_first)
    parts = _deal(np.arange(len(first)), groups, shares)[inverse]
    return _checked({name: torch.from_numpy(np.flatnonzero(parts == number)) for number, name in enumerate(shares)})


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
    return split_by_scaffold_rank(rank_names(map(scaffold_of, smiles), seed), fractions)


def split_by_scaffold_rank(ranks: np.ndarray, fractions: Sequence[float]) -> dict[str, Tensor]:
    """Split as `scaffold_split` does, with ranks in the place of the scaffolds.

    Args:
        ranks: Ranks of the scaffolds [G], see `pyg_samsa.chem.molecule_names.rank_names`.
        fractions: Shares of train, val and test.

    Example:
        >>> split = split_by_scaffold_rank(rank_names(["a", "b", "a", "b"], 0), [0.5, 0.5])
        >>> sorted(rows.tolist() for rows in split.values())
        [[0, 2], [1, 3]]

    Cost: O(G log G); about 100 bytes a molecule.
    """
    shares, count = check_fractions(fractions), len(ranks)
    _, inverse, sizes = np.unique(ranks, return_inverse=True, return_counts=True)
    small = min((share for share in list(shares.values())[1:] if share), default=0.0) * count / 2
    # Ranks are sorted, so that a stable sort by size keeps their order.
    order = np.argsort(sizes <= small, kind="stable")
    taken = dict.fromkeys(shares, 0)
    number = {split: place for place, split in enumerate(shares)}
    parts = np.empty(len(sizes), dtype=np.uint8)
    for place, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        # The split that lacks most takes it, relative to its size; one that it would overfill does not, as long as
        # another has room.
        lacking = {split: share * count - taken[split] for split, share in shares.items()}
        fits = [split for split in shares if lacking[split] >= size]
        if size > small:
            split = fits[0] if fits else "train"
        else:
            split = max(fits or ["train"], key=lambda split: lacking[split] / (shares[split] * count))
        taken[split] += size
        parts[place] = number[split]
    of_rows = parts[inverse]
    return _checked({name: torch.from_numpy(np.flatnonzero(of_rows == place)) for name, place in number.items()})


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
