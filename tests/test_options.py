from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import (
    Option,
    check_integer,
    check_no_effect,
    check_options,
    check_positive,
    check_probability,
    check_takes,
    is_number,
    keep_plain,
    options_of,
    plain,
)


@dataclass
class Example:
    count: Annotated[int, Option("Number.", low=1)] = 2
    rate: Annotated[float, Option("Rate.", above=0, below=1)] = 0.5
    limit: Annotated[int | None, Option("Largest number.", low=1)] = None
    flag: Annotated[bool | None, Option("Switch.")] = True
    kind: Annotated[str, Option("Kind.", ("a", "b"))] = "a"
    plain: int = 0


def test_options_are_read_from_annotations():
    options = options_of(Example)
    assert list(options) == ["count", "rate", "limit", "flag", "kind"]
    assert options["count"].default == 2
    assert options["limit"].type == int | None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 1),
        ("count", np.int64(3)),
        ("rate", 0.5),
        ("rate", np.float32(0.5)),
        ("limit", None),
        ("limit", np.uint8(3)),
        ("flag", None),
        ("flag", np.True_),
        ("kind", "b"),
        ("kind", np.str_("b")),
    ],
)
def test_allowed_values(name, value):
    check_options(Example, {name: value, "other": object()})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0),
        ("count", True),
        ("count", None),
        ("count", 1.5),
        ("rate", 0.0),
        ("rate", 1),
        ("rate", "0.5"),
        ("limit", 0),
        ("limit", "many"),
        ("flag", 1),
        ("count", np.True_),
        ("count", np.float64(2)),
        ("flag", np.int64(1)),
        ("rate", np.float64(1)),
        ("kind", "c"),
    ],
)
def test_other_values_are_named(name, value):
    with pytest.raises(ConfigError, match=f"group.{name}"):
        check_options(Example, {name: value}, prefix="group.")


def test_numbers():
    assert is_number(np.float32(1))
    assert not is_number(True)
    check_integer("key", 0, low=0)
    check_probability("key", 0)
    check_positive("key", np.float32(0.5))
    for check, value in ((check_integer, 0), (check_integer, 1.0), (check_probability, 1), (check_probability, "0")):
        with pytest.raises(ConfigError, match="key"):
            check("key", value)
    for value in (0, -1.0, float("inf"), float("nan"), True, "1"):
        with pytest.raises(ConfigError, match=r"key: got .*, expected a finite number above 0"):
            check_positive("key", value)


@pytest.mark.parametrize("owner", [Example, lambda count=2, plain=0: None], ids=["dataclass", "function"])
def test_arguments_without_effect_must_be_at_their_default(owner):
    check_no_effect(owner, {"count": 2, "plain": 0}, reason="nothing is counted")
    for name in ("count", "plain"):
        with pytest.raises(ConfigError, match=f"^{name}: got 3, expected the default .*, because nothing is counted"):
            check_no_effect(owner, {name: 3}, reason="nothing is counted")


def test_arguments_that_nobody_takes_are_named():
    check_takes(Example, {"count": 0, "plain": 1}, part="the example")
    with pytest.raises(ConfigError, match="cuont: got 3, expected left out: the example does not use it") as caught:
        check_takes(Example, {"count": 1, "cuont": 3}, part="the example")
    assert caught.value.hint == "Example takes count, rate, limit, flag, kind, plain."


def test_numpy_values_become_those_of_python():
    given = {"a": np.int64(4), "b": (np.float32(0.5), None), "c": [np.True_], "d": np.array([3, 2]), "e": np.str_("x")}
    found = plain(given)
    assert found == {"a": 4, "b": (0.5, None), "c": [True], "d": [3, 2], "e": "x"}
    kinds = (type(found["a"]), type(found["b"][0]), type(found["c"][0]), type(found["d"][0]), type(found["e"]))
    assert kinds == (int, float, bool, int, str)


def test_other_values_are_not_copied():
    for value in (object(), {1, 2}, range(3), torch.ones(2)):
        assert plain(value) is value


def test_options_of_a_dataclass_become_those_of_python():
    found = keep_plain(Example(count=np.int64(3), rate=np.float64(0.25), flag=np.False_))
    assert found == Example(3, 0.25, None, False)
    assert [type(value) for value in (found.count, found.rate, found.flag)] == [int, float, bool]


def test_an_integer_may_have_a_largest_value():
    check_integer("heads", 8, high=8)
    with pytest.raises(ConfigError, match="heads: got 9, expected an integer from 1 to 8"):
        check_integer("heads", 9, high=8)
