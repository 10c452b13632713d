"""Tables that are converted in shards give the same as in memory, also after a kill."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from pyg_samsa.datasets import CSVMolecules
from pyg_samsa.datasets.molecules import csv_molecules, molecule_shards
from pyg_samsa.datasets.molecules.csv_table import open_molecule_table
from pyg_samsa.datasets.molecules.molecule_shards import convert_table
from pyg_samsa.errors import DataError, SmilesError
from pyg_samsa.training.data_module import SplitRows

SMILES = ["C" * n + end for n in range(1, 11) for end in ("O", "N", "c1ccccc1", "C1CCCCC1")]
GONE = {0: "", 11: "# a comment", 30: "C(,7,7,train", 41: ""}


@pytest.fixture
def path(tmp_path):
    """A table of 40 molecules with two targets, a blank line, a comment, and a molecule that cannot be read."""
    part = ("train", "train", "val", "test")
    lines = [f"{text},{n % 7},{n / 3:.2f},{part[n % 4]}" for n, text in enumerate(SMILES)]
    for place, text in GONE.items():
        lines.insert(place, text)
    path = tmp_path / "table.csv"
    path.write_text("smiles,pH,y,part\n" + "\n".join(lines) + "\n\n# the end\n")
    return path


def load(path, folder="data", **options):
    given = {"target_columns": ["y"], "extra_columns": ["pH"], "skip_invalid": True, **options}
    return CSVMolecules(path.parent / folder, csv=path, progress=False, workers=1, **given)


def content(dataset):
    """All that a data set holds, as lists."""
    data = {
        key: (str(value.dtype), value.tolist()) if torch.is_tensor(value) else list(value)
        for key, value in dataset._data.to_dict().items()
    }
    slices, splits = (
        {key: value.tolist() for key, value in group.items()} for group in (dataset.slices, dataset.split_idx)
    )
    return data, slices, splits, dataset.notes, dataset.left_out.read_text()


def parts_of(path, folder="data"):
    return list((path.parent / folder).glob("csv/*-parts"))


@pytest.mark.parametrize("rows", [1, 7, 39, 40])
@pytest.mark.parametrize("split", ["random", "scaffold", "column"])
def test_shards_give_what_is_made_in_memory(path, monkeypatch, rows, split):
    options = {"split_kind": split, "split_column": "part" if split == "column" else ""}
    whole = load(path, **options)
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", rows)
    parts = load(path, "other", **options)
    assert content(parts) == content(whole)
    assert not parts_of(path, "other")


def test_batches_are_those_of_single_graphs(path, monkeypatch):
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", 7)
    dataset = load(path)
    batch = SplitRows(dataset, torch.arange(len(dataset))).__getitems__([3, 0, 20])
    assert batch.smiles == [SMILES[3], SMILES[0], SMILES[20]]
    assert torch.equal(batch.x, torch.cat([dataset[row].x for row in (3, 0, 20)]))
    assert dataset[20].smiles == SMILES[20]


def stop_after(monkeypatch, shards, error):
    """Let the preparation end with an error when it has written some shards."""
    save, written = molecule_shards._save, []

    def saved(shard, path):
        if len(written) == shards:
            raise error
        written.append(save(shard, path))

    monkeypatch.setattr(molecule_shards, "_save", saved)


def test_a_killed_preparation_goes_on_where_it_was(path, monkeypatch):
    whole = content(load(path))
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", 7)
    with monkeypatch.context() as killed:
        stop_after(killed, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            load(path, "other")
    (folder,) = parts_of(path, "other")
    assert sorted(file.name for file in folder.iterdir()) == [f"{n:06}.pt" for n in range(4)]
    (folder / ".000004.0a1b2c3d4e5f.part.pt").write_bytes(b"half")
    converted = []
    parse = molecule_shards.parse_ranked
    monkeypatch.setattr(
        molecule_shards, "parse_ranked", lambda smiles, **options: converted.append(smiles) or parse(smiles, **options)
    )
    assert content(load(path, "other")) == whole
    # 41 rows with molecules, of which 28 were converted.
    assert sum(map(len, converted)) == 13
    assert not parts_of(path, "other")


def test_a_preparation_that_was_killed_while_it_saved_converts_nothing_again(path, monkeypatch):
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", 10)
    with monkeypatch.context() as killed:
        killed.setattr(csv_molecules, "molecules_to_prepared", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load(path)
    monkeypatch.setattr(molecule_shards, "parse_ranked", lambda *_, **__: 1 / 0)
    assert len(load(path)) == 40
    assert "46,# the end,comment" in load(path).left_out.read_text()


def test_a_damaged_shard_and_those_after_it_are_converted_again(path, monkeypatch, caplog):
    whole = content(load(path))
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", 7)
    with monkeypatch.context() as killed:
        stop_after(killed, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            load(path, "other")
    damaged = parts_of(path, "other")[0] / "000001.pt"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert content(load(path, "other")) == whole
    assert "000001.pt" in caplog.text


def test_errors_of_the_table_leave_nothing(path, monkeypatch):
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", 7)
    with pytest.raises(SmilesError, match="row 31"):
        load(path, skip_invalid=False)
    assert not parts_of(path)
    assert not list((path.parent / "data").glob("csv/*.pt"))


@pytest.mark.parametrize("place", ["shard", "column"])
def test_a_full_disk_names_the_file_and_keeps_the_shards(path, monkeypatch, place):
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", 7)
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as disk:
        if place == "shard":
            save, calls = torch.save, []

            def write(content, file):
                calls.append(file)
                if len(calls) == 3:
                    raise full
                save(content, file)

            disk.setattr(torch, "save", write)
        else:
            opened = Path.open

            def open_full(self, mode="r", *args, **options):
                if self.suffix == ".bin":
                    raise full
                return opened(self, mode, *args, **options)

            disk.setattr(Path, "open", open_full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            load(path)
    assert Path(caught.value.filename).name == ("000002.pt" if place == "shard" else "texts-0.bin")
    assert len(list(parts_of(path)[0].glob("*.pt"))) == (2 if place == "shard" else 6)
    assert len(load(path)) == 40


def test_a_table_of_which_no_molecule_can_be_read(path, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("smiles,y\n" + "nothing,1\n" * 5)
    table = open_molecule_table(bad)
    options = {"max_atoms": 10, "split": "random", "seed": 0}
    for rows in (2, 100):
        shard = convert_table(table, tmp_path / f"{rows}", **options, shard_rows=rows)
        assert (shard.count, len(shard.rows), len(shard.left_out)) == (5, 0, 5)
        assert (shard.graphs.x.shape, shard.graphs.edge_index.shape) == ((0, 9), (2, 0))
        assert [len(texts) for texts in shard.targets] == [0]


@pytest.mark.parametrize("text", ["smiles,y\n", "smiles,y\n\n\n"])
def test_a_table_without_rows_is_named(tmp_path, text):
    path = tmp_path / "empty.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"empty\.csv: no rows after the header"):
        convert_table(open_molecule_table(path), tmp_path / "parts", max_atoms=10, split="random", seed=0)


def test_edges_are_stored_in_the_smallest_type(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("smiles,y\n" + "C,1\n" * 3 + "C" * 300 + ",2\n")
    shard = convert_table(
        open_molecule_table(path), tmp_path / "parts", max_atoms=1000, split="random", seed=0, shard_rows=1
    )
    assert (shard.graphs.edge_index.dtype, int(shard.graphs.edge_index.max())) == (np.int16, 299)


def test_progress_counts_all_rows(path, monkeypatch):
    monkeypatch.setattr(molecule_shards, "SHARD_ROWS", 7)

    def steps():
        found = []
        table, parts = open_molecule_table(path, target_columns=["y"]), path.parent / "parts"
        convert_table(table, parts, max_atoms=100, split="random", seed=0, advance=found.append)
        return found

    # The second time everything is done already.
    assert sum(steps()) == sum(steps()) == 41
