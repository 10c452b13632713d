"""Which epoch of a run is the best one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

FALLBACK = "val_loss"


class BestEpoch(NamedTuple):
    """The best epoch of a run.

    Attributes:
        place: Its place in the history.
        monitor: Logged name that chose it; None if the last epoch was taken.

    Example:
        >>> BestEpoch(2, "val_ap").monitor
        'val_ap'
    """

    place: int
    monitor: str | None


def describe_fallback(asked: str | None, used: str | None, *, trials: bool = False, validated: bool = True) -> str:
    """Return why the best epoch was not chosen by the metric that was asked for; empty if it was.

    Args:
        asked: Logged name that was to choose; None for the last epoch.
        used: Logged name that chose; None if the last epoch was taken.
        trials: Whether trials of a search were compared rather than epochs.
        validated: Whether any epoch was validated.

    Example:
        >>> describe_fallback("val_auc", "val_loss")
        'val_auc is undefined (NaN) in all epochs; the best epoch was chosen by val_loss'
        >>> describe_fallback("val_auc", "val_auc")
        ''
    """
    if asked == used or asked is None:
        return ""
    if trials:
        return f"{asked} is undefined (NaN) on the validation rows; trials are compared by {used}"
    if not validated:
        return "no epoch was validated before the time was over; the last epoch was taken"
    instead = "the last epoch was taken" if used is None else f"the best epoch was chosen by {used}"
    return f"{asked} is undefined (NaN) in all epochs; {instead}"


def best_epoch(rows: Sequence[Mapping[str, float]], monitor: str | None, *, higher_is_better: bool) -> BestEpoch:
    """Return the best epoch of a history: the first one with the best value.

    A value that is NaN is no candidate. If the metric is NaN in every epoch, because the validation rows are all of one
    class for example, the validation loss chooses; without it, the last epoch is taken.

    Args:
        rows: At least one row of a history; rows of epochs without validation have no value.
        monitor: Logged name that chooses, such as ``val_ap``; None takes the last epoch.
        higher_is_better: Its direction.

    Example:
        >>> rows = [{"val_ap": 0.3, "val_loss": 2}, {"val_ap": 0.5, "val_loss": 1}, {"val_ap": 0.5, "val_loss": 0.9}]
        >>> best_epoch(rows, "val_ap", higher_is_better=True)
        BestEpoch(place=1, monitor='val_ap')
        >>> best_epoch([row | {"val_ap": math.nan} for row in rows], "val_ap", higher_is_better=True)
        BestEpoch(place=2, monitor='val_loss')
    """
    for key, sign in ((monitor, 1 if higher_is_better else -1), (FALLBACK, -1)):
        if monitor is None or key is None:
            break
        values = [sign * row.get(key, math.nan) for row in rows]
        known = [value for value in values if not math.isnan(value)]
        if known:
            return BestEpoch(values.index(max(known)), key)
    return BestEpoch(len(rows) - 1, None)
