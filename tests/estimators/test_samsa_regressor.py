import numpy as np
import pytest
from sklearn.base import is_regressor

from pyg_samsa.errors import ConfigError
from pyg_samsa.estimators import SAMSARegressor
from pyg_samsa.predict.predictor import MoleculePredictor


def test_learns_numbers_in_their_own_units(smiles, length, small):
    regressor = SAMSARegressor(**small | {"max_epochs": 12}).fit(smiles, length)
    assert regressor.score(smiles, length) > 0.5
    assert 4900 < regressor.predict(smiles).mean() < 5200
    assert is_regressor(regressor)


def test_several_targets_may_be_missing(smiles, length, small):
    targets = np.array([length, [np.nan, *length[1:]]]).T
    assert SAMSARegressor(**small).fit(smiles, targets).predict(smiles[:3]).shape == (3, 2)


def test_the_shape_of_predictions_is_that_of_the_targets(smiles, length, small):
    vector, column = (SAMSARegressor(**small).fit(smiles, y) for y in (length, np.array(length)[:, None]))
    assert vector.predict(smiles).shape == (24,)
    assert column.predict(smiles).shape == (24, 1)
    np.testing.assert_array_equal(column.predict(smiles)[:, 0], vector.predict(smiles))


def test_a_change_of_units_changes_the_predictions_alike(smiles, length, small):
    first = SAMSARegressor(**small).fit(smiles, length)
    other = SAMSARegressor(**small).fit(smiles, 32.0 * np.array(length) - 128.0)
    np.testing.assert_allclose(other.predict(smiles), 32.0 * first.predict(smiles) - 128.0, rtol=1e-4)


def test_saved_networks_predict_in_units_of_the_targets(smiles, length, small, tmp_path):
    estimator = SAMSARegressor(**small).fit(smiles, length)
    for names, folder in ((None, "a"), (["logS"], "b")):
        predictor = MoleculePredictor.from_pretrained(estimator.save_pretrained(tmp_path / folder, target_names=names))
        assert list(predictor.task.names) == (names or ["target_0"])
        np.testing.assert_allclose(predictor.predict(smiles).values[:, 0], estimator.predict(smiles), rtol=1e-5)


@pytest.mark.parametrize(
    ("y", "culprit"),
    [
        (["a"] * 24, "numbers"),
        ([np.nan] * 24, "y: got 'no value', expected numbers that differ"),
        ([1.0, np.inf] + [2.0] * 22, r"y\[1\]: got inf, expected a number of at most 3e38"),
        ([[1.0, -1e39]] + [[2.0, 1.0]] * 23, r"y\[0, 1\]: got -1e\+39, expected a number of at most 3e38"),
        ([[number, np.nan] for number in range(24)], r"y\[:, 1\]: got 'no value'"),
        ([1.0] * 24, "y: got 'only the number 1', expected numbers that differ"),
        (None, "y: got None, expected a target for each molecule"),
        (list(range(23)), "24 targets"),
    ],
    ids=["texts", "nothing known", "infinity", "too large", "an empty column", "constant", "nothing", "too few"],
)
def test_targets_that_do_not_fit_are_refused(y, culprit, smiles, small):
    with pytest.raises(ConfigError, match=culprit):
        SAMSARegressor(**small).fit(smiles, y)
