"""Test predictions: gathered from all processes and written as CSV in row order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch_geometric.graphgym.imports import pl

from pyg_samsa.io.cells import BOUND_SIGNS, spread_of, write_number
from pyg_samsa.io.files import atomic_write
from pyg_samsa.io.formulas import escape_table
from pyg_samsa.metrics.confusion_metric import IGNORE_INDEX
from pyg_samsa.task import UNLISTED, Task

CHUNK_ROWS = 100_000
_DIGITS = 7


class PredictionCollector(pl.Callback):
    """Keeps the test predictions of all processes, ordered by row (and by node or pair within it).

    Pairs of nodes without a label, which rankings need, are not kept. Nodes without a class, such as those of other
    splits of one graph, are not kept either.

    Args:
        task_kind: Kind of the task; nothing is kept of those in `pyg_samsa.task.UNLISTED`.
        task_level: Level of the task.

    Attributes:
        row_id: Row of the dataset [n] of each prediction.
        node: Number of the node within its row [n] where nodes are predicted, else None.
        pair: Numbers of both nodes within their row [n, 2] where pairs of nodes are predicted, else None.
        pred: Predictions [n, C] as the network gives them (logits, for classes).
        target: Targets, first axis n.

    Example:
        >>> collected = PredictionCollector()
        >>> len(collected.row_id), collected.node is None
        (0, True)
    """

    def __init__(self, task_kind: str = "", task_level: str = "graph") -> None:
        self.task_kind, self.task_level = task_kind, task_level
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self.row_id = torch.empty(0, dtype=torch.long)
        self.node: Tensor | None = None
        self.pair: Tensor | None = None
        self.pred, self.target = torch.empty(0), torch.empty(0)

    def on_test_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Discard earlier predictions."""
        self._parts = []

    def on_test_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep a batch."""
        if self.task_kind in UNLISTED:
            return
        pred, target, row_id = outputs["pred"].cpu(), outputs["target"].cpu(), batch.row_id.cpu()
        node = torch.full((len(row_id),), -1)
        if self.task_level == "link":
            graph, ptr, pairs = batch.batch.cpu(), batch.ptr.cpu(), batch.edge_label_index.cpu()
            kept = ~target.isnan() if target.is_floating_point() else torch.ones_like(target, dtype=torch.bool)
            pred, target, pairs = pred[kept], target[kept], pairs[:, kept]
            graph = graph[pairs[0]]
            row_id, node = row_id[graph], (pairs - ptr[graph]).T
        elif len(pred) != len(row_id):
            graph, ptr = batch.batch.cpu(), batch.ptr.cpu()
            row_id, node = row_id[graph], torch.arange(len(graph)) - ptr[graph]
        if self.task_level == "node" and self.task_kind == "multiclass":
            known = has_class(target)
            row_id, node, pred, target = row_id[known], node[known], pred[known], target[known]
        self._parts.append((row_id, node, pred, target))

    def on_test_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Gather what all processes kept."""
        parts = self._parts
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            dist.all_gather_object(gathered, parts)
            parts = [part for share in gathered for part in share]
        if not parts:
            return
        row_id, node, pred, target = (torch.cat(columns) for columns in zip(*parts, strict=True))
        # The nodes of a row come in order, and a stable sort keeps it.
        order = torch.argsort(row_id, stable=True)
        self.row_id, self.pred, self.target = row_id[order], pred[order], target[order]
        if self.task_level == "link":
            self.pair = node[order]
        else:
            # A batch in which every graph has one node looks like one of graphs.
            self.node = node[order].clamp(min=0) if bool((node >= 0).any()) else None
        self._parts = []


def has_class(target: Tensor) -> Tensor:
    """Return which rows of class numbers [n] or [n, 1] are labelled: neither -100 nor NaN.

    Example:
        >>> has_class(torch.tensor([2, -100])).tolist(), has_class(torch.tensor([[float("nan")], [0.0]])).tolist()
        ([True, False], [False, True])
    """
    known = (target != IGNORE_INDEX) & ~target.isnan() if target.is_floating_point() else target != IGNORE_INDEX
    return known.reshape(len(target))


def write_predictions(path: Path, collected: PredictionCollector, *, dataset: Any, task: Task) -> None:
    """Write ``row, [node,] [source, target,] [smiles,] <name>_true, [<name>_bound,] <name>_pred, ...`` as CSV.

    ``<name>_bound`` is ``>`` where the target is a lower bound, ``<`` where it is an upper one, and empty elsewhere;
    the column is there if the data set has bounds of this target. Predictions of labels and classes are probabilities,
    those of regressions are values. A multi-class target is one column ``true`` with the class number, ``pred`` with
    the most likely one, and a probability per class; ``true`` is empty without a label. ``node``, or ``source`` and
    ``target`` of a pair, are numbers of nodes within the graph of the row.

    Args:
        path: File to write, whole or not at all.
        collected: Test predictions.
        dataset: Its rows' ``smiles`` and ``y_bound`` are added where they have some.
        task: The targets.

    Example:
        >>> import tempfile
        >>> from torch_geometric.data import Data
        >>> collected = PredictionCollector()
        >>> collected.row_id, collected.pred = torch.tensor([3, 7]), torch.tensor([[0.0], [2.0]])
        >>> collected.target = torch.tensor([[0.0], [1.0]])
        >>> path, rows = Path(tempfile.mkdtemp()) / "predictions.csv", [Data()] * 8
        >>> write_predictions(path, collected, dataset=rows, task=Task("binary", ["toxic"]))
        >>> path.read_text().splitlines()
        ['row,toxic_true,toxic_pred', '3,0,0.5', '7,1,0.8807971']
    """
    import pandas as pd

    if len(collected.row_id) == 0:
        return
    pred = collected.pred.double()
    pred = pred.unsqueeze(-1) if pred.ndim == 1 else pred
    readable = task.readable(pred)
    columns: dict[str, Any] = {"row": collected.row_id.tolist()}
    if collected.node is not None:
        columns["node"] = collected.node.tolist()
    elif collected.pair is not None:
        columns["source"], columns["target"] = collected.pair.T.tolist()
    else:
        columns.update(_smiles(dataset, collected.row_id))
    target = collected.target.reshape(len(pred), -1)
    if task.kind == "multiclass":
        known = has_class(target[:, 0]).tolist()
        columns["true"] = [value if there else "" for value, there in zip(target[:, 0].tolist(), known, strict=True)]
        columns["pred"] = pred.argmax(-1).tolist()
        columns.update({f"{name}_pred": column.tolist() for name, column in zip(task.names, readable.T, strict=True)})
    else:
        bounds = _bounds(dataset, collected.row_id)
        for number, (name, true, predicted) in enumerate(zip(task.names, target.T, readable.T, strict=True)):
            spread = spread_of(true.double().numpy()) if task.kind == "regression" else None
            columns[f"{name}_true"] = [_text(value, spread) for value in true.tolist()]
            if number in bounds:
                columns[f"{name}_bound"] = bounds[number]
            columns[f"{name}_pred"] = [_text(value, spread) for value in predicted.tolist()]
    with atomic_write(path) as temporary:
        table = escape_table(pd.DataFrame(columns))
        table.to_csv(temporary, index=False, float_format=f"%.{_DIGITS}g", chunksize=CHUNK_ROWS)


def _text(value: float, spread: float | None) -> str:
    return "" if math.isnan(value) else write_number(value, spread, digits=_DIGITS)


def _bounds(dataset: Any, row_id: Tensor) -> dict[int, list[str]]:
    """Return the signs of the rows for each target of which some value of the data set is a bound."""
    data = getattr(dataset, "_data", None)
    every = None if data is None else data.get("y_bound")
    if every is None:
        return {}
    rows = torch.cat([dataset[row].y_bound for row in row_id.tolist()])
    return {
        number: [BOUND_SIGNS[sign] for sign in rows[:, number].tolist()]
        for number in range(every.size(1))
        if bool(every[:, number].any())
    }


def _smiles(dataset: Any, row_id: Tensor) -> dict[str, list[str]]:
    if not isinstance(getattr(dataset[int(row_id[0])], "smiles", None), str):
        return {}
    return {"smiles": [dataset[row].smiles for row in row_id.tolist()]}
