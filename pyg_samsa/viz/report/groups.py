"""Groups of runs that differ only in the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyg_samsa.training.run_record import RunRecord
from pyg_samsa.viz.report.charts import color_variable

_NAMED, _MOST = 2, 4  # settings in a label
_LONGEST = 24  # characters of a value in a label


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

    Groups of the same name are labelled by the settings in which they differ, or else by their folders.

    Example:
        >>> from pathlib import Path
        >>> runs = [RunRecord(Path(f"demo/{seed}"), "demo", seed, {"seed": seed, "K": 8}) for seed in (1, 0)]
        >>> [(group.label, [run.seed for run in group.runs]) for group in group_runs(runs)]
        [('demo', [0, 1])]
        >>> runs = [RunRecord(Path(f"demo/{K}"), "demo", 0, {"seed": 0, "samsa.K": K}) for K in (8, 16)]
        >>> [group.label for group in group_runs(runs)]
        ['demo: K 8', 'demo: K 16']
    """
    found: dict[Any, list[RunRecord]] = {}
    for run in runs:
        lasting = {key: value for key, value in run.settings.items() if key != "seed" and key not in run.volatile}
        found.setdefault((run.path.absolute().parent, repr(sorted(lasting.items(), key=str))), []).append(run)
    labels = _labels([members[0] for members in found.values()])
    return [
        Group(label, number, sorted(members, key=lambda run: (run.seed, str(run.path))))
        for number, (label, members) in enumerate(zip(labels, found.values(), strict=True))
    ]


def _labels(runs: Sequence[RunRecord]) -> list[str]:
    """Return a different label for each run: its name, and where names are equal the settings that differ."""
    labels = []
    for run in runs:
        same = [other for other in runs if other.name == run.name]
        values = [f"{key.rpartition('.')[2]} {run.settings.get(key)}" for key in _differing(same)]
        labels.append(f"{run.name}: {', '.join(values)}" if values else run.name)
    return [
        f"{label} ({_mark(runs, number, [n for n, other in enumerate(labels) if other == label])})"
        if labels.count(label) > 1
        else label
        for number, label in enumerate(labels)
    ]


def _mark(runs: Sequence[RunRecord], number: int, same: Sequence[int]) -> str:
    """Return what tells a run from others with the same label: the folder of its results, or else a number."""
    folders = [runs[other].path.absolute().parent.parent.name for other in same]
    return folders[same.index(number)] if len(set(folders)) == len(folders) else str(same.index(number) + 1)


def _differing(runs: Sequence[RunRecord]) -> list[str]:
    """Return the settings for the labels of runs, those of the data first.

    Two settings that differ, and more while they tell runs apart that the others do not.
    """
    keys = dict.fromkeys(key for run in runs for key in run.settings if key != "seed" and key not in run.volatile)
    short: dict[str, list[str]] = {}
    for key in keys:
        values = [str(run.settings.get(key)) for run in runs]
        if len(set(values)) > 1 and max(map(len, values)) <= _LONGEST:
            short[key] = values
    chosen: list[str] = []
    for key in sorted(short, key=lambda key: ("split" not in key, not key.startswith("dataset."))):
        told = len(set(zip(*(short[one] for one in chosen), strict=True)))
        if len(chosen) < _NAMED or len(set(zip(*(short[one] for one in [*chosen, key]), strict=True))) > told:
            chosen.append(key)
        if len(chosen) >= _NAMED and len(set(zip(*(short[one] for one in chosen), strict=True))) == len(runs):
            break
    return chosen[:_MOST]
