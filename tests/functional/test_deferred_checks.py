import pytest
import torch

from pyg_samsa.errors import SAMSAError
from pyg_samsa.functional.deferred_checks import deferred_checks, require
from pyg_samsa.functional.device_path import accelerator_path

ERROR = SAMSAError("wrong")


def test_what_is_wrong_is_told_at_once():
    with pytest.raises(SAMSAError, match="wrong"):
        require(torch.tensor(True), lambda: ERROR)
    require(torch.tensor(False), lambda: ERROR)
    require(torch.tensor(True), lambda: None)


def test_on_a_cpu_nothing_is_deferred():
    with deferred_checks() as checks, pytest.raises(SAMSAError):
        require(torch.tensor(True), lambda: ERROR)
    assert checks == []


def test_on_an_accelerator_checks_are_collected():
    with accelerator_path():
        with pytest.raises(SAMSAError):  # nobody would read them
            require(torch.tensor(True), lambda: ERROR)
        with deferred_checks() as checks:
            require(torch.tensor(True), lambda: ERROR)
            require(torch.tensor(False), lambda: ERROR)
        with pytest.raises(SAMSAError):
            require(torch.tensor(True), lambda: ERROR)
    assert [bool(check.bad) for check in checks] == [True, False]
    assert checks[0].explain() is ERROR


def test_compiled_code_checks_nothing():
    @torch.compile(backend="eager", fullgraph=True)
    def function(x):
        require(x.isnan().any(), lambda: ERROR)
        return x + 1

    assert function(torch.tensor([float("nan")])).isnan().all()
