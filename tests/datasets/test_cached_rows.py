import errno
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from pyg_samsa.datasets import cached_rows, prepared
from pyg_samsa.datasets.cached_rows import Part, RowFile, join_columns
from pyg_samsa.errors import ConfigError, DataIntegrityError, SmilesError
from pyg_samsa.io.memory import map_copy
from tests import fresh_process

PARTS = [Part(0, 3, 3), Part(3, 4, 1), Part(4, 6, 2)]


def row_file(folder, rows=6, **changes):
    given = {"what": "squares", "version": 1, "source": "numbers", "shape": (rows, 1)} | changes
    return RowFile(folder / "rows" / "squares.safetensors", **given)


def numbers(values):
    """A function that computes parts of some values, and the list of its calls."""
    calls = []

    def compute(begin, end, advance):
        calls.append((begin, end))
        advance(end - begin)
        return np.array(values, np.float32)[begin:end, None]

    return compute, calls


def rows_of(file, compute=None, parts=PARTS, **options):
    return cached_rows.cached_rows(file, parts, compute, progress=False, **options)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 1, 4, 9, 16, 25], torch.uint8),
        ([0, 1, 4, 9, 16, 255], torch.uint8),
        ([0, 1, 4, 9, 16, 256], torch.int16),
        ([-1, 1, 4, 9, 16, 3], torch.int16),
        ([0, 1, 4, 9, 16, 2.5], torch.float32),
        ([0, 1, 4, float("nan"), 16, 2], torch.float32),
        ([0, 1, 4, 32768, 16, 2], torch.float32),
    ],
)
def test_parts_have_the_smallest_type_that_holds_all_of_them(values, dtype, tmp_path):
    expected = torch.tensor(values, dtype=torch.float32)[:, None]
    for folder, parts in ((tmp_path / "one", [Part(0, 6, 6)]), (tmp_path / "three", PARTS)):
        found = rows_of(row_file(folder), numbers(values)[0], parts, integers=True)
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, rtol=0, atol=0, equal_nan=True)
        assert sorted(path.name for path in (folder / "rows").iterdir()) == [
            ".squares.safetensors.lock",
            "squares.safetensors",
        ]
        # The file is one of safetensors.
        stored = load_file(row_file(folder).path)["values"]
        np.testing.assert_array_equal(stored.astype(np.float32), expected.numpy())
        torch.testing.assert_close(rows_of(row_file(folder)), found, rtol=0, atol=0, equal_nan=True)
    assert rows_of(row_file(tmp_path), numbers(values)[0]).dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 2}, "squares with the format 2"),
        ({"source": "others"}, "squares with the source others"),
        ({"shape": (6, 2)}, "numbers of the shape"),
    ],
)
def test_a_file_of_other_data_is_made_again_with_a_warning(changes, told, tmp_path, caplog):
    rows_of(row_file(tmp_path), numbers(range(6))[0])

    def compute(begin, end, advance):
        return np.full((end - begin, changes.get("shape", (6, 1))[1]), 7, np.float32)

    found = rows_of(row_file(tmp_path, **changes), compute)
    assert (found == 7).all()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("The squares are computed again: ")
    assert told in caplog.messages[0]


@pytest.mark.parametrize("damage", ["cut", "bit", "other", "empty", "type"])
def test_a_damaged_file_is_made_again(damage, tmp_path, caplog):
    file = row_file(tmp_path)
    rows_of(file, numbers(range(6))[0])
    content = file.path.read_bytes()
    file.path.write_bytes(
        {
            "cut": content[:-1],
            "bit": content[:-1] + bytes([content[-1] ^ 1]),
            "other": b"PK" + content,
            "empty": b"",
            "type": content.replace(b'"F32"', b'"I32"'),
        }[damage]
    )
    assert rows_of(file, numbers(range(6))[0]).flatten().tolist() == list(range(6))
    assert len(caplog.messages) == 1
    assert file.path.read_bytes() == content


def test_a_file_with_other_tensors_or_without_its_numbers_is_made_again(tmp_path):
    file = row_file(tmp_path)
    rows_of(file, numbers(range(6))[0])
    good = file.path.read_bytes()
    told = {"format": "1", "source": "numbers", "sha256": cached_rows._hash([np.zeros((6, 1), np.float32)])}
    zeros = np.zeros((6, 1), np.float32)
    save_file({"a": np.zeros((6, 1), np.float32), "values": zeros}, file.path, metadata=told)
    assert file.read() is None
    save_file({"a": zeros}, file.path, metadata=told)
    assert file.read() is None
    save_file({"values": zeros}, file.path)
    assert file.read() is None
    length = int.from_bytes(good[:8], "little")
    for lie in (length + 8, 2**40, 2**63):
        file.path.write_bytes(lie.to_bytes(8, "little") + good[8:])
        assert file.read() is None
    for header in (b"[]", b"[" * 9000, b'{"values": 3}', b"\xff"):
        file.path.write_bytes(len(header).to_bytes(8, "little") + header + good[8 + length :])
        assert file.read() is None
    save_file({"values": zeros}, file.path, metadata=told)
    assert file.read().tolist() == zeros.tolist()
    assert rows_of(row_file(tmp_path, source="others"), numbers(range(6))[0]).flatten().tolist() == list(range(6))


def test_a_file_that_cannot_be_opened_is_no_missing_file(tmp_path, monkeypatch):
    file = row_file(tmp_path)
    rows_of(file, numbers(range(6))[0])

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(file.path), "open", refuse)
    with pytest.raises(PermissionError):
        rows_of(file)


def test_a_folder_in_place_of_the_file_is_named_before_anything_is_computed(tmp_path):
    file = row_file(tmp_path)
    file.path.mkdir(parents=True)
    with pytest.raises(DataIntegrityError, match="got a folder, expected a file of squares"):
        rows_of(file)


def test_each_file_is_hashed_once_unless_it_changes(tmp_path, monkeypatch):
    file = row_file(tmp_path)
    rows_of(file, numbers(range(6))[0])
    rows_of(file)
    hashes, hash_of = [], cached_rows._hash
    monkeypatch.setattr(cached_rows, "_hash", lambda blocks: hashes.append(1) or hash_of(blocks))
    rows_of(file)
    assert not hashes
    content = file.path.read_bytes()
    file.path.write_bytes(content[:-1] + b"x")
    assert file.read() is None
    assert file.read() is None  # a hash that does not match is not remembered
    assert len(hashes) == 2


def test_many_numbers_are_mapped_and_nothing_writes_to_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "_MAPPED_BYTES", 1)
    mapped = []
    monkeypatch.setattr(cached_rows, "map_copy", lambda file: mapped.append(file.name) or map_copy(file))
    file = row_file(tmp_path)
    found = rows_of(file, numbers(range(6))[0])
    assert mapped[-1] == str(file.path)
    content = file.path.read_bytes()
    found[0] = 99
    assert file.path.read_bytes() == content
    assert rows_of(file).flatten().tolist() == list(range(6))


def test_a_file_that_cannot_be_mapped_is_not_damaged(tmp_path, monkeypatch):
    file = row_file(tmp_path)
    rows_of(file, numbers(range(6))[0])
    monkeypatch.setattr(prepared, "_MAPPED_BYTES", 1)

    def refuse(*_, **__):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(cached_rows, "map_copy", refuse)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        rows_of(file)


def test_what_was_computed_before_a_full_disk_is_kept(tmp_path, monkeypatch):
    compute, calls = numbers(range(6))
    write = RowFile.write

    def full(file, values):
        if file.path.stem == "000002":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, values)

    monkeypatch.setattr(RowFile, "write", full)
    with pytest.raises(OSError, match="No space"):
        rows_of(row_file(tmp_path), compute)
    monkeypatch.undo()
    done = []

    @contextmanager
    def bar(title, total, *, enabled):
        assert (title, total, enabled) == ("Rows", 6, False)
        yield done.append

    monkeypatch.setattr(cached_rows, "progress_bar", bar)
    assert rows_of(row_file(tmp_path), compute).flatten().tolist() == list(range(6))
    assert calls == [(0, 3), (3, 4), (4, 6), (4, 6)]
    assert done == [3, 1, 2]


def test_an_error_of_the_data_leaves_no_parts(tmp_path):
    def compute(begin, end, advance):
        if begin:
            raise SmilesError(4, "C(")
        return np.zeros((end, 1), np.float32)

    with pytest.raises(SmilesError):
        rows_of(row_file(tmp_path), compute)
    assert not row_file(tmp_path).parts_folder.exists()


def test_parts_and_temporary_files_of_a_killed_process_are_deleted(tmp_path):
    file = row_file(tmp_path)
    rows_of(file, numbers(range(6))[0])
    file.of_part(0, PARTS[0]).write([np.zeros((3, 1), np.float32)])
    assert rows_of(file).flatten().tolist() == list(range(6))
    assert not file.parts_folder.exists()
    file.path.unlink()
    left = file.path.with_name(".squares.0a1b2c3d4e5f.part.safetensors")
    left.write_text("half")
    inner = file.parts_folder / ".000000.0a1b2c3d4e5f.part.safetensors"
    inner.parent.mkdir()
    inner.write_text("half")
    there = []

    def compute(begin, end, advance):
        there.append(left.exists() or inner.exists())
        return numbers(range(6))[0](begin, end, advance)

    rows_of(file, compute)
    assert there == [False] * 3


def test_good_numbers_do_not_wait_for_a_process_that_computes_again(tmp_path):
    file = row_file(tmp_path)
    rows_of(file, numbers(range(6))[0])
    file.of_part(0, PARTS[0]).write([np.zeros((3, 1), np.float32)])
    code = """
import sys, time
from pathlib import Path
from pyg_samsa.io.files import lock

with lock(sys.argv[1]):
    Path(sys.argv[2]).touch()
    time.sleep(600)
"""
    process = fresh_process.start(code, file.path, tmp_path / "held")
    try:
        for _ in range(600):
            if (tmp_path / "held").exists():
                break
            time.sleep(0.1)
        assert rows_of(file).flatten().tolist() == list(range(6))
        assert process.poll() is None
        assert file.parts_folder.exists()
    finally:
        process.kill()
        process.communicate()
    rows_of(file)
    assert not file.parts_folder.exists()
    assert file.path.with_name(".squares.safetensors.lock").exists()


def test_two_processes_compute_once(tmp_path):
    code = """
import sys, time
from pathlib import Path
import numpy as np
from pyg_samsa.datasets.cached_rows import Part, RowFile, cached_rows

folder = Path(sys.argv[1])

def compute(begin, end, advance):
    with (folder / "calls").open("a") as calls:
        calls.write(f"{begin} ")
    time.sleep(0.2)
    return np.arange(begin, end, dtype=np.float32)[:, None]

file = RowFile(folder / "rows" / "squares.safetensors", "squares", 1, "numbers", (4, 1))
print(cached_rows(file, [Part(0, 2, 2), Part(2, 4, 2)], compute, progress=False).flatten().tolist())
"""
    started = [fresh_process.start(code, str(tmp_path)) for _ in range(2)]
    outputs = [process.communicate(120) for process in started]
    assert [out for out, _ in outputs] == ["[0.0, 1.0, 2.0, 3.0]\n"] * 2, outputs
    assert (tmp_path / "calls").read_text() == "0 2 "


def test_columns_side_by_side(tmp_path, monkeypatch):
    left, right = torch.arange(6, dtype=torch.uint8).view(3, 2), torch.tensor([[0.5], [-1.0], [float("nan")]])
    expected = torch.cat([left.float(), right], dim=1)
    torch.testing.assert_close(join_columns([left, right], tmp_path), expected, equal_nan=True)
    assert join_columns([right], tmp_path) is right
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(prepared, "_MAPPED_BYTES", 1)
    monkeypatch.setattr(cached_rows, "_JOINED_VALUES", 3)  # a row at a time
    for _ in range(2):
        mapped = join_columns([left, right], tmp_path, progress=False)
        torch.testing.assert_close(mapped, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(join_columns([left], tmp_path, progress=False), left.float(), rtol=0, atol=0)
    assert len(list(tmp_path.glob("joined-*.safetensors"))) == 2
    # Other numbers have another file.
    other = join_columns([left, right + 1], tmp_path, progress=False)
    torch.testing.assert_close(other, torch.cat([left.float(), right + 1], dim=1), rtol=0, atol=0, equal_nan=True)
    (tmp_path / "file").write_text("")
    with pytest.raises((ConfigError, OSError)):
        join_columns([left, right + 2], tmp_path / "file", progress=False)
