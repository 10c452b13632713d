import json

import numpy as np
import pytest

from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.predict.conformal import (
    Calibration,
    calibrate,
    calibrate_if_labelled,
    check_confidence,
    prediction_intervals,
    prediction_sets,
    why_no_interval,
)
from pyg_samsa.task import Task

REGRESSION, LABELS = Task("regression", ["logS", "logP"]), Task("multilabel", ["toxic", "active"])
CLASSES = Task("multiclass", ["acid", "base", "other"])


def noisy(count, seed):
    """Predictions, true values and the size of the error of each molecule; the second target is ten times as hard."""
    generator = np.random.default_rng(seed)
    values, spread = generator.normal(size=(count, 2)), generator.uniform(0.1, 2.0, size=(count, 2)) * [1, 10]
    return values, values + spread * generator.normal(size=values.shape), spread


@pytest.mark.parametrize("with_spread", [False, True])
@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_intervals_cover_new_molecules_as_often_as_they_say(with_spread, confidence):
    shares = []
    for seed in range(60):
        values, target, spread = noisy(200, seed)
        used = spread if with_spread else None
        rest = slice(80, None)
        calibration = calibrate(REGRESSION, values[:80], target[:80], spread=spread[:80] if with_spread else None)
        low, high = prediction_intervals(
            calibration, values[rest], spread=None if used is None else used[rest], confidence=confidence
        )
        shares.append(((low <= target[rest]) & (target[rest] <= high)).mean(0))
    # The expected coverage lies between c and c + 1 / (n + 1); 60 draws leave a standard error of about half a percent.
    np.testing.assert_allclose(np.mean(shares, axis=0), confidence + 0.5 / 81, atol=0.02)


def test_each_target_has_a_width_of_its_own():
    values, target, _ = noisy(400, 0)
    low, high = prediction_intervals(calibrate(REGRESSION, values, target), values)
    width = (high - low)[0]
    np.testing.assert_allclose(high - low, np.broadcast_to(width, values.shape))
    assert 6 < width[1] / width[0] < 14


def test_intervals_follow_the_spread_and_become_narrower_on_average():
    values, target, spread = noisy(500, 1)
    low, high = prediction_intervals(calibrate(REGRESSION, values, target, spread=spread), values, spread=spread)
    assert np.corrcoef((high - low)[:, 0], spread[:, 0])[0, 1] > 0.99
    plain_low, plain_high = prediction_intervals(calibrate(REGRESSION, values, target), values)
    assert (high - low).mean() < 0.97 * (plain_high - plain_low).mean()


def test_scores_by_hand():
    values, target = np.array([[1.0, 0.0], [2.0, 5.0], [0.0, 1.0]]), np.array([[1.5, np.nan], [1.0, 3.0], [0.25, 0.5]])
    found = calibrate(REGRESSION, values, target)
    assert [scores.tolist() for scores in found.scores] == [[0.25, 0.5, 1.0], [0.5, 2.0]]
    assert found.floor is None
    spread = np.array([[0.5, 9.0], [1.0, 1.0], [1.5, 3.0]])
    found = calibrate(REGRESSION, values, target, spread=spread)
    assert found.floor.tolist() == [1.0, 2.0]  # medians over the labelled molecules
    assert [scores.tolist() for scores in found.scores] == [[0.25 / 2.5, 0.5 / 1.5, 1.0 / 2.0], [0.5 / 5, 2.0 / 3.0]]


def test_one_spread_far_outside_the_others_does_not_explode():
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.5, 1.5, (40, 1))
    error = rng.normal(size=(40, 1)) * spread
    error[3] = 1e35
    calibration = calibrate(Task("regression", ["y"]), np.zeros((40, 1)), error, spread=spread)
    spread[7] = 1e35
    low, high = prediction_intervals(calibration, np.zeros((40, 1)), spread=spread, confidence=0.97)
    assert 1e34 < (high - low).max() <= 22 * 1e35
    low, high = prediction_intervals(calibration, np.zeros((40, 1)), spread=spread, confidence=0.9)
    assert (high - low).max() < 100


def test_the_half_width_is_the_conformal_quantile():
    calibration = Calibration("regression", (np.arange(1.0, 100.0),))
    for confidence, half in ((0.5, 50), (0.8, 80), (0.9, 90), (0.95, 95), (0.99, 99), (0.901, 91)):
        low, high = prediction_intervals(calibration, np.zeros((1, 1)), confidence=confidence)
        assert (low.item(), high.item()) == (-half, half)


def test_members_that_always_agree_give_plain_intervals():
    values, target, _ = noisy(50, 2)
    none = np.zeros_like(values)
    low, high = prediction_intervals(calibrate(REGRESSION, values, target, spread=none), values, spread=none)
    expected = prediction_intervals(calibrate(REGRESSION, values, target), values)
    np.testing.assert_allclose((low, high), expected)


def labelled(count, seed):
    """Probabilities and labels; one molecule in ten is toxic, half of them are active."""
    generator = np.random.default_rng(seed)
    target = (generator.random((count, 2)) < [0.1, 0.5]).astype(float)
    logit = generator.normal(size=target.shape) + 2 * target - 3
    return 1 / (1 + np.exp(-logit)), target


def test_sets_cover_each_label_as_often_as_they_say():
    shares = []
    for seed in range(40):
        values, target = labelled(600, seed)
        sets = prediction_sets(calibrate(LABELS, values[:300], target[:300]), values[300:], confidence=0.8)
        covered = np.take_along_axis(sets, target[300:, :, None].astype(int), axis=-1)[..., 0]
        # The rare label too.
        shares.append([[covered[target[300:, c] == k, c].mean() for k in (0, 1)] for c in (0, 1)])
    mean = np.mean(shares, axis=0)
    assert (mean > 0.78).all()
    assert (mean < 0.86).all()


def test_sets_of_classes_are_those_of_crepes():
    from crepes import ConformalClassifier
    from crepes.extras import hinge

    generator = np.random.default_rng(3)
    values = generator.dirichlet([1.0, 1.0, 1.0], size=150)
    target = np.array([generator.choice(3, p=row) for row in values])
    sets = prediction_sets(calibrate(CLASSES, values[:100], target[:100]), values[100:], confidence=0.83)
    judge = ConformalClassifier().fit(hinge(values[:100], np.arange(3), target[:100]))
    expected = judge.predict_set(hinge(values[100:]), confidence=0.83, smoothing=False)
    assert sets.sum() > 60
    np.testing.assert_array_equal(sets, expected.astype(bool))


def test_a_label_without_examples_is_in_every_set():
    values, target = labelled(40, 0)
    target[:, 0] = 0
    sets = prediction_sets(calibrate(LABELS, values, target), values)
    assert sets[:, 0, 1].all()
    assert not sets[:, 1, 1].all()


@pytest.mark.parametrize(
    ("task", "make"), [(REGRESSION, lambda: noisy(40, 6)), (LABELS, lambda: (*labelled(40, 6), None))]
)
def test_a_calibration_survives_json(task, make):
    values, target, spread = make()
    first = calibrate(task, values, target, spread=spread, source="out-of-fold")
    second = Calibration.from_dict(json.loads(json.dumps(first.as_dict())))
    assert (second.kind, second.source, second.uses_spread) == (task.kind, "out-of-fold", spread is not None)
    for kept, read in zip(first.scores, second.scores, strict=True):
        np.testing.assert_allclose(read, kept, rtol=1e-6)


@pytest.mark.parametrize(
    "change", [{"scores": []}, {"scores": [["x"]]}, {"scores": [[float("nan")]]}, {"source": "test"}, {"floor": "a"}]
)
def test_a_damaged_calibration_is_named(change):
    described = Calibration("regression", (np.array([0.1]),)).as_dict() | change
    with pytest.raises(DataIntegrityError, match=r"predictor\.json"):
        Calibration.from_dict(described, origin="predictor.json: calibration")
    with pytest.raises(DataIntegrityError):
        Calibration.from_dict([])


def test_too_few_molecules_for_a_confidence():
    calibration = Calibration("regression", (np.arange(4.0),))
    check_confidence(calibration, 0.8)
    with pytest.raises(ConfigError, match=r"got 0\.9, expected a number of at most 0\.8") as caught:
        check_confidence(calibration, 0.9)
    assert "calibrated on 4 molecules" in caught.value.hint
    for wrong in (0, 1, "0.9", float("nan")):
        with pytest.raises(ConfigError, match="confidence"):
            check_confidence(calibration, wrong)


def test_wrong_arguments_are_named():
    values, target, spread = noisy(10, 7)
    normalised = calibrate(REGRESSION, values, target, spread=spread)
    with pytest.raises(ConfigError, match="spread"):
        prediction_intervals(normalised, values, confidence=0.5)
    with pytest.raises(ConfigError, match="spread"):
        prediction_intervals(normalised, values, spread=spread[:3], confidence=0.5)
    with pytest.raises(ConfigError, match="intervals"):
        prediction_sets(normalised, values)
    with pytest.raises(ConfigError, match="sets"):
        prediction_intervals(Calibration("binary", (np.zeros(1), np.zeros(1))), values, confidence=0.4)
    with pytest.raises(ConfigError, match="values"):
        calibrate(REGRESSION, values[:, :1], target)
    with pytest.raises(ConfigError, match="target"):
        calibrate(REGRESSION, values, target[:5])
    with pytest.raises(ConfigError, match="logP"):
        calibrate(REGRESSION, values, target * [1, np.nan])
    with pytest.raises(ConfigError, match=r"task\.level"):
        calibrate(Task("regression", ["a", "b"], "node"), values, target)


def test_a_target_without_labels_gives_no_calibration():
    values, target = np.zeros((4, 2)), np.array([[1.0, np.nan]] * 4)
    assert calibrate_if_labelled(REGRESSION, values, target) is None
    with pytest.raises(ConfigError, match="logP"):
        calibrate(REGRESSION, values, target)
    found = calibrate_if_labelled(REGRESSION, values, np.ones((4, 2)), source="out-of-fold")
    assert found is not None
    assert (found.source, found.scores[1].tolist()) == ("out-of-fold", [1.0] * 4)


def test_missing_and_unreadable_rows_do_not_count():
    values, target, spread = noisy(30, 4)
    values[3], target[5, 0] = np.nan, np.nan
    found = calibrate(REGRESSION, values, target, spread=spread)
    assert [len(scores) for scores in found.scores] == [28, 29]
    low, high = prediction_intervals(found, values, spread=spread)
    assert np.isnan(low[3]).all()
    assert np.isnan(high[3]).all()


def test_why_there_are_no_intervals():
    known = Calibration("regression", (np.array([0.1, 0.2, 0.4]),))
    assert why_no_interval(known, 0.75) == ""
    assert why_no_interval(known, 0.76) == "it has too few validation rows for more than 0.75"
    assert why_no_interval(None, 0.5) == "it was saved without validation rows to measure them on"
    for calibration in (known, None):
        with pytest.raises(ConfigError, match="interval: got 90"):
            why_no_interval(calibration, 90)
