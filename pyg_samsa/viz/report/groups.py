"""Groups of runs that differ only in the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyg_samsa.training.run_record import RunRecord
from pyg_samsa.viz.report.charts import color_variable


@dataclass(frozen=True)
class Group:
    """Runs of one experiment with the same settings and different seeds.

    Args:
        label: Name on the page.
        number: Position on the page; it chooses the colour.
        runs: The runs, ordered by seed.

    Example:
        >>> group = Group("demo", 0, [])
        >>> group.finished, group.color
        ([], 'var(--s0)')
    """

    label: str
    number: int
    runs: Sequence[RunRecord]

    @property
    def finished(self) -> list[RunRecord]:
        """The runs that finished."""
        return [run for run in self.runs if run.summary is not None]

    @property
    def color(self) -> str:
        """CSS variable of the colour."""
        return color_variable(self.number)


def group_runs(runs: Sequence[RunRecord]) -> list[Group]:
    """Group the runs of one folder that have the same settings, apart from the seed.

    Example:
        >>> from pathlib import Path
        >>> runs = [RunRecord(Path(f"demo/{seed}"), "demo", seed, {"seed": seed, "K": 8}) for seed in (1, 0)]
        >>> [(group.label, [run.seed for run in group.runs]) for group in group_runs(runs)]
        [('demo', [0, 1])]
    """
    found: dict[Any, list[RunRecord]] = {}
    for run in runs:
        lasting = {key: value for key, value in run.settings.items() if key != "seed" and key not in run.volatile}
        found.setdefault((run.path.absolute().parent, repr(sorted(lasting.items(), key=str))), []).append(run)
    names = [members[0].name for members in found.values()]
    groups = []
    for number, members in enumerate(found.values()):
        name, place = members[0].name, names[:number].count(members[0].name) + 1
        label = f"{name} ({place})" if names.count(name) > 1 else name
        groups.append(Group(label, number, sorted(members, key=lambda run: (run.seed, str(run.path)))))
    return groups
