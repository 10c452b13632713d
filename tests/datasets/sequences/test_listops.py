import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from pyg_samsa.datasets.sequences import listops
from pyg_samsa.datasets.sequences.expressions import Shape, sample_expressions
from pyg_samsa.datasets.sequences.listops import SYMBOLS, ListOps, evaluate, parse, unparse
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError

ORACLE = Path(__file__).parents[3] / "shared" / "data" / "listops_d20s" / "test_d20s.tsv"
SMALL = {
    "min_length": 10,
    "max_length": 60,
    "max_depth": 5,
    "max_args": 5,
    "num_train": 80,
    "num_val": 10,
    "num_test": 10,
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7", 7),
        ("[MIN 4 2 9 ]", 2),
        ("[MAX 4 2 9 ]", 9),
        ("[MED 4 2 9 ]", 4),
        ("[MED 4 2 9 7 ]", 5),
        ("[SM 5 6 9 ]", 0),
        ("( ( [MAX 4 ) 2 ) ]", 4),
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
        ("[SM [MED 1 2 ] [MAX 9 [SM 9 9 ] ] 3 ]", 3),
    ],
)
def test_evaluate(expression, value):
    assert evaluate(expression) == value
    assert evaluate(parse(expression)) == value


@pytest.mark.parametrize(
    "expression", ["", "[MIN", "[MIN ]", "]", "1 2", "[MIN 1 2 ] ]", "[MIN 1 2 ] 3", "[MUL 1 2 ]", "[MIN 1 x ]", "10"]
)
def test_what_is_no_expression(expression):
    with pytest.raises(ConfigError, match=r"expression"):
        evaluate(expression)


@pytest.mark.skipif(not ORACLE.is_file(), reason="the original ListOps test set is not in ../shared/data")
def test_every_row_of_the_original_test_set():
    rows = [line.split("\t") for line in ORACLE.read_text().splitlines()]
    assert len(rows) == 10_000
    assert [row for row, (value, expression) in enumerate(rows) if evaluate(expression) != int(value)] == []


@pytest.mark.parametrize("shape", [Shape(1, 12, 3, 3), Shape(20, 40, 6, 10), Shape(100, 300, 10, 10)])
def test_generated_expressions_are_what_was_asked_for(shape):
    sequences, values = sample_expressions(100, shape, 3, lambda _: None)
    assert len(sequences) == len(values) == 100
    assert len({symbols.tobytes() for symbols in sequences}) == 100
    for symbols, value in zip(sequences, values, strict=True):
        assert shape.min_length < len(symbols) < shape.max_length
        assert evaluate(symbols.tolist()) == value
        assert parse(unparse(symbols)) == symbols.tolist()
        depth, args, deepest = 1, [0], 1
        for symbol in symbols.tolist():
            if symbol == 14:
                assert 2 <= args.pop() <= shape.max_args
                depth -= 1
            else:
                deepest = max(deepest, depth)
                args[-1] += 1
                if symbol >= 10:
                    depth += 1
                    args.append(0)
        assert deepest <= shape.max_depth
        assert (depth, args) == (1, [1])


def test_distribution_of_unfiltered_trees():
    """With every length allowed, inner operations have probability 1/4, and everything else is uniform."""
    sequences, _ = sample_expressions(1500, Shape(1, 100_000, 4, 10), 0, lambda _: None)
    symbols = np.concatenate(sequences)
    count = np.bincount(symbols, minlength=15)
    operations, digits = count[10:14].sum(), count[:10].sum()
    assert count[14] == operations
    assert np.abs(count[:10] / digits - 0.1).max() < 0.01
    assert np.abs(count[10:14] / operations - 0.25).max() < 0.03
    # Expected places of a tree at levels 2, 3 and 4: 6, 6 * 1.5 and 6 * 1.5^2; a quarter of those at levels 2 and 3 are
    # operations.
    assert operations / len(sequences) == pytest.approx(1 + 1.5 + 2.25, rel=0.06)
    assert digits / len(sequences) == pytest.approx(4.5 + 6.75 + 13.5, rel=0.06)


def test_full_length_statistics():
    sequences, values = sample_expressions(200, Shape(500, 2000, 10, 10), 0, lambda _: None)
    lengths = [len(symbols) for symbols in sequences]
    assert min(lengths) > 500
    assert max(lengths) < 2000
    assert 850 < np.mean(lengths) < 1250
    # Minima and maxima make 0 and 9 the most frequent values; no class comes near one half.
    assert np.bincount(values, minlength=10).max() < 70


def test_dataset(tmp_path):
    dataset = ListOps(tmp_path, **SMALL, progress=False)
    assert {split: len(index) for split, index in dataset.split_idx.items()} == {"train": 80, "val": 10, "test": 10}
    assert (
        dataset.task.kind,
        dataset.task.level,
        dataset.task.num_targets,
        dataset.features.in_channels,
        dataset.features.edge_channels,
    ) == (
        "multiclass",
        "graph",
        10,
        [15],
        None,
    )
    for data in dataset:
        assert evaluate(data.x[:, 0].tolist()) == data.y.item()
        assert data.edge_index.size(1) == data.num_nodes - 1
    assert len(SYMBOLS) == 15


def test_the_same_bytes_every_time(tmp_path):
    digests = set()
    for number in range(2):
        data = ListOps(tmp_path / str(number), **SMALL, progress=False)._data
        digests.add(hashlib.sha256(data.x.numpy().tobytes() + data.y.numpy().tobytes()).hexdigest())
    # Results on generated expressions are compared between machines and versions.
    assert digests == {"c50dcd7b39f86b01fa9b1801ce78ebdbd7eb6cc2319cd7b5ba2770e0d0fbc840"}
    other = ListOps(tmp_path, **SMALL, seed=1, progress=False)._data
    assert hashlib.sha256(other.x.numpy().tobytes() + other.y.numpy().tobytes()).hexdigest() not in digests


def test_prepared_once_and_apart_for_each_form(tmp_path, monkeypatch):
    first = ListOps(tmp_path, **SMALL, progress=False)
    longer = ListOps(tmp_path, **(SMALL | {"max_length": 80}), progress=False)
    assert int(longer.count_tokens(edges=False).max()) > 60
    monkeypatch.setattr(listops, "_generate", None)
    assert torch.equal(ListOps(tmp_path, **SMALL)._data.x, first._data.x)
    assert len([path for path in (tmp_path / "listops").iterdir() if path.suffix == ".pt"]) == 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"source": "lra"}, "source"),
        ({"num_train": 0}, "num_train"),
        ({"max_args": 1}, "max_args"),
        ({"max_depth": 1}, "max_depth"),
        ({"min_length": 0}, "min_length"),
        ({"min_length": 59}, "min_length"),
        ({"min_length": 50, "max_depth": 2}, "min_length"),
        ({"min_length": 1, "max_length": 5, "max_depth": 2, "num_train": 401}, "rows"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_requests(tmp_path, options, match):
    with pytest.raises(ConfigError, match=match):
        ListOps(tmp_path, **(SMALL | options), progress=False)


ROWS = {"train": 5, "val": 2, "test": 3}


@pytest.fixture
def official(tmp_path, monkeypatch):
    monkeypatch.setattr(listops, "OFFICIAL_ROWS", ROWS)
    sequences, values = sample_expressions(10, Shape(10, 60, 5, 5), 7, lambda _: None)
    rows = iter(zip(sequences, values, strict=True))
    for split, count in ROWS.items():
        lines = ["Source\tTarget"]
        for symbols, value in (next(rows) for _ in range(count)):
            lines.append(f"{unparse(symbols).replace('[MIN ', '( ( [MIN ').replace(' ]', ' ) ] )')}\t{value}")
        (tmp_path / f"basic_{split}.tsv").write_bytes(
            ("\r\n".join(lines) + "\r\n").encode()
        )  # the script writes such line ends
    return tmp_path, sequences, values


def test_official_files(official, tmp_path):
    folder, sequences, values = official
    dataset = ListOps(tmp_path / "root", source="official", folder=folder, progress=False)
    assert dataset._data.y.tolist() == values
    assert [data.x[:, 0].tolist() for data in dataset] == [symbols.tolist() for symbols in sequences]
    assert {split: index.tolist() for split, index in dataset.split_idx.items()} == {
        "train": [0, 1, 2, 3, 4],
        "val": [5, 6],
        "test": [7, 8, 9],
    }


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda text: b"", "empty"),
        (lambda text: text[: len(text) - 12], "row 2"),
        (lambda text: text[: text.rindex(b"\r\n", 0, -2) + 2], "2 rows"),
        (lambda text: text.replace(b"Source", b"Text"), "columns"),
        (lambda text: text[:-3] + (b"7" if text[-3:-2] != b"7" else b"6") + b"\r\n", "target"),
        (lambda text: text.replace(b"[M", b"[\xff", 1), "row"),
        (lambda text: text + text.splitlines()[1] + b"\r\n", "2 rows"),
    ],
)
def test_damaged_official_files_are_named(official, tmp_path, damage, match):
    folder = official[0]
    path = folder / "basic_val.tsv"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataIntegrityError, match=r"basic_val\.tsv") as caught:
        ListOps(tmp_path / "root", source="official", folder=folder, progress=False)
    assert match in str(caught.value)
    assert not list((tmp_path / "root" / "listops").glob("*.pt"))


def test_missing_official_files_are_named(official, tmp_path):
    (official[0] / "basic_test.tsv").unlink()
    with pytest.raises(DataNotFoundError, match=r"basic_test\.tsv"):
        ListOps(tmp_path / "root", source="official", folder=official[0], progress=False)
