import numpy as np
import pytest
import torch

from pyg_samsa.datasets import base
from pyg_samsa.datasets.cached_rows import Part, RowFile, cached_rows, join_columns

PARTS = [Part(0, 3, 3), Part(3, 4, 1), Part(4, 6, 2)]


def row_file(folder, rows=6, **changes):
    given = {"what": "squares", "version": 1, "source": "numbers", "shape": (rows, 1)} | changes
    return RowFile(folder / "rows" / "squares.pt", **given)


def numbers(values):
    """A function that computes parts of some values, and the list of its calls."""
    calls = []

    def compute(begin, end, advance):
        calls.append((begin, end))
        advance(end - begin)
        return np.array(values, np.float32)[begin:end, None]

    return compute, calls


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 1, 4, 9, 16, 25], torch.uint8),
        ([0, 1, 4, 9, 16, 300], torch.int16),
        ([-1, 1, 4, 9, 16, 3], torch.int16),
        ([0, 1, 4, 9, 16, 2.5], torch.float32),
        ([0, 1, 4, float("nan"), 16, 2], torch.float32),
        ([0, 1, 4, 40000, 16, 2], torch.float32),
    ],
)
def test_parts_have_the_smallest_type_that_holds_all_of_them(values, dtype, tmp_path):
    expected = torch.tensor(values, dtype=torch.float32)[:, None]
    for folder, parts in ((tmp_path / "one", [Part(0, 6, 6)]), (tmp_path / "three", PARTS)):
        found = cached_rows(row_file(folder), parts, numbers(values)[0], integers=True, progress=False)
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, rtol=0, atol=0, equal_nan=True)
        assert [path.name for path in (folder / "rows").glob("*.pt")] == ["squares.pt"]
        assert not list((folder / "rows").glob("*-parts"))
        again = cached_rows(row_file(folder), parts, None, integers=True, progress=False)
        torch.testing.assert_close(again, found, rtol=0, atol=0, equal_nan=True)
    assert cached_rows(row_file(tmp_path), PARTS, numbers(values)[0], progress=False).dtype == torch.float32


@pytest.mark.parametrize("changes", [{"version": 2}, {"source": "others"}])
def test_a_file_of_other_data_is_made_again_with_a_warning(changes, tmp_path, caplog):
    cached_rows(row_file(tmp_path), PARTS, numbers(range(6))[0], progress=False)
    compute, calls = numbers(range(6, 12))
    found = cached_rows(row_file(tmp_path, **changes), PARTS, compute, progress=False)
    assert found.flatten().tolist() == [6, 7, 8, 9, 10, 11]
    assert calls == [part[:2] for part in PARTS]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("The squares are computed again: ")


def test_what_was_computed_before_a_full_disk_is_kept(tmp_path, monkeypatch):
    compute, calls = numbers(range(6))
    write = RowFile.write

    def full(file, values):
        if file.path.name == "000002.pt":
            raise OSError(28, "No space left on device")
        write(file, values)

    monkeypatch.setattr(RowFile, "write", full)
    with pytest.raises(OSError, match="No space"):
        cached_rows(row_file(tmp_path), PARTS, compute, progress=False)
    monkeypatch.undo()
    done = []
    monkeypatch.setattr("pyg_samsa.datasets.cached_rows.progress_bar", _bar(done))
    assert cached_rows(row_file(tmp_path), PARTS, compute, progress=False).flatten().tolist() == list(range(6))
    assert calls == [(0, 3), (3, 4), (4, 6), (4, 6)]
    assert done == [3, 1, 2]


def _bar(done):
    from contextlib import contextmanager

    @contextmanager
    def bar(title, total, *, enabled):
        assert (title, total, enabled) == ("Rows", 6, False)
        yield done.append

    return bar


def test_columns_side_by_side(tmp_path, monkeypatch):
    left, right = torch.arange(6, dtype=torch.uint8).view(3, 2), torch.tensor([[0.5], [-1.0], [float("nan")]])
    expected = torch.cat([left.float(), right], dim=1)
    torch.testing.assert_close(join_columns([left, right], tmp_path), expected, equal_nan=True)
    assert join_columns([right], tmp_path) is right
    monkeypatch.setattr(base, "_MAPPED_BYTES", 1)
    monkeypatch.setattr("pyg_samsa.datasets.cached_rows._BLOCK", 3)  # a row at a time
    mapped = join_columns([left, right], tmp_path)
    torch.testing.assert_close(mapped, expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(join_columns([left], tmp_path), left.float(), rtol=0, atol=0)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="none"):
        join_columns([left, right], tmp_path / "none")
