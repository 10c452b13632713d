"""Every error that bad input can raise: one line that names the culprit, and a hint that names the cure.

The command line prints ``str(error)`` and ``error.hint`` and exits with ``error.exit_code``: 2 for what the user asked,
3 for data, 4 for numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any

EXIT_USER, EXIT_DATA, EXIT_NUMERICAL = 2, 3, 4


class SAMSAError(Exception):
    """Base of all errors of this package.

    Args:
        message: One line that names the culprit.
        hint: One line that names the cure; may be empty. It is a note of the exception, so tracebacks show it.

    Example:
        >>> error = SAMSAError("train.batch_size is 0", hint="Use a positive number.")
        >>> str(error), error.hint, error.exit_code
        ('train.batch_size is 0', 'Use a positive number.', 2)
    """

    exit_code = EXIT_USER
    everywhere = False
    """Whether all processes of a run raise it, so that the first one tells it for all."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        # Python prints notes below the last line of a traceback.
        if hint and hasattr(self, "add_note"):  # Python 3.11
            self.add_note(f"hint: {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors of subclasses take other arguments than the message, so unpickling must not call them.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[SAMSAError], args: tuple[Any, ...], state: dict[str, Any]) -> SAMSAError:
    error = kind.__new__(kind, *args)
    # OSError takes its arguments in the constructor, which is not called here.
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(SAMSAError, ValueError):
    """A setting or argument has a value that is not allowed.

    Args:
        key: Name of the setting or argument, as the user wrote it.
        value: What was given.
        allowed: What would have been right: a sentence, or the allowed values (the nearest one to ``value`` is then
            suggested).

        hint: What can be done about it.
        told: A sentence about what is wrong, in place of what was given and what would have been right.

    Example:
        >>> str(ConfigError("sampling", "hrd", ["hard", "soft"]))
        "sampling: got 'hrd', expected one of 'hard', 'soft'"
        >>> ConfigError("sampling", "hrd", ["hard", "soft"]).hint
        "Did you mean 'hard'?"
        >>> str(ConfigError("--uncertainty", True, "False", told="an embedding has no standard deviation"))
        '--uncertainty: an embedding has no standard deviation'
    """

    def __init__(
        self, key: str, value: object, allowed: str | Iterable[object], *, hint: str = "", told: str = ""
    ) -> None:
        if isinstance(allowed, str):
            expected = allowed
        else:
            choices = list(allowed)
            expected = "one of " + ", ".join(repr(choice) for choice in choices)
            hint = hint or suggest(str(value), [str(choice) for choice in choices])
        # An argument of the command line that is missing has no value, as in Python.
        got = "nothing" if value is None and (key.startswith("--") or key.isupper()) else repr(value)
        super().__init__(f"{key}: {told or f'got {got}, expected {expected}'}", hint=hint)
        self.key, self.value, self.expected, self.told = key, value, expected, told

    def renamed(self, key: str) -> ConfigError:
        """Return the same error about another name, such as that of the setting that feeds an argument.

        Example:
            >>> str(ConfigError("tau", 0, "a number above 0").renamed("samsa.tau"))
            'samsa.tau: got 0, expected a number above 0'
        """
        return ConfigError(key, self.value, self.expected, hint=self.hint, told=self.told)


class ShapeError(SAMSAError, ValueError):
    """A tensor has the wrong shape or type.

    Args:
        name: Name of the tensor.
        got: Its shape.
        expected: The shape that it should have.

    Example:
        >>> str(ShapeError("x", "[5, 3]", "[T, 4]"))
        'x: got [5, 3], expected [T, 4]'
    """

    def __init__(self, name: str, got: object, expected: object, *, hint: str = "") -> None:
        super().__init__(f"{name}: got {got}, expected {expected}", hint=hint)
        self.name = name


class MissingDependencyError(SAMSAError, ImportError):
    """An optional package is needed and not installed.

    Args:
        package: Name of the package.
        extra: Extra of this package that installs it.
        purpose: What needs it.

    Example:
        >>> error = MissingDependencyError("h5py", "points", "Reading ModelNet40")
        >>> str(error), error.hint
        ("Reading ModelNet40 needs the package 'h5py', which is not installed", "pip install 'pyg-samsa[points]'")
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed", hint=f"pip install 'pyg-samsa[{extra}]'"
        )


class ProcessError(SAMSAError):
    """Another process of a run has ended, or does not answer.

    Example:
        >>> ProcessError("another process of this run has ended").exit_code
        2
    """


class DataError(SAMSAError):
    """Data that was found cannot be used as it is.

    Example:
        >>> DataError("train.csv: no column 'smiles'").exit_code
        3
    """

    exit_code = EXIT_DATA


class DataNotFoundError(DataError, FileNotFoundError):
    """Files that are needed are not there.

    Example:
        >>> isinstance(DataNotFoundError("train.csv: no such file"), FileNotFoundError)
        True
    """


class DataIntegrityError(DataError):
    """A file is not the one it should be: wrong hash, truncated, or with unexpected content.

    Args:
        path: The file.
        expected: What it should hold.
        got: What it holds.
        hint: The cure; by default to delete the file and fetch it again.

    Example:
        >>> str(DataIntegrityError("data.zip", "SHA-256 12ab", "SHA-256 34cd"))
        'data.zip: got SHA-256 34cd, expected SHA-256 12ab'
    """

    def __init__(self, path: object, expected: object, got: object, *, hint: str = "") -> None:
        super().__init__(
            f"{path}: got {got}, expected {expected}", hint=hint or "Delete the file and fetch or copy it again."
        )
        self.path = path


class SmilesError(DataError, ValueError):
    """A molecule cannot be read.

    Args:
        row: Row of the file, counted from 1 without the header, or None for a single molecule.
        text: The SMILES as given.
        reason: Why it cannot be read.

    Example:
        >>> str(SmilesError(3, "C1CC"))
        "row 3: RDKit cannot read this SMILES: 'C1CC'"
    """

    def __init__(
        self, row: int | None, text: str, reason: str = "RDKit cannot read this SMILES", *, hint: str = ""
    ) -> None:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        place = "" if row is None else f"row {row}: "
        super().__init__(f"{place}{reason}: {shown!r}", hint=hint)
        self.row, self.text, self.reason = row, text, reason


class NumericalError(SAMSAError, ArithmeticError):
    """A value that must be finite is not.

    Args:
        where: Layer, feature or loss that holds the value.
        what: What is wrong with it.

    Example:
        >>> error = NumericalError("loss", "NaN in step 7", hint="Lower optim.base_lr.")
        >>> str(error), error.exit_code
        ('loss: NaN in step 7', 4)
    """

    exit_code = EXIT_NUMERICAL

    def __init__(self, where: str, what: str, *, hint: str = "") -> None:
        super().__init__(f"{where}: {what}", hint=hint)


class UserCodeError(SAMSAError):
    """A module of the user's own raises an error while it is imported.

    Args:
        module: Name of the module.
        error: What it raises.

    Example:
        >>> str(UserCodeError("custom_graphgym", KeyError("swish")))
        "custom_graphgym cannot be imported: KeyError: 'swish'"
    """

    def __init__(self, module: str, error: BaseException) -> None:
        super().__init__(f"{module} cannot be imported: {type(error).__name__}: {error}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean '...'?"`` with the known name nearest to ``name``, or an empty string.

    Example:
        >>> suggest("optim.base_rl", ["optim.base_lr", "train.mode"])
        "Did you mean 'optim.base_lr'?"
        >>> suggest("Y", ["y"])
        "Did you mean 'y'?"
    """
    names = {one.lower(): one for one in reversed(list(known))}  # of names that differ only in case, the first
    near = get_close_matches(name.lower(), list(names), n=1, cutoff=0.6)
    return f"Did you mean {names[near[0]]!r}?" if near else ""


def check_choice(key: str, value: object, allowed: Collection[object]) -> None:
    """Raise a `ConfigError` unless ``value`` is one of ``allowed``.

    Example:
        >>> check_choice("sampling", "hard", ("hard", "soft"))
    """
    if value not in allowed:
        raise ConfigError(key, value, allowed)
