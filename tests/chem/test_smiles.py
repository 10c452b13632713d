import contextlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa import chem
from pyg_samsa.chem import convert_smiles, sequence_to_data, smiles_to_data, smiles_to_data_list
from pyg_samsa.chem import smiles as molecules
from pyg_samsa.errors import ConfigError, MissingDependencyError, SmilesError

SMILES = ["CC(=O)[O-].[Na+]", "C", "c1ccccc1O", "F/C=C/F", "[Fe]"]


def same(first, second):
    return all(
        torch.equal(first[key], second[key]) and first[key].dtype == torch.long
        for key in ("x", "edge_index", "edge_attr")
    )


@pytest.mark.parametrize("smiles", SMILES)
def test_shapes(smiles):
    data = smiles_to_data(smiles)
    assert isinstance(data, Data)
    assert data.x.dtype == data.edge_index.dtype == data.edge_attr.dtype == torch.long
    assert data.x.size(1) == 9
    assert tuple(data.edge_attr.shape) == (data.edge_index.size(1), 3)
    assert data.smiles == smiles
    data.validate()
    assert data.is_undirected()


def test_molecules_without_bonds_can_be_batched():
    batch = Batch.from_data_list([smiles_to_data(smiles) for smiles in ("C", "CC", "[Fe]")])
    assert batch.x.size(0) == 4
    assert batch.edge_index.tolist() == [[1, 2], [2, 1]]


def test_errors_name_row_and_text():
    with pytest.raises(SmilesError, match=r"row 12: .*'C\(C'") as caught:
        smiles_to_data("C(C", row=12)
    assert (caught.value.row, caught.value.text) == (12, "C(C")
    with pytest.raises(SmilesError, match=r"no molecule \(None\)"):
        smiles_to_data(None)
    long = "C" * 1000 + "("
    with pytest.raises(SmilesError) as caught:
        smiles_to_data(long)
    assert len(str(caught.value)) < 200
    assert caught.value.text == long


def test_sequence():
    data = sequence_to_data("GAK")
    assert data.sequence == "GAK"
    assert same(data, smiles_to_data(data.smiles))
    with pytest.raises(SmilesError, match="row 3"):
        sequence_to_data("GXK", row=3)
    assert not torch.equal(sequence_to_data("GA").x, sequence_to_data("Ga", lower_case_is_d=True).x)


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_lists_keep_their_order_in_any_number_of_processes(workers, monkeypatch):
    monkeypatch.setattr(molecules, "_WORTH_WORKERS", 1)
    monkeypatch.setattr(molecules, "_CHUNK", 2)
    smiles = SMILES * 3
    graphs = smiles_to_data_list(smiles, workers=workers, progress=False)
    assert [graph.smiles for graph in graphs] == smiles
    assert all(same(graph, smiles_to_data(text)) for graph, text in zip(graphs, smiles, strict=True))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_molecule_in_a_list_is_named(workers, monkeypatch):
    monkeypatch.setattr(molecules, "_WORTH_WORKERS", 1)
    monkeypatch.setattr(molecules, "_CHUNK", 2)
    with pytest.raises(SmilesError, match="row 8: RDKit") as caught:
        smiles_to_data_list([*SMILES, "C", "C", "C(", "C", "C(("], workers=workers, progress=False)
    assert (caught.value.row, caught.value.text) == (8, "C(")


def test_empty_list():
    assert smiles_to_data_list([], progress=False) == []
    assert len(convert_smiles([], progress=False).num_nodes) == 0


def test_progress_bar(capfd):
    smiles_to_data_list(SMILES)
    captured = capfd.readouterr()
    assert "5/5" in captured.err
    assert captured.out == ""
    smiles_to_data_list(SMILES, progress=False)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("workers", [0, -1])
def test_number_of_workers(workers):
    with pytest.raises(ConfigError, match="workers"):
        convert_smiles(SMILES, workers=workers, progress=False)


def test_without_rdkit(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    for call in (lambda: smiles_to_data("C"), lambda: convert_smiles(["C"], progress=False)):
        with pytest.raises(MissingDependencyError, match="rdkit") as caught:
            call()
        assert "chem" in caught.value.hint


def test_names_of_the_room():
    assert {name for name in dir(chem) if name in chem.__all__} <= set(chem.__all__)
    for name in chem.__all__:
        assert getattr(chem, name) is not None
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = chem.nothing_here


def run(code, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(code))
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": ""},
        timeout=120,
    )


def test_scripts_without_a_main_guard_work(tmp_path):
    # multiprocessing's spawn would run the script again in every worker.
    result = run(
        """
        from pyg_samsa.chem import convert_smiles
        print("started")
        table = convert_smiles(["CCO"] * 600, workers=2, progress=False)
        print(len(table.num_nodes))
        """,
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["started", "600"]


def test_workers_do_not_load_torch(tmp_path):
    result = run(
        """
        import sys
        import pyg_samsa.chem.ogb_features
        print("torch" in sys.modules, "rdkit" in sys.modules)
        """,
        tmp_path,
    )
    assert result.stdout.split() == ["False", "False"], result.stderr


def test_a_list_is_converted_with_a_bar_of_all_molecules(monkeypatch):
    shown, steps = [], []

    @contextlib.contextmanager
    def bar(title, total, *, enabled):
        shown.append((title, total, enabled))
        yield steps.append

    monkeypatch.setattr(molecules, "progress_bar", bar)
    convert_smiles(SMILES, workers=1)
    convert_smiles(SMILES, workers=1, progress=False, description="Peptides")
    assert shown == [("Molecules to graphs", 5, True), ("Peptides", 5, False)]
    assert sum(steps) == 10
