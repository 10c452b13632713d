import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
)

from pyg_samsa.viz.report.prediction_scores import precision_recall, reliability, roc

GENERATOR = np.random.default_rng(0)


def test_average_precisions_are_those_of_scikit_learn(page, frame, record):
    table = frame("labels")
    text, _ = page(record(predictions=table))
    for name in ("a", "b"):
        known = table[f"{name}_true"].notna()
        assert f"{average_precision_score(table[f'{name}_true'][known], table[f'{name}_pred'][known]):.3f}" in text
    assert "expected calibration error" in text
    assert "Confusion" not in text


def test_classes_have_a_confusion_matrix(page, frame, record):
    names = ("<cat>", "dog", "emu")
    table = frame("classes", names=names)
    text, _ = page(record(predictions=table, test={"accuracy": 0.4}))
    assert "Confusion" in text
    assert "<cat>" not in text
    counts = confusion_matrix(table["true"], table["pred"])
    assert f"&lt;cat&gt; → dog: {counts[0, 1]} of {counts[0].sum()}" in text
    for values in precision_recall_fscore_support(table["true"], table["pred"])[:3]:
        assert all(f"{value:.3f}" in text for value in values)


def test_values_have_a_scatter(page, frame, record):
    table = frame("values", names=("logP",))
    text, _ = page(record(predictions=table, test={"mae": 0.2}))
    known = table[table["logP_true"].notna()]
    assert f"MAE {mean_absolute_error(known['logP_true'], known['logP_pred']):.4f}" in text
    assert f"R² {r2_score(known['logP_true'], known['logP_pred']):.4f}" in text
    assert "Calibration" not in text


def test_bounds_are_clipped_and_drawn(page, frame, record):
    table = frame("values", rows=8, names=("IC50",), smiles=False).assign(IC50_true=5.0, IC50_pred=6.0)
    table["IC50_bound"] = [">", ">", "<", np.nan, np.nan, np.nan, np.nan, np.nan]
    text, _ = page(record(predictions=table, test={"mae": 0.2}))
    assert "MAE 0.750" in text  # two of eight predictions are on the right side of a bound
    assert "Triangles are bounds" in text
    plain, _ = page(record(predictions=table.drop(columns="IC50_bound"), test={"mae": 0.2}))
    assert "MAE 1.000" in plain
    assert "Triangles are bounds" not in plain


def test_reliability_of_a_calibrated_model_is_small():
    probability = GENERATOR.uniform(size=200_000)
    true = (GENERATOR.uniform(size=200_000) < probability).astype(float)
    predicted, _, share, error = reliability(true, probability)
    assert len(predicted) == 10
    assert sum(share) == pytest.approx(1)
    assert error < 0.01
    assert reliability(true, np.clip(probability + 0.3, 0, 1))[3] > 0.2


def test_reliability_leaves_out_missing_labels_and_empty_bins():
    true, probability = np.array([1.0, np.nan, 0.0, 1.0]), np.array([1.0, 0.5, 0.05, 0.95])
    predicted, observed, share, error = reliability(true, probability)
    assert observed == [0.0, 1.0]
    assert predicted == pytest.approx([0.05, 0.975])
    assert share == pytest.approx([1 / 3, 2 / 3])
    assert error == pytest.approx(0.05 / 3 + 0.025 * 2 / 3)
    assert reliability(np.array([np.nan]), np.array([0.5])) == ([], [], [], 0.0)


def test_precision_recall_needs_both_labels():
    assert precision_recall(np.array([1.0, np.nan]), np.array([0.5, 0.5])) is None
    recall, precision, average, base = precision_recall(np.array([0.0, 1.0]), np.array([0.2, 0.8]))
    assert (average, base) == (1.0, 0.5)
    assert (recall, precision) == ([0.0, 1.0], [1.0, 1.0])


def test_the_area_below_the_steps_is_the_average_precision():
    for _ in range(20):
        true, score = GENERATOR.integers(0, 2, 40).astype(float), GENERATOR.integers(0, 9, 40) / 9
        recall, precision, average, _ = precision_recall(true, score)
        assert (recall[0], recall[-1]) == (0.0, 1.0)
        assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(average)
        assert (np.diff(recall)[1:] > 0).all()


def test_roc_is_that_of_scikit_learn_and_needs_both_labels():
    from sklearn.metrics import roc_auc_score

    generator = np.random.default_rng(0)
    true, score = generator.integers(0, 2, 50).astype(float), generator.uniform(size=50)
    false_rate, true_rate, area = roc(np.append(true, np.nan), np.append(score, 0.5))
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)
    assert area == pytest.approx(roc_auc_score(true, score))
    assert roc(np.ones(3), np.arange(3.0)) is None
