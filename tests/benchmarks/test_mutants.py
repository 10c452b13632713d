import pytest

from benchmarks import mutants
from benchmarks.mutants import (
    Mutant,
    Trial,
    draw,
    failed_tests,
    find_places,
    mirrored_tests,
    mutate,
    other_tests,
    table,
    why_equivalent,
)

SOURCE = '''"""Says 1 + 1."""
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    BIG = 2 > 1

def larger(x: int | None, y: int = 3) -> int | float:
    """Return 1 + 1."""
    return x > y
'''


@pytest.fixture
def repository(tmp_path):
    """A repository of one function, whose test knows of equal numbers alone if it is weak."""

    def make(test):
        for name in mutants.COPIED:
            (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).touch()
        for place, text in {
            "pyg_samsa/__init__.py": "",
            "pyg_samsa/metrics/__init__.py": "",
            "pyg_samsa/metrics/larger.py": SOURCE,
            "tests/metrics/test_larger.py": f"from pyg_samsa.metrics.larger import larger\ndef test_it(): {test}\n",
        }.items():
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).write_text(text)
        return tmp_path

    return make


def test_docstrings_annotations_and_type_checking_are_left_out():
    assert {start for start, _ in find_places(SOURCE)} == {(7, 35), (9, 13)}


def test_signatures_for_type_checkers_are_left_out():
    source = (
        "from typing import overload\nclass A:\n    @overload\n    def f(self, x=1): ...\n    def f(self, x=2): ...\n"
    )
    assert {start for start, _ in find_places(source)} == {(5, 18)}


def test_a_draw_is_fixed_by_its_seed_and_by_the_line(repository):
    root = repository("assert larger(1, 1) == 0")
    first, second = draw(root, ["metrics"], 2, 0)
    assert {first.line, second.line} == {7, 9}
    (root / "pyg_samsa/metrics/larger.py").write_text(SOURCE.replace("\ndef", "\n\n\ndef"))
    moved = draw(root, ["metrics"], 2, 0)
    assert [(one.before, one.line - 2) for one in moved] == [(one.before, one.line) for one in (first, second)]
    assert first.before != first.after


def test_a_change_applies_to_one_place():
    changed = mutate(SOURCE, "core/ReplaceComparisonOperator_Gt_GtE", 1)
    assert changed == SOURCE.replace("x > y", "x >= y")
    with pytest.raises(ValueError, match="no occurrence 2"):
        mutate(SOURCE, "core/ReplaceComparisonOperator_Gt_GtE", 2)


@pytest.mark.parametrize(
    ("test", "outcome"), [("assert not larger(1, 1)", "killed"), ("assert larger(2, 1)", "survived")]
)
def test_outcomes(repository, tmp_path_factory, test, outcome):
    trial = Trial(repository(test), tmp_path_factory.mktemp("copy"), 120)
    mutant = Mutant(
        "pyg_samsa/metrics/larger.py", 9, "core/ReplaceComparisonOperator_Gt_GtE", 1, "return x > y", "return x >= y"
    )
    trial.check([mutant])
    assert trial.outcome(mutant) == outcome
    assert (trial.folder / mutant.file).read_text() == SOURCE


def test_tests_of_who_imports_a_file_notice_what_its_own_do_not(repository, tmp_path_factory):
    root = repository("assert larger(2, 1)")
    for place, text in {
        "pyg_samsa/metrics/__init__.py": "from pyg_samsa.metrics.larger import larger as larger\n",
        "pyg_samsa/metrics/smaller.py": "from pyg_samsa.metrics.larger import larger\n"
        "def smaller(x, y): return larger(y, x)",
        "pyg_samsa/metrics/apart.py": "from pyg_samsa.metrics.smaller import smaller",
        "tests/metrics/test_smaller.py": "from pyg_samsa.metrics.smaller import smaller\n"
        "def test_it(): assert smaller(1, 2)",
        "tests/metrics/test_apart.py": "",
        "tests/test_package.py": "from pyg_samsa.metrics import larger\ndef test_it(): assert not larger(1, 1)",
    }.items():
        (root / place).write_text(text)
    file = "pyg_samsa/metrics/larger.py"
    assert other_tests(root, file) == ["tests/test_package.py", "tests/metrics/test_smaller.py"]
    mutant = Mutant(file, 9, "core/ReplaceComparisonOperator_Gt_GtE", 1, "return x > y", "return x >= y")
    assert Trial(root, tmp_path_factory.mktemp("copy"), 120).outcome(mutant) == "killed"
    # Tests that fail without the change too say nothing about it.
    (root / "tests/test_package.py").write_text("from pyg_samsa.metrics import larger\ndef test_it(): assert 0")
    with pytest.raises(RuntimeError, match="fail without the change too"):
        Trial(root, tmp_path_factory.mktemp("copy"), 120).outcome(mutant)


def test_tests_that_sometimes_fail_by_themselves_are_left_out(repository, tmp_path_factory):
    root, counter = repository("assert larger(2, 1)"), tmp_path_factory.mktemp("count") / "runs"
    (root / "tests/test_unsteady.py").write_text(
        f"""
from pathlib import Path
from pyg_samsa.metrics.larger import larger
def test_it():
    runs = Path({str(counter)!r})
    with runs.open("a") as file:
        file.write(".")
    assert len(runs.read_text()) >= 3
def test_other():
    pass
"""
    )
    mutant = Mutant("pyg_samsa/metrics/larger.py", 9, "core/ReplaceComparisonOperator_Gt_GtE", 1, "", "")
    assert Trial(root, tmp_path_factory.mktemp("copy"), 120).outcome(mutant) == "survived"
    assert counter.read_text() == "..."


def test_other_tests_that_take_too_long_notice_nothing(repository, tmp_path_factory):
    root = repository("assert larger(2, 1)")
    (root / "tests/test_long.py").write_text(
        "import time\nfrom pyg_samsa.metrics.larger import larger\ndef test_it(): time.sleep(60)"
    )
    mutant = Mutant("pyg_samsa/metrics/larger.py", 9, "core/ReplaceComparisonOperator_Gt_GtE", 1, "", "")
    assert Trial(root, tmp_path_factory.mktemp("copy"), 5).outcome(mutant) == "survived"


def test_a_change_that_breaks_the_import_of_a_conftest_is_killed(repository, tmp_path_factory):
    root = repository("assert not larger(1, 1)")
    (root / "tests/metrics/conftest.py").write_text(
        "from pyg_samsa.metrics.larger import larger\nassert larger(2, 1)\n"
    )
    trial = Trial(root, tmp_path_factory.mktemp("copy"), 120)
    operator = "core/ReplaceComparisonOperator_Gt_Lt"
    mutant = Mutant("pyg_samsa/metrics/larger.py", 9, operator, 1, "return x > y", "return x < y")
    trial.check([mutant])
    assert trial.outcome(mutant) == "killed"


def test_tests_that_fail_by_themselves_are_an_error(repository, tmp_path_factory):
    trial = Trial(repository("assert larger(1, 2)"), tmp_path_factory.mktemp("copy"), 120)
    with pytest.raises(RuntimeError, match="fail without any change"):
        trial.check([Mutant("pyg_samsa/metrics/larger.py", 9, "", 0, "", "")])


def test_names_of_failed_tests_may_hold_blanks():
    output = """..F
FAILED tests/test_a.py::test_b[predictor.folds 3 - x] - assert 1 == 2 - 1
FAILED tests/test_a.py::test_c
ERROR tests/test_d.py - ImportError: no module
1 failed"""
    expected = ["tests/test_a.py::test_b[predictor.folds 3 - x]", "tests/test_a.py::test_c", "tests/test_d.py"]
    assert failed_tests(output) == expected


def test_the_time_is_limited(repository, tmp_path_factory):
    trial = Trial(repository("import time; time.sleep(60 * larger(1, 1))"), tmp_path_factory.mktemp("copy"), 2)
    slow = Mutant("pyg_samsa/metrics/larger.py", 9, "core/ReplaceComparisonOperator_Gt_GtE", 1, "", "")
    assert trial.outcome(slow) == "timeout"


def test_mirrors_and_examples():
    assert mirrored_tests(mutants.ROOT, "pyg_samsa/estimators/_base.py") == [
        "tests/estimators/test_base.py",
        "pyg_samsa/estimators/_base.py",
    ]


def test_equivalent_changes_have_a_reason(tmp_path):
    path = tmp_path / "equivalent.yaml"
    path.write_text("- {file: a.py, before: x > 0, after: x != 0, reason: a length}")
    assert why_equivalent(Mutant("a.py", 3, "", 0, "x > 0", "x != 0"), path) == "a length"
    assert why_equivalent(Mutant("a.py", 3, "", 0, "x > 0", "x >= 0"), path) == ""
    assert why_equivalent(Mutant("a.py", 3, "", 0, "", "")) == ""


def test_the_table_leaves_equivalent_changes_out():
    one = Mutant("pyg_samsa/nn/a.py", 1, "", 0, "", "")
    text = table([(one, "killed"), (one, "timeout"), (one, "survived"), (one, "equivalent")])
    assert text.splitlines()[1].split() == ["nn", "1", "1", "1", "1", "67%"]
    assert text.splitlines()[-1].split()[0] == "all"


def test_the_list_can_be_shown(capsys, monkeypatch, repository):
    monkeypatch.setattr(mutants, "ROOT", repository(""))
    mutants.main(["--list", "--count", "2", "--packages", "metrics"])
    assert capsys.readouterr().out.count("larger.py:") == 2
