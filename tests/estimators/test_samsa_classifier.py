import numpy as np
import pytest
from sklearn.base import is_classifier

from pyg_samsa.errors import ConfigError
from pyg_samsa.estimators import SAMSAClassifier
from pyg_samsa.predict.predictor import MoleculePredictor


def test_learns_classes_of_any_type(smiles, alcohol, small):
    names = np.array(["chloride", "alcohol"])[alcohol]
    classifier = SAMSAClassifier(**small | {"max_epochs": 12}).fit(smiles, names)
    assert classifier.classes_.tolist() == ["alcohol", "chloride"]
    assert classifier.score(smiles, names) > 0.9
    proba = classifier.predict_proba(smiles)
    np.testing.assert_allclose(proba.sum(1), 1)
    assert (classifier.classes_[proba.argmax(1)] == classifier.predict(smiles)).all()
    assert is_classifier(classifier)


def test_three_classes(smiles, small):
    classifier = SAMSAClassifier(**small).fit(smiles, [(10, 20, 30)[n % 3] for n in range(24)])
    proba = classifier.predict_proba(smiles)
    assert proba.shape == (24, 3)
    np.testing.assert_allclose(proba.sum(1), 1)
    assert set(classifier.predict(smiles)) <= {10, 20, 30}
    assert classifier.model_.options["out_channels"] == 3


def test_labels_are_independent_and_may_be_missing(smiles, alcohol, small):
    labels = np.array([alcohol, alcohol[::-1]]).T.astype(float)
    labels[3, 1] = np.nan
    several = SAMSAClassifier(**small).fit(smiles, labels)
    proba = several.predict_proba(smiles)
    assert proba.shape == (24, 2)
    assert ((several.predict(smiles) == 1) == (proba > 0.5)).all()
    assert [classes.tolist() for classes in several.classes_] == [[0, 1], [0, 1]]


def test_a_matrix_of_one_column_is_a_vector(smiles, alcohol, small):
    column, vector = (SAMSAClassifier(**small).fit(smiles, y) for y in (np.array(alcohol)[:, None], alcohol))
    np.testing.assert_array_equal(column.predict_proba(smiles), vector.predict_proba(smiles))


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (["no", "yes"] * 12, ["class_yes"]),
        (["c", "a", "b"] * 8, ["a", "b", "c"]),
        ([[0, 1], [1, 0]] * 12, ["target_0", "target_1"]),
    ],
    ids=["binary", "multiclass", "multilabel"],
)
def test_saved_networks_predict_the_same_with_the_names_of_the_classes(y, names, smiles, small, tmp_path):
    estimator = SAMSAClassifier(**small).fit(smiles, y)
    predictor = MoleculePredictor.from_pretrained(estimator.save_pretrained(tmp_path / "m"))
    assert list(predictor.task.names) == names
    expected = estimator.predict_proba(smiles)
    expected = expected[:, 1:] if len(names) == 1 else expected
    np.testing.assert_allclose(predictor.predict(smiles).values, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("y", "culprit"),
    [
        ([1] * 24, "at least two classes"),
        ([0, 1] * 11 + [0], "24 targets"),
        ([0.0, np.nan] * 12, "a class for each molecule"),
        (np.full((24, 2), 0.5), "labels 0 and 1"),
        (np.full((24, 2), np.nan), "labels 0 and 1"),
        (np.array([[0, 1]] * 12 + [[1, 1]] * 12), r"y\[:, 1\]: got 'only the number 1', expected numbers that differ"),
        ([["a", "b"]] * 24, "numbers"),
    ],
    ids=["one class", "too few", "missing class", "other labels", "no labels", "a constant label", "texts"],
)
def test_targets_that_do_not_fit_are_refused(y, culprit, smiles, small):
    with pytest.raises(ConfigError, match=culprit):
        SAMSAClassifier(**small).fit(smiles, y)
