from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, MissingDependencyError
from pyg_samsa.predict import boosted_trees
from pyg_samsa.predict.boosted_trees import BoostedTrees, BoostingOptions
from pyg_samsa.task import Task

MODELS = [
    "sklearn",
    pytest.param(
        "lightgbm", marks=pytest.mark.skipif(find_spec("lightgbm") is None, reason="lightgbm is not installed")
    ),
]


def counts(rows=240, size=12, seed=0):
    return np.random.default_rng(seed).integers(0, 6, (rows, size)).astype(np.uint16)


def fit_boosting(x, y, rows, kind, width, options, **others):
    """Fit trees to some rows and predict all of them."""
    task = Task(kind, [f"t{number}" for number in range(width)])
    return BoostedTrees(task, options=options).fit(x[rows], y[rows], **others).predict(x)


@pytest.mark.parametrize("model", MODELS)
class TestTasks:
    def options(self, model, **changes):
        return BoostingOptions(model, trees=30, leaves=6, **changes)

    def test_labels_some_of_them_missing(self, model):
        x, rows = counts(), np.arange(160)
        y = np.stack([x[:, 0] > 2, x[:, 1] + x[:, 2] > 5], 1).astype(float)
        truth = y.copy()
        y[::3, 1] = np.nan
        steps = []
        logits = fit_boosting(x, y, rows, "multilabel", 2, self.options(model, threads=2), on_target=steps.append)
        assert logits.shape == (240, 2)
        assert sum(steps) == 2
        assert ((logits[160:] > 0) == (truth[160:] > 0)).mean() > 0.93
        # A label that is missing is not an information, and a label outside the training rows is never seen.
        filled = y.copy()
        filled[160:] = 1 - truth[160:]
        assert np.array_equal(logits, fit_boosting(x, filled, rows, "multilabel", 2, self.options(model, threads=2)))
        assert not np.array_equal(
            logits, fit_boosting(x, np.nan_to_num(y), rows, "multilabel", 2, self.options(model, threads=2))
        )

    def test_threads_change_nothing(self, model):
        x = counts()
        y = (x[:, :3] > 2).astype(float)
        one, three = (
            fit_boosting(x, y, np.arange(200), "multilabel", 3, self.options(model, threads=threads))
            for threads in (1, 3)
        )
        assert np.array_equal(one, three)

    def test_one_label_for_all(self, model):
        x = counts()
        y = np.ones((240, 1))
        assert (fit_boosting(x, y, np.arange(200), "binary", 1, self.options(model)) > 10).all()
        assert (fit_boosting(x, 1 - y, np.arange(200), "binary", 1, self.options(model)) < -10).all()

    def test_classes_some_of_them_unseen(self, model):
        x, rows = counts(), np.arange(160)
        y = np.where(x[:, 0] > 3, 3, np.where(x[:, 1] > 2, 1, 0))
        logits = fit_boosting(x, y, rows, "multiclass", 4, self.options(model))
        assert (logits.argmax(1)[160:] == y[160:]).mean() > 0.9
        np.testing.assert_allclose(np.exp(logits).sum(1), 1, atol=1e-6)
        assert (logits.argmax(1) != 2).all()

    def test_values(self, model):
        x, rows = counts(600), np.arange(500)
        y = np.stack([x[:, 0] * 2.0 - x[:, 1], x[:, 2] - 3.0], 1)
        y[::5, 0] = np.nan
        values = fit_boosting(x, y, rows, "regression", 2, self.options(model))
        known = ~np.isnan(y[500:, 0])
        assert np.corrcoef(values[500:, 0][known], y[500:, 0][known])[0, 1] > 0.95
        assert np.corrcoef(values[500:, 1], y[500:, 1])[0, 1] > 0.99

    def test_balance_lifts_what_is_rare(self, model):
        x = counts(400)
        rare = (np.random.default_rng(1).random(400) < 0.05).astype(float)[:, None]
        plain, balanced = (
            fit_boosting(x, rare, np.arange(200), "binary", 1, replace(self.options(model), trees=3, balance=balance))
            for balance in (False, True)
        )
        assert (1 / (1 + np.exp(-plain[200:]))).mean() < 0.2
        assert (1 / (1 + np.exp(-balanced[200:]))).mean() > (1 / (1 + np.exp(-plain[200:]))).mean() + 0.1

    def test_absolute_errors_go_to_the_median(self, model):
        x = np.zeros((300, 1), np.uint16)
        y = np.where(np.arange(300) % 3, 0.0, 9.0)[:, None]
        squared, absolute = (
            fit_boosting(x, y, np.arange(300), "regression", 1, replace(self.options(model), loss=loss))
            for loss in ("squared", "absolute")
        )
        np.testing.assert_allclose(squared, 3, atol=1e-5)
        np.testing.assert_allclose(absolute, 0, atol=1e-5)

    def test_constant_columns_are_left_out(self, model):
        x, y = counts(), (counts()[:, :1] > 2).astype(float)
        wide = np.concatenate([np.zeros_like(x), x, np.full_like(x, 3)], 1)
        plain, padded = (
            fit_boosting(values, y, np.arange(200), "binary", 1, self.options(model)) for values in (x, wide)
        )
        assert np.array_equal(plain, padded)
        nothing = fit_boosting(np.zeros_like(x), y, np.arange(200), "binary", 1, self.options(model))
        np.testing.assert_allclose(nothing, np.log(y[:200].mean() / (1 - y[:200].mean())), atol=1e-3)


def test_auto_and_what_is_missing(monkeypatch):
    monkeypatch.setattr(boosted_trees, "find_spec", lambda _: None)
    assert BoostingOptions("auto").model == "sklearn"
    with pytest.raises(MissingDependencyError, match="lightgbm"):
        BoostingOptions("lightgbm")
    monkeypatch.setattr(boosted_trees, "find_spec", lambda _: object())
    assert BoostingOptions("auto").model == "lightgbm"
    with pytest.raises(ConfigError, match="xgboost"):
        BoostingOptions("xgboost")


def test_a_target_without_labels_is_named():
    x, y = counts(), np.full((240, 2), np.nan)
    y[:, 0] = 1
    with pytest.raises(ConfigError, match="target 't1'"):
        fit_boosting(x, y, np.arange(100), "regression", 2, BoostingOptions("sklearn"))


KINDS = {
    "regression": (lambda x: np.stack([x[:, 0] * 2.0 - x[:, 1], x[:, 2] - 3.0], 1), 2),
    "binary": (lambda x: (x[:, :1] > 2).astype(float), 1),
    "multilabel": (lambda x: np.stack([x[:, 0] > 2, x[:, 1] >= 0], 1).astype(float), 2),
    "multiclass": (lambda x: np.where(x[:, 0] > 3, 3, np.where(x[:, 1] > 2, 1, 0)), 4),
}
lightgbm = pytest.mark.skipif(find_spec("lightgbm") is None, reason="lightgbm is not installed")
FEW = BoostingOptions("auto", trees=15, leaves=6)


def fitted(kind="regression", **options):
    targets, width = KINDS[kind]
    task = Task(kind, [f"t{number}" for number in range(width)])
    x = counts()
    return BoostedTrees(task, ["maccs"], extra_columns=["pH"], options=replace(FEW, **options)).fit(x, targets(x)), x


@lightgbm
@pytest.mark.parametrize("kind", list(KINDS))
def test_saved_trees_predict_the_same(kind, tmp_path):
    trees, x = fitted(kind)
    again = BoostedTrees.load(trees.save(tmp_path / "trees"))
    assert np.array_equal(again.predict(x), trees.predict(x))
    assert (again.descriptors, again.extra_columns, again.task) == (("maccs",), ("pH",), trees.task)
    assert (again.num_trees, again.options) == (15, trees.options)
    assert not [path for path in (tmp_path / "trees").iterdir() if path.suffix not in (".txt", ".json")]


@lightgbm
def test_saved_trees_are_replaced_and_nothing_else_is(tmp_path):
    trees, _ = fitted()
    trees.save(tmp_path / "trees")
    trees.save(tmp_path / "trees")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="saved trees"):
        trees.save(tmp_path)


@lightgbm
def test_damaged_files_are_named(tmp_path):
    folder = fitted()[0].save(tmp_path / "trees")
    with (folder / "target_1.txt").open("a") as file:
        file.write("more")
    with pytest.raises(DataIntegrityError, match=r"target_1.txt.*SHA-256"):
        BoostedTrees.load(folder)
    (folder / "target_1.txt").unlink()
    with pytest.raises(DataNotFoundError, match=r"target_1.txt"):
        BoostedTrees.load(folder)


@lightgbm
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: "{", "a JSON file"),
        (lambda text: text.replace('"format": 1', '"format": 3'), "at most 2"),
        (lambda text: text.replace('"width": 12', '"width": 3'), "models, columns and classes"),
        (lambda text: text.replace('"target_0.txt"', '"../target_0.txt"'), "a file in its folder"),
        (lambda text: text.replace('"columns"', '"colums"'), "a description of trees"),
        (lambda text: text.replace('"learning_rate": 0.1', '"learning_rate": 7'), "boosting.learning_rate"),
    ],
)
def test_wrong_descriptions_are_named(tmp_path, change, told):
    folder = fitted()[0].save(tmp_path / "trees")
    text = (folder / "trees.json").read_text()
    (folder / "trees.json").write_text(change(text))
    assert change(text) != text
    with pytest.raises((ConfigError, DataIntegrityError), match=told):
        BoostedTrees.load(folder)


@lightgbm
def test_validation_rows_stop_the_boosting():
    x = counts(400)
    y = x[:, :1] + np.random.default_rng(1).normal(0, 5, (400, 1))
    task, options = Task("regression", ["y"]), replace(FEW, trees=200, learning_rate=0.3)
    plain = BoostedTrees(task, options=options).fit(x[:300], y[:300])
    stopped = BoostedTrees(task, options=options).fit(x[:300], y[:300], validation=(x[300:], y[300:]), patience=10)
    assert plain.num_trees == 200
    assert stopped.num_trees < 100
    errors = [np.abs(trees.predict(x[300:]) - y[300:]).mean() for trees in (stopped, plain)]
    assert errors[0] < errors[1]


def test_validation_rows_need_lightgbm():
    x = counts()
    trees = BoostedTrees(Task("binary", ["y"]), options=replace(FEW, model="sklearn"))
    with pytest.raises(ConfigError, match="'lightgbm' with validation rows"):
        trees.fit(x, x[:, :1] > 2, validation=(x, x[:, :1] > 2))


def test_trees_of_scikit_learn_are_not_saved(tmp_path):
    trees, _ = fitted(model="sklearn")
    with pytest.raises(MissingDependencyError) as caught:
        trees.save(tmp_path / "trees")
    assert "pyg-samsa[chem]" in caught.value.hint


@pytest.mark.parametrize("model", MODELS)
def test_unknown_values_are_values_of_their_own(model):
    x = counts(400).astype(np.float32)
    y = (np.arange(400) % 2).astype(float)[:, None]
    x[::2, 0] = np.nan
    x[:, 1] = np.nan
    logits = BoostedTrees(Task("binary", ["y"]), options=replace(FEW, model=model, trees=50)).fit(x, y).predict(x)
    assert ((logits > 0) == (y > 0)).all()


def test_vectors_of_another_width_are_an_error():
    trees, x = fitted()
    with pytest.raises(ConfigError, match="11 columns"):
        trees.predict(x[:, 1:])
    assert trees.predict(x[:0]).shape == (0, 2)


def test_defaults(defaults):
    expected = {
        "model": "auto",
        "trees": 500,
        "learning_rate": 0.1,
        "leaves": 31,
        "min_leaf": 20,
        "column_share": 1.0,
        "balance": False,
        "loss": "squared",
        "seed": 0,
        "threads": 1,
    }
    assert expected.items() <= defaults(BoostingOptions).items()
