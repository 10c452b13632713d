import os
from collections import namedtuple

import pytest
import torch

from pyg_samsa.cli import _doctor_checks as checks

Usage = namedtuple("Usage", ["free"])
STATUS = {checks.OK, checks.NOTE, checks.BROKEN}


def test_variables_that_slow_things_down(monkeypatch):
    for name in os.environ:
        if name.startswith(("OMP_", "MKL_", "MALLOC_", "CUDA_", "TORCHDYNAMO")):
            monkeypatch.delenv(name)
    assert [check.status for check in checks.environment()] == ["ok"]
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = {check.name: check for check in checks.environment()}
    assert set(found) == {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "CUDA_VISIBLE_DEVICES"}
    assert all(check.status == "note" and check.cure for check in found.values())


def test_graphgym_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert next(iter(checks.shim())).status == "ok"


def test_another_graphgym_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "graphgym").mkdir()
    (tmp_path / "graphgym" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    first = next(iter(checks.shim()))
    assert first.status == "note"
    assert str(tmp_path / "graphgym") in first.value
    assert "pyg-samsa train" in first.cure


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MKL_NUM_THREADS", "4096"),
        ("CUDA_LAUNCH_BLOCKING", "1"),
        ("PYTORCH_NO_CUDA_MEMORY_CACHING", "1"),
        ("CUDA_VISIBLE_DEVICES", "-1"),
        ("TORCHDYNAMO_DISABLE", "1"),
        ("MALLOC_ARENA_MAX", "2"),
    ],
)
def test_every_variable_has_its_advice(name, value, monkeypatch):
    for other in os.environ:
        if other.startswith(("OMP_", "MKL_", "MALLOC_", "CUDA_", "TORCHDYNAMO", "PYTORCH")):
            monkeypatch.delenv(other)
    monkeypatch.setenv(name, value)
    (check,) = checks.environment()
    assert (check.name, check.status, check.value) == (name, checks.NOTE, value)
    assert check.cure.startswith(("Set it to at most", "Unset it"))


def test_a_check_that_fails_is_reported_and_the_others_run(tmp_path, monkeypatch):
    def devices():
        raise OSError("no such device")
        yield

    monkeypatch.setattr(checks, "devices", devices)
    monkeypatch.setattr(checks, "backends", lambda: iter(()))
    monkeypatch.setattr(checks, "versions", lambda: iter(()))
    monkeypatch.setattr(checks, "optional_packages", lambda: iter(()))
    found = checks.run_checks(tmp_path, tmp_path)
    assert {check.status for check in found} <= STATUS
    (broken,) = [check for check in found if check.section == "Not checked"]
    assert (broken.name, broken.status) == ("devices", checks.BROKEN)
    assert broken.value == "OSError: no such device"
    assert {"Data sets", "Folders", "GraphGym"} <= {check.section for check in found}


def test_folders_are_checked_without_making_them(tmp_path, monkeypatch):
    wanted = tmp_path / "new" / "results"
    (check,) = checks.folders({"results": wanted})
    assert (check.status, check.cure) == (checks.OK, "")
    assert str(wanted) in check.value
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: Usage(1.5e9))
    (check,) = checks.folders({"results": wanted})
    assert check.status == checks.NOTE
    assert "1.5 GB free" in check.value


def test_every_data_set_is_prepared_or_not(tmp_path):
    from pyg_samsa.datasets import catalog

    ready, rest = checks.data_sets(tmp_path)
    assert ready.value == "none yet"
    assert rest.value.split(", ") == catalog.names()


def test_tables_of_molecules_are_listed(tmp_path):
    pytest.importorskip("rdkit")
    from pyg_samsa.datasets import CSVMolecules

    (tmp_path / "my table.csv").write_text("smiles,y\n" + "".join(f"{'C' * n},{n}.5\n" for n in range(1, 12)))
    for kind in ("random", "scaffold"):
        CSVMolecules(tmp_path, csv=tmp_path / "my table.csv", target_columns=["y"], split_kind=kind, progress=False)
    _, tables, _ = checks.data_sets(tmp_path)
    assert (tables.name, tables.value) == ("prepared tables of molecules", "my table (2 files)")


def test_softmax_attention_by_hand():
    """One query, two keys with logits 0 and ln 3: weights 1/4 and 3/4."""
    query = torch.tensor([[[1.0]]])
    key = torch.tensor([[[[0.0], [3.0]]]]).log().clamp(min=0)
    value = torch.tensor([[[[4.0], [8.0]]]])
    assert checks._softmax_attention(query, key, value, [1]).item() == pytest.approx(7.0)


def test_requirements_carry_the_extras_that_need_them(monkeypatch):
    texts = ["torch>=2.4", 'rdkit; extra == "molecules"', 'rdkit; extra == "all"', 'lightgbm>=4; extra == "boosting"']
    monkeypatch.setattr(checks.metadata, "requires", lambda name: texts)
    found = {requirement.name: (str(requirement.specifier), extras) for requirement, extras in checks._requirements()}
    assert found == {"torch": (">=2.4", []), "rdkit": ("", ["molecules"]), "lightgbm": (">=4", ["boosting"])}


@pytest.mark.parametrize(
    ("version", "extra", "status", "value"),
    [
        (None, "", checks.BROKEN, "missing"),
        (None, "points", checks.NOTE, "missing"),
        ("1.0", "", checks.BROKEN, "1.0, >=2.0 is needed"),
        ("2.5", "", checks.BROKEN, "2.5, cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("2.5", "points", checks.NOTE, "2.5, cannot be imported: no such module"),
    ],
)
def test_a_package_that_does_not_work_has_a_cure(version, extra, status, value, monkeypatch):
    from packaging.requirements import Requirement

    monkeypatch.setattr(checks, "_version", lambda name: version)
    check = checks._package("Versions", Requirement("no-such-module>=2.0"), extra)
    assert (check.status, check.value) == (status, value)
    assert check.cure.startswith("pip install ")
