"""Every error names the culprit in one line, carries a hint and an exit code, and survives pickling."""

import copy
import pickle
import sys
import traceback

import pytest

from pyg_samsa import errors
from pyg_samsa.errors import (
    ConfigError,
    DataError,
    DataIntegrityError,
    DataNotFoundError,
    MissingDependencyError,
    NumericalError,
    ProcessError,
    SAMSAError,
    ShapeError,
    SmilesError,
    UserCodeError,
    check_choice,
    suggest,
)

EXAMPLES = [
    SAMSAError("all wrong", hint="Start again."),
    ConfigError("tau", -1, "a temperature above 0"),
    ConfigError("mode", "hrd", ["hard", "soft"]),
    ShapeError("x", [5, 3], "[T, 4]", hint="Transpose it."),
    MissingDependencyError("h5py", "points", "Reading ModelNet40"),
    DataError("train.csv: no column 'smiles'"),
    DataNotFoundError("train.csv: no such file", hint="Check the path."),
    DataIntegrityError("data.zip", "12ab", "34cd"),
    SmilesError(3, "C1CC"),
    SmilesError(None, "C" * 100),
    NumericalError("loss", "NaN in step 7"),
    ProcessError("another process of this run has ended"),
    UserCodeError("custom_graphgym", KeyError("swish")),
]
every = pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)


def test_every_class_has_an_example_here():
    kinds = {item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, SAMSAError)}
    assert kinds == {type(error) for error in EXAMPLES}


@every
def test_one_line_a_hint_and_an_exit_code(error):
    assert str(error)
    assert "\n" not in str(error)
    assert isinstance(error.hint, str)
    assert error.exit_code in (errors.EXIT_USER, errors.EXIT_DATA, errors.EXIT_NUMERICAL)
    assert isinstance(error, DataError) == (error.exit_code == errors.EXIT_DATA)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes of exceptions")
@every
def test_a_traceback_shows_the_hint(error):
    last = traceback.format_exception(error)[-1]
    assert last.endswith(f"hint: {error.hint}\n") == bool(error.hint)
    assert ("hint" in last) == bool(error.hint)


@every
@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_copies_are_the_same_error(error, again):
    other = again(error)
    assert type(other) is type(error)
    assert (str(other), vars(other)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (0, Exception),
        (1, ValueError),
        (3, ValueError),
        (4, ImportError),
        (6, FileNotFoundError),
        (8, ValueError),
        (10, ArithmeticError),
    ],
)
def test_they_are_the_errors_of_python_too(error, builtin):
    assert isinstance(EXAMPLES[error], builtin)


def test_the_nearest_choice_is_suggested():
    assert EXAMPLES[2].hint == "Did you mean 'hard'?"
    assert EXAMPLES[1].hint == ""
    assert ConfigError("mode", "hrd", ["hard"], hint="Read the docs.").hint == "Read the docs."
    assert suggest("nothing like it", ["hard", "soft"]) == ""


def test_long_smiles_are_cut():
    assert str(EXAMPLES[9]).endswith("C...'")
    assert len(str(EXAMPLES[9])) < 130
    assert EXAMPLES[9].text == "C" * 100


def test_check_choice():
    assert check_choice("mode", "soft", ("hard", "soft")) is None
    with pytest.raises(ConfigError, match=r"mode: got 'medium', expected one of 'hard', 'soft'"):
        check_choice("mode", "medium", ("hard", "soft"))
