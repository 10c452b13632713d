"""The annotations of shapes: optional at run time, checked under pytest."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pyg_samsa.functional import leak_mass, maxout_score, topk
from pyg_samsa.nn import SAMSAConv
from pyg_samsa.typing import Float

ROOT = Path(__file__).parent.parent
BLOCK = """
import sys
sys.modules["jaxtyping"] = None
import torch
import pyg_samsa.functional, pyg_samsa.nn
from pyg_samsa.typing import Float
print(Float[torch.Tensor, "T D"])
"""


@pytest.fixture
def check_shapes(pytestconfig):
    plugin = pytestconfig.pluginmanager.get_plugin(str(ROOT / "conftest.py"))
    if not plugin.CHECKED:
        pytest.skip("shapes are not checked: jaxtyping or beartype is missing, or PYG_SAMSA_SHAPES is 0")
    return plugin.check_shapes


def test_the_package_needs_no_jaxtyping():
    run = subprocess.run([sys.executable, "-c", BLOCK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "<class 'torch.Tensor'>"


def test_a_call_that_breaks_its_annotation_is_an_error(check_shapes):
    with pytest.raises(TypeError, match=r"topk: scores is not Float\[.*; scores: int64 \[3\]"):
        topk(torch.tensor([1, 2, 3]), 2)


def test_a_letter_means_one_number(check_shapes):
    def add(x: 'Float[Tensor, "T D"]', y: 'Float[Tensor, "T D"]') -> 'Float[Tensor, "T D"]':
        return x.sum() + y

    check_shapes(add)(torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(TypeError, match=r"add: y is not .*y: float32 \[3, 2\]"):
        check_shapes(add)(torch.ones(2, 3), torch.ones(3, 2))


def test_only_shapes_that_have_passed_are_not_checked_again(check_shapes):
    results = iter([torch.ones(2, 3), torch.ones(2, 3), torch.ones(3, 3)])

    def same(x: 'Float[Tensor, "T D"]') -> 'Float[Tensor, "T D"]':
        return next(results)

    checked = check_shapes(same)
    checked(torch.ones(2, 3))
    checked(x=torch.ones(2, 3))
    with pytest.raises(TypeError, match=r"same: return is not .*return: float32 \[3, 3\]"):
        checked(torch.ones(2, 3))


def test_a_function_without_shapes_is_left_alone(check_shapes):
    def plain(x: Tensor) -> Tensor:
        return x

    assert check_shapes(plain) is plain
    assert not hasattr(SAMSAConv.__repr__, "__wrapped__")


def test_an_error_of_the_function_comes_first(check_shapes):
    from pyg_samsa.errors import ShapeError

    with pytest.raises(ShapeError):
        maxout_score(torch.ones(2, 3), torch.ones(2, 4))


def test_compiled_code_is_not_checked(check_shapes):
    assert hasattr(leak_mass, "__wrapped__")
    compiled = torch.compile(leak_mass, backend="eager", fullgraph=True)
    leak = torch.tensor([[1.0, -2.0]])
    torch.testing.assert_close(compiled(leak, "relu"), leak_mass(leak, "relu"))
