import yaml

from pyg_samsa.chem import ATOM_CARDINALITIES
from pyg_samsa.hub.model_card import model_card
from pyg_samsa.hub.model_config import ModelConfig
from pyg_samsa.task import Task


def test_card_of_a_saved_model(saved):
    card = (saved / "README.md").read_text()
    assert "Ten molecules." in card
    assert "- logS" in card
    assert "| test | 0.4 |" in card
    assert "pyg-samsa predict" not in card  # its features are not those of molecules
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "pyg-samsa"


def test_card_of_a_model_of_molecules_shows_how_to_predict():
    options = {"in_channels": list(ATOM_CARDINALITIES), "channels": 8}
    card = model_card(ModelConfig("SAMSA", options, 1234, Task("multilabel", ["a", "b"])), "mine")
    assert "A SAMSA network with 1,234 weights that predicts a, b from molecules" in card
    assert "pyg-samsa predict mine molecules.csv predictions.csv" in card


def test_card_without_a_task():
    card = model_card(ModelConfig("SAMSA", {}, 9), "mine")
    assert "## Predictions" not in card
    assert "## Metrics" not in card


def test_card_names_the_inputs_beside_the_molecule():
    config = ModelConfig("SAMSA", {}, 9, Task("binary", ["a"]), descriptors=["maccs", "morgan"], extra_columns=["pH"])
    card = model_card(config, "mine")
    assert "- descriptors, computed from the SMILES: maccs, morgan" in card
    assert "- columns of the table: `pH`" in card


def test_card_of_a_model_of_words_does_not_list_the_vocabulary():
    task = Task("words", ["get", "name", "__UNK__", "__EOS__"], positions=5)
    card = model_card(ModelConfig("SAMSA", {}, 9, task), "mine")
    assert "that predicts 5 words, each one of 4: a probability for each word" in card
    assert "- 5 words, each one of 4" in card
    assert "__EOS__" not in card
