"""Models that standardise molecules: saved, loaded, and applied in every kind of prediction."""

import csv
import io
import json

import numpy as np
import pytest

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.chem.mol_blocks import smiles_block
from pyg_samsa.chem.molecule_table import open_molecule_table
from pyg_samsa.cli import main
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.hub import HubModel, load_pretrained, save_pretrained
from pyg_samsa.predict import (
    BlendPredictor,
    DescriptorPredictor,
    GaussianProcess,
    MoleculeEmbedder,
    MoleculePredictor,
    load_predictor,
    save_predictor,
)
from pyg_samsa.predict.shards import find_shards, predict_shard, sum_results
from pyg_samsa.predict.stream import predict_to_file, predict_to_stream
from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor
from pyg_samsa.task import Task

TASK = Task("regression", ["y"])
STEPS = ("fragment", "neutralize")
GIVEN = ["CC(=O)[O-].[Na+]", "CC(=O)O", "C(", "C[NH3+].[Cl-]", "CCO", "[SbH6+3]"] * 2
AFTER = ["CC(=O)O", "CC(=O)O", "C(", "CN", "CCO", "C("] * 2
LIST = ["row,smiles,standardized,steps"] + [
    f"{row},{smiles},{after},{' '.join(STEPS)}"
    for row, smiles, after in ((1, *("CC(=O)[O-].[Na+]", "CC(=O)O")), (4, "C[NH3+].[Cl-]", "CN"))
]
LIST += [LIST[1].replace("1,", "7,", 1), LIST[2].replace("4,", "10,", 1)]


@pytest.fixture
def network(molecule_network):
    """Makes a predictor of a network."""

    def make(standardize=STEPS):
        return MoleculePredictor(molecule_network(), TASK, standardize=standardize)

    return make


@pytest.fixture
def process():
    """A Gaussian process on descriptors of standardised molecules."""
    smiles = ["C" * n + "O" for n in range(1, 13)]
    x = compute_descriptors(smiles, ["maccs"], progress=False)
    model = GaussianProcess(TASK, ["maccs"], standardize=STEPS).fit(x, np.arange(12.0)[:, None])
    return DescriptorPredictor(model)


def test_predictions_are_those_of_the_standardised_molecules(network, process):
    for predictor in (
        network(),
        process,
        MoleculeEmbedder(network()),
        BlendPredictor([network(), process], [0.5, 0.5]),
    ):
        found, expected = predictor.predict(GIVEN), predictor.predict(AFTER)
        np.testing.assert_array_equal(found.values, expected.values)
        assert [(one.position, one.after, one.steps) for one in found.changes] == [
            (0, "CC(=O)O", STEPS),
            (3, "CN", STEPS),
            (6, "CC(=O)O", STEPS),
            (9, "CN", STEPS),
        ]
        assert found.errors[2] == "RDKit cannot read this SMILES (the bracket ( is not closed)"
        assert found.errors[5] == "the step neutralize gives the invalid molecule [SbH9]"
    assert not predictor.predict(AFTER).changes
    given, plain = (predictor.predict([GIVEN[0]], standardized=flag).values for flag in (False, True))
    assert given != plain


def test_tables_of_pandas_tell_the_predicted_molecule(network):
    frame = network().predict_frame(GIVEN[:5])
    assert frame["standardized"].tolist() == ["CC(=O)O", "", "", "CN", ""]
    assert "standardized" not in network(()).predict_frame(["C"])


def test_saved_models_know_their_steps(network, process, tmp_path):
    blend = BlendPredictor([network(), process], [0.5, 0.5])
    again = load_predictor(save_predictor(blend, tmp_path / "predictor"))
    assert again.standardize == STEPS
    np.testing.assert_array_equal(again.predict(GIVEN).values, blend.predict(GIVEN).values)
    folder = save_pretrained(network().model, tmp_path / "network", task=TASK, standardize=STEPS[::-1])
    assert json.loads((folder / "config.json").read_text())["standardize"] == list(STEPS)
    assert "standardised before, as in training: fragment, neutralize." in (folder / "README.md").read_text()
    assert load_predictor(folder).standardize == STEPS
    model = HubModel.from_pretrained(folder)
    model.save_pretrained(tmp_path / "hub")
    assert load_pretrained(tmp_path / "hub")[1].standardize == STEPS


def test_other_versions_refuse_what_they_do_not_know(network, process, tmp_path):
    """The format of a model without standardisation stays, so that older versions read it."""
    for standardize, format in ((STEPS, 2), ((), 1)):
        folder = save_pretrained(network().model, tmp_path / "network", task=TASK, standardize=standardize)
        content = json.loads((folder / "config.json").read_text())
        assert (content["format"], "standardize" in content) == (format, bool(standardize))
    gp = json.loads((process.model.save(tmp_path / "gp") / "gp.json").read_text())
    assert (gp["format"], gp["standardize"]) == (2, list(STEPS))


@pytest.mark.parametrize(
    ("steps", "error", "told"),
    [
        (
            ["fragment", "protonate"],
            ConfigError,
            r"standardize: got 'protonate', expected steps that are known: fragment",
        ),
        (["fragment", "fragment"], ConfigError, "each step once"),
        ("fragment", DataIntegrityError, "standardize of a saved model"),
        ([1], DataIntegrityError, "standardize of a saved model"),
    ],
)
def test_unknown_steps_of_a_file_are_refused(network, process, tmp_path, steps, error, told, capsys):
    folders = (save_pretrained(network().model, tmp_path / "network", task=TASK), process.model.save(tmp_path / "gp"))
    for folder, name in zip(folders, ("config.json", "gp.json"), strict=True):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, "standardize": steps}))
    with pytest.raises(error, match=told):
        MoleculePredictor.from_network(folders[0])
    with pytest.raises(error, match=told):
        DescriptorPredictor.from_pretrained(folders[1])
    assert main(["predict", str(folders[0]), "CCO"]) in (2, 3)
    assert capsys.readouterr().err.count("error: ") == 1


def test_members_of_other_steps_are_no_blend(network):
    with pytest.raises(
        ConfigError, match="got 'fragment, neutralize and none', expected the same steps of standardisation"
    ):
        BlendPredictor([network(), network(())], [0.5, 0.5])


def table(predictor, text, **options):
    with open_molecule_table(io.BytesIO(text.encode())) as (reader, _):
        return TablePredictor(predictor, reader, StreamOptions(chunk_rows=5, **options))


TEXT = "smiles\n" + "\n".join(GIVEN) + "\n"


def test_a_table_gets_the_molecule_the_counts_and_a_list(network, tmp_path):
    output = tmp_path / "out.csv"
    done = predict_to_file(table(network(), TEXT), output)
    rows = list(csv.DictReader(output.open()))
    assert list(rows[0]) == ["smiles", "y_pred", "standardized", "error"]
    assert [row["standardized"] for row in rows] == ["CC(=O)O", "", "", "CN", "", ""] * 2
    assert rows[0]["y_pred"] == rows[1]["y_pred"]
    assert done.changes.text() == "standardised 4 of 8 molecules: 4 largest fragment, 4 neutralised"
    assert (tmp_path / "out-standardized.csv").read_text().splitlines() == LIST
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-standardized.csv", "out.csv"]
    assert predict_to_stream(table(network(), TEXT), io.BytesIO()).changes == done.changes


class Stopped(Exception):
    pass


@pytest.mark.parametrize("rows", [5, 10])
def test_an_interrupted_prediction_goes_on_with_its_list(network, tmp_path, rows):
    output = tmp_path / "out.csv"

    def stop(done):
        stop.done += done
        if stop.done >= rows:
            raise Stopped

    stop.done = 0
    with pytest.raises(Stopped):
        predict_to_file(table(network(), TEXT), output, advance=stop)
    assert not output.exists()
    partial = tmp_path / "out-standardized.csv.partial"
    assert len(partial.read_text().splitlines()) == {5: 3, 10: 5}[rows]
    with partial.open("a") as file:  # written after the last state
        file.write("11,C,C,frag")
    done = predict_to_file(table(network(), TEXT), output)
    assert (tmp_path / "out-standardized.csv").read_text().splitlines() == LIST
    assert done.changes.text() == "standardised 4 of 8 molecules: 4 largest fragment, 4 neutralised"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-standardized.csv", "out.csv"]


def test_a_prediction_that_was_killed_at_its_end_goes_on(network, tmp_path, monkeypatch):
    """The list has its name already, and the output does not."""
    output = tmp_path / "out.csv"
    made = table(network(), TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(made.writer, "finish", lambda *_: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            predict_to_file(made, output)
    assert (tmp_path / "out-standardized.csv").read_text().splitlines() == LIST
    assert not output.exists()
    done = predict_to_file(table(network(), TEXT), output)
    assert done.changes.changed == 4
    assert (tmp_path / "out-standardized.csv").read_text().splitlines() == LIST
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-standardized.csv", "out.csv"]


def test_a_list_that_lost_rows_is_told(network, tmp_path):
    def stop(done):
        raise Stopped

    with pytest.raises(Stopped):
        predict_to_file(table(network(), TEXT), tmp_path / "out.csv", advance=lambda done: stop(done) if done else None)
    (tmp_path / "out-standardized.csv.partial").unlink()
    with pytest.raises(DataIntegrityError, match=r"out-standardized\.csv\.partial: got fewer, expected \d+ bytes"):
        predict_to_file(table(network(), TEXT), tmp_path / "out.csv")


def test_the_state_of_another_model_is_told_apart(network, tmp_path):
    def stop(done):
        if done:
            raise Stopped

    with pytest.raises(Stopped):
        predict_to_file(table(network(()), TEXT), tmp_path / "out.csv", advance=stop)
    with pytest.raises(ConfigError, match="an interrupted prediction of something else"):
        predict_to_file(table(network(), TEXT), tmp_path / "out.csv")


def test_nothing_else_is_overwritten_by_the_list(network, tmp_path):
    (tmp_path / "out-standardized.csv").write_text("mine\n")
    with pytest.raises(ConfigError, match=r"an output without out-standardized\.csv beside it"):
        predict_to_file(table(network(), TEXT), tmp_path / "out.csv")
    assert (tmp_path / "out-standardized.csv").read_text() == "mine\n"
    assert not (tmp_path / "out.csv").exists()


def test_an_earlier_list_is_replaced_or_removed(network, tmp_path):
    output, listed = tmp_path / "out.csv", tmp_path / "out-standardized.csv"
    predict_to_file(table(network(), TEXT), output)
    predict_to_file(table(network(), "smiles\nC[NH3+]\n"), output)
    assert listed.read_text().splitlines() == [LIST[0], "1,C[NH3+],CN,neutralize"]
    predict_to_file(table(network(), "smiles\nCN\n"), output)
    assert not listed.exists()


def test_folders_of_tables(network, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a", "b"):
        (source / f"{name}.csv").write_text(TEXT)
    shards = find_shards(source, tmp_path / "out")
    for skipped in (False, True):
        results = [predict_shard(network(), shard, StreamOptions()) for shard in shards]
        done = sum_results(results)
        assert done.skipped == skipped
        assert done.changes.text() == "standardised 8 of 16 molecules: 8 largest fragment, 8 neutralised"
        assert shards[0].listed.read_text().splitlines() == LIST
        find_shards(source, tmp_path / "out")  # the lists are no foreign files
    shards[1].listed.unlink()
    assert not predict_shard(network(), shards[1], StreamOptions()).skipped


def test_structures_of_sdf_files(network, tmp_path):
    path = tmp_path / "in.sdf"
    path.write_text("".join(f"{smiles_block(text)}$$$$\n" for text in GIVEN[:2]))
    with open_molecule_table(path, "sdf") as (reader, _):
        done = predict_to_file(
            TablePredictor(network(), reader, StreamOptions(output_format="sdf")), tmp_path / "out.sdf"
        )
    assert done.changes.changed == 1
    assert ">  <standardized>" in (tmp_path / "out.sdf").read_text()


def test_without_standardisation_nothing_is_added(network, tmp_path):
    done = predict_to_file(table(network(()), TEXT), tmp_path / "out.csv")
    assert done.changes is None
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "smiles,y_pred,error"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_command_line(network, tmp_path, capsys):
    folder = str(save_pretrained(network().model, tmp_path / "model", task=TASK, standardize=STEPS))
    (tmp_path / "in.csv").write_text(TEXT)
    assert main(["predict", folder, str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]) == 0
    told = "standardised 4 of 8 molecules: 4 largest fragment, 4 neutralised; listed in "
    assert f"{told}{tmp_path / 'out-standardized.csv'}\n" in capsys.readouterr().err
    assert main(["predict", folder, "C[NH3+].[Cl-]"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "smiles,y_pred,standardized,error"
    assert second.split(",")[2:] == ["CN", ""]
    assert main(["embed", folder, str(tmp_path / "in.csv"), str(tmp_path / "emb.npy")]) == 0
    assert f"{told}{tmp_path / 'emb-standardized.csv'}\n" in capsys.readouterr().err
    assert (tmp_path / "emb-standardized.csv").read_text().splitlines() == LIST
    embedded = np.load(tmp_path / "emb.npy")
    np.testing.assert_array_equal(embedded[0], embedded[1])


def test_the_list_does_not_take_the_place_of_the_table(network, tmp_path, capsys):
    folder = str(save_pretrained(network().model, tmp_path / "model", task=TASK, standardize=STEPS))
    table = tmp_path / "out-standardized.csv"
    table.write_text("\n".join([*LIST, ""]))
    for command in ("predict", "embed"):
        assert main([command, folder, str(table), str(tmp_path / "out.csv")]) == 2
        assert "expected another name, because standardised molecules are listed in" in capsys.readouterr().err
    assert table.read_text().splitlines() == LIST
    assert main(["predict", folder, str(table), str(tmp_path / "other.csv")]) == 0


def test_workers_give_the_same(network):
    predictor = network()
    found = predictor.predict(GIVEN * 50, workers=2)
    np.testing.assert_array_equal(found.values, predictor.predict(AFTER * 50).values)
    assert len(found.changes) == 200
