import csv
import json

import pytest

from benchmarks import large_table
from benchmarks.large_table import measure, write_table
from pyg_samsa.chem import convert_smiles


@pytest.fixture(autouse=True)
def _few_combinations(monkeypatch):
    monkeypatch.setattr(large_table, "_RIGHT", large_table._RIGHT[::8])


def test_the_table_holds_different_molecules(tmp_path):
    write_table(tmp_path / "table.csv", 300)
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["smiles"] for row in rows}) == 300
    assert len(convert_smiles([row["smiles"] for row in rows], progress=False).num_nodes) == 300
    assert all(float(row["y"]) for row in rows)
    with pytest.raises(ValueError, match="fewer than 20,000"):
        write_table(tmp_path / "table.csv", 20_000)


def test_memory_is_that_of_a_process_and_those_it_starts():
    child = "import time; x = bytearray(b'1') * 2**26; time.sleep(2)"
    code = f"import subprocess, sys; x = bytearray(b'1') * 2**27; subprocess.run([sys.executable, '-c', {child!r}])"
    found = measure(["-c", code])
    assert 128 <= found["MiB of the main process"] < 180
    assert 192 <= found["MiB"] < 270
    with pytest.raises(SystemExit, match="exit code 3"):
        measure(["-c", "raise SystemExit(3)"])


def test_both_parts_are_measured_and_nothing_stays(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(large_table, "measure", lambda arguments: seen.append(arguments) or {"MiB": 1})
    monkeypatch.setattr(large_table.tempfile, "mkdtemp", lambda **_: str(tmp_path / "made"))
    large_table.main(["--rows", "5"])
    assert json.loads(capsys.readouterr().out) == {
        "rows": 5,
        "MB of data": 0,
        "preparation": {"MiB": 1},
        "training": {"MiB": 1},
    }
    assert [arguments[1] for arguments in seen] == ["-c", "-m"]
    assert not (tmp_path / "made").exists()
    large_table.main(["--rows", "5", "--only-prepare"])
    assert "training" not in json.loads(capsys.readouterr().out)
