import numpy as np
import pytest
import yaml
from torch_geometric.graphgym.config import cfg

from pyg_samsa.chem.standardize import Standardizer
from pyg_samsa.cli import main
from pyg_samsa.errors import DataError, DataNotFoundError
from pyg_samsa.experiments.similar_training import SimilarTraining
from pyg_samsa.experiments.training_molecules import TrainingMolecules, find_training_molecules, run_of
from pyg_samsa.task import Task
from pyg_samsa.web.served_models import load_models


def test_the_nearest_come_first_with_what_was_measured():
    task = Task("regression", ["logS", "logD"])
    target = np.array([[1.5, np.nan], [-0.25, 2.0], [3.0, 4.0]])
    known = TrainingMolecules(task, ["CCCCCCO", "CCO", "c1ccccc1"], target)
    first, second = known.nearest("OCC", 2)
    assert (first.smiles, first.similarity, first.measured) == ("CCO", 1.0, {"logS": "-0.25", "logD": "2"})
    assert second.smiles == "CCCCCCO"
    assert 0 < second.similarity < 1
    assert second.measured == {"logS": "1.5"}
    assert known.nearest("C(") == []


def test_bounds_and_classes_are_written_as_such():
    bounded = TrainingMolecules(Task("regression", ["IC50"]), ["C"], np.array([[10.0]]), np.array([[1]], np.int8))
    assert bounded.nearest("C")[0].measured == {"IC50": "> 10"}
    classes = TrainingMolecules(Task("multiclass", ["low", "high"]), ["C"], np.array([1.0]))
    assert classes.nearest("C")[0].measured == {"class": "high"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run on 40 molecules, and the folder where it was started."""
    pytest.importorskip("lightgbm")
    folder = tmp_path_factory.mktemp("training")
    rows = [f"{'C' * n}{end},{n / 4}" for n in range(1, 21) for end in ("O", "N")]
    (folder / "table.csv").write_text("\n".join(["smiles,logS", *rows]) + "\n")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    words = ["train", "--csv", str(folder / "table.csv"), "--target-columns", "logS", "-q"]
    settings = ["predictor.members", "trees", "predictor.tree_inputs", "[maccs]", "run_name", "tiny"]
    try:
        assert main([*words, *settings]) == 0
    finally:
        patch.undo()
    return folder / "results" / "tiny" / "0"


def test_a_run_knows_the_molecules_of_training_and_validation(run, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    cfg.seed = 4321
    before = cfg.clone()
    known = find_training_molecules(str(run), tmp_path / "scratch")
    assert cfg == before  # a notebook keeps its settings
    assert not caplog.messages  # advice for a training, such as few validation rows, comes too late
    assert find_training_molecules(run).smiles == known.smiles
    assert run_of(str(run / "predictor")) == run.resolve()
    test = (run / "predictions_test.csv").read_text().splitlines()[1:]
    tested = {line.split(",")[1] for line in test}
    assert len(known) == 40 - len(tested)
    assert not tested & set(known.smiles)
    molecule = known.smiles[0]
    assert known.nearest(molecule, 1)[0].measured == {"logS": f"{(len(molecule) - 1) / 4:g}"}
    assert list(tmp_path.iterdir()) == [tmp_path / "scratch"]  # nothing is written beside it


def test_a_table_that_is_gone_is_named(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = run.parents[2] / "table.csv"
    table.rename(tmp_path / "moved.csv")
    try:
        with pytest.raises(DataNotFoundError, match=r"table\.csv: the table of the training is not there") as error:
            find_training_molecules(str(run), tmp_path / "scratch")
        assert "where the model was trained" in error.value.hint
    finally:
        (tmp_path / "moved.csv").rename(table)


@pytest.mark.parametrize("edit", ["value", "row", "end"])
def test_a_table_that_was_edited_since_is_refused(run, tmp_path, monkeypatch, edit):
    monkeypatch.chdir(tmp_path)
    table = run.parents[2] / "table.csv"
    before = table.read_text()
    edits = {"value": before.replace(",0.25", ",9.25"), "row": before + "CCS,1\n", "end": before.replace("\n", "\r\n")}
    table.write_bytes(edits[edit].encode())
    try:
        with pytest.raises(DataError, match=r"table\.csv: the table of the training has changed since") as error:
            find_training_molecules(str(run), tmp_path / "scratch")
        assert error.value.hint.startswith("Predictions are not affected. ")
        served = load_models([str(run)], tmp_path / "scratch")[0]
        assert served.training is None
        assert "has changed since" in served.without_training
    finally:
        table.write_text(before)
    assert find_training_molecules(str(run), tmp_path / "scratch").smiles


def test_a_run_without_hashes_is_not_compared(run, tmp_path):
    config = run / "config.yaml"
    before = config.read_text()
    content = yaml.safe_load(before)
    assert list(content.pop("tables")) == ["dataset.csv"]
    config.write_text(yaml.safe_dump(content))
    try:
        assert find_training_molecules(str(run), tmp_path / "scratch").smiles
    finally:
        config.write_text(before)


def test_the_run_of_a_model_is_the_folder_around_it(tmp_path):
    run = tmp_path / "results" / "esol" / "0"
    for folder in ("model", "predictor/network_0"):
        (run / folder).mkdir(parents=True)
        (run / folder / "config.json").write_text("{}")
    (run / "predictor" / "predictor.json").write_text("{}")
    assert run_of(run / "predictor" / "network_0") is None
    (run / "config.yaml").write_text("")
    for folder in ("", "model", "predictor", "predictor/network_0"):
        assert run_of(run / folder) == run.resolve()
    # A folder that is no part of a run does not belong to one further up.
    other = run / "predictor" / "mine" / "model"
    other.mkdir(parents=True)
    (other / "config.json").write_text("{}")
    assert run_of(other) is None


def test_a_molecule_is_compared_as_it_is_standardised():
    task, y = Task("regression", ["logS"]), np.array([[1.5], [2.5]])
    known = TrainingMolecules(task, ["CCCCN", "c1ccccc1"], y, standardize=("fragment", "neutralize"))
    assert known.nearest("CCCC[NH3+].OS(=O)(=O)c1ccccc1", 1)[0]._asdict() == {
        "smiles": "CCCCN",
        "similarity": 1.0,
        "measured": {"logS": "1.5"},
    }
    assert known.nearest("[SbH6+3]") == known.nearest("C(") == []
    (found,) = SimilarTraining(known, "fingerprint").find("CCCC[NH3+]", 1)
    assert (found.similarity, found.importance.node.shape[0]) == (1.0, 5)
    assert SimilarTraining(known, "fingerprint").find("[SbH6+3]") == []


def test_one_standardizer_is_kept_and_standardised_molecules_are_taken_as_they_are(monkeypatch):
    done = []
    apply = Standardizer.apply
    monkeypatch.setattr(Standardizer, "apply", lambda self, mol: [done.append(self), apply(self, mol)][1])
    known = TrainingMolecules(Task("regression", ["logS"]), ["CN", "CCO"], np.zeros((2, 1)), standardize=["neutralize"])
    found = [known.nearest("C[NH3+]", 1) for _ in range(2)]
    assert done[0] is done[1]
    assert known.nearest("CN", 1, standardized=True) == found[0] == found[1]
    assert known.nearest("C[NH3+]", 1, standardized=True)[0].similarity < 1
    assert len(done) == 2


def test_the_hash_is_that_of_molecules_values_bounds_and_steps():
    task, y = Task("regression", ["logS"]), np.array([[1.5]])
    made = [
        TrainingMolecules(task, ["C"], y),
        TrainingMolecules(task, ["N"], y),
        TrainingMolecules(task, ["C"], y + 1),
        TrainingMolecules(task, ["C"], y, np.ones((1, 1), np.int8)),
        TrainingMolecules(task, ["C"], y, standardize=["neutralize"]),
    ]
    assert len({known.fingerprint for known in made}) == 5
    assert made[0].fingerprint is made[0].fingerprint  # made once
    assert made[0].fingerprint == TrainingMolecules(task, ["C"], y.copy()).fingerprint
