import json
from pathlib import Path

import pytest

from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_files import RESULTS, check_summary, own_file, read_mapping, read_table
from pyg_samsa.training.run_folder import RunFolder


def summary(**changes):
    result = RunResult(RunFolder(Path("run")), 0, 1, {"mae": 1.0}, {"mae": 2.0}, parameters=3, epochs=2, seconds=1.0)
    return {**result.as_summary(), "task": None, "monitor": "val_mae", **changes}


def test_links_within_the_folder_are_files(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").symlink_to(tmp_path / "a.json")
    assert own_file(tmp_path / "b.json")
    assert not own_file(tmp_path / "c.json")
    (tmp_path / "c.json").symlink_to(tmp_path.parent / "a.json")
    with pytest.raises(DataIntegrityError, match="a link out of the folder"):
        own_file(tmp_path / "c.json")


@pytest.mark.parametrize(("name", "text"), [("a.json", '{"seed": 3}'), ("a.yaml", "seed: 3")])
def test_names_and_values(tmp_path, name, text):
    path = tmp_path / name
    assert read_mapping(path) is None
    path.write_text(text)
    assert read_mapping(path) == {"seed": 3}
    path.write_text("[1]")
    with pytest.raises(DataIntegrityError, match="got a list") as caught:
        read_mapping(path, hint="Cure.")
    assert caught.value.hint == "Cure."


def test_the_summary_of_a_run_passes():
    check_summary(Path("summary.json"), json.loads(json.dumps(summary())), needed=RESULTS)
    weights = {
        "scores": {"network": {"val": {"mae": 1.0}}},
        "weights": {"network": 1.0},
        "refit": "all",
        "coverage": [],
    }
    check_summary(Path("summary.json"), summary(predictor=weights), needed=RESULTS)
    check_summary(Path("summary.json"), {})


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": "2"},
        {"epochs": True},
        {"test": {"mae": "low"}},
        {"per_class": {"ap": 3}},
        {"predictor": {"scores": []}},
        {"predictor": {"scores": {"network": {"val": 3}}}},
        {"predictor": {"members": [1]}},
        {"monitor": 3},
    ],
)
def test_values_of_other_types(changes):
    with pytest.raises(DataIntegrityError, match=r"summary\.json"):
        check_summary(Path("summary.json"), summary(**changes))


@pytest.mark.parametrize("name", ["seed", "epochs", "test", "waited"])
def test_values_that_are_missing(name):
    content = summary()
    del content[name]
    check_summary(Path("summary.json"), content)
    with pytest.raises(DataIntegrityError, match=f"the value {name}"):
        check_summary(Path("summary.json"), content, needed=RESULTS)


def test_tables(tmp_path):
    path = tmp_path / "metrics.csv"
    assert read_table(path) is None
    path.write_text("epoch,lr\n1,0.5\n2,\n")
    assert read_table(path, rows=1, numeric=True)["lr"].tolist() == [0.5]
    path.write_text("epoch,lr\n1,high\n")
    assert read_table(path)["lr"].tolist() == ["high"]
    with pytest.raises(DataIntegrityError, match="the column 'lr'"):
        read_table(path, numeric=True)


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "[" * 10**6), ("a.json", '{"a":' * 60), ("a.yaml", "a: &a [*a]")]
)
def test_files_that_ask_for_much(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataIntegrityError, match="cannot be read"):
        read_mapping(path)


def test_errors_show_forty_characters_of_a_value():
    with pytest.raises(DataIntegrityError) as caught:
        check_summary(Path("summary.json"), summary(epochs="x" * 60))
    assert f"got '{'x' * 39}, expected" in str(caught.value)
