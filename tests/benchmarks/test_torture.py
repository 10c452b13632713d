import json
import sys

import pytest
from hypothesis import strategies as st

from benchmarks import fuzz, killed, torture
from pyg_samsa.cli import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_random_inputs_end_in_known_errors_only(name):
    pytest.importorskip("rdkit")
    found = fuzz.fuzz(name, 100, seed=7)
    assert found["failure"] == ""
    assert found["inputs"] >= 100
    assert found["refused"] < found["inputs"]


def test_an_unknown_error_is_a_failure_with_a_small_input(monkeypatch):
    def check(given, folder):
        if given > 20:
            raise KeyError(given)
        return 1

    monkeypatch.setitem(fuzz.TARGETS, "yaml", (lambda: (st.integers(0, 1000), check), (ValueError,), "numbers"))
    assert "KeyError: 21" in fuzz.fuzz("yaml", 500)["failure"]


def test_errors_that_are_allowed_are_counted(monkeypatch):
    def check(given, folder):
        raise ValueError

    monkeypatch.setitem(fuzz.TARGETS, "yaml", (lambda: (st.integers(0, 10**6), check), (ValueError,), "numbers"))
    found = fuzz.fuzz("yaml", 50)
    assert found["inputs"] == found["refused"] >= 50
    assert found["failure"] == ""


def scenario(work, outcome):
    return killed.Scenario("a test", work, outcome, lambda folder: None, by_file=True)


def write_twice():
    from pathlib import Path

    from pyg_samsa.io.files import atomic_write

    for name in ("a", "b"):
        if not Path(name).exists():
            with atomic_write(name) as partial:
                partial.write_text(name)
    return 0


def test_a_command_that_completes_its_work_passes_and_another_one_fails(monkeypatch):
    def complete(folder):
        return [(folder / name).read_text() for name in ("a", "b")]

    monkeypatch.setitem(killed.SCENARIOS, "sweep", scenario(write_twice, complete))
    found = killed.kill_all("sweep", 1)
    assert (found["kills"], found["late"], found["failures"]) == (2, 0, [])

    def with_leftovers(folder):
        return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))

    monkeypatch.setitem(killed.SCENARIOS, "sweep", scenario(write_twice, with_leftovers))
    assert killed.kill_all("sweep", 1)["failures"] == ["kill 1: another result", "kill 2: another result"]


def test_every_line_has_a_command_and_all_inputs_are_given():
    found = torture.lines(30, 1000)
    assert len({line.name for line in found}) == len(found)
    assert set(torture.SHARES) == set(fuzz.TARGETS)
    assert sum(torture.SHARES.values()) == pytest.approx(1)
    for paths in torture.TESTS.values():
        assert all((killed.Path(__file__).parents[2] / path).is_file() for path in paths)


def test_failures_count(tmp_path):
    code = "import json, sys; json.dump({'inputs': 7, 'failure': 'x'}, open(sys.argv[1][6:], 'w'))"
    line = torture.Line("numbers: all", (sys.executable, "-c", code), "--out", "json")
    dead = torture.Line("dead", (sys.executable, "-c", "raise SystemExit(3)"), "--out", "json")
    state = torture.run_lines([line, dead], tmp_path)
    assert (state["numbers: all"]["tried"], state["numbers: all"]["failed"]) == (7, 1)
    assert (state["dead"]["tried"], state["dead"]["failed"]) == (0, 1)
    assert "| numbers: all | 7 | 1 |" in (tmp_path / "table.md").read_text()
    assert json.loads((tmp_path / "state.json").read_text()) == state


def test_lines_are_run_once_unless_they_failed(tmp_path):
    code = (
        "import json, pathlib, sys; ran = pathlib.Path(sys.argv[1][6:]).parent / 'ran'; ran.open('a').write('x'); "
        "json.dump({'inputs': 7, 'failure': 'x' * (len(ran.read_text()) < 2)}, open(sys.argv[1][6:], 'w'))"
    )
    line = torture.Line("numbers: all", (sys.executable, "-c", code), "--out", "json")
    found = [torture.run_lines([line], tmp_path)["numbers: all"]["failed"] for _ in range(3)]
    assert found == [1, 0, 0]
    assert (tmp_path / "ran").read_text() == "xx"


def test_a_line_that_tried_nothing_failed(tmp_path):
    code = "import json, sys; json.dump({'kills': 0, 'failures': []}, open(sys.argv[1][6:], 'w'))"
    line = torture.Line("none", (sys.executable, "-c", code), "--out", "json")
    assert torture.run_lines([line], tmp_path)["none"]["failed"] == 1


def test_outcomes_of_tests_and_kills(tmp_path):
    xml = tmp_path / "a.xml"
    xml.write_text('<testsuites><testsuite tests="9" failures="1" errors="1" skipped="2"/></testsuites>')
    assert torture.outcome(xml) == (7, 2)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"kills": 30, "failures": ["one"]}))
    assert torture.outcome(path) == (30, 1)


def test_wrong_lines_are_named(capsys):
    with pytest.raises(SystemExit):
        torture.main(["--only", "kills"])
    assert "there is no 'kills'" in capsys.readouterr().err


def test_the_config_of_the_mixture_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scenario = killed.SCENARIOS["mixture"]
    scenario.prepare(tmp_path)
    assert main([*scenario.command, "optim.max_epoch", "1"]) == 0
    assert [name for name in killed._results(tmp_path) if name.endswith("summary.json")]
