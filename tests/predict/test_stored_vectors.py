import re

import numpy as np
import pytest

from pyg_samsa.predict import (
    BoostedTrees,
    BoostingOptions,
    GaussianProcess,
    GaussianProcessOptions,
    boosted_trees,
    stored_vectors,
)
from pyg_samsa.predict.stored_vectors import StoredVectors, blocks_of, select_columns
from pyg_samsa.task import Task

TASKS = [
    Task("regression", ["a", "b"]),
    Task("multilabel", ["a", "b"]),
    Task("multiclass", ["a", "b", "c"]),
]


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch):
    for module in (stored_vectors, boosted_trees):
        monkeypatch.setattr(module, "BLOCK_ROWS", 37)


def vectors(rows=300):
    """Stored vectors with counts, values, missing values and constants, and the same as an array."""
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 4, (rows, 5)).astype(np.uint8)
    values = generator.normal(size=(rows, 4)).astype(np.float32)
    values[::7, 1], values[:, 2], values[:, 3] = np.nan, np.nan, 2.0
    counts[:40, 4], values[37:, 0] = 1, values[37, 0]  # constant in some blocks alone
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


def test_wrong_rows_and_columns_are_refused():
    stored, array = vectors()
    with pytest.raises(TypeError, match="rows are chosen by a slice, numbers, or a mask"):
        stored[1]
    with pytest.raises(IndexError):
        stored.select(np.array([9]))
    mask = np.arange(9) % 2 == 0
    np.testing.assert_array_equal(np.asarray(stored.select(mask)[:9]), array[:9, mask])
    np.testing.assert_array_equal(np.asarray(stored.select(np.array([-1]))[:9]), array[:9, [-1]])


def test_blocks():
    stored, array = (one[:10] for one in vectors())
    for x in (stored, array):
        assert [len(block) for block in blocks_of(x, 4)] == [4, 4, 2]
        np.testing.assert_array_equal(np.concatenate(list(blocks_of(x, 4))), array)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_trees_are_those_of_an_array(task, tmp_path):
    pytest.importorskip("lightgbm")
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
        for path in (tmp_path / f"found{number}").glob("*.txt"):
            texts = [(tmp_path / name / path.name).read_text() for name in (f"found{number}", f"expected{number}")]
            assert len({re.sub(r"\[bin_construct_sample_cnt: \d+\]", "", text) for text in texts}) == 1


def test_limits_of_bins_come_from_some_of_the_rows(monkeypatch):
    lightgbm = pytest.importorskip("lightgbm")
    stored, array = vectors()
    y = targets(array, TASKS[0])
    options = BoostingOptions("lightgbm", trees=5, leaves=5, min_leaf=3, seed=4)
    monkeypatch.setattr(boosted_trees, "_SAMPLED_ROWS", 50)
    found = BoostedTrees(TASKS[0], options=options).fit(stored, y)
    plain = lightgbm.train
    monkeypatch.setattr(
        lightgbm, "train", lambda settings, *a, **b: plain(settings | {"bin_construct_sample_cnt": 50}, *a, **b)
    )
    expected = BoostedTrees(TASKS[0], options=options).fit(array, y)
    np.testing.assert_array_equal(found.predict(stored), expected.predict(array))
    monkeypatch.undo()
    assert not np.array_equal(
        BoostedTrees(TASKS[0], options=options).fit(array, y).predict(array), found.predict(array)
    )


def test_predictions_and_processes_read_blocks_and_only_the_columns_that_they_need(monkeypatch):
    read = []

    class Watched(np.ndarray):
        def __getitem__(self, place):
            found = super().__getitem__(place)
            read.append(found.shape)
            return found

    stored, array = vectors()
    monkeypatch.setattr("pyg_samsa.functional.feature_scale._BLOCK", 90)  # 30 rows of 3 columns
    watched = StoredVectors([part.view(Watched) for part in stored.parts])
    task = Task("regression", ["a"])
    process = GaussianProcess(task, ["maccs"], options=GaussianProcessOptions(max_rows=20))
    monkeypatch.setattr("pyg_samsa.predict.gaussian_process.fragment_columns", lambda _: np.arange(9) < 6)
    process.fit(watched, array[:, :1])
    # Twice the properties, the last three columns, and once the rows that are used.
    assert set(read) == {(30, 3), (20, 5), (20, 4)}
    assert read.count((30, 3)) == 20
    read.clear()
    process.predict(watched)
    assert max(shape[0] for shape in read) == 37
    monkeypatch.setattr("pyg_samsa.predict.gaussian_process.fragment_columns", lambda _: np.arange(9) < 9)
    read.clear()
    GaussianProcess(task, ["maccs"], options=GaussianProcessOptions(max_rows=20)).fit(watched, array[:, :1])
    assert set(read) == {(20, 5), (20, 4)}


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
    # Blocks of other sizes are multiplied in another order.
    np.testing.assert_allclose(found.predict(stored[rest]), expected.predict(array[rest]), rtol=1e-7, atol=1e-8)


def test_nothing_is_predicted_for_no_rows():
    stored, array = vectors()
    process = GaussianProcess(TASKS[0], options=GaussianProcessOptions(max_rows=50)).fit(
        array, targets(array, TASKS[0])
    )
    assert process.predict(stored[:0]).shape == (0, 2)
