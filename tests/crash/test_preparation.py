"""Preparations that are killed, interrupted or run twice at once."""

import os
import signal
import textwrap
import time

import pytest
import torch

from pyg_samsa.datasets import CSVMolecules
from pyg_samsa.datasets.molecules import molecule_shards, peptides
from tests import fresh_process

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals are sent to the processes")]

# A process started in the background of a shell ignores Ctrl-C; the one under test must hear it.
PREPARE = """
    import signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from pathlib import Path
    from pyg_samsa.datasets.molecules import peptides
    folder = Path(sys.argv[1])
    lists = {sequence: names for sequence, names in list(peptides.read_lists().items())[::100] if len(sequence) < 30}
    peptides.read_lists = lambda: lists
"""
SLOW_SAVE = """
    import torch
    def save(content, path, save=torch.save):
        save(content, path)
        half = path.read_bytes()[: path.stat().st_size // 2]
        path.write_bytes(half)
        (folder / "writing").touch()
        time.sleep(60)
    torch.save = save
"""
SLOW_CONVERSION = """
    def slow(*args, **options):
        (folder / "writing").touch()
        time.sleep(60)
    peptides.convert_smiles = slow
"""
LOAD = """
    dataset = peptides.EmbeddedPeptides(folder, progress=False)
    print(len(dataset), len(lists), dataset._data.x.sum().item())
"""
PREPARED = "peptides-embedded-v1.pt"


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*parts):
        code = "".join(textwrap.dedent(part) for part in (PREPARE, *parts, LOAD))
        started.append(fresh_process.start(code, tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.split()


def wait_for(path, process):
    for _ in range(600):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    raise AssertionError(f"{path} never came")


def files(folder):
    return sorted(path.name for path in (folder / "peptides-embedded").iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        (signal.SIGKILL, SLOW_SAVE),
        (signal.SIGTERM, SLOW_SAVE),
        (signal.SIGINT, SLOW_SAVE),
        (signal.SIGINT, SLOW_CONVERSION),
    ],
    ids=["killed while saving", "terminated while saving", "interrupted while saving", "interrupted while converting"],
)
def test_an_interrupted_preparation_is_done_again(tmp_path, start, sent, moment, monkeypatch):
    process = start(moment)
    wait_for(tmp_path / "writing", process)
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode != 0
    # A process that is killed cannot tidy up; what it leaves has a name that nobody takes for the data.
    assert PREPARED not in files(tmp_path)
    assert len(files(tmp_path)) == (0 if sent == signal.SIGINT else 1)
    lists = {sequence: names for sequence, names in list(peptides.read_lists().items())[::500] if len(sequence) < 30}
    monkeypatch.setattr(peptides, "read_lists", lambda: lists)
    assert len(peptides.EmbeddedPeptides(tmp_path, progress=False)) == len(lists)
    assert files(tmp_path) == [PREPARED]


def test_processes_that_prepare_at_once_agree(tmp_path, start):
    first, second = (finish(process) for process in [start(), start()])
    assert first == second
    assert first[0] == first[1]
    assert files(tmp_path) == [PREPARED]


def test_a_waiting_process_takes_over_from_a_killed_one(tmp_path, start):
    first = start(SLOW_CONVERSION)
    wait_for(tmp_path / "writing", first)
    second = start()
    time.sleep(1)
    first.kill()
    loaded, expected, _ = finish(second)
    assert loaded == expected


KILLED_IN_SHARDS = """
    import os, signal, sys
    from pathlib import Path
    from pyg_samsa.datasets import CSVMolecules
    from pyg_samsa.datasets.molecules import molecule_shards
    molecule_shards.SHARD_ROWS = 7
    save, done = molecule_shards._save, []
    def kill(shard, path):
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(save(shard, path))
    molecule_shards._save = kill
    folder = Path(sys.argv[1])
    CSVMolecules(folder, csv=folder / "table.csv", progress=False, workers=1)
"""


def test_a_table_that_is_killed_between_shards_goes_on(tmp_path, write_table, monkeypatch):
    write_table(tmp_path)
    process = fresh_process.run(textwrap.dedent(KILLED_IN_SHARDS), tmp_path, timeout=120)
    assert process.returncode == -signal.SIGKILL, process.stderr
    (parts,) = (tmp_path / "csv").glob("*-parts")
    assert sorted(path.name for path in parts.iterdir()) == ["000000.pt", "000001.pt", "000002.pt"]
    whole = CSVMolecules(tmp_path / "whole", csv=tmp_path / "table.csv", progress=False, workers=1)
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", 7)
    rest = CSVMolecules(tmp_path, csv=tmp_path / "table.csv", progress=False, workers=1)
    assert all(torch.equal(rest._data[key], whole._data[key]) for key in ("x", "edge_index", "edge_attr", "y"))
    assert list(rest._data.smiles) == list(whole._data.smiles)
    assert all(torch.equal(rest.split_idx[split], rows) for split, rows in whole.split_idx.items())
    assert not list((tmp_path / "csv").glob("*-parts"))
