"""The part of the report about the molecules that the standardisation changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyg_samsa.chem.molecule_changes import COLUMNS, Change, ChangeCounts, describe_steps
from pyg_samsa.chem.standardize import STEPS
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.training.run_files import WRITTEN_AGAIN
from pyg_samsa.training.run_folder import STANDARDIZED
from pyg_samsa.viz.report.groups import Group

_SHOWN = 10


def standardized_parts(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the molecules of the data set of each group that the standardisation changed.

    Each part has ``group``, ``text`` (how many each step changed), the first ``rows`` with ``row``, ``given``,
    ``after`` and ``steps``, and ``more``, the number of the others.

    Args:
        groups: Groups of runs; those without a list have no part.

    Raises:
        DataIntegrityError: The list of a run is damaged.

    Example:
        >>> from pathlib import Path
        >>> import pandas as pd
        >>> from pyg_samsa.training.run_record import RunRecord
        >>> table = pd.DataFrame([[1, "C[NH3+]", "CN", "neutralize"]], columns=COLUMNS)
        >>> run = RunRecord(Path("demo/0"), "demo", 0, {}, standardized=table)
        >>> standardized_parts([Group("demo", 0, [run])])[0]["text"]
        '1 molecule of the data set was changed: 1 neutralised'
    """
    parts = []
    for group in groups:
        run = next((run for run in group.runs if run.standardized is not None and len(run.standardized)), None)
        if run is None or run.standardized is None:
            continue
        path, table = run.path / STANDARDIZED, run.standardized
        if list(table.columns) != list(COLUMNS):
            raise DataIntegrityError(path, f"the columns {', '.join(COLUMNS)}", "others", hint=WRITTEN_AGAIN)
        changes = [
            Change(row, str(given), str(after), str(steps).split())
            for row, given, after, steps in table.itertuples(index=False)
        ]
        if any(step not in STEPS for change in changes for step in change.steps):
            raise DataIntegrityError(path, f"steps of {', '.join(STEPS)}", "others", hint=WRITTEN_AGAIN)
        counts = ChangeCounts()
        counts.add(0, changes)
        rows = [
            {"row": one.position, "given": one.before, "after": one.after, "steps": describe_steps(one.steps)}
            for one in changes[:_SHOWN]
        ]
        noun = "molecule of the data set was" if counts.changed == 1 else "molecules of the data set were"
        text = f"{counts.changed:,} {noun} changed: {counts.by_step()}"
        parts.append({"group": group, "text": text, "rows": rows, "more": counts.changed - len(rows)})
    return parts
