"""What the standardisation of a table changed: the list of changed molecules, and what the user should know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from pyg_samsa.chem.molecule_changes import COLUMNS, Change, ChangeCounts, write_changes
from pyg_samsa.chem.molecule_names import canonical_smiles
from pyg_samsa.chem.standardize import unpack_steps
from pyg_samsa.datasets.molecules.molecule_shards import Shard
from pyg_samsa.io.files import atomic_write


def changes_file(prepared_file: Path) -> Path:
    """Return the file beside a prepared file that lists the molecules that were changed.

    Example:
        >>> changes_file(Path("csv/esol-12ab.pt")).name
        'esol-12ab-standardized.csv'
    """
    return prepared_file.with_name(f"{prepared_file.stem}-standardized.csv")


def write_standardized(
    path: Path, shard: Shard, y: Tensor, split_idx: Mapping[str, Tensor]
) -> tuple[ChangeCounts, list[str]]:
    """Write the list of changed molecules, and return how many there are, and what the user should know.

    Args:
        path: File to write; none is written if no molecule was changed.
        shard: The molecules.
        y: Targets [K, C]; NaN where missing.
        split_idx: Split -> positions of its molecules.

    Returns:
        The counts, and a warning for rows that became equal, if there are any.

    Cost: memory of the changed molecules that have become equal to others.
    """
    counts = ChangeCounts(len(shard.rows))
    if not shard.steps.any():
        return counts, []
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        for change in _changes(shard):
            counts.add(0, [change])
            write_changes(file, [change], first=0)
    return counts, _note_equal(equal_rows(shard), y, split_idx)


def _changes(shard: Shard) -> Iterator[Change]:
    """Yield the changed molecules, with the row of the file as their position."""
    for place in np.flatnonzero(shard.steps).tolist():
        steps = unpack_steps(int(shard.steps[place]))
        yield Change(int(shard.rows[place]), shard.given[place], shard.smiles[place], steps)


def equal_rows(shard: Shard) -> list[list[int]]:
    """Return the groups of molecules that were different before the standardisation and are equal after it.

    Args:
        shard: The molecules.

    Returns:
        Positions, at least two in each group.
    """
    targets = {shard.smiles[place] for place in np.flatnonzero(shard.steps).tolist()}
    groups: dict[str, list[int]] = defaultdict(list)
    for place, smiles in enumerate(shard.smiles):
        if smiles in targets:
            groups[smiles].append(place)
    return [places for places in groups.values() if len(places) > 1 and _differed(shard, places)]


def _differed(shard: Shard, places: Sequence[int]) -> bool:
    given = [shard.given[place] or shard.smiles[place] for place in places]
    return len(set(given)) > 1 and len(set(canonical_smiles(given))) > 1


def _note_equal(groups: Sequence[Sequence[int]], y: Tensor, split_idx: Mapping[str, Tensor]) -> list[str]:
    if not groups:
        return []
    part = np.full(len(y), -1)
    for number, places in enumerate(split_idx.values()):
        part[places.numpy()] = number
    different = sum(_labels_differ(y[list(places)]) for places in groups)
    divided = sum(len(set(part[list(places)].tolist()) - {-1}) > 1 for places in groups)
    rows = sum(map(len, groups))
    told = f"the standardisation makes {rows:,} rows equal, to {_molecules(len(groups))}"
    parts = [f"{different:,} with different targets"] * bool(different)
    parts += [f"{divided:,} in more than one split"] * bool(divided)
    return [f"{told} ({', '.join(parts)})" if parts else told]


def _molecules(count: int) -> str:
    return f"{count:,} molecule{'s' * (count != 1)}"


def _labels_differ(y: Tensor) -> bool:
    """Say whether any target has different values in some rows [n, C]; missing ones are equal to all."""
    low, high = y.nan_to_num(nan=float("inf")).amin(0), y.nan_to_num(nan=float("-inf")).amax(0)
    return bool((low < high).any())
