from dataclasses import replace

import pytest
import torch

pytest.importorskip("rdkit")

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.errors import ConfigError, SmilesError
from pyg_samsa.explain import METHODS
from pyg_samsa.explain.fingerprint_scores import fingerprint_scores
from pyg_samsa.explain.molecule_explanation import PICTURED, explain_molecules, label_of, scale_of
from pyg_samsa.explain.similar_molecule import SimilarMolecule
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task

TASK = Task("multilabel", ["kills_bacteria", "kills_fungi", "a", "b", "c", "d"])


def network(out_channels=6, **options):
    torch.manual_seed(0)
    sizes = {"channels": 16, "num_layers": 2, "heads": 2, "num_samples": 8, **options}
    model = SAMSA.from_options(ATOM_CARDINALITIES, out_channels, edge_channels=BOND_CARDINALITIES, **sizes)
    with torch.no_grad():
        model.encoder.alpha.fill_(0.5)
    return model


def explained(molecules, model=None, task=TASK, **options):
    return list(explain_molecules(model or network(), task, molecules, **options))


def test_a_chosen_target_is_explained_and_the_likeliest_otherwise():
    model = network()
    (likeliest,) = explained([("x", "CCO")], model)
    assert likeliest.predictions[likeliest.target] == max(likeliest.predictions.values())
    (chosen,) = explained([("x", "CCO")], model, target="b")
    assert chosen.target == "b"
    assert {found.target for found in chosen.importance.values()} == {3}
    with pytest.raises(ConfigError, match="target"):
        explained([("x", "CCO")], model, target="no such")


def test_the_table_has_a_row_for_every_token():
    (found,) = explained([("acid", "CC(=O)O")])
    frame = found.to_frame()
    assert frame.columns.tolist() == ["molecule", "token", "atom", "to_atom", "symbol", *PICTURED]
    assert frame["token"].tolist() == ["atom"] * 4 + ["bond"] * 6
    assert frame["symbol"].tolist()[:6] == ["C", "C", "O", "O", "C-C", "C-C"]
    assert frame["sampled"].tolist() == pytest.approx(
        [*found.importance["sampled"].node.tolist(), *found.importance["sampled"].edge.tolist()]
    )


def test_refused_molecules_are_told_or_raised():
    refused = []
    rest = explained([("bad", "C("), ("good", "C")], on_refusal=lambda *what: refused.append(what), methods=["sampled"])
    assert [found.name for found in rest] == ["good"]
    assert refused == [(0, "bad", "C(", "RDKit cannot read this SMILES (the bracket ( is not closed)")]
    with pytest.raises(SmilesError, match="row 1"):
        explained([("bad", "C(")])


def test_regressions_are_in_the_units_of_their_targets():
    task, scaled = Task("regression", ["logS"]), network(1, scale_targets=True)
    plain = network(1)
    plain.load_state_dict({name: value for name, value in scaled.state_dict().items() if name in plain.state_dict()})
    scaled.scale.fit(torch.tensor([3.0]), torch.tensor([2.0]))
    (without,), (found,) = (list(explain_molecules(model, task, [("x", "CCO")])) for model in (plain, scaled))
    assert found.predictions["logS"] == pytest.approx(2 * without.predictions["logS"] + 3)
    for method, factor in (("occlusion", 2), ("contribution", 2), ("sampled", 1)):
        torch.testing.assert_close(
            found.importance[method].node.double(),
            factor * without.importance[method].node.double(),
            atol=1e-5,
            rtol=1e-4,
        )


def test_pictures_of_every_method(tmp_path):
    (found,) = explained([("x", "CCO")])
    for method in PICTURED:
        assert found.draw(method, theme="dark").save(tmp_path / f"{method}.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match="method"):
        found.draw("lime")


@pytest.mark.parametrize("method", METHODS)
def test_scores_of_every_method_are_those_of_its_tokens(method):
    (found,) = explained([("acid", "CC(=O)O")], methods=[method])
    atoms, bonds = found.scores(method)
    factor = 100 if method == "sampled" else 1
    assert atoms == pytest.approx((factor * found.importance[method].node).tolist())
    assert bonds == pytest.approx((factor * found.importance[method].bond).tolist())
    assert (len(atoms), len(bonds)) == (4, 3)


@pytest.mark.parametrize("kind", ["binary", "regression"])
@pytest.mark.parametrize("method", PICTURED)
def test_labels_name_the_method_and_say_where_it_is_a_logit(method, kind):
    label = label_of(method, kind)
    assert label.startswith(method)
    assert ("(logit)" in label) == (kind == "binary" and method != "sampled")
    assert scale_of(method) == ("sequential" if method == "sampled" else "diverging")


def test_predictions_are_those_of_the_network_as_probabilities():
    from pyg_samsa.chem import smiles_to_data

    model, data = network().eval(), smiles_to_data("CCO")
    with torch.no_grad():
        logits = model(data.x, data.edge_index, data.edge_attr)[0]
    (found,) = explained([("x", "CCO")], model)
    assert list(found.predictions) == list(TASK.names)
    assert list(found.predictions.values()) == pytest.approx(logits.sigmoid().tolist())
    assert found.target == TASK.names[int(logits.argmax())]


def test_the_first_regression_is_explained_by_default():
    task = Task("regression", ["logS", "logP"])
    (found,) = explained([("x", "CCO")], network(2), task, methods=["sampled"])
    assert found.target == "logS"


def test_molecules_are_explained_when_they_are_asked_for():
    molecules = explain_molecules(network(), TASK, [("good", "C"), ("bad", "C(")], methods=["chosen"])
    assert next(molecules).name == "good"
    with pytest.raises(SmilesError, match="row 2"):
        next(molecules)
    with pytest.raises(ConfigError, match="methods"):
        explained([("x", "C")], methods=[])


def test_descriptors_and_extra_columns_are_those_of_the_molecule():
    from pyg_samsa.chem import compute_descriptors, smiles_to_data

    model = network(2, graph_channels=168).eval()
    task, molecules = Task("regression", ["logS", "logP"]), [("bad", "C("), ("x", "CCO"), ("y", "CCN")]
    options = {"descriptors": ["maccs"], "extra_columns": {"pH": [1.0, 7.0, 5.0]}, "on_refusal": lambda *_: None}
    found = explained(molecules, model, task, methods=["occlusion"], **options)
    for explanation, ph in zip(found, (7.0, 5.0), strict=True):
        data = smiles_to_data(explanation.smiles)
        keys = torch.from_numpy(compute_descriptors([explanation.smiles], ["maccs"], progress=False))
        with torch.no_grad():
            features = torch.cat([keys, torch.tensor([[ph]])], dim=1)
            expected = model(data.x, data.edge_index, data.edge_attr, graph_features=features)[0]
        assert list(explanation.predictions.values()) == pytest.approx(expected.tolist())
    with pytest.raises(ConfigError, match="graph_features"):
        explained(molecules[1:], model, task, methods=["occlusion"])


def test_the_table_has_the_scores_of_similar_molecules():
    (found,) = explained([("acid", "CC(=O)O")], methods=["sampled"])
    scores = fingerprint_scores("CC(=O)O", "CC(=O)N")
    with_scores, without = (
        SimilarMolecule("CC(=O)N", 0.5, "fingerprint", {}, scores),
        SimilarMolecule("C", 0, "embedding"),
    )
    frame = replace(found, similar=[without, with_scores]).to_frame()
    assert frame.columns.tolist()[-2:] == ["sampled", "similarity_2"]
    assert frame["similarity_2"].tolist() == [*scores.node.tolist(), *scores.edge.tolist()]


def test_notebooks_show_every_picture_and_similar_molecules():
    (found,) = explained([("acid", "CC(=O)O")], methods=[*PICTURED, "gradient"])
    html = replace(found, similar=[SimilarMolecule("CO", 0.25, "fingerprint")])._repr_html_()
    assert html.count("<img") == 4
    assert "Tanimoto similarity 0.25; nothing measured; CO" in html
    for method in PICTURED:
        assert found.picture(method).address in html
    assert found.fragment(["sampled"]).pictures[0].svg == found.draw("sampled", theme="auto").svg
    assert [value.name for value in found.fragment().values] == found.ranked()
