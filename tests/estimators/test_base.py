"""What holds for every estimator."""

import inspect

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch_geometric.data import Batch, Data

from pyg_samsa import estimators
from pyg_samsa.chem import smiles_to_data
from pyg_samsa.errors import ConfigError, DataError, SmilesError
from pyg_samsa.estimators import SAMSAClassifier, SAMSARegressor
from pyg_samsa.estimators._base import WALK_STEPS, MoleculeEstimator
from pyg_samsa.estimators._targets import as_matrix
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.node_encodings import node_encodings
from pyg_samsa.predict import MoleculePredictor
from pyg_samsa.training.data_module import SplitData

ESTIMATORS = [getattr(estimators, name) for name in estimators.__all__]


@pytest.fixture(params=ESTIMATORS)
def make(request):
    return request.param


def test_documented_arguments_are_those_of_the_constructor(make):
    names = list(inspect.signature(make).parameters)
    lines = [line.strip() for line in make.__doc__.split("Args:")[1].split("Attributes:")[0].splitlines()]
    assert [line.split(":")[0] for line in lines if line.split(":")[0] in names] == names
    assert make.__init__ is MoleculeEstimator.__init__


def test_clones_are_equal_and_not_fitted(make, smiles, alcohol, small):
    fitted = make(**small).fit(smiles, alcohol)
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    assert not hasattr(twin, "model_")
    with pytest.raises(NotFittedError):
        twin.predict(smiles)
    with pytest.raises(NotFittedError):
        twin.save_pretrained("nowhere")


def test_the_same_seed_gives_the_same_network(smiles, length, small):
    first, again, other = (
        SAMSARegressor(**small | {"max_epochs": 2}, random_state=seed).fit(smiles, length).predict(smiles)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_generators_of_the_caller_are_left_alone(smiles, length, small):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SAMSARegressor(**small).fit(smiles, length)
    assert torch.equal(torch.rand(3), expected)


def test_the_best_epoch_is_kept(smiles, length, small):
    regressor = SAMSARegressor(**small | {"max_epochs": 6}, validation_fraction=0.25).fit(smiles, length)
    losses = [row["val_loss"] for row in regressor.history_]
    assert regressor.best_epoch_ == int(np.argmin(losses)) + 1


def test_without_validation_the_last_epoch_is_kept(make, smiles, alcohol, small):
    fitted = make(**small | {"max_epochs": 2}, validation_fraction=0).fit(smiles, alcohol)
    assert fitted.best_epoch_ == 2
    assert "val_loss" not in fitted.history_[0]


def test_the_validation_split_is_stratified():
    strata = [0] * 20 + [1] * 10
    split = MoleculeEstimator(validation_fraction=0.2)._split(strata, seed=3)
    assert sorted(torch.cat([split["train"], split["val"]]).tolist()) == list(range(30))
    assert torch.tensor(strata)[split["val"]].bincount().tolist() == [4, 2]
    assert set(MoleculeEstimator(validation_fraction=0.1)._split([0] * 4, seed=3)) == {"train"}


def test_scikit_learn_searches_in_a_pipeline_without_output(smiles, alcohol, small, capfd):
    strip = FunctionTransformer(lambda texts: [text.strip() for text in texts])
    pipeline = make_pipeline(strip, SAMSAClassifier(**small))
    search = GridSearchCV(pipeline, {"samsaclassifier__channels": [8, 16]}, cv=2, scoring="roc_auc")
    search.fit([f" {text}" for text in smiles], alcohol)
    assert search.predict([" CCO"]).shape == (1,)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert capfd.readouterr() == ("", "")


def test_graphs_and_their_smiles_are_the_same_molecules(smiles, length, small):
    graphs = [smiles_to_data(text) for text in smiles]
    expected = SAMSARegressor(**small).fit(smiles, length).predict(smiles)
    np.testing.assert_array_equal(SAMSARegressor(**small).fit(graphs, length).predict(graphs), expected)
    assert "y" not in graphs[0]


def test_graphs_with_float_features_are_fitted_but_not_saved(make, small, tmp_path):
    floats = [Data(x=torch.randn(3, 4), edge_index=torch.tensor([[0, 1], [1, 0]])) for _ in range(12)]
    fitted = make(**small).fit(floats, [0, 1] * 6)
    assert fitted.predict(floats).shape == (12,)
    with pytest.raises(DataError, match="not fitted on molecules"):
        fitted.save_pretrained(tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("graph", "culprit"),
    [
        (Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=2), "no node features"),
        (Data(x=torch.ones(2, 3, dtype=torch.long)), "integer features other than OGB's"),
        (Data(x=torch.ones(2, 9, dtype=torch.long)), "integer features other than OGB's"),
    ],
    ids=["no features", "other integers", "no bond features"],
)
def test_graphs_with_features_that_do_not_fit_are_refused(graph, culprit, make, small):
    with pytest.raises(DataError, match=culprit):
        make(**small).fit([graph] * 12, [0, 1] * 6)


def test_predictions_do_not_depend_on_the_other_molecules(smiles, length, small):
    regressor = SAMSARegressor(**small).fit(smiles, length)
    alone = np.concatenate([regressor.predict([text]) for text in smiles[:6]])
    np.testing.assert_allclose(regressor.predict(smiles)[:6], alone, rtol=1e-6)
    assert regressor.predict([]).shape == (0,)


@pytest.mark.parametrize(
    ("X", "error", "culprit"),
    [([], ConfigError, "at least one"), (["C", "C1CC"], SmilesError, "row 2")],
    ids=["nothing", "bad molecule"],
)
def test_molecules_that_cannot_be_read_are_named(X, error, culprit, make, small):
    with pytest.raises(error, match=culprit):
        make(**small).fit(X, [0, 1][: len(X)] or [0, 1])


def test_targets_become_a_matrix_of_their_own():
    given = np.array([1, 2, 3])
    matrix = as_matrix(given)
    matrix[0] = 9
    assert matrix.tolist() == [[9.0], [2.0], [3.0]]
    assert given.tolist() == [1, 2, 3]
    assert as_matrix([[1, 2]]).tolist() == [[1.0, 2.0]]
    with pytest.raises(ConfigError, match="NaN if unknown"):
        as_matrix([None, "a"])


def test_arguments_of_numpy_are_those_of_python(make, smiles, alcohol, small):
    small = small | {"learning_rate": 0.01, "weight_decay": 0.1, "dropout": 0.25, "random_state": 3}
    numpy = {name: np.array(value)[()] for name, value in small.items()} | {"descriptors": np.array(["maccs"])}
    assert {type(value).__module__ for value in numpy.values()} == {"numpy"}
    first = make(**small, descriptors="maccs").fit(smiles, alcohol)
    again = make(**numpy).fit(smiles, alcohol)
    np.testing.assert_array_equal(first.predict(smiles), again.predict(smiles))
    assert clone(again).get_params() == again.get_params()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", 0),
        ("max_epochs", np.float64(2)),
        ("batch_size", np.int64(0)),
        ("warmup_epochs", -1),
        ("learning_rate", np.float64(-1)),
        ("weight_decay", "much"),
        ("validation_fraction", 1.0),
        ("random_state", "seed"),
        ("descriptors", "macs"),
        ("max_atoms", 0),
    ],
)
def test_an_argument_that_is_not_allowed_is_named_before_molecules_are_read(name, value, make, small):
    with pytest.raises(ConfigError, match=f"^{name}: got"):
        make(**small | {name: value}).fit(["not a molecule"] * 2, [0, 1])


def test_molecules_are_read_from_one_text_a_column_or_a_table(make, smiles, alcohol, small):
    table = pd.DataFrame({"name": "m", "smiles": smiles, "alcohol": alcohol})
    fitted = make(**small).fit(table, table["alcohol"])
    expected = fitted.predict(smiles)
    for form in (table, table["smiles"], table[["smiles"]], np.array(smiles)[:, None], iter(smiles)):
        np.testing.assert_allclose(fitted.predict(form), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fitted.predict(smiles[0]), expected[:1], rtol=1e-4, atol=1e-4)


def test_objects_of_rdkit_are_molecules(make, smiles, alcohol, small):
    mols = [Chem.AddHs(Chem.MolFromSmiles(text)) for text in smiles]
    options = {**small, "max_epochs": 1, "descriptors": ["maccs"]}
    expected = make(**options).fit(smiles, alcohol).predict(smiles)
    fitted = make(**options).fit(mols, alcohol)
    np.testing.assert_allclose(fitted.predict(mols), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fitted.predict(mols[0]), expected[:1], rtol=1e-4, atol=1e-4)
    with pytest.raises(SmilesError, match=r"row 2: no molecule \(None\)"):
        fitted.predict([mols[0], None])


@pytest.mark.parametrize("members", ["network", "gp"])
def test_a_molecule_that_is_too_large_is_named(make, smiles, alcohol, small, members):
    options = {**small, "max_epochs": 1, "members": members}
    with pytest.raises(SmilesError, match="row 3: 20,000 atoms, more than 10,000") as caught:
        make(**options).fit([*smiles[:2], "C" * 20_000, *smiles[3:]], alcohol)
    assert caught.value.hint == "Leave it out, or raise max_atoms."
    fitted = make(**options, max_atoms=40).fit(smiles, alcohol)
    with pytest.raises(SmilesError, match="row 1: 41 atoms, more than 40"):
        fitted.predict(["C" * 41])
    assert len(fitted.set_params(max_atoms=None).predict(["C" * 41])) == 1


def test_graphs_of_the_wrong_kind_are_named_in_fit_and_predict(make, small):
    edges = torch.tensor([[0, 1], [1, 0]])
    graphs = [Data(x=torch.rand(2, 3).double(), edge_index=edges, edge_attr=torch.rand(2)) for _ in range(8)]
    fitted = make(**small).fit(graphs, [0, 1] * 4)
    assert len(fitted.predict(Batch.from_data_list(graphs))) == 8
    graphs[5] = Data(x=torch.rand(2, 4), edge_index=edges, edge_attr=torch.rand(2))
    with pytest.raises(DataError, match="graph 5: x has 4 features, and graph 0 3"):
        make(**small).fit(graphs, [0, 1] * 4)
    with pytest.raises(DataError, match="graph 5: x has 4 features, and the graphs of the training 3"):
        fitted.predict(graphs)


def test_descriptors_are_those_of_the_molecules_and_saved(make, smiles, alcohol, small, tmp_path):
    from pyg_samsa.predict import MoleculePredictor

    fitted = make(**small, descriptors=("maccs", "rdkit2d")).fit(smiles, alcohol)
    method = "predict_proba" if hasattr(fitted, "predict_proba") else "predict"
    found = getattr(fitted, method)(smiles)
    graphs = [smiles_to_data(text) for text in smiles]
    np.testing.assert_allclose(getattr(fitted, method)(graphs), found, rtol=1e-5)
    np.testing.assert_allclose(getattr(fitted, method)(smiles[::-1])[::-1], found, rtol=1e-4, atol=1e-5)
    predictor = MoleculePredictor.from_pretrained(fitted.save_pretrained(tmp_path / "model"))
    values = predictor.predict(smiles).values[:, 0]
    np.testing.assert_allclose(values, found if method == "predict" else found[:, 1], rtol=1e-4, atol=1e-5)
    # No molecule has the first key.
    assert fitted.model_.graph_features.scale[0] == 0
    del graphs[3].smiles
    with pytest.raises(ConfigError, match="graph 3 has no SMILES"):
        fitted.predict(graphs)
    with pytest.raises(ConfigError, match="descriptors: got 'macs'"):
        make(**small, descriptors=("macs",)).fit(smiles, alcohol)


@pytest.mark.parametrize(
    ("local", "tokens"), [("gine", "NodeTokenizer"), ("incidence", "GraphTokenizer"), (None, "GraphTokenizer")]
)
def test_bonds_are_messages_or_tokens(local, tokens, smiles, length, small, tmp_path):
    regressor = SAMSARegressor(**small, local=local).fit(smiles, length)
    model = regressor.model_
    assert type(model.tokenizer).__name__ == tokens
    assert (model.encoder.blocks[0].local is None) == (local is None)
    assert ("pe" in model.inputs) == (local is not None)
    regressor.save_pretrained(tmp_path / "model")
    saved = MoleculePredictor.from_pretrained(tmp_path / "model").predict(smiles).values[:, 0]
    np.testing.assert_allclose(saved, regressor.predict(smiles), rtol=1e-5)


def test_training_reads_the_walks_that_a_prediction_computes(smiles, length, small, monkeypatch):
    seen = []
    monkeypatch.setattr(SplitData, "__init__", lambda self, graphs, *_, **__: seen.append(graphs[0]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        SAMSARegressor(**small).fit(smiles, length)
    (graph,) = seen
    index = RaggedIndex(torch.tensor([0, graph.num_nodes]))
    torch.testing.assert_close(graph.pe, node_encodings("rwse", WALK_STEPS, graph.edge_index, index))


@pytest.mark.parametrize("members", ["network", "gp"])
def test_molecules_are_standardised_in_fit_and_predictions(smiles, length, small, members, tmp_path):
    salts = [f"{text}.[Na+].[Cl-]" if place % 2 else text for place, text in enumerate(smiles)]
    steps = ["neutralize", "fragment"]
    given, plain = (
        SAMSARegressor(**small, members=members, standardize=steps).fit(texts, length) for texts in (salts, smiles)
    )
    assert [(one.position, one.steps) for one in given.changes_] == [(n, ("fragment",)) for n in range(1, 24, 2)]
    assert given.changes_[0].after == smiles[1]
    np.testing.assert_array_equal(given.predict(["[Na+].CCCO"]), plain.predict(["OCCC"]))
    loaded = MoleculePredictor.from_pretrained(given.save_pretrained(tmp_path / "model"))
    assert loaded.standardize == ("fragment", "neutralize")
    np.testing.assert_allclose(loaded.predict(["[Na+].CCCO"]).values[:, 0], given.predict(["CCCO"]), rtol=1e-5)
    given.set_params(standardize=())  # counts in the next fit
    np.testing.assert_array_equal(given.predict(["[Na+].CCCO"]), plain.predict(["OCCC"]))


def test_what_cannot_be_standardised_is_named(smiles, length, small):
    with pytest.raises(SmilesError, match=r"^row 2: the step neutralize gives the invalid molecule"):
        SAMSARegressor(**small, standardize=["neutralize"]).fit([smiles[0], "[SbH6+3]", *smiles[2:]], length)
    with pytest.raises(ConfigError, match=r"^standardize: got 'salts'"):
        SAMSARegressor(**small, standardize=["salts"]).fit(smiles, length)
    graphs = [smiles_to_data(text) for text in smiles]
    with pytest.raises(ConfigError, match=r"^standardize: got \['fragment'\], expected \(\) for graphs"):
        SAMSARegressor(**small, standardize=["fragment"]).fit(graphs, length)
