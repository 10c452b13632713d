"""The official figure of a test split, where the benchmark has a judge of its own that is installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyg_samsa.training.predictions import PredictionCollector


def official_scores(dataset: Any, collected: PredictionCollector) -> dict[str, float]:
    """Return what OGB's ``Evaluator`` says of the test predictions, such as ``{"rocauc": 0.77}``.

    It is empty for other data sets than OGB's, without the package ``ogb`` (extra ``ogb``), and where the metric is not
    defined, because no target has both labels.

    Args:
        dataset: The data set; those of OGB have their name there in ``ogb_name``.
        collected: Test predictions.

    Example:
        >>> official_scores([], PredictionCollector())
        {}

    Cost: that of the metric, and once the import of ``ogb``.
    """
    name = getattr(dataset, "ogb_name", "")
    if not name or not len(collected.row_id) or importlib.util.find_spec("ogb") is None:
        return {}
    judge = _evaluator(name)
    # The other metrics rank, so logits are as good as probabilities; regressions are values.
    chosen = collected.pred.argmax(1) if judge.eval_metric == "acc" else collected.pred
    true, pred = (values.double().reshape(len(values), -1).numpy() for values in (collected.target, chosen))
    try:
        found = judge.eval({"y_true": true, "y_pred": pred})
    except RuntimeError:
        if any({0.0, 1.0} <= set(column.tolist()) for column in true.T) or judge.eval_metric == "rmse":
            raise
        return {}
    return {metric: float(value) for metric, value in found.items()}


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Let the import of a package fail for a while, as if it were not installed."""
    before = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
        if before is not None:
            sys.modules[package] = before


def _evaluator(name: str) -> Any:
    with _without("outdated"):  # with it, ogb asks PyPI for a newer version of itself when it is imported
        importlib.import_module("ogb")
    return importlib.import_module("ogb.graphproppred.evaluate").Evaluator(name)
