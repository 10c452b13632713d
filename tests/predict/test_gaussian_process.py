from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.predict import GaussianProcess, GaussianProcessOptions
from pyg_samsa.predict import gaussian_process as module
from pyg_samsa.task import Task

VALUE = Task("regression", ["y"])
LABEL = Task("binary", ["active"])


def table(rows=80, seed=0):
    """Vectors, and a value that depends smoothly on them."""
    x = np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)
    return x, (np.sin(x[:, :1]) + 0.3 * x[:, 1:2]).astype(np.float64)


def solved(process, rows, values):
    """Literal prediction: K and its inverse, for the kernel that the process found."""
    numbers, training = process.targets[0].numbers, process.training
    inner = training[rows].pairs(training[rows]).kernel(numbers) + numbers.noise * np.eye(len(rows))
    return lambda new: new.pairs(training[rows]).kernel(numbers) @ np.linalg.inv(inner) @ values


def test_values_are_those_of_the_equation():
    x, y = table(30)
    process = GaussianProcess(VALUE).fit(x, y)
    new = process._rows(table(9, seed=1)[0])
    mean, std = y.mean(), y.std()
    expected = mean + std * solved(process, np.arange(30), (y[:, 0] - mean) / std)(new)
    np.testing.assert_allclose(process.predict(table(9, seed=1)[0])[:, 0], expected, rtol=1e-8)


def test_a_smooth_value_is_learned():
    x, y = table(120)
    process = GaussianProcess(VALUE).fit(x[:100], y[:100])
    assert np.abs(process.predict(x[100:]) - y[100:]).mean() < 0.2 * y.std()


def test_leave_one_out_predictions_are_those_of_processes_without_the_row():
    x, y = table(24)
    process = GaussianProcess(VALUE).fit(x, y)
    target = process.targets[0]
    values = (y[:, 0] - y.mean()) / y.std()
    _, found = module._solve(process.training.pairs(process.training), target.numbers, values, leave_one_out=True)
    rows = np.arange(24)
    for row in rows:
        others = np.delete(rows, row)
        expected = solved(process, others, values[others])(process.training[[row]])
        assert found[row] == pytest.approx(expected[0], abs=1e-8)


@pytest.mark.parametrize(("factor", "offset"), [(1e-30, 0.0), (1e30, 0.0), (1.0, -1e6), (1e3, 1e9)])
def test_unit_and_offset_of_a_value_do_not_matter(factor, offset):
    x, y = table(60)
    plain = GaussianProcess(VALUE).fit(x[:40], y[:40]).predict(x[40:])
    other = GaussianProcess(VALUE).fit(x[:40], factor * y[:40] + offset).predict(x[40:])
    np.testing.assert_allclose((other - offset) / factor, plain, atol=1e-4)


def test_values_are_standardised_once():
    x, y = table(30)
    process = GaussianProcess(VALUE).fit(x, 5 * y + 100)
    assert (process.targets[0].slope, process.targets[0].offset) == (1.0, 0.0)
    assert process.target_mean == pytest.approx(5 * y.mean() + 100)


def test_labels_have_probabilities():
    x, y = table(300)
    labels = (y > 0).astype(float)
    process = GaussianProcess(LABEL).fit(x[:200], labels[:200])
    shares = process.readable(x[200:])[:, 0]
    assert shares.min() > 0
    assert shares.max() < 1
    assert ((shares > 0.5) == (labels[200:, 0] > 0)).mean() > 0.9
    # Half of the labels carry no information: their probabilities are not near 0 and 1.
    noise = np.random.default_rng(1).integers(0, 2, (200, 1)).astype(float)
    shares = GaussianProcess(LABEL).fit(x[:200], noise).readable(x[200:])
    assert 0.2 < shares.min() <= shares.max() < 0.8


def test_missing_labels_are_left_out():
    x, y = table(60)
    two = np.concatenate([y, -y], axis=1)
    two[::2, 1] = np.nan
    process = GaussianProcess(Task("regression", ["a", "b"])).fit(x, two)
    alone = copy.copy(process)
    alone.task, alone.training = VALUE, process.training[np.arange(1, 60, 2)]
    known = -y[1::2, 0]
    scaled = (known - known.mean()) / known.std()
    alone.target_mean, alone.target_std = known.mean(keepdims=True), known.std(keepdims=True)
    alone.targets = [alone._fit_target(alone.training.pairs(alone.training), np.arange(30), scaled, 0.0)]
    np.testing.assert_allclose(process.predict(x)[:, [1]], alone.predict(x), atol=1e-6)


def test_classes_sum_to_1_and_an_absent_class_is_improbable():
    x, y = table(120)
    classes = np.digitize(y[:, 0], [-0.5, 0.5])
    process = GaussianProcess(Task("multiclass", ["low", "mid", "high", "absent"])).fit(x[:90], classes[:90])
    shares = process.readable(x[90:])
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-9)
    assert (shares.argmax(1) == classes[90:]).mean() > 0.8
    assert shares[:, 3].max() < 1e-9


@pytest.mark.parametrize(
    ("task", "y", "expected"),
    [(VALUE, [2.5, 2.5, 2.5], 2.5), (LABEL, [1.0, 1.0, 1.0], 1.0), (LABEL, [0.0, np.nan, 0.0], 0.0)],
)
def test_what_all_share_is_predicted(task, y, expected, tmp_path):
    x = np.eye(3, dtype=np.float32)
    process = GaussianProcess(task).fit(x, np.array(y)[:, None])
    np.testing.assert_allclose(process.readable(x), expected, atol=1e-9)
    again = GaussianProcess.load(process.save(tmp_path / "gp"))
    np.testing.assert_array_equal(again.predict(x), process.predict(x))


def test_at_most_max_rows_are_used():
    x, y = table(60)
    options = GaussianProcessOptions(max_rows=20, seed=3)
    process = GaussianProcess(VALUE, options=options).fit(x, y)
    assert len(process.training) == len(process.targets[0].rows) == 20
    other = GaussianProcess(VALUE, options=GaussianProcessOptions(max_rows=20, seed=4)).fit(x, y)
    assert not np.array_equal(other.training.z, process.training.z)
    assert np.array_equal(GaussianProcess(VALUE, options=options).fit(x, y).predict(x), process.predict(x))


def test_a_rare_label_is_not_drawn_away(monkeypatch):
    x, _ = table(2000)
    y = np.zeros((2000, 1))
    rare = np.argsort(x[:, 0])[-6:]
    y[rare] = 1
    monkeypatch.setattr(module, "_SEARCH_ROWS", 100)
    for seed in range(3):
        process = GaussianProcess(LABEL, options=GaussianProcessOptions(max_rows=300, seed=seed)).fit(x, y)
        shares = process.readable(x)[:, 0]
        assert len(process.training) == 300
        assert (np.argsort(-shares)[:6, None] == rare).any(1).sum() >= 4
        # The probabilities are those of all rows, not of the drawn ones.
        assert 0.3 * y.mean() < shares.mean() < 3 * y.mean()


def test_the_search_uses_a_part_of_many_rows(monkeypatch):
    x, y = table(100)
    seen = []
    monkeypatch.setattr(module, "_SEARCH_ROWS", 30)
    search = module.search_numbers
    monkeypatch.setattr(module, "search_numbers", lambda pairs, y: seen.append(len(y)) or search(pairs, y))
    process = GaussianProcess(VALUE).fit(x, y)
    assert seen == [30]
    assert len(process.targets[0].rows) == 100


def test_missing_and_huge_values_of_vectors():
    x, y = table(60)
    x[::7, 0], x[3, 1], x[4, 2] = np.nan, np.inf, 3e38
    process = GaussianProcess(VALUE).fit(x, y)
    assert np.isfinite(process.predict(x)).all()
    assert process.predict(np.full((1, 4), np.nan, np.float32)).shape == (1, 1)
    assert process.predict(x[:0]).shape == (0, 1)
    constant = GaussianProcess(VALUE).fit(np.ones((5, 2), np.float32), np.arange(5.0)[:, None])
    np.testing.assert_allclose(constant.predict(np.ones((1, 2), np.float32)), 2.0, atol=1e-6)


@pytest.mark.parametrize("task", [VALUE, Task("multilabel", ["a", "b"]), Task("multiclass", ["a", "b", "c"])])
def test_a_saved_process_predicts_the_same(task, tmp_path):
    x, y = table(60)
    y = {"regression": y, "multilabel": np.concatenate([y > 0, y > 0.5], 1).astype(float)}.get(
        task.kind, np.digitize(y[:, 0], [-0.3, 0.3])
    )
    process = GaussianProcess(task, ["maccs"], extra_columns=["pH"]).fit(x, y)
    again = GaussianProcess.load(process.save(tmp_path / "gp"), threads=2)
    np.testing.assert_allclose(again.predict(x), process.predict(x), rtol=1e-9)
    assert (again.descriptors, again.extra_columns, again.options.threads) == (("maccs",), ("pH",), 2)
    assert again.task == process.task
    process.save(tmp_path / "gp")  # replaces


def test_a_target_that_all_share_stands_before_others_in_a_saved_process(tmp_path):
    x, y = table(40)
    y = np.concatenate([np.ones_like(y), y > 0], 1).astype(float)
    process = GaussianProcess(Task("multilabel", ["always", "a"])).fit(x, y)
    again = GaussianProcess.load(process.save(tmp_path / "gp"))
    np.testing.assert_allclose(again.predict(x), process.predict(x), rtol=1e-9)


def test_errors_name_what_is_wrong(tmp_path):
    x, y = table(20)
    with pytest.raises(ConfigError, match="no label"):
        GaussianProcess(VALUE).fit(x, np.full((20, 1), np.nan))
    process = GaussianProcess(VALUE).fit(x, y)
    with pytest.raises(ConfigError, match="3 columns"):
        process.predict(x[:, :3])
    with pytest.raises(ConfigError, match=r"gaussian_process\.max_rows"):
        GaussianProcessOptions(max_rows=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="folder"):
        process.save(tmp_path / "other")
    with pytest.raises(DataNotFoundError, match=r"gp\.json"):
        GaussianProcess.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content, arrays: content.pop("targets"),
        lambda content, arrays: content["targets"].append({"constant": 1.0}),
        lambda content, arrays: content["targets"][0].pop("noise"),
        lambda content, arrays: content["targets"][0].update(alpha=-1.0),
        lambda content, arrays: content["targets"][0].update(slope="steep"),
        lambda content, arrays: arrays.pop("weights_0"),
        lambda content, arrays: arrays.update(rows_0=arrays["rows_0"] + 1),
        lambda content, arrays: arrays.update(weights_0=arrays["weights_0"][1:]),
        lambda content, arrays: arrays.update(scale=arrays["scale"][1:]),
        lambda content, arrays: arrays.update(z=arrays["z"][:, 1:].contiguous()),
        lambda content, arrays: arrays.update(totals=arrays["totals"].float()),
        lambda content, arrays: arrays.update(totals=arrays["totals"][1:].contiguous()),
        lambda content, arrays: arrays.update(totals=torch.cat([arrays["totals"], arrays["totals"][:1]])),
        lambda content, arrays: arrays.update(counts=arrays["counts"][1:].contiguous()),
        lambda content, arrays: arrays.update(z=arrays["z"].double()),
        lambda content, arrays: arrays.update(seen=~arrays["seen"]),
    ],
)
def test_a_damaged_folder_is_an_error(change, tmp_path):
    x, y = table(20)
    folder = GaussianProcess(VALUE).fit(x, y).save(tmp_path / "gp")
    content, arrays = json.loads((folder / GaussianProcess.file).read_text()), load_file(folder / module.ARRAYS)
    change(content, arrays)
    (folder / GaussianProcess.file).write_text(json.dumps(content))
    save_file(arrays, folder / module.ARRAYS)
    with pytest.raises(DataIntegrityError, match=r"gp\.(json|safetensors)"):
        GaussianProcess.load(folder)


def test_fragments_are_compared_by_their_overlap(tmp_path):
    smiles = ["C" * size + end for size in range(1, 25) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
    x = compute_descriptors(smiles, ["rdkit2d", "morgan_count"], progress=False)
    x = np.concatenate([x, np.arange(96.0, dtype=np.float32)[:, None]], axis=1)
    y = np.array([[float("N" in text)] for text in smiles])
    process = GaussianProcess(LABEL, ["rdkit2d", "morgan_count"], extra_columns=["pH"]).fit(x[:80], y[:80])
    assert (process.fragments.sum(), process.fragments[-1]) == (2048, False)
    assert process.training.counts.shape == (80, int((x[:80, process.fragments] > 0).any(0).sum()))
    assert ((process.readable(x[80:]) > 0.5) == y[80:]).mean() > 0.9
    again = GaussianProcess.load(process.save(tmp_path / "gp"))
    np.testing.assert_array_equal(again.predict(x), process.predict(x))
    # A fragment that was not in training makes a molecule less similar.
    row = process._rows(x[:1])
    x[0, np.flatnonzero(process.fragments & ~process.seen)[0]] = 7
    new = process._rows(x[:1])
    assert new.totals[0] == row.totals[0] + 7
    assert (new.overlaps(process.training) <= row.overlaps(process.training)).all()


def test_the_order_of_rows_does_not_matter():
    x, y = table(50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0)).numpy()
    found = [GaussianProcess(VALUE).fit(x[rows], y[rows]).predict(x) for rows in (np.arange(50), order)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


def test_distances_are_divided_by_the_number_of_properties():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    one = GaussianProcess(VALUE).fit(x[:, :1], x[:, :1].astype(np.float64))
    three = GaussianProcess(VALUE).fit(np.repeat(x[:, :1], 3, axis=1), x[:, :1].astype(np.float64))
    first, second = one._rows(x[:5, :1]), three._rows(np.repeat(x[:5, :1], 3, axis=1))
    lengths = [np.square(rows.z[:, None] - rows.z).sum(-1) for rows in (first, second)]
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=1e-5)
    assert lengths[0].max() > 0.1


def test_defaults(defaults):
    expected = {
        "max_rows": 5000,
        "seed": 0,
        "threads": 1,
    }
    assert expected.items() <= defaults(GaussianProcessOptions).items()
