"""Checks that a checkpoint holds what a run needs, before anything is trained or tested with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pyg_samsa.errors import DataIntegrityError

START_AGAIN = "or rename the folder checkpoints to train from the start."
LAST = f"Copy best.ckpt over it to go on from the best epoch, {START_AGAIN}"
BEST = f"Copy it from a backup, {START_AGAIN}"
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg")
"""What PyTorch's optimisers keep in the shape of a weight."""
_LISTS = ("optimizer_states", "lr_schedulers")
_RNG = {"python", "numpy", "torch", "cuda"}


def check_weights(path: Path, content: Any, module: nn.Module, *, hint: str) -> None:
    """Check that a checkpoint holds the weights of a module, and their epoch.

    Args:
        path: The file, for errors.
        content: What it holds.
        module: The module.
        hint: The cure.

    Raises:
        DataIntegrityError: It holds something else; the first difference is named.

    Example:
        >>> check_weights(Path("best.ckpt"), {"epoch": 3, "state_dict": {}}, nn.Linear(1, 1), hint="")
        Traceback (most recent call last):
        pyg_samsa.errors.DataIntegrityError: best.ckpt: got no such weight, expected the weight weight [1, 1]
    """
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    epoch = content.get("epoch") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not isinstance(epoch, int) or epoch < 0:
        raise DataIntegrityError(path, "a checkpoint with an epoch and weights", "something else", hint=hint)
    expected = module.state_dict()
    for name, weight in expected.items():
        found = state.get(name)
        if not isinstance(found, Tensor):
            raise DataIntegrityError(path, f"the weight {name} {list(weight.shape)}", "no such weight", hint=hint)
        if found.shape != weight.shape:
            got = f"{name} {list(found.shape)}"
            raise DataIntegrityError(path, f"{name} {list(weight.shape)}", got, hint=hint)
    for name in state:
        if name not in expected:
            raise DataIntegrityError(path, f"{len(expected)} weights", f"another one, {name}", hint=hint)


def check_progress(path: Path, content: Mapping[str, Any], module: nn.Module) -> None:
    """Check that a checkpoint holds everything else that a run needs to go on: optimiser, history, random numbers.

    Args:
        path: The file, for errors.
        content: What it holds, with weights that fit.
        module: The module.

    Raises:
        DataIntegrityError: Something is missing or of another type.

    Example:
        >>> check_progress(Path("last.ckpt"), {"epoch": 3, "global_step": 12}, nn.Linear(1, 1))
        Traceback (most recent call last):
        pyg_samsa.errors.DataIntegrityError: last.ckpt: got a checkpoint without it, expected the state of the optimiser
    """

    def expect(fits: bool, what: str) -> None:
        if not fits:
            raise DataIntegrityError(path, what, "a checkpoint without it", hint=LAST)

    lists = [content.get(name) for name in _LISTS]
    states = lists[0] if isinstance(lists[0], list) else []
    expect(
        all(isinstance(found, list) for found in lists) and bool(states) and all(map(_is_optimizer, states)),
        "the state of the optimiser",
    )
    shapes = {weight.shape for weight in module.parameters()}
    entries = [entry for state in states for entry in state["state"].values()]
    # Optimisers of other code may keep what has other shapes, such as sums over rows.
    tensors = [
        value for entry in entries for name, value in entry.items() if name in _MOMENTS and isinstance(value, Tensor)
    ]
    expect(all(value.shape in shapes for value in tensors), "the state of the optimiser for these weights")
    expect(isinstance(content.get("global_step"), int), "the number of steps")
    loops = content.get("loops")
    expect(isinstance(loops, Mapping) and isinstance(loops.get("fit_loop"), Mapping), "the state of the loops")
    callbacks = content.get("callbacks")
    expect(isinstance(callbacks, Mapping), "the state of the callbacks")
    assert isinstance(callbacks, Mapping)
    rows = callbacks["History"].get("rows") if isinstance(callbacks.get("History"), Mapping) else None
    expect(
        isinstance(rows, list) and len(rows) == content["epoch"] + 1 and all(map(_is_row, rows)),
        f"a history of {content['epoch'] + 1} epochs",
    )
    random = callbacks["ExactResume"].get("rng") if isinstance(callbacks.get("ExactResume"), Mapping) else None
    known = isinstance(random, list) and all(isinstance(state, Mapping) and set(state) >= _RNG for state in random)
    expect(known, "the state of the random numbers")


def _is_optimizer(state: Any) -> bool:
    if not isinstance(state, Mapping) or not isinstance(state.get("param_groups"), list):
        return False
    entries = state.get("state")
    return isinstance(entries, Mapping) and all(isinstance(entry, Mapping) for entry in entries.values())


def _is_row(row: Any) -> bool:
    needed = {"epoch", "step", "lr", "seconds", "total_seconds"}
    return isinstance(row, Mapping) and set(row) >= needed and all(isinstance(row[name], int | float) for name in row)
