import re

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("rdkit")
pytest.importorskip("jinja2")

from pyg_samsa.errors import ConfigError, DataNotFoundError
from pyg_samsa.experiments.training_molecules import TrainingMolecules
from pyg_samsa.explain.predictor_explanation import explain_predictor
from pyg_samsa.notebook import show_molecules
from pyg_samsa.predict import MoleculePredictor, Predictor
from pyg_samsa.predict.conformal import Calibration
from pyg_samsa.task import Task

NASTY = "<img src=x onerror=alert(1)>"


class CountAtoms(Predictor):
    """Predicts the number of atoms and ten times as much, with intervals of plus or minus 0.5 and 5."""

    def __init__(self, names=("atoms", "tens"), extra_columns=()):
        self.task, self.extra_columns = Task("regression", list(names)), extra_columns
        self.calibration = Calibration("regression", (np.full(30, 0.5), np.full(30, 5.0)))

    def outputs(self, inputs, *, draws=None):
        count = inputs.table.num_nodes.astype(float)[:, None] + inputs.extra(self.extra_columns).sum(1, keepdims=True)
        return np.concatenate([count, 10 * count], axis=1), None


class Says(Predictor):
    """Predicts given probabilities."""

    def __init__(self, kind, names, values, calibration):
        self.task, self.values, self.calibration = Task(kind, names), values, calibration

    def outputs(self, inputs, *, draws=None):
        return np.tile(self.values, (len(inputs.smiles), 1)), None


def texts(html):
    """Return the texts of a piece of HTML without its style sheet."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", re.sub(r"<style>.*</style>", "", html, flags=re.S)))


@pytest.fixture(scope="module")
def training():
    task = Task("regression", ["atoms", "tens"])
    return TrainingMolecules(task, ["CCO", "c1ccccc1"], np.array([[3.25, np.nan], [6.0, 60.0]]))


def test_a_table_and_a_picture_with_values_intervals_and_the_nearest_molecule(training):
    shown = show_molecules(CountAtoms(), {"ethanol": "OCC", "broken": "C("}, training=training)
    assert shown.table.index.tolist() == ["ethanol", "broken"]
    ethanol, broken = shown.table.to_dict("records")
    assert (ethanol["atoms"], ethanol["atoms_low"], ethanol["atoms_high"], ethanol["tens"]) == (3.0, 2.5, 3.5, 30.0)
    assert (ethanol["nearest_smiles"], ethanol["nearest_similarity"]) == ("CCO", 1.0)
    assert ethanol["nearest_atoms_measured"] == 3.25
    assert np.isnan(ethanol["nearest_tens_measured"])
    assert np.isnan(broken["nearest_atoms_measured"])
    assert np.isnan(broken["atoms"])
    assert np.isnan(broken["nearest_similarity"])
    assert broken["error"] == "RDKit cannot read this SMILES (the bracket ( is not closed)"
    assert list(shown.table)[-1] == "error"
    text = texts(shown._repr_html_())
    assert "prediction 90 % interval atoms 3 2.5 to 3.5 tens 30 25 to 35" in text
    assert "Most similar training molecule Tanimoto similarity 1.00; measured: atoms 3.25; CCO" in text
    assert "broken No prediction: RDKit cannot read this SMILES (the bracket ( is not closed)" in text
    assert len(shown) == 2
    assert repr(shown) == repr(shown.table)


def test_the_picture_is_that_of_the_explanation():
    predictor = MoleculePredictor.from_pretrained("peptides")
    shown = show_molecules(predictor, {"glycine": "NCC(=O)O"}, target="anticancer", method="contribution", theme="dark")
    options = {"target": "anticancer", "methods": ["contribution"]}
    (found,) = explain_predictor(predictor, [("glycine", "NCC(=O)O")], **options)
    assert shown.molecules[0].pictures[0].svg == found.draw("contribution", theme="dark").svg
    # The explained label comes first, the others by their probability.
    first, *others = shown.molecules[0].values
    assert first.name == "anticancer"
    assert float(first.text) == pytest.approx(shown.table["anticancer"].iloc[0], abs=5e-4)
    assert [value.text for value in others] == sorted((value.text for value in others), reverse=True)
    assert found._repr_html_().count("<img") == 1


def test_long_lists_are_cut_and_say_so():
    shown = show_molecules(CountAtoms(), ["C" * n for n in range(1, 8)], limit=2)
    assert len(shown.table) == 7
    assert len(shown.molecules) == 2
    assert "The first 2 of 7 molecules are shown; the table has all of them." in shown._repr_html_()
    assert not show_molecules(CountAtoms(), ["C", "CC"], limit=2).notes


def test_a_large_molecule_is_predicted_and_not_drawn():
    shown = show_molecules(CountAtoms(), ["C" * 12, "C" * 11], max_atoms=11)
    large, small = shown.molecules
    assert (len(large.pictures), large.values[0].text) == (0, "12")
    assert large.remarks == ["Not drawn: 12 atoms, more than 11."]
    assert (len(small.pictures), list(small.remarks)) == (1, [])


def test_labels_and_classes_have_sets():
    labels = Says("multilabel", ["a", "b"], [0.9, 0.2], Calibration("multilabel", (np.full(30, 0.15),) * 4))
    assert [value.interval for value in show_molecules(labels, "C").molecules[0].values] == ["1", "none"]
    wide = Says("multilabel", ["a", "b"], [0.9, 0.2], Calibration("multilabel", (np.full(30, 0.95),) * 4))
    assert [value.interval for value in show_molecules(wide, "C").molecules[0].values] == ["0 or 1", "0 or 1"]
    classes = Says("multiclass", ["x", "y", "z"], [0.5, 0.2, 0.3], Calibration("multiclass", (np.full(30, 0.75),)))
    found = show_molecules(classes, "C").molecules[0].values
    assert [(value.name, value.interval) for value in found] == [("x", "in the set"), ("z", "in the set"), ("y", "")]


def test_what_the_model_does_not_have_is_noted():
    shown = show_molecules("peptides", ["NCC(=O)O"], method="sampled")
    assert shown.notes == [
        "The model gives no intervals: it was saved without validation rows to measure them on.",
        "The nearest training molecules are not known: the folder of this model does not say what it was trained on.",
    ]
    assert show_molecules("peptides", "C", method="sampled", interval=None, neighbors=0).notes == []
    with pytest.raises(ConfigError, match=r"interval: got 0\.5, expected no interval"):
        show_molecules("peptides", "C", interval=0.5)


def test_extra_columns_go_with_their_molecules():
    shown = show_molecules(CountAtoms(extra_columns=["pH"]), ["?", "C", "CC"], extra_columns={"pH": [9.0, 0.5, 0.25]})
    assert shown.table["atoms"].tolist()[1:] == [1.5, 2.25]
    assert [molecule.values[0].text for molecule in shown.molecules[1:]] == ["1.5", "2.25"]


def test_hostile_names_stay_texts(training):
    shown = show_molecules(CountAtoms([NASTY, "error"]), {NASTY: "CCO", "x": NASTY}, training=training)
    html = shown._repr_html_()
    assert "<img src=x" not in html
    assert "onerror=alert(1)&gt;" in html


def test_molecules_come_as_tables_and_rdkit_molecules():
    from rdkit import Chem

    table = pd.DataFrame({"id": ["a", "b"], "smiles": ["CC", "CCC"]})
    assert show_molecules(CountAtoms(), table, names=table["id"]).table["atoms"].to_dict() == {"a": 2.0, "b": 3.0}
    assert show_molecules(CountAtoms(), [Chem.MolFromSmiles("OC")]).table.index.tolist() == ["CO"]
    assert show_molecules(CountAtoms(), "CO", names="methanol").table.index.tolist() == ["methanol"]
    long = show_molecules(CountAtoms(), "C" * 50)
    assert long.table.index.tolist() == ["C" * 37 + "..."]
    assert show_molecules(CountAtoms(), [" CO\n"]).molecules[0].pictures
    assert show_molecules(CountAtoms(), []).molecules == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method: got 'magic'"),
        ({"target": "logP"}, "target: got 'logP'"),
        ({"limit": 0}, "limit: got 0"),
        ({"neighbors": 21}, "neighbors: got 21"),
        ({"theme": "blue"}, "theme: got 'blue'"),
        ({"names": ["a", "b"]}, "names: got '2 names', expected 1, one for each molecule"),
        ({"interval": 90}, "interval: got 90"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        show_molecules(CountAtoms(), ["C"], **options)


def test_wrong_models_are_named():
    with pytest.raises(DataNotFoundError, match="no_such_model"):
        show_molecules("no_such_model", "C")
    with pytest.raises(ConfigError, match="model: got 'dict'") as error:
        show_molecules({}, "C")
    assert "to_predictor" in error.value.hint
    with pytest.raises(ConfigError, match="names"):
        show_molecules(CountAtoms(), {"a": "C"}, names=["b"])


def test_ipython_shows_the_pictures():
    formatters = pytest.importorskip("IPython.core.formatters")
    shown = show_molecules(CountAtoms(), ["CC"])
    data, _ = formatters.DisplayFormatter().format(shown)
    assert set(data) == {"text/plain", "text/html"}
    assert data["text/html"] == shown._repr_html_()
