import numpy as np
import pytest
import torch

from pyg_samsa.chem import smiles_to_data
from pyg_samsa.errors import ConfigError
from pyg_samsa.hub import load_pretrained
from pyg_samsa.predict import MoleculeEmbedder, MoleculePredictor

SMILES = ["NCC(=O)O", "CCO", "not one", "NCC(=O)NCC(=O)O"]


@pytest.fixture(scope="module")
def embedder():
    return MoleculeEmbedder.from_network("peptides")


def test_embeddings_are_what_the_head_sees(embedder):
    model, _ = load_pretrained("peptides")
    result = embedder.predict(SMILES)
    assert result.values.shape == (4, embedder.width)
    assert [bool(error) for error in result.errors] == [False, False, True, False]
    assert np.isnan(result.values[2]).all()
    seen = []
    model.readout.head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for row in (0, 1, 3):
        data = smiles_to_data(SMILES[row])
        with torch.no_grad():
            model(data.x, data.edge_index, data.edge_attr)
        np.testing.assert_allclose(result.values[row], seen[-1][0].double().numpy(), rtol=1e-4, atol=1e-5)


def test_the_order_of_atoms_and_other_molecules_do_not_matter(embedder):
    together = embedder.predict(["OC(=O)CN", *SMILES]).values
    np.testing.assert_allclose(together[0], together[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(embedder.predict([SMILES[1]]).values[0], together[2], rtol=1e-4, atol=1e-5)


def test_names_count_from_one_with_the_same_width(embedder):
    names = embedder.target_names
    assert (names[0], names[-1], len(names)) == ("e01", f"e{embedder.width}", embedder.width)


def test_the_fingerprint_is_not_that_of_the_predictions(embedder):
    predictor = MoleculePredictor.from_network("peptides")
    assert embedder.fingerprint != predictor.fingerprint
    assert embedder.fingerprint == MoleculeEmbedder(predictor).fingerprint


def test_embeddings_have_no_spread(embedder):
    with pytest.raises(ConfigError, match="an embedding"):
        embedder.predict(["CC"], uncertainty=True)
