import numpy as np
import pytest

from pyg_samsa.predict import BoostedTrees, BoostingOptions, GaussianProcess, GaussianProcessOptions, boosted_trees
from pyg_samsa.predict.stored_vectors import StoredVectors, blocks_of, select_columns
from pyg_samsa.task import Task

TASKS = [
    Task("regression", ["a", "b"]),
    Task("multilabel", ["a", "b"]),
    Task("multiclass", ["a", "b", "c"]),
]


def vectors(rows=300):
    """Stored vectors with counts, values, missing values and constants, and the same as an array."""
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 4, (rows, 5)).astype(np.uint8)
    values = generator.normal(size=(rows, 4)).astype(np.float32)
    values[::7, 1], values[:, 2], values[:, 3] = np.nan, np.nan, 2.0
    stored = StoredVectors([counts, values])
    return stored, np.concatenate([counts.astype(np.float32), values], axis=1)


def targets(x, task):
    if task.kind == "multiclass":
        return x[:, 0].clip(0, 2)
    y = np.stack([x[:, 0] + x[:, 5], x[:, 1] - x[:, 2]], axis=1)
    y = y if task.kind == "regression" else (y > 1).astype(float)
    y[::5, 1] = np.nan
    return y


@pytest.mark.parametrize("rows", [slice(3, 50), np.array([9, 2, 2, 7]), np.arange(300) % 3 == 0, slice(0, 0)])
def test_views_are_those_of_an_array(rows):
    stored, array = vectors()
    np.testing.assert_array_equal(np.asarray(stored[rows]), array[rows])
    assert stored[rows].shape == array[rows].shape
    columns = np.array([6, 0, 3])
    np.testing.assert_array_equal(np.asarray(select_columns(stored[rows], columns)), array[rows][:, columns])
    np.testing.assert_array_equal(np.asarray(stored.select(columns).select(np.array([1]))[rows]), array[rows][:, [0]])
    assert np.asarray(stored[rows]).dtype == np.float32
    assert np.asarray(stored[rows], np.float64).dtype == np.float64


def test_blocks():
    stored, array = vectors(10)
    for x in (stored, array):
        assert [len(block) for block in blocks_of(x, 4)] == [4, 4, 2]
        np.testing.assert_array_equal(np.concatenate(list(blocks_of(x, 4))), array)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@pytest.mark.parametrize("sampled", [50, 2**14])
def test_trees_are_those_of_an_array(task, sampled, tmp_path, monkeypatch):
    pytest.importorskip("lightgbm")
    monkeypatch.setattr(boosted_trees, "_SAMPLED_ROWS", sampled)
    stored, array = vectors()
    y, train, rest = targets(array, task), np.arange(200), np.arange(200, 300)
    options = BoostingOptions("lightgbm", trees=20, leaves=5, min_leaf=3)
    held_out = [{}, {"validation": (stored[rest], y[rest]), "patience": 3}]
    for number, validation in enumerate(held_out):
        whole = dict(validation) if not number else validation | {"validation": (array[rest], y[rest])}
        found = BoostedTrees(task, options=options).fit(stored[train], y[train], **validation)
        expected = BoostedTrees(task, options=options).fit(array[train], y[train], **whole)
        assert found.columns.tolist() == expected.columns.tolist()
        np.testing.assert_array_equal(found.predict(stored[rest]), expected.predict(array[rest]))
        np.testing.assert_array_equal(found.readable(stored[rest]), expected.readable(array[rest]))
        found.save(tmp_path / f"found{number}")
        expected.save(tmp_path / f"expected{number}")
        for path in (tmp_path / f"found{number}").iterdir():
            assert path.read_text() == (tmp_path / f"expected{number}" / path.name).read_text()


def test_trees_without_a_column_that_varies():
    pytest.importorskip("lightgbm")
    stored = StoredVectors([np.ones((40, 2), np.uint8)])
    trees = BoostedTrees(TASKS[0], options=BoostingOptions("lightgbm", trees=3, min_leaf=2))
    y = np.arange(80.0).reshape(40, 2)
    np.testing.assert_allclose(trees.fit(stored, y).predict(stored), np.broadcast_to(y.mean(0), (40, 2)))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_processes_are_those_of_an_array(task, monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.feature_scale._BLOCK", 100)
    stored, array = vectors()
    y, train, rest = targets(array, task), np.arange(200), np.arange(200, 300)
    options = GaussianProcessOptions(max_rows=120)
    found = GaussianProcess(task, options=options).fit(stored[train], y[train])
    expected = GaussianProcess(task, options=options).fit(array[train], y[train])
    assert found.center.tolist() == expected.center.tolist()
    np.testing.assert_array_equal(found.predict(stored[rest]), expected.predict(array[rest]))


def test_nothing_is_predicted_for_no_rows():
    stored, array = vectors()
    process = GaussianProcess(TASKS[0], options=GaussianProcessOptions(max_rows=50)).fit(
        array, targets(array, TASKS[0])
    )
    assert process.predict(stored[:0]).shape == (0, 2)
