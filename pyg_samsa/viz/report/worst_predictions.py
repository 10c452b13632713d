"""The worst test predictions, with the structures of molecules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pyg_samsa.errors import MissingDependencyError
from pyg_samsa.io.cells import BOUND_SIGNS, spread_of, write_number
from pyg_samsa.task import Task
from pyg_samsa.viz.report.groups import Group
from pyg_samsa.viz.report.overview import typeset
from pyg_samsa.viz.report.prediction_tables import (
    bounds,
    clipped,
    frame_of,
    labels,
    mean_over_seeds,
    probabilities,
    task_of,
)

WORST = 6
AVERAGED_OVER = {"node": "nodes", "link": "pairs"}
"""Level of a task -> what the error of a row is averaged over."""
_DIGITS = 4
_EPSILON = 1e-7
_BOND = 44.0  # pixels; small molecules do not fill their card


def worst_predictions(groups: Sequence[Group], notes: list[str]) -> list[dict[str, Any]]:
    """Return the worst test predictions of each group, with the structures of molecules."""
    found = []
    for group in groups:
        frames = [frame_of(run) for run in group.runs if run.predictions is not None and len(run.predictions)]
        if not frames:
            continue
        mean = mean_over_seeds(frames)
        if mean is None:
            notes.append(
                f"{group.label}: the seeds were tested on different rows; the worst predictions are those of the first."
            )
        run = next(run for run in group.runs if run.predictions is not None and len(run.predictions))
        task = task_of(run)
        cards = worst_rows(frames[0] if mean is None else mean, task, count=WORST)
        for card in cards:
            card["svg"], card["most"] = _structure(card.get("smiles"), notes)
            card["shown"] = f"{card['error']:.3g}"
            for target in card.get("targets", ()):
                texts = target.get("texts", (f"{target['true']:.0f}", f"{target['pred']:.2f}"))
                target["texts"] = [typeset(text) for text in texts]
        found.append(
            {
                "group": group,
                "cards": cards,
                "kind": task.kind,
                "has_labels": task.has_labels,
                "seeds": len(frames) if mean is not None else 1,
                "averaged_over": AVERAGED_OVER.get(task.level, ""),
            }
        )
    return found


def _structure(smiles: Any, notes: list[str]) -> tuple[str, int]:
    """Return a molecule as SVG in the colours of the page, and its largest width; empty if there is none."""
    if not isinstance(smiles, str):
        return "", 0
    try:
        from pyg_samsa.chem.ogb_features import parse_smiles

        mol = parse_smiles(smiles)
    except MissingDependencyError as error:
        notes.append(f"Structures are not drawn: RDKit is not installed ({error.hint}).")
        return "", 0
    if isinstance(mol, str):
        notes.append(f"A structure is not drawn: {mol}.")
        return "", 0
    from pyg_samsa.viz.molecules.canvas import SvgWriter
    from pyg_samsa.viz.molecules.layout import MoleculeLayout

    layout = MoleculeLayout(mol)
    svg = SvgWriter("auto").document(layout.lines, layout.width, layout.height, "Structure", page=True)
    return svg, layout.pixels(_BOND)


def worst_rows(predictions: pd.DataFrame, task: Task, *, count: int) -> list[dict[str, Any]]:
    """Return the rows with the largest error: cross-entropy, or for regressions the error in standard deviations.

    Each row has ``row``, ``error``, ``smiles`` if there is one, and ``targets`` with name, true and predicted value,
    largest error first, and for regressions both as ``texts``, with as many digits as the spread of the target needs. A
    prediction on the right side of a bound has no error. For tasks of nodes or pairs of nodes, a row is a graph, with
    its mean error and ``right``, its share of correct nodes, where there are classes.

    Args:
        predictions: Table of predictions.
        task: Its task.
        count: Number of rows.

    Example:
        >>> frame = pd.DataFrame({"row": [0, 1], "toxic_true": [1.0, 0.0], "toxic_pred": [0.5, 0.9]})
        >>> [(row["row"], round(row["error"], 3)) for row in worst_rows(frame, Task("binary", ["toxic"]), count=2)]
        [(1, 2.303), (0, 0.693)]
    """
    if task.kind == "multiclass":
        table = predictions[predictions["true"].notna() & (predictions["true"] >= 0)]
        true, pred = probabilities(predictions, task.names)
        error = -np.log(np.clip(pred[np.arange(len(true)), true], _EPSILON, 1))[:, None]
    else:
        table = predictions
        true, pred = labels(predictions, task.names)
        sure = np.clip(pred, _EPSILON, 1 - _EPSILON)
        error = (
            -np.log(np.where(true == 1, sure, 1 - sure))
            if task.has_labels
            else np.abs(true - clipped(predictions, task.names)[1]) / _scale(true)
        )
        error = np.where(np.isnan(true), np.nan, error)
    labelled = ~np.isnan(error).all(1)
    each = pd.Series(
        np.where(labelled, np.nanmean(np.where(labelled[:, None], error, 0), axis=1), -1.0), index=table.index
    )
    if task.level in AVERAGED_OVER:
        right = (table["pred"] == table["true"]) if task.kind == "multiclass" else None
        rows = each.groupby(table["row"]).mean().nlargest(count)
        share = right.groupby(table["row"]).mean() if right is not None else None
        return [
            {"row": row, "error": value, "right": None if share is None else float(share[row])}
            for row, value in rows.items()
        ]
    places = {index: place for place, index in enumerate(table.index)}
    chosen = each[each >= 0].nlargest(count)
    signs = bounds(table, task.names) if task.kind == "regression" else None
    return [_row(table.loc[index], places[index], true, pred, error, task, signs) for index in chosen.index]


def _scale(true: np.ndarray) -> np.ndarray:
    deviation = np.nanstd(true, axis=0)
    return np.where(deviation > 0, deviation, 1.0)


def _row(
    row: pd.Series,
    place: int,
    true: np.ndarray,
    pred: np.ndarray,
    error: np.ndarray,
    task: Task,
    signs: np.ndarray | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "row": int(row["row"]),
        "error": float(np.nanmean(error[place])),
        "smiles": row.get("smiles"),
    }
    if task.kind == "multiclass":
        guess = int(pred[place].argmax())
        right = int(true[place])
        found["targets"] = [
            {"name": task.names[right], "true": 1.0, "pred": float(pred[place, right]), "note": "true"},
            {"name": task.names[guess], "true": 0.0, "pred": float(pred[place, guess]), "note": "predicted"},
        ][: 2 if guess != right else 1]
        return found
    order = sorted(
        (number for number in range(len(task.names)) if not math.isnan(error[place, number])),
        key=lambda number: -error[place, number],
    )
    found["targets"] = [
        {"name": task.names[n], "true": float(true[place, n]), "pred": float(pred[place, n]), "note": ""}
        for n in order[:4]
    ]
    for target, n in zip(found["targets"], order, strict=False):
        if signs is not None:
            spread = spread_of(true[:, n])
            texts = (write_number(target[key], spread, digits=_DIGITS) for key in ("true", "pred"))
            target["texts"] = (BOUND_SIGNS[int(signs[place, n])] + next(texts), next(texts))
    return found
