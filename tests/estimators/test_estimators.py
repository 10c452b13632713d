import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch_geometric.data import Data

from pyg_samsa.chem import smiles_to_data
from pyg_samsa.errors import ConfigError, SmilesError
from pyg_samsa.estimators import SAMSAClassifier, SAMSARegressor
from pyg_samsa.predict.predictor import MoleculePredictor

SMILES = [f"{'C' * n}{end}" for n in range(1, 13) for end in ("O", "Cl")]
ALCOHOL = [int(text.endswith("O")) for text in SMILES]
LENGTH = [5000.0 + 10 * text.count("C") for text in SMILES]
SMALL = {
    "channels": 16,
    "num_layers": 1,
    "heads": 2,
    "num_samples": 8,
    "max_epochs": 12,
    "batch_size": 8,
    "dropout": 0.0,
    "drop_path": 0.0,
}
SMALL |= {"learning_rate": 1e-2, "accelerator": "cpu"}


def test_learns_classes_of_any_type():
    names = np.array(["chloride", "alcohol"])[ALCOHOL]
    classifier = SAMSAClassifier(**SMALL).fit(SMILES, names)
    assert classifier.classes_.tolist() == ["alcohol", "chloride"]
    assert classifier.score(SMILES, names) > 0.9
    proba = classifier.predict_proba(SMILES)
    np.testing.assert_allclose(proba.sum(1), 1)
    assert (classifier.classes_[proba.argmax(1)] == classifier.predict(SMILES)).all()
    assert is_classifier(classifier)


def test_learns_numbers_in_their_own_units():
    regressor = SAMSARegressor(**SMALL).fit(SMILES, LENGTH)
    assert regressor.score(SMILES, LENGTH) > 0.5
    assert 4900 < regressor.predict(SMILES).mean() < 5200
    assert is_regressor(regressor)


def test_three_classes_and_several_targets():
    few = {**SMALL, "max_epochs": 2}
    classifier = SAMSAClassifier(**few).fit(SMILES, [n % 3 for n in range(24)])
    assert classifier.predict_proba(SMILES).shape == (24, 3)
    labels = np.array([ALCOHOL, ALCOHOL[::-1]]).T.astype(float)
    labels[3, 1] = np.nan
    several = SAMSAClassifier(**few).fit(SMILES, labels)
    assert several.predict_proba(SMILES).shape == (24, 2)
    assert set(np.unique(several.predict(SMILES))) <= {0, 1}
    targets = np.array([LENGTH, [np.nan, *LENGTH[1:]]]).T
    assert SAMSARegressor(**few).fit(SMILES, targets).predict(SMILES[:3]).shape == (3, 2)


def test_the_same_seed_gives_the_same_network():
    few = {**SMALL, "max_epochs": 2}
    first, again, other = (
        SAMSARegressor(**few, random_state=seed).fit(SMILES, LENGTH).predict(SMILES) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_generators_of_the_caller_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SAMSARegressor(**{**SMALL, "max_epochs": 1}).fit(SMILES, LENGTH)
    assert torch.equal(torch.rand(3), expected)


def test_the_best_epoch_is_kept():
    regressor = SAMSARegressor(**{**SMALL, "max_epochs": 6}, validation_fraction=0.25).fit(SMILES, LENGTH)
    losses = [row["val_loss"] for row in regressor.history_]
    assert regressor.best_epoch_ == int(np.argmin(losses)) + 1
    assert (
        "val_loss"
        not in SAMSARegressor(**{**SMALL, "max_epochs": 1}, validation_fraction=0).fit(SMILES, LENGTH).history_[0]
    )


def test_scikit_learn_takes_them(capfd):
    few = SAMSAClassifier(**{**SMALL, "max_epochs": 1})
    twin = clone(few)
    assert twin.get_params() == few.get_params()
    assert twin is not few
    assert cross_val_score(few, SMILES, ALCOHOL, cv=2, scoring="roc_auc").shape == (2,)
    search = GridSearchCV(few, {"num_layers": [1, 2]}, cv=2).fit(SMILES, ALCOHOL)
    assert search.best_estimator_.predict(SMILES[:2]).shape == (2,)
    strip = FunctionTransformer(lambda texts: [text.strip() for text in texts])
    assert make_pipeline(strip, few).fit([f" {text}" for text in SMILES], ALCOHOL).predict([" CCO"]).shape == (1,)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err == ""


def test_graphs_instead_of_smiles():
    few = {**SMALL, "max_epochs": 1}
    graphs = [smiles_to_data(text) for text in SMILES]
    expected = SAMSARegressor(**few).fit(SMILES, LENGTH).predict(SMILES)
    np.testing.assert_array_equal(SAMSARegressor(**few).fit(graphs, LENGTH).predict(graphs), expected)
    assert "y" not in graphs[0]
    floats = [Data(x=torch.randn(3, 4), edge_index=torch.tensor([[0, 1], [1, 0]])) for _ in range(12)]
    assert SAMSAClassifier(**few).fit(floats, [0, 1] * 6).predict(floats).shape == (12,)


def test_predictions_do_not_depend_on_neighbours():
    regressor = SAMSARegressor(**{**SMALL, "max_epochs": 1}).fit(SMILES, LENGTH)
    np.testing.assert_allclose(
        regressor.predict(SMILES), np.concatenate([regressor.predict([text]) for text in SMILES]), rtol=1e-6
    )
    assert regressor.predict([]).shape == (0,)


@pytest.mark.parametrize("kind", [SAMSARegressor, SAMSAClassifier])
def test_saved_for_the_command_line(kind, tmp_path):
    y = LENGTH if kind is SAMSARegressor else ALCOHOL
    estimator = kind(**{**SMALL, "max_epochs": 1}).fit(SMILES, y)
    predictor = MoleculePredictor.from_pretrained(estimator.save_pretrained(tmp_path / "m", target_names=["y"]))
    expected = estimator.predict(SMILES) if kind is SAMSARegressor else estimator.predict_proba(SMILES)[:, 1]
    np.testing.assert_allclose(predictor.predict(SMILES).values[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "X", "y", "error"),
    [
        (SAMSAClassifier, SMILES, [1] * 24, ConfigError),
        (SAMSAClassifier, SMILES, ALCOHOL[:-1], ConfigError),
        (SAMSAClassifier, SMILES, np.full((24, 2), 0.5), ConfigError),
        (SAMSARegressor, SMILES, ["a"] * 24, ConfigError),
        (SAMSARegressor, SMILES, [np.nan] * 24, ConfigError),
        (SAMSARegressor, [], [], ConfigError),
        (SAMSARegressor, ["C", "C1CC"], [1, 2], SmilesError),
    ],
)
def test_what_cannot_be_fitted(make, X, y, error):
    with pytest.raises(error):
        make(**{**SMALL, "max_epochs": 1}).fit(X, y)


def test_not_fitted_yet():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        SAMSARegressor().predict(["C"])
