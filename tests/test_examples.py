"""The scripts of examples/ run, on less data than they take by default."""

import importlib.util
import inspect
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyg_samsa.datasets.molecules import peptides

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = {
    "point_clouds": {"per_family": 6, "num_points": 32, "epochs": 1},
    "sequences": {"num_train": 64, "epochs": 1},
    "peptides": {"max_residues": 11, "epochs": 1},
    "explanation_truth": {"epochs": 1, "limit": 60, "molecules": 3},
}
OTHERS = {"molecule_quickstart", "explain_peptide", "custom_csv", "samsa_in_pyg_sequential", "serve_onnx"}


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def short_peptides(monkeypatch):
    pytest.importorskip("modlamp")
    short = {sequence: lists for sequence, lists in peptides.read_lists().items() if len(sequence) <= 11}
    monkeypatch.setattr(peptides, "read_lists", lambda: short)


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SMALL) | OTHERS


@pytest.mark.parametrize("name", sorted({*SMALL, *OTHERS}))
def test_examples_write_into_folders_that_git_ignores(name):
    """A script that is run in the checkout leaves nothing to commit."""
    if name == "serve_onnx":
        pytest.importorskip("onnxruntime")
    options = inspect.signature(load(name).main).parameters
    ignored = [line.strip("/") for line in (EXAMPLES.parent / ".gitignore").read_text().splitlines()]
    for option in options.keys() & {"out", "root", "folder"}:
        default = options[option].default
        assert not default or Path(default).parts[0] in ignored


@pytest.mark.parametrize("name", sorted(SMALL))
def test_example(name, tmp_path, capsys, request):
    if name == "explanation_truth":
        pytest.importorskip("modlamp")
    if name == "peptides":
        request.getfixturevalue("short_peptides")
    assert 0 <= load(name).main(str(tmp_path), **SMALL[name]) <= 1
    assert "epoch 1" in capsys.readouterr().out


def test_molecule_quickstart(tmp_path, capsys):
    pytest.importorskip("rdkit")
    table = load("molecule_quickstart").main(str(tmp_path))
    peptide, hormone, mistyped = table.to_dict("records")
    assert peptide["antimicrobial"] > 0.7 > 0.5 > hormone["antimicrobial"]
    assert np.isnan(mistyped["antimicrobial"])
    assert mistyped["error"]
    assert peptide["name"] in (tmp_path / "occlusion.svg").read_text(encoding="utf-8").replace("&#39;", "'").replace(
        "&#x27;", "'"
    )
    assert (tmp_path / "occlusion.png").read_bytes().startswith(b"\x89PNG")
    assert "if a token is removed" in capsys.readouterr().out


def test_explain_peptide(tmp_path):
    pytest.importorskip("rdkit")
    module = load("explain_peptide")
    assert module.residues("GA") == ["G1"] * 4 + ["A2"] * 6
    table = module.main(str(tmp_path), "GLLKRIKTE")
    assert table.index.tolist() == ["G1", "L2", "L3", "K4", "R5", "I6", "K7", "T8", "E9"]
    assert table["occlusion"].idxmin() == "E9"  # antimicrobial peptides are cationic: an acid speaks against
    assert table.loc[["K4", "K7"], "contribution"].min() > table["contribution"].median()
    # A bond between two residues counts half for each, so nothing is lost: all attention that goes to tokens is there.
    assert 0.2 < table["sampled"].sum() <= 1 + 1e-5
    assert {path.name for path in tmp_path.glob("*.png")} == {
        f"{name}.png" for name in ("sampled", "contribution", "occlusion")
    }
    assert "GLLKRIKTE" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_custom_csv(tmp_path):
    pytest.importorskip("rdkit")
    errors = load("custom_csv").main(str(tmp_path), limit=96, epochs=12, layers=1)
    assert errors.index.tolist() == ["logP", "TPSA"]
    assert errors.loc["logP", "MAE"] < errors.loc["logP", "MAE of the mean"]
    written = pd.read_csv(tmp_path / "predicted.csv")
    assert written["logP"].notna().tolist() == [True, True, False]
    assert pd.read_csv(tmp_path / "amides.csv")["TPSA"].isna().mean() > 0.1  # real tables have gaps
    assert "amides" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_samsa_in_pyg_sequential(tmp_path, short_peptides):
    pytest.importorskip("rdkit")
    net, losses = load("samsa_in_pyg_sequential").main(str(tmp_path), max_residues=11, steps=24)
    assert len(losses) == 24
    assert np.mean(losses[-6:]) < np.mean(losses[:6])
    assert [bool(weight.detach() != 0) for name, weight in net.named_parameters() if name.endswith("alpha")] == [True]


@pytest.mark.slow
def test_serve_onnx(tmp_path):
    for package in ("rdkit", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    from pyg_samsa.hub import load_pretrained
    from pyg_samsa.hub.program import export_program
    from pyg_samsa.predict import MoleculePredictor

    path = tmp_path / "peptides.onnx"
    export_program(*load_pretrained("peptides"), path)
    server = load("serve_onnx").make_server(str(path), port=0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/?smiles="
        with urllib.request.urlopen(address + urllib.parse.quote("NCC(=O)NCC(=O)O")) as answer:
            found = json.load(answer)
        expected = MoleculePredictor.from_network("peptides").predict(["NCC(=O)NCC(=O)O"]).values[0]
        assert list(found) == ["antimicrobial", "anticancer", "transmembrane"]
        np.testing.assert_allclose(list(found.values()), expected, atol=1e-5)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(address + "C1CC")
        assert error.value.code == 400
        assert "RDKit" in json.load(error.value)["error"]
    finally:
        server.shutdown()
        server.server_close()
