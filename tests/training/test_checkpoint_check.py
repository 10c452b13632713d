"""The damage of whole files is tested in tests/crash/test_damaged_files.py."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.training.checkpoint_check import check_progress, check_weights
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO

PATH = Path("last.ckpt")


def test_the_checkpoints_of_a_run_pass(train):
    result, module = train()
    for path in (result.folder.last, result.folder.best):
        content = AtomicCheckpointIO().load_checkpoint(path)
        check_weights(path, content, module, hint="")
        check_progress(path, content, module)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1], "something else"),
        ({"epoch": -1, "state_dict": {}}, "something else"),
        ({"epoch": 3}, "something else"),
        ({"epoch": 3, "state_dict": [1]}, "something else"),
        ({"epoch": "3", "state_dict": {}}, "something else"),
        ({"state_dict": {}}, "something else"),
        ({"epoch": 0, "state_dict": {"weight": torch.zeros(2, 1)}}, r"got weight \[2, 1\], expected weight \[1, 1\]"),
        ({"epoch": 0, "state_dict": {"weight": torch.zeros(1, 1), "bias": 3}}, r"the weight bias \[1\]"),
        (
            {"epoch": 0, "state_dict": {"weight": torch.zeros(1, 1), "bias": torch.zeros(1), "scale": torch.zeros(1)}},
            "another one, scale",
        ),
    ],
)
def test_other_weights(content, told):
    with pytest.raises(DataIntegrityError, match=told) as caught:
        check_weights(PATH, content, nn.Linear(1, 1), hint="Cure.")
    assert caught.value.hint == "Cure."


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("optimizer_states", [3], "the state of the optimiser"),
        ("optimizer_states", [{"state": {0: 3}, "param_groups": []}], "the state of the optimiser"),
        ("optimizer_states", [], "the state of the optimiser"),
        ("lr_schedulers", None, "the state of the optimiser"),
        ("global_step", "3", "the number of steps"),
        ("loops", {"fit_loop": 3}, "the state of the loops"),
        ("loops", {}, "the state of the loops"),
        ("callbacks", [], "the state of the callbacks"),
        ("callbacks", {"History": {"rows": [{"epoch": 1}] * 3}}, "a history of 3 epochs"),
        ("callbacks", {"History": 3}, "a history of 3 epochs"),
    ],
)
def test_other_progress(train, name, value, what):
    result, module = train(max_epochs=3)
    content = AtomicCheckpointIO().load_checkpoint(result.folder.last)
    content[name] = value
    with pytest.raises(DataIntegrityError) as caught:
        check_progress(PATH, content, module)
    assert str(caught.value) == f"last.ckpt: got a checkpoint without it, expected {what}"
    assert "best.ckpt" in caught.value.hint


@pytest.mark.parametrize("change", ["a row less", "a row without a step", "no random numbers"])
def test_a_part_that_is_missing(train, change):
    result, module = train(max_epochs=2)
    content = AtomicCheckpointIO().load_checkpoint(result.folder.last)
    check_progress(PATH, content, module)
    rows, states = content["callbacks"]["History"]["rows"], content["callbacks"]["ExactResume"]["rng"]
    if change == "a row less":
        rows.pop()
    elif change == "a row without a step":
        del rows[1]["step"]
    else:
        del states[0]["numpy"]
    what = "the state of the random numbers" if change == "no random numbers" else "a history of 2 epochs"
    with pytest.raises(DataIntegrityError, match=f"expected {what}\n"):
        check_progress(PATH, content, module)


def test_optimisers_may_keep_sums_over_rows(train):
    result, module = train()
    content = AtomicCheckpointIO().load_checkpoint(result.folder.last)
    entry = content["optimizer_states"][0]["state"][0]
    entry["row_var"] = torch.zeros(1, 3)
    check_progress(PATH, content, module)
    entry["exp_avg"] = torch.zeros(1, 3)
    with pytest.raises(DataIntegrityError, match="the state of the optimiser for these weights"):
        check_progress(PATH, content, module)
