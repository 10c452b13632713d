import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from pyg_samsa import functional
from pyg_samsa.cli import _doctor_checks, main

ROOT = Path(__file__).parents[2]


def look(tmp_path, capsys, *words):
    code = main(["doctor", "--json", "--root", str(tmp_path / "data"), "--out", str(tmp_path / "results"), *words])
    content = json.loads(capsys.readouterr().out)
    assert content["healthy"] == (code == 0)
    assert code in (0, 2)
    return code, {(check["section"], check["name"]): check for check in content["checks"]}


def test_everything_is_looked_at_and_nothing_is_left(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, checks = look(tmp_path, capsys)
    assert code == 0
    assert checks["Versions", "torch"]["value"] == torch.__version__
    assert "taken by auto" in checks["Attention backends", "sdpa on cpu, float32"]["value"]
    assert "CUDA" in checks["Attention backends", "varlen on cpu, float32"]["value"]
    assert checks["GraphGym", "python -m graphgym"]["status"] == "ok"
    assert "none yet" in checks["Data sets", f"prepared in {tmp_path / 'data'}"]["value"]
    assert {section for section, _ in checks} >= {
        "Versions",
        "Optional packages",
        "Devices",
        "Attention backends",
        "Data sets",
        "Folders",
        "GraphGym",
    }
    assert not list(tmp_path.iterdir())


def test_prepared_data_are_seen(tmp_path, capsys):
    from pyg_samsa.datasets.molecules import peptides

    path = peptides.prepared_path(tmp_path / "data")
    path.parent.mkdir(parents=True)
    path.touch()
    _, checks = look(tmp_path, capsys)
    assert checks["Data sets", f"prepared in {tmp_path / 'data'}"]["value"] == "peptides-embedded"


def test_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    monkeypatch.chdir(ROOT)
    assert main(["doctor", "--root", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Attention backends" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert main(["doctor", "-q", "--root", str(tmp_path)]) == 0
    quiet = capsys.readouterr().out
    assert "Attention backends" not in quiet
    assert "MALLOC_ARENA_MAX" in quiet


Backend = namedtuple("Backend", ["run", "refuse"])


@pytest.mark.parametrize(("fault", "said"), [("raises", "no kernel"), ("wrong", "wrong by"), ("nan", "wrong by")])
def test_a_backend_that_does_not_work_is_found(tmp_path, capsys, monkeypatch, fault, said):
    import pyg_samsa.functional.attention as attention

    real = attention.ATTENTION_BACKENDS["sdpa"]

    def compute(query, key, value, index, dropout):
        if fault == "raises":
            raise RuntimeError("no kernel image")
        return real[0](query, key, value, index, dropout) + (0.1 if fault == "wrong" else float("nan"))

    assert functional.ATTENTION_BACKENDS is attention.ATTENTION_BACKENDS
    monkeypatch.setitem(attention.ATTENTION_BACKENDS, "sdpa", type(real)(compute, *real[1:]))
    code, checks = look(tmp_path, capsys)
    check = checks["Attention backends", "sdpa on cpu, float32"]
    assert (code, check["status"]) == (2, "broken")
    assert said in check["value"]
    assert "attn_backend" in check["cure"]


def test_missing_old_and_malicious_packages(tmp_path, capsys, monkeypatch):
    real = _doctor_checks._version
    found = {"torchmetrics": None, "numpy": "1.0", "h5py": None, "lightning": "2.6.3"}
    monkeypatch.setattr(_doctor_checks, "_version", lambda name: found.get(name, real(name)))
    code, checks = look(tmp_path, capsys)
    assert code == 2
    assert checks["Versions", "torchmetrics"]["status"] == "broken"
    assert "pip install 'torchmetrics>=1.4'" in checks["Versions", "torchmetrics"]["cure"]
    assert "is needed" in checks["Versions", "numpy"]["value"]
    assert checks["Optional packages", "h5py"] | {"section": ""} == {
        "section": "",
        "name": "h5py",
        "status": "note",
        "value": "missing",
        "cure": "pip install 'pyg-samsa[points]'",
    }
    assert "malicious" in checks["Versions", "lightning"]["value"]


def test_folders_that_cannot_be_written_to(tmp_path, capsys):
    (tmp_path / "data").write_text("a file")
    code, checks = look(tmp_path, capsys)
    assert code == 2
    assert checks["Folders", "data sets"]["status"] == "broken"
    assert checks["Folders", "results"]["status"] == "ok"


def test_a_broken_torch_is_a_finding_and_no_traceback(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libtorch.so: cannot open shared object file')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "pyg_samsa", "doctor", "-q"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "libtorch.so" in done.stdout
    assert "--force-reinstall" in done.stdout


def test_kernels_are_tested_on_every_gpu(monkeypatch):
    from pyg_samsa.cli._doctor_checks import NOTE, OK, kernels

    assert not torch.cuda.is_available() or list(kernels())
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    verdicts = {"attention": "passed its self-test", "ranking": "its self-test in float32 on cuda:0 is wrong by inf"}
    monkeypatch.setattr("pyg_samsa.functional.explain_kernels", lambda device, dtype: verdicts)
    checks = list(kernels())
    assert [check.name for check in checks[:3]] == [
        "attention on cuda:0, float32",
        "ranking on cuda:0, float32",
        "attention on cuda:0, bfloat16",
    ]
    assert len(checks) == 8
    assert [check.status for check in checks[:2]] == [OK, NOTE]
    assert checks[1].cure
