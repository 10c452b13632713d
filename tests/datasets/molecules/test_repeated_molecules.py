"""Molecules in several rows with different targets, compared with a search through all pairs of rows."""

import itertools

import numpy as np
import pytest
import torch

from pyg_samsa.datasets.molecules import molecule_shards
from pyg_samsa.datasets.molecules.repeated_molecules import describe_repeated, find_repeated

OTHERS = [["C" * n + "O", n] for n in range(3, 33)]


def by_pairs(names, y, extra=None, bound=None, val=30):
    """Return molecules (with their extra columns), rows, divided ones and the largest difference in deviations."""
    values = y.double().clone()
    if bound is not None:
        values[bound != 0] = float("nan")
    groups = {}
    for row, name in enumerate(names):
        key = (name, *("" if number != number else number for number in ([] if extra is None else extra[row].tolist())))
        groups.setdefault(key, []).append(row)
    spread = [float(np.nanstd(column)) for column in values.T.numpy()]
    molecules, rows, divided, largest = 0, 0, 0, 0.0
    for places in groups.values():
        gaps = [
            (abs(float(values[one, column] - values[other, column])) / spread[column], column)
            for one, other in itertools.combinations(places, 2)
            for column in range(y.size(1))
            if values[one, column] != values[other, column] and not values[[one, other], column].isnan().any()
        ]
        differ = {column for _, column in gaps}
        compared = [row for row in places if any(not values[row, column].isnan() for column in differ)]
        molecules, rows = molecules + bool(gaps), rows + len(compared)
        divided += len({row >= val for row in compared}) > 1
        largest = max(largest, *(gap for gap, _ in gaps), 0.0)
    return molecules, rows, divided, largest


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("form", ["plain", "extra", "bounds"])
def test_search_through_all_pairs(seed, form):
    generator = torch.Generator().manual_seed(seed)
    names = np.array([f"m{int(number)}" for number in torch.randint(0, 12, (40,), generator=generator)])
    y = torch.randint(0, 4, (40, 3), generator=generator).double() * torch.tensor([1.0, 10.0, 0.1]).double()
    y[torch.rand(40, 3, generator=generator) < 0.3] = float("nan")
    extra = torch.randint(0, 2, (40, 2), generator=generator).double()
    extra[torch.rand(40, 2, generator=generator) < 0.2] = float("nan")
    bound = torch.randint(-1, 2, (40, 3), generator=generator).to(torch.int8)
    given = {"extra": {"extra": extra}, "bounds": {"bound": bound}}.get(form, {})
    found = find_repeated(names, y, {"train": torch.arange(30), "val": torch.arange(30, 40)}, **given)
    molecules, rows, divided, largest = by_pairs(names, y, **given)
    assert molecules
    assert (found.molecules, found.rows, found.divided) == (molecules, rows, divided)
    first, second = found.places
    assert names[first] == names[second]
    column = y[:, found.target]
    assert abs(float(column[first] - column[second])) == pytest.approx(found.difference, rel=1e-12)
    if form == "bounds":
        column = column.masked_fill(bound[:, found.target] != 0, float("nan"))
    assert found.difference / np.nanstd(column.numpy()) == pytest.approx(largest, rel=1e-9)


def test_rows_that_are_not_compared_are_not_counted():
    none = float("nan")
    y = torch.tensor([[1.0, none], [2.0, 5.0], [none, none], [none, 5.0], [9.0, none]])
    names, bound = np.array(["a"] * 5), torch.tensor([[0, 0]] * 4 + [[1, 0]], dtype=torch.int8)
    splits = {"train": torch.arange(2), "val": torch.tensor([2, 3]), "test": torch.tensor([4])}
    found = find_repeated(names, y, splits, bound=bound)
    assert (found.molecules, found.rows, found.divided, found.places) == (1, 2, 0, (0, 1))
    found = find_repeated(names, y, splits)  # the last row is exact now
    assert (found.molecules, found.rows, found.divided, found.places) == (1, 3, 1, (0, 4))


@pytest.mark.parametrize(
    ("names", "y"),
    [
        ([], []),
        (["a"], [1.0]),
        (["a", "b"], [1.0, 2.0]),
        (["a", "a"], [1.0, 1.0]),
        (["a", "a"], [1.0, float("nan")]),
        (["a", "a"], [float("nan"), float("nan")]),
    ],
)
def test_nothing_is_found_where_nothing_differs(names, y):
    found = find_repeated(np.array(names, dtype="S32"), torch.tensor(y).reshape(-1, 1), {"train": torch.arange(len(y))})
    assert found is None
    assert describe_repeated(found, names, np.arange(len(y)), ["y"], regression=True) == []


@pytest.fixture
def notes(table):
    """Writes a table, and returns the notes of its data set about molecules."""
    return lambda rows, *header, **options: [
        note for note in table(rows, *header, **options).notes if "different" in note
    ]


@pytest.mark.parametrize("shard_rows", [None, 4])
def test_tables_are_told_with_the_largest_difference(notes, monkeypatch, shard_rows):
    if shard_rows:
        monkeypatch.setattr(molecule_shards, "SHARD_ROWS", shard_rows)
    rows = [["CCO", 1.5], ["CC", 2], ["OCC", 1.25], ["CC", 14.5], ["CN", 3], ["CN", 3], *OTHERS, ["C(C)O", 1.5]]
    (note,) = notes(rows)
    assert note == (
        "2 molecules have different targets in 5 rows (largest difference of y: 12.5, CC in rows 2 and 4); "
        "these rows are kept"
    )
    assert notes([*rows[4:36]]) == []


@pytest.mark.parametrize("split", ["random", "scaffold", "column"])
def test_every_split_tells_them(notes, split):
    rows = [[*row, "train"] for row in [["CCO", 1], ["OCC", 2], *OTHERS]]
    rows[1][2] = "test"
    rows[-1][2] = "val"
    options = {"split_kind": split, "target_columns": ["y"], **({"split_column": "set"} if split == "column" else {})}
    (note,) = notes(rows, ("smiles", "y", "set"), **options)
    divided = ", 1 in more than one split" if split == "column" else ""
    assert note.endswith(f"CCO in rows 1 and 2); these rows are kept{divided}")


def test_rows_with_other_extra_columns_are_not_the_same(notes):
    rows = [["CCO", 1, 300], ["OCC", 2, 310], ["CC", 1, 300], ["CC", 4, 300], *([s, n, 300] for s, n in OTHERS)]
    options = {"target_columns": ["y"], "extra_columns": ["T"]}
    (note,) = notes(rows, ("smiles", "y", "T"), **options)
    assert note.startswith("1 molecule has different targets with the same extra columns in 2 rows (largest")


def test_labels_and_classes(notes):
    rows = [["CCO", 0], ["OCC", 1], *([smiles, n % 2] for smiles, n in OTHERS)]
    assert notes(rows) == [
        "1 molecule has different labels in 2 rows (such as CCO in rows 1 and 2); these rows are kept"
    ]
    classes = [[smiles, ("low", "mid", "high")[int(n) % 3]] for smiles, n in rows]
    (note,) = notes(classes)
    assert note.startswith("1 molecule has different labels in 2 rows")


def test_bounds_are_not_compared(notes):
    rows = [["CCO", ">10"], ["OCC", 12], ["CC", 1], ["CC", 2], *OTHERS]
    (note,) = notes(rows, censored="bounds")
    assert note.startswith("1 molecule has")
    (note,) = notes(rows, censored="exact")
    assert note.startswith("2 molecules have")


def test_long_molecules_are_shortened(notes):
    (note,) = notes([["C" * 80, 1], ["C" * 80, 2], *OTHERS])
    assert f", {'C' * 57}... in rows 1 and 2)" in note


def test_without_targets_nothing_is_told(notes):
    assert notes([[smiles] for smiles, _ in OTHERS], ("smiles",), csv_task="masked") == []
