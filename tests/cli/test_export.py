import shutil

import pytest
import torch

from pyg_samsa.cli import main
from pyg_samsa.hub import program
from pyg_samsa.hub.folder import SHIPPED


@pytest.fixture
def quick(monkeypatch):
    """Exports take seconds; here they only write a file."""
    calls = []

    def export(network, config, path, *, kind):
        calls.append((type(network).__name__, kind))
        path.write_bytes(b"program")
        return {"inputs": ["x", "edge_index"]}

    monkeypatch.setattr(program, "export_program", export)
    monkeypatch.setattr(program, "compare_program", lambda *args, kind: 3e-8)
    return calls


@pytest.mark.parametrize(
    ("arguments", "kind"), [(["n.pt2"], "pt2"), (["n.onnx"], "onnx"), (["n.bin", "--format", "onnx"], "onnx")]
)
def test_the_suffix_or_the_option_is_the_format(quick, tmp_path, monkeypatch, capsys, arguments, kind):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "peptides", *arguments]) == 0
    assert quick == [("SAMSA", kind)]
    printed = capsys.readouterr().out
    assert "inputs: x, edge_index" in printed
    assert "at most 3e-08" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["peptides", "n.txt"], "OUT: got 'n.txt', expected a file that ends in .onnx or .pt2"),
        (["peptides", "n.onnx", "--format", "pt2"], "--format: got 'pt2', expected onnx"),
        (["peptides"], "--format: got nothing, expected one of 'pt2', 'onnx'"),
        (["no_such_model", "--format", "onnx"], "no_such_model: no saved model found"),
        (["no_such_model", "n.pt2"], "no_such_model"),
    ],
)
def test_wrong_arguments_are_told_before_the_export(quick, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) in (2, 3)
    assert message in capsys.readouterr().err
    assert quick == []


@pytest.mark.parametrize(
    ("model", "kind", "name"),
    [
        ("peptides", "onnx", "peptides.onnx"),
        ("results/quickstart/3", "pt2", "quickstart-3.pt2"),
        ("results/quickstart/3/model", "pt2", "quickstart-3.pt2"),
        ("results/quickstart/3/model/", "onnx", "quickstart-3.onnx"),
    ],
)
def test_without_a_file_the_model_names_it(quick, tmp_path, monkeypatch, capsys, model, kind, name):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SHIPPED / "peptides", tmp_path / "results" / "quickstart" / "3" / "model")
    assert main(["export", model, "--format", kind]) == 0
    assert quick == [("SAMSA", kind)]
    assert (tmp_path / name).read_bytes() == b"program"
    assert capsys.readouterr().out.startswith(f"{name}  ")


def test_the_name_of_a_model_in_the_working_folder(quick, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    shutil.copytree(SHIPPED / "peptides", folder)
    monkeypatch.chdir(folder)
    assert main(["export", ".", "--format", "pt2"]) == 0
    assert (folder / "mine.pt2").read_bytes() == b"program"


@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_the_user_did_not_name_is_not_replaced(quick, tmp_path, monkeypatch, capsys, link):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "peptides.pt2"
    path.symlink_to("nowhere") if link else path.write_text("mine")
    assert main(["export", "peptides", "--format", "pt2"]) == 2
    told = "error: OUT: got 'peptides.pt2', expected a new file where you do not name it, and this one exists\n"
    assert capsys.readouterr().err.startswith(told)
    assert quick == []
    assert path.is_symlink() if link else path.read_text() == "mine"
    assert main(["export", "peptides", "peptides.pt2"]) == 0
    assert path.read_bytes() == b"program"


@pytest.mark.parametrize("difference", [float("inf"), 0.1])
def test_a_program_that_differs_is_deleted(quick, tmp_path, monkeypatch, capsys, difference):
    monkeypatch.setattr(program, "compare_program", lambda *args, kind: difference)
    assert main(["export", "peptides", str(tmp_path / "n.pt2")]) == 4
    assert "differs from the network" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_written_program_runs(tmp_path, capsys):
    path = tmp_path / "peptides.pt2"
    assert main(["export", "peptides", str(path)]) == 0
    assert "differs from the network by at most" in capsys.readouterr().out
    assert isinstance(torch.export.load(path), torch.export.ExportedProgram)
