from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.predict.blend_weights import _select, choose_weights, raw_outputs, scorer
from pyg_samsa.task import Task

RANDOM = np.random.default_rng(0)
VALUES = Task("regression", ["a", "b"])
LABELS = Task("multilabel", ["a", "b"])
CLASSES = Task("multiclass", ["a", "b", "c"])


select = partial(choose_weights, shrink=0)
"""Greedy selection alone."""


def noisy(target, *noises):
    """Members with independent noise."""
    return np.stack([target + RANDOM.normal(0, noise, target.shape) for noise in noises])


def test_weights_of_a_regression_are_near_the_best_ones():
    """For independent errors the best weights are inversely proportional to the variances: 0.8 and 0.2."""
    target = RANDOM.normal(0, 5, (4000, 2))
    weights = choose_weights(noisy(target, 1.0, 2.0), target, VALUES, "rmse")
    np.testing.assert_allclose(weights, [0.8, 0.2], atol=0.1)


def test_few_labels_count_less_than_inverse_squared_errors():
    target = RANDOM.normal(0, 1, (400, 2))
    members = np.stack([target + 0.1, target + 0.2, target - 5.0])
    inverse = np.array([1 / 0.1**2, 1 / 0.2**2, 1 / 5.0**2])
    # The third member has a weight below 0.05, and the selection takes the first one only.
    expected = inverse[:2] / inverse[:2].sum()
    for rows, shrink in ((100, 300.0), (400, 300.0), (400, 0.0)):
        weights = choose_weights(members[:, :rows], target[:rows], VALUES, "mae", shrink=shrink)
        share = rows / (rows + shrink)
        np.testing.assert_allclose(weights[0], share + (1 - share) * expected[0], atol=2e-3)
        assert weights[2] == 0
        assert weights.sum() == pytest.approx(1)


def test_the_error_of_a_score_is_its_distance_to_1():
    labels = np.repeat([0.0, 1.0], 20)[:, None].repeat(2, 1)
    one, three = labels.copy(), labels.copy()
    one[:2], three[:6] = 0.5, 0.5  # an area under the curve of 1 for both: errors of 0
    weights = choose_weights(np.stack([one, three]), labels, LABELS, "auc", shrink=1e9)
    np.testing.assert_allclose(weights, [0.5, 0.5], atol=1e-6)
    one[:4], three[:8] = 1.0, 1.0  # 2/20 and 4/20 of the negatives tie with the positives
    np.testing.assert_allclose(
        choose_weights(np.stack([one, three]), labels, LABELS, "auc", shrink=1e9), [0.8, 0.2], atol=1e-6
    )


def test_of_rows_with_missing_labels_only_the_known_ones_count():
    target = RANDOM.normal(0, 1, (40, 2))
    members = np.stack([target + 0.1, target + 0.2])
    hidden = target.copy()
    hidden[20:] = np.nan
    found = [
        choose_weights(members[:, :20], target[:20], VALUES, "mae"),
        choose_weights(members, hidden, VALUES, "mae"),
    ]
    np.testing.assert_allclose(found[0], found[1])


def test_the_blend_is_never_worse_than_the_best_member_where_it_is_chosen():
    target = RANDOM.normal(0, 1, (30, 2))
    for _ in range(10):
        members = noisy(target, *RANDOM.uniform(0.2, 1.0, 5))
        weights = select(members, target, VALUES, "mae")
        score = scorer(target, VALUES, "mae")
        assert score(np.tensordot(weights, members, 1)) >= max(score(member) for member in members)
        assert weights.sum() == pytest.approx(1)
        assert (weights >= 0).all()
        assert (weights > 0).sum() <= 5


def test_the_best_member_is_preferred_where_no_blend_is_better():
    target = RANDOM.normal(0, 1, (50, 2))
    members = np.stack([target + 3, target, target - 5])
    assert select(members, target, VALUES, "mae").tolist() == [0, 1, 0]
    assert select(np.stack([target, target]), target, VALUES, "rmse").tolist() == [1, 0]


def test_few_members_are_kept():
    target = RANDOM.normal(0, 1, (300, 2))
    members = noisy(target, *[1.0] * 8)
    assert (select(members, target, VALUES, "rmse", max_members=2) > 0).sum() == 2
    assert (select(members, target, VALUES, "rmse", rounds=1) > 0).sum() == 1


def test_missing_labels_are_left_out():
    target = (RANDOM.random((200, 2)) > 0.5).astype(float)
    good, bad = np.where(target > 0.5, 0.9, 0.1), np.where(target > 0.5, 0.2, 0.7)
    hidden = target.copy()
    hidden[::2] = np.nan
    good[::2] = 0.5
    for metric in ("auc", "ap", "loss"):
        assert select(np.stack([bad, good]), hidden, LABELS, metric).tolist() == [0, 1]


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "loss"])
def test_classes(metric):
    target = RANDOM.integers(0, 3, 90)
    right = np.eye(3)[target] * 0.7 + 0.1
    assert choose_weights(np.stack([right[::-1], right]), target, CLASSES, metric)[1] >= 0.7


def test_weights_of_each_target():
    target = RANDOM.normal(0, 1, (60, 2))
    wrong = target + 9
    members = np.stack([np.stack([target[:, 0], wrong[:, 1]], 1), np.stack([wrong[:, 0], target[:, 1]], 1)])
    assert select(members, target, VALUES, "mae", per_target=True).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ConfigError, match="per_target"):
        select(np.full((1, 4, 3), 1 / 3), np.zeros(4), CLASSES, per_target=True)


def test_a_metric_that_is_undefined_gives_way_to_the_loss():
    target = np.ones((20, 2))
    members = np.stack([np.full((20, 2), 0.4), np.full((20, 2), 0.9)])
    assert choose_weights(members, target, LABELS, "auc").tolist() == [0, 1]


def test_scores_are_those_of_scikit_learn():
    target, values = (RANDOM.random((80, 1)) > 0.4).astype(float), RANDOM.random((80, 1))
    task = Task("binary", ["y"])
    assert scorer(target, task, "auc")(values) == pytest.approx(roc_auc_score(target, values))
    assert scorer(target, task, "loss")(values) == pytest.approx(-log_loss(target, values))
    probabilities = RANDOM.dirichlet([1, 1, 1], 50)
    classes = RANDOM.integers(0, 3, 50)
    found = scorer(classes, CLASSES, "loss")(probabilities)
    assert found == pytest.approx(-log_loss(classes, probabilities, labels=[0, 1, 2]))


@pytest.mark.parametrize("task", [VALUES, LABELS, CLASSES], ids=lambda task: task.kind)
def test_raw_outputs_are_the_inverse_of_readable(task):
    outputs = torch.randn(5, task.num_targets, dtype=torch.float64)
    readable = task.readable(outputs)
    torch.testing.assert_close(task.readable(raw_outputs(readable, task)), readable)


def test_wrong_arguments_are_named():
    target = np.zeros((4, 2))
    with pytest.raises(ShapeError, match=r"predictions.*\[M, G, 2\]"):
        choose_weights(np.zeros((1, 4, 3)), target, VALUES)
    with pytest.raises(ShapeError, match="target"):
        choose_weights(np.zeros((1, 5, 2)), target, VALUES)
    with pytest.raises(ConfigError, match="not finite"):
        choose_weights(np.full((1, 4, 2), np.nan), target, VALUES)
    with pytest.raises(ConfigError, match="metric"):
        choose_weights(np.zeros((1, 4, 2)), target, VALUES, "rsme")
    with pytest.raises(ConfigError, match="rounds"):
        choose_weights(np.zeros((1, 4, 2)), target, VALUES, rounds=0)
    with pytest.raises(ConfigError, match="shrink"):
        choose_weights(np.zeros((1, 4, 2)), target, VALUES, shrink=-1)


def test_the_first_best_round_is_kept():
    predictions = np.array([[0.0, 4.0], [4.0, 0.0], [9.0, 9.0]])

    def score(values):
        return -float(np.abs(values - 2.0).max())

    # The mean of the first two is exact after two rounds, and again after four.
    assert _select(predictions, score, 0, 4).tolist() == [1, 1, 0]
    assert _select(predictions, score, 0, 1).tolist() == [1, 0, 0]
    assert _select(predictions, lambda values: 1.0, 2, 3).tolist() == [0, 0, 1]
