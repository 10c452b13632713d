"""Folds of molecules for cross-validation."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_samsa.chem.molecule_names import scaffold_of
from pyg_samsa.datasets.splits import label_strata, quantile_strata, stratified_split
from pyg_samsa.errors import ConfigError
from pyg_samsa.options import check_integer


def random_folds(smiles: Sequence[str], y: Tensor, folds: int, *, seed: int = 0, classes: bool = False) -> list[Tensor]:
    """Divide molecules into folds at random, stratified like a random split; rows of a molecule stay together.

    Args:
        smiles: G canonical SMILES.
        y: Targets [G, C]; NaN where missing.
        folds: Number of folds, at least 2.
        seed: Seed of the folds.
        classes: Whether targets are labels or class numbers.

    Raises:
        ConfigError: There are fewer molecules than folds.

    Returns:
        Sorted int64 positions of each fold; every position is in one fold.

    Example:
        >>> parts = random_folds(["C", "CC", "C", "O"], torch.zeros(4, 1), 2)
        >>> sorted(torch.cat(parts).tolist()), any({0, 2} <= set(part.tolist()) for part in parts)
        ([0, 1, 2, 3], True)
    """
    check_integer("folds", folds, low=2)
    rows: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        rows[text].append(row)
    names = list(rows)
    _check_count(len(names), folds, "molecules")
    first = y[[rows[name][0] for name in names]]
    groups = label_strata(first) if classes else quantile_strata(first)
    shares = {str(number): 1 / folds for number in range(folds)}
    chosen = stratified_split(names, groups, shares, seed=seed)
    return [_sorted(row for place in places.tolist() for row in rows[names[place]]) for places in chosen.values()]


def scaffold_folds(smiles: Sequence[str], folds: int, *, seed: int = 0) -> list[Tensor]:
    """Divide molecules into folds by Bemis-Murcko scaffold; a scaffold is in one fold only.

    The scaffolds are taken in the order of their size, and each goes to the smallest fold. Folds are as unequal as a
    large scaffold demands; molecules without a ring are one scaffold.

    Args:
        smiles: G SMILES.
        folds: Number of folds, at least 2.
        seed: Seed of the order of scaffolds of the same size.

    Raises:
        ConfigError: There are fewer scaffolds than folds.

    Returns:
        Sorted int64 positions of each fold.

    Example:
        >>> parts = scaffold_folds(["c1ccccc1C", "C1CC1", "c1ccccc1O", "C1CC1C"], 2)
        >>> sorted(part.tolist() for part in parts)
        [[0, 2], [1, 3]]
    """
    check_integer("folds", folds, low=2)
    members: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(smiles):
        members[scaffold_of(text)].append(row)
    _check_count(len(members), folds, "scaffolds")
    chosen: list[list[int]] = [[] for _ in range(folds)]
    for name in sorted(members, key=lambda name: (-len(members[name]), _rank(name, seed))):
        min(chosen, key=len).extend(members[name])
    return [_sorted(rows) for rows in chosen]


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _check_count(count: int, folds: int, noun: str) -> None:
    if count < folds:
        raise ConfigError("folds", folds, f"at most {count}, the number of {noun} outside the test split")


def _sorted(rows: object) -> Tensor:
    return torch.tensor(sorted(rows), dtype=torch.long)  # type: ignore[call-overload]
