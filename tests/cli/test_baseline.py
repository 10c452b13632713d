import pytest

from pyg_samsa.cli import main
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import fingerprint_baseline


@pytest.fixture
def seen(monkeypatch):
    """What the baseline was called with."""
    calls = []
    monkeypatch.setattr(fingerprint_baseline, "run", lambda *args, **options: calls.append((*args, options)))
    return calls


def test_flags_are_settings_and_overrides_come_last(seen):
    flags = ["--model", "sklearn", "--radius", "3", "--size", "128", "-q"]
    assert main(["baseline", "fingerprint", "--cfg", "quickstart", *flags, "fingerprint.radius", "1"]) == 0
    settings = ["boosting.model", "sklearn", "fingerprint.radius", "3", "fingerprint.size", "128"]
    ((config, found, options),) = seen
    assert (config, options) == ("quickstart", {"verbosity": -1})
    pairs = list(zip(found[::2], found[1::2], strict=True))
    assert sorted(pairs[:-1]) == sorted(zip(settings[::2], settings[1::2], strict=True))
    assert pairs[-1] == ("fingerprint.radius", "1")


def test_without_flags_the_config_holds(seen):
    assert main(["baseline", "fingerprint", "--cfg", "quickstart"]) == 0
    assert seen == [("quickstart", [], {"verbosity": 0})]


def test_a_table_takes_the_options_of_train(seen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "esol.csv").write_text("smiles,logS\nCC,1\n")
    words = ["--csv", "esol.csv", "--target-columns", "logS", "--split", "scaffold", "--max-atoms", "500"]
    assert main(["baseline", "fingerprint", *words]) == 0
    ((config, found, _),) = seen
    pairs = dict(zip(found[::2], found[1::2], strict=True))
    assert (config, pairs["dataset.csv"], pairs["dataset.target_columns"]) == ("csv", '"esol.csv"', '["logS"]')
    assert (pairs["dataset.split_kind"], pairs["dataset.max_atoms"]) == ('"scaffold"', "500")


def test_a_config_or_a_table_is_needed(capsys):
    assert main(["baseline", "fingerprint"]) == 2
    assert "--cfg" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--model", "forest"], ["--radius", "two"], ["--size", "1.5"]], ids=["model", "radius", "size"]
)
def test_values_that_are_not_allowed_are_refused(words, seen):
    with pytest.raises(SystemExit) as stopped:
        main(["baseline", "fingerprint", "--cfg", "quickstart", *words])
    assert stopped.value.code == 2
    assert seen == []


def test_what_is_wrong_is_one_line_and_a_hint(capsys, monkeypatch):
    def fail(*_, **__):
        raise ConfigError("dataset.name", "x", "molecules with SMILES", hint="Fingerprints are computed from SMILES.")

    monkeypatch.setattr(fingerprint_baseline, "run", fail)
    assert main(["baseline", "fingerprint", "--cfg", "quickstart"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.type", "sams"], "error: model.type: got 'sams'"),
        (["metric_best", "maee"], "error: metric_best: got 'maee'"),
        (["model.loss_fun", "msse"], "error: model.loss_fun: got 'msse'"),
        (["fingerprint.radius", "99"], "error: fingerprint.radius: got 99"),
    ],
)
def test_names_are_checked_before_the_table_is_read(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("smiles,y\nnot a molecule,1\n")
    assert main(["baseline", "fingerprint", "--csv", "table.csv", *words]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_the_folder_of_the_results_is_given_as_for_train(seen):
    assert main(["baseline", "fingerprint", "--cfg", "quickstart", "--out", "elsewhere"]) == 0
    ((_, found, _),) = seen
    assert found == ["out_dir", '"elsewhere"']
