"""Molecules that occur in several rows of a table, with different targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

_LONGEST_SMILES = 60


@dataclass(frozen=True)
class Repeated:
    """Molecules whose rows have different targets.

    Args:
        molecules: Their number.
        rows: Number of their rows that have a value of a target that differs.
        divided: How many of them have such rows in more than one split.
        places: Positions of the two rows that differ most, measured in standard deviations of the target.
        target: Number of the target in which they do.
        difference: Difference of these two rows.

    Example:
        >>> Repeated(1, 2, 0, (0, 4), 0, 1.5).difference
        1.5
    """

    molecules: int
    rows: int
    divided: int
    places: tuple[int, int]
    target: int
    difference: float


def find_repeated(
    names: np.ndarray,
    y: Tensor,
    split_idx: Mapping[str, Tensor],
    *,
    bound: Tensor | None = None,
    extra: Tensor | None = None,
) -> Repeated | None:
    r"""Return the molecules whose rows have different targets; None if there are none.

    Args:
        names: Names of the molecules [K], such as hashes of canonical SMILES; equal names are equal molecules.
        y: Targets or class numbers [K, C]; NaN where missing. A missing value differs from none.
        split_idx: Split -> positions of its rows.
        bound: Which targets are bounds, not 0 [K, C]; bounds are not compared.
        extra: Extra columns [K, F], such as a temperature: only rows with the same values are compared.

    Example:
        >>> import torch
        >>> y = torch.tensor([[1.0], [2.0], [4.0]])
        >>> found = find_repeated(np.array(["CO", "CC", "CO"]), y, {"train": torch.arange(3)})
        >>> found.molecules, found.rows, found.places, found.difference
        (1, 2, (0, 2), 3.0)

    Cost: O(K C + K log K).
    """
    values = y.double().numpy().copy()
    if bound is not None:
        values[bound.numpy() != 0] = np.nan
    group = np.unique(names, return_inverse=True)[1].reshape(-1)
    if extra is not None and extra.size(1):
        given = np.nan_to_num(extra.double().numpy(), nan=np.inf)
        group = np.unique(np.column_stack([group, given]), axis=0, return_inverse=True)[1].reshape(-1)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    with np.errstate(invalid="ignore"):
        low, high = (ufunc.reduceat(values[order], starts) for ufunc in (np.fmin, np.fmax))
    width = np.nan_to_num(high - low)
    differ = (width > 0).any(1)
    if not differ.any():
        return None
    spread = np.array([np.nanstd(column) if np.isfinite(column).any() else 1.0 for column in values.T])
    worst, target = np.unravel_index(np.argmax(width / np.where(spread > 0, spread, 1.0)), width.shape)
    rows = order[starts[worst] : starts[worst] + sizes[worst]]
    ends = sorted((int(rows[np.nanargmin(values[rows, target])]), int(rows[np.nanargmax(values[rows, target])])))
    part = np.full(len(group), -1)
    for number, places in enumerate(split_idx.values()):
        part[places.numpy()] = number
    # Rows without a value, and bounds, are not compared.
    compared = (~np.isnan(values[order]) & np.repeat(width > 0, sizes, axis=0)).any(1)
    members = (slice(start, start + size) for start, size in zip(starts[differ], sizes[differ], strict=True))
    divided = sum(len(set(part[order[member][compared[member]]].tolist()) - {-1}) > 1 for member in members)
    count, total = int(differ.sum()), int(compared.sum())
    return Repeated(count, total, divided, (ends[0], ends[1]), int(target), float(width[worst, target]))


def describe_repeated(
    found: Repeated | None,
    smiles: Sequence[str],
    rows: np.ndarray,
    target_names: Sequence[str],
    *,
    regression: bool,
    extra: bool = False,
) -> list[str]:
    """Return what the user should know about molecules whose rows have different targets.

    Args:
        found: From `find_repeated`.
        smiles: SMILES [K].
        rows: Numbers of the rows in the table [K].
        target_names: Names of the targets.
        regression: Whether targets are numbers, so that their difference says something.
        extra: Whether rows with other extra columns were left out of the comparison.

    Example:
        >>> found = Repeated(1, 2, 0, (0, 2), 0, 3.0)
        >>> print(*describe_repeated(found, ["CO", "CC", "OC"], np.array([1, 2, 3]), ["y"], regression=True))
        1 molecule has different targets in 2 rows (largest difference of y: 3, CO in rows 1 and 3); these rows are kept
    """
    if found is None:
        return []
    first, second = found.places
    text = str(smiles[first])
    text = text if len(text) <= _LONGEST_SMILES else f"{text[: _LONGEST_SMILES - 3]}..."
    place = f"{text} in rows {rows[first]} and {rows[second]}"
    most = f"largest difference of {target_names[found.target]}: {found.difference:.4g}, " if regression else "such as "
    have = "molecule has" if found.molecules == 1 else "molecules have"
    what = f"different {'targets' if regression else 'labels'}{' with the same extra columns' if extra else ''}"
    parts = [f"{found.molecules:,} {have} {what} in {found.rows:,} rows ({most}{place}); these rows are kept"]
    parts += [f"{found.divided:,} in more than one split"] * bool(found.divided)
    return [", ".join(parts)]
