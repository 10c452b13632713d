"""Whether a kernel may replace a module."""

from __future__ import annotations

import pytest
from torch import nn
from torch.nn.utils import parametrize

from pyg_samsa.nn import Dropout, RMSNorm
from pyg_samsa.nn.plain import has_hooks, is_plain


class MyLinear(nn.Linear):
    """A subclass may compute something else."""


@pytest.mark.parametrize("made", [nn.Linear(2, 2), nn.Linear(2, 2, bias=False), RMSNorm(2), Dropout(0.1)], ids=str)
def test_modules_as_they_are_made_are_plain(made):
    assert is_plain(made, type(made))


def test_a_subclass_is_not_plain():
    assert not is_plain(MyLinear(2, 2), nn.Linear)


def test_a_replaced_forward_is_not_plain():
    linear = nn.Linear(2, 2)
    linear.forward = nn.functional.relu
    assert not is_plain(linear, nn.Linear)


def test_a_parametrization_is_not_plain():
    linear = nn.Linear(2, 2)
    parametrize.register_parametrization(linear, "weight", nn.Identity())
    assert not is_plain(linear, nn.Linear)


@pytest.mark.parametrize(
    "name",
    [
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ],
)
def test_a_module_with_a_hook_is_not_plain_until_it_is_removed(name):
    linear = nn.Linear(2, 2)
    handle = getattr(linear, name)(lambda *_: None)
    assert not is_plain(linear, nn.Linear)
    handle.remove()
    assert is_plain(linear, nn.Linear)


def test_a_hook_on_all_modules_counts():
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not is_plain(nn.Linear(2, 2), nn.Linear)
    finally:
        handle.remove()
    assert is_plain(nn.Linear(2, 2), nn.Linear)


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_inside_a_module_are_found(register):
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
    assert not has_hooks(network)
    handle = getattr(network[0][0], register)(lambda *_: None)
    assert has_hooks(network)
    handle.remove()
    assert not has_hooks(network)


def test_hooks_on_all_modules_are_found():
    handle = nn.modules.module.register_module_forward_pre_hook(lambda *_: None)
    try:
        assert has_hooks(nn.Linear(2, 2))
    finally:
        handle.remove()
    assert not has_hooks(nn.Linear(2, 2))
