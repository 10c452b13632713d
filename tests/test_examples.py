"""The scripts of examples/ run, on less data than they take by default."""

import importlib.util
from pathlib import Path

import pytest

from pyg_samsa.datasets import peptides

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = {
    "point_clouds": {"per_family": 6, "num_points": 32, "epochs": 1},
    "sequences": {"num_train": 64, "epochs": 1},
    "peptides": {"max_residues": 11, "epochs": 1},
    "explanation_truth": {"epochs": 1, "limit": 60, "molecules": 3},
}


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SMALL)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_example(name, tmp_path, capsys, monkeypatch):
    if name in ("peptides", "explanation_truth"):
        pytest.importorskip("modlamp")
    if name == "peptides":
        short = {sequence: lists for sequence, lists in peptides.read_lists().items() if len(sequence) <= 11}
        monkeypatch.setattr(peptides, "read_lists", lambda: short)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert 0 <= module.main(str(tmp_path), **SMALL[name]) <= 1
    assert "epoch 1" in capsys.readouterr().out
