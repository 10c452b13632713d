import pytest
import torch

from pyg_samsa.functional.device_path import accelerator_path, is_exporting, takes_cpu_path
from pyg_samsa.functional.fused import can_fuse


def test_only_eager_code_on_the_cpu_takes_the_path_of_cpus():
    x = torch.ones(2)
    assert takes_cpu_path(x)
    assert not takes_cpu_path(x.to("meta"))
    compiled = torch.compile(lambda x: x + (1 if takes_cpu_path(x) else 2), backend="eager")
    assert compiled(x).tolist() == [3, 3]


def test_the_path_comes_back_after_an_error():
    with accelerator_path():
        assert not takes_cpu_path(torch.ones(2))
        assert not can_fuse(torch.ones(2, 2))
    with pytest.raises(RuntimeError), accelerator_path():
        raise RuntimeError
    assert takes_cpu_path(torch.ones(2))


def test_programs_are_told_apart_from_compiled_code(monkeypatch):
    seen = []

    class Look(torch.nn.Module):
        def forward(self, x):
            seen.append(is_exporting())
            return x + 1

    torch.export.export(Look(), (torch.ones(2),), strict=False)
    Look()(torch.ones(2))
    assert seen == [True, False]
    monkeypatch.delattr(torch.compiler, "is_exporting")  # as in torch 2.6
    assert is_exporting() is False
