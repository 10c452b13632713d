import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from pyg_samsa.chem import (
    ATOM_CARDINALITIES,
    BOND_CARDINALITIES,
    compute_descriptors,
    descriptor_labels,
    smiles_to_data,
)
from pyg_samsa.errors import ConfigError, DataNotFoundError
from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict.predictor import MoleculePredictor
from pyg_samsa.task import Task

SMILES = [
    "CCO",
    "c1ccccc1O",
    "C",
    "CC(=O)Nc1ccc(O)cc1",
    "[Na+].[Cl-]",
    "NCC(=O)NCC(=O)O",
    "C" * 60,
    "O=C(O)C[C@H](N)C(=O)O",
]
REGRESSION = Task("regression", ["logS"])
KINDS = {
    "regression": (1, REGRESSION, lambda out: out),
    "binary": (1, Task("binary", ["active"]), torch.sigmoid),
    "multilabel": (3, Task("multilabel", ["a", "b", "c"]), torch.sigmoid),
    "multiclass": (3, Task("multiclass", ["a", "b", "c"]), lambda out: out.softmax(-1)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("draws", [1, 3])
def test_predictions_are_those_of_the_network(molecule_network, kind, draws):
    width, task, meaning = KINDS[kind]
    model = molecule_network(width, num_eval_samples=draws)
    batch = Batch.from_data_list([smiles_to_data(text) for text in SMILES])
    with torch.no_grad():
        expected = meaning(model(batch.x, batch.edge_index, batch.edge_attr, batch.batch).double())
    result = MoleculePredictor(model, task, tokens_per_batch=50).predict(SMILES)
    np.testing.assert_allclose(result.values, expected.numpy(), atol=1e-5)
    assert result.spread is None
    assert result.errors == [""] * len(SMILES)


@pytest.mark.parametrize("tokens", [1, 37, 10**6])
def test_neighbours_do_not_matter(molecule_network, tokens):
    predictor = MoleculePredictor(molecule_network(), REGRESSION, tokens_per_batch=tokens)
    together, alone = (
        predictor.predict(SMILES).values,
        np.concatenate([predictor.predict([text]).values for text in SMILES]),
    )
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(predictor.predict(SMILES[::-1]).values[::-1], alone, atol=1e-5)
    np.testing.assert_array_equal(predictor.predict(SMILES).values, together)


def test_what_cannot_be_read_keeps_its_place(molecule_network):
    predictor = MoleculePredictor(molecule_network(), REGRESSION)
    result = predictor.predict(["C1CC", *SMILES[:2], "", None, "  CCO "])
    assert [bool(error) for error in result.errors] == [True, False, False, True, True, False]
    assert np.isnan(result.values[:, 0]).tolist() == [True, False, False, True, True, False]
    np.testing.assert_allclose(result.values[[1, 2, 5]], predictor.predict([*SMILES[:2], "CCO"]).values, atol=1e-6)


def test_nothing_to_predict(molecule_network):
    predictor = MoleculePredictor(molecule_network(), REGRESSION)
    assert predictor.predict([]).values.shape == (0, 1)
    assert predictor.predict(["?"]).errors == ["RDKit cannot read this SMILES"]


@pytest.mark.parametrize("kind", KINDS)
def test_spread_is_that_of_the_draws(molecule_network, kind):
    width, task, meaning = KINDS[kind]
    model = molecule_network(width)
    result = MoleculePredictor(model, task).predict(SMILES, uncertainty=True, draws=5)
    for row, text in enumerate(SMILES):
        data = smiles_to_data(text)
        with torch.no_grad():
            tokens = [model.encode(data.x, data.edge_index, data.edge_attr, draw=draw) for draw in range(5)]
            outputs = torch.stack([model.readout(token) for token in tokens]).double()
        np.testing.assert_allclose(result.spread[row], meaning(outputs).std(0, correction=0)[0], atol=1e-5)
        mean = outputs[: model.num_eval_samples].mean(0)
        np.testing.assert_allclose(result.values[row], meaning(mean)[0], atol=1e-5)
    assert (result.spread > 0).any()
    with pytest.raises(ConfigError, match="draws"):
        MoleculePredictor(model, task).predict(SMILES, uncertainty=True, draws=1)


def test_a_network_without_random_codes_has_no_spread():
    with pytest.raises(ConfigError, match="a single network without random codes has no standard deviation") as caught:
        MoleculePredictor.from_pretrained("peptides").predict(["C"], uncertainty=True)
    assert "--ensemble" in caught.value.hint


def test_from_a_folder(molecule_network, tmp_path):
    model = molecule_network()
    folder = save_pretrained(model, tmp_path / "run" / "model", task=REGRESSION)
    for name in (folder, tmp_path / "run"):
        predictor = MoleculePredictor.from_pretrained(name)
        np.testing.assert_array_equal(
            predictor.predict(SMILES).values, MoleculePredictor(model, REGRESSION).predict(SMILES).values
        )
        assert predictor.target_names == ["logS"]
    first = predictor.fingerprint
    save_pretrained(model, folder, task=Task("regression", ["logP"]))
    assert MoleculePredictor.from_pretrained(folder).fingerprint != first
    with pytest.raises(DataNotFoundError):
        MoleculePredictor.from_pretrained(tmp_path / "none")
    save_pretrained(model, folder)
    with pytest.raises(ConfigError, match="task"):
        MoleculePredictor.from_pretrained(folder)


def test_tables(molecule_network):
    frame = MoleculePredictor(molecule_network(), REGRESSION).predict_frame(["CCO", "?"], uncertainty=True, draws=2)
    assert list(frame) == ["smiles", "logS", "logS_spread", "error"]
    assert frame["error"].tolist() == ["", "RDKit cannot read this SMILES"]
    named = MoleculePredictor(molecule_network(), Task("regression", ["error"])).predict_frame(["CCO", "?"])
    assert list(named) == ["smiles", "error_pred", "error"]
    assert named["error"].tolist() == ["", "RDKit cannot read this SMILES"]


def test_networks_of_other_things_are_refused(molecule_network):
    for model in (
        SAMSA.from_options(3, 1, channels=8, num_layers=1, heads=2),
        molecule_network(level="node"),
        molecule_network(towers=2),
        molecule_network(None),
    ):
        with pytest.raises(ConfigError):
            MoleculePredictor(model, REGRESSION)


def test_a_very_large_molecule_beside_small_ones(molecule_network):
    result = MoleculePredictor(molecule_network(), REGRESSION, tokens_per_batch=500).predict(
        ["C" * 9000, "CCO", "C" * 10_000]
    )
    assert np.isfinite(result.values).all()


def test_the_network_that_comes_with_the_package():
    from pyg_samsa.chem import sequence_to_data
    from pyg_samsa.hub.folder import SHIPPED, shipped

    assert "peptides" in shipped()
    predictor = MoleculePredictor.from_pretrained("peptides")
    assert predictor.target_names == ["antimicrobial", "anticancer", "transmembrane"]
    magainin, helix = (
        sequence_to_data("GIGKFLHSAKKFGKAFVGEIMNS").smiles,
        sequence_to_data("LLVVILLAVGLLAFIVLLIVL").smiles,
    )
    values = predictor.predict([magainin, helix]).values
    assert values[0, 0] > 0.5 > values[0, 2]
    assert values[1, 2] > 0.5 > values[1, 0]
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 4e6
    assert "pyg-samsa train --cfg peptides_pretrained" in (SHIPPED / "peptides" / "README.md").read_text()


def with_features(molecule_network, descriptors, extra_columns):
    width = len(descriptor_labels(descriptors)) + len(extra_columns)
    model = molecule_network(graph_channels=width)
    features = torch.from_numpy(compute_descriptors(SMILES, descriptors, progress=False))
    features = torch.cat([features, torch.arange(8.0 * len(extra_columns)).view(8, -1)], dim=1)
    model.graph_features.fit(features)
    return model, features


def test_descriptors_and_extra_columns_are_those_of_training(molecule_network, tmp_path):
    names, columns = ["rdkit2d", "maccs"], ["temperature", "pH"]
    model, features = with_features(molecule_network, names, columns)
    features[3, -1] = float("nan")
    batch = Batch.from_data_list([smiles_to_data(text) for text in SMILES])
    with torch.no_grad():
        expected = model(batch.x, batch.edge_index, batch.edge_attr, batch.batch, graph_features=features)
    inputs = {"descriptors": names, "extra_columns": columns}
    predictor = MoleculePredictor.from_pretrained(
        save_pretrained(model, tmp_path / "m", task=REGRESSION, **inputs), tokens_per_batch=50
    )
    given = dict(zip(columns, features[:, -2:].T.tolist(), strict=True))
    found = predictor.predict([*SMILES, "C("], extra_columns={name: [*column, 0.0] for name, column in given.items()})
    np.testing.assert_allclose(found.values[:-1], expected.double().numpy(), atol=1e-5)
    assert found.errors[-1]
    alone = [
        predictor.predict([text], extra_columns={name: [given[name][row]] for name in columns}).values
        for row, text in enumerate(SMILES)
    ]
    np.testing.assert_allclose(np.concatenate(alone), found.values[:-1], atol=1e-5)
    with pytest.raises(ConfigError, match="temperature"):
        predictor.predict(SMILES)


def test_features_must_be_those_that_the_network_reads(molecule_network):
    model, _ = with_features(molecule_network, ["maccs"], ["pH"])
    with pytest.raises(ConfigError, match=r"descriptors: got '167 columns of maccs', expected the 168 features"):
        MoleculePredictor(model, REGRESSION, descriptors=["maccs"])
    with pytest.raises(ConfigError, match=r"descriptors: got '0 columns of no descriptors', expected the 168"):
        MoleculePredictor(model, REGRESSION)
    with pytest.raises(ConfigError, match=r"got '1 columns of pH', expected the 0 features"):
        MoleculePredictor(molecule_network(), REGRESSION, extra_columns=["pH"])


@pytest.mark.parametrize("draws", [2, 8])
def test_the_spread_does_not_change_the_prediction(molecule_network, draws):
    predictor = MoleculePredictor(molecule_network(), REGRESSION)
    alone = predictor.predict(["NCC(=O)NCC(=O)O", "CCO"])
    together = predictor.predict(["NCC(=O)NCC(=O)O", "CCO"], uncertainty=True, draws=draws)
    assert together.spread is not None
    assert (alone.values == together.values).all()


@pytest.mark.parametrize("options", [{"bridge": False}, {"bridge": True, "edge_channels": None}])
def test_a_network_that_reads_no_bonds_predicts(options):
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4, "edge_channels": BOND_CARDINALITIES}
    model = SAMSA.from_options(ATOM_CARDINALITIES, 1, **{**sizes, **options})
    predictor = MoleculePredictor(model, Task("binary", ["active"]))
    assert np.isfinite(predictor.predict(["CCO", "C"]).values).all()


@pytest.mark.parametrize("channels", [(5, BOND_CARDINALITIES), (ATOM_CARDINALITIES, 3)])
def test_a_network_with_other_features_is_one_line(channels):
    model = SAMSA.from_options(channels[0], 1, edge_channels=channels[1], channels=8, num_layers=1, heads=2)
    with pytest.raises(ConfigError, match=r"^model: got 'a network with other features', expected OGB's features") as c:
        MoleculePredictor(model, Task("binary", ["active"]))
    assert str(c.value).count("\n") == 0


@pytest.mark.parametrize("scaled", [True, False])
def test_a_device_without_float64_predicts_like_the_cpu(float32_device, molecule_network, scaled, monkeypatch):
    # The tensors of the test device do not work in inference mode.
    monkeypatch.setattr(MoleculePredictor, "_batch", torch.no_grad()(MoleculePredictor._batch.__wrapped__))
    model = molecule_network(scale_targets=scaled)
    if scaled:
        model.scale.fit(torch.tensor([-1e6]), torch.tensor([0.01]))
    expected = MoleculePredictor(model, REGRESSION).predict(SMILES, uncertainty=True)
    predictor = MoleculePredictor(model, REGRESSION, device=float32_device)
    found = predictor.predict(SMILES, uncertainty=True)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6 if scaled else 1e-5, rtol=0)
    np.testing.assert_allclose(found.spread, expected.spread, atol=1e-6 if scaled else 1e-5, rtol=0)
    if scaled:
        assert predictor.target_std.tolist() == pytest.approx([0.01])


def test_defaults(defaults):
    expected = {
        "tokens_per_batch": 8192,
        "device": "cpu",
    }
    assert expected.items() <= defaults(MoleculePredictor).items()
