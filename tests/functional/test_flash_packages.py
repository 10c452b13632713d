"""Which packages of FlashAttention count as installed."""

import sys
from types import ModuleType

import pytest
import torch

from pyg_samsa.functional import flash_packages
from pyg_samsa.functional.flash_packages import FUNCTION, FlashPackage, why_missing

CURE = "pip install it"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package: ``package("name", "code")``; without code it is a folder as FlashAttention 4 leaves it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(flash_packages, "_VERDICTS", {})
    written = []

    def write(name, code=None):
        (tmp_path / name / "cute").mkdir(parents=True)
        (tmp_path / name / "cute" / "__init__.py").write_text("")
        if code is not None:
            (tmp_path / name / "__init__.py").write_text(code)
        written.append(name)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_a_package_that_is_not_there():
    assert why_missing("no_such_module", "flash-attn", CURE) == f"the package flash-attn is not installed: {CURE}"


def test_a_folder_of_version_4_is_none(package):
    name = package("flash_four")
    assert why_missing(name, "flash-attn", CURE) == (
        f"the folder flash_four holds no flash-attn (FlashAttention 4 has another interface): {CURE}"
    )


def test_a_package_that_works(package):
    name = package("flash_two", f"def {FUNCTION}(): pass")
    assert why_missing(name, "flash-attn", CURE) is None
    assert FlashPackage(name, 2).broken is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", f"has no {FUNCTION}: install flash-attn 2.6 or newer"),
        (
            "raise ImportError('undefined symbol: _ZN3c10\\nmore')",
            r"cannot be imported (ImportError: undefined symbol: _ZN3c10)",
        ),
        ("raise OSError", "cannot be imported (OSError: )"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_package_that_cannot_be_used(package, code, words):
    found = FlashPackage(package("flash_broken", code), 2)
    assert words in found.broken
    assert "\n" not in found.broken
    assert torch.__version__ in found.broken or "2.6" in found.broken


def test_the_answer_is_kept_also_in_compiled_code(package):
    found = FlashPackage(package("flash_once", ""), 2)
    reason = found.broken

    @torch.compile(backend="eager", fullgraph=True)
    def compiled(x):
        return x + 1 if found.broken is None else x - 1

    assert compiled(torch.ones(())) == 0
    assert found.broken is reason


def test_a_module_that_a_program_made_itself_counts(monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_made", ModuleType("flash_made"))
    assert why_missing("flash_made", "flash-attn", CURE) is None


@pytest.mark.parametrize(("capability", "refused"), [((9, 0), False), ((8, 9), True), ((10, 0), True)])
def test_the_kind_of_the_gpu(monkeypatch, capability, refused):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    reason = FlashPackage("flash_attn_interface", 3, major=9).refuse(torch.zeros(1, 1, 8))
    assert (reason is not None) == refused
    assert FlashPackage("flash_attn", 2).refuse(torch.zeros(1, 1, 8)) is None
