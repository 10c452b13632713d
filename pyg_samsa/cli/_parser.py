"""The parser of the command line: a wrong argument is one line and a hint, as all errors are."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from pyg_samsa.errors import ConfigError

_MISSING = "the following arguments are required: "
_KINDS = {"int": "a whole number", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """Tells a wrong argument in one line, and the cure in another.

    Example:
        >>> parser = Parser(prog="tool")
        >>> _ = parser.add_argument("--out", required=True, metavar="DIR")
        >>> try:
        ...     parser.parse_args([])
        ... except SystemExit as stopped:
        ...     stopped.code
        2
    """

    def error(self, message: str) -> NoReturn:
        """Print a message of argparse in our words, and exit with code 2."""
        if message.startswith(_MISSING):
            message = _missing(self._needed(message.removeprefix(_MISSING).split(", ")))
        else:
            message = _reworded(message)
        self.fail(message, "")

    def fail(self, message: str, hint: str) -> NoReturn:
        """Print an error and a hint, and exit with code 2.

        Args:
            message: One line that names the culprit.
            hint: One line that names the cure; if empty, how the command is called.
        """
        print(f"error: {message}", file=sys.stderr)
        print(f"hint:  {hint or self._called()}", file=sys.stderr)
        self.exit(2)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            error = ConfigError(_name(action), value, list(action.choices))
            self.fail(str(error), error.hint and f"{error.hint} `{self.prog} --help` describes all.")

    def _needed(self, names: list[str]) -> list[str]:
        """Return the missing arguments as the help writes them, without those that may be left out."""
        actions = {_argparse_name(action): action for action in self._actions}
        found = [actions[name] for name in names if name in actions]
        return [_written(action) for action in found if action.nargs != "*"] or names

    def _called(self) -> str:
        required = [action for action in self._actions if _is_required(action)]
        words = " ".join(map(_written, sorted(required, key=lambda action: bool(action.option_strings))))
        return (
            f"The command is `{self.prog}{f' {words}' if words else ''}`; `{self.prog} --help` describes all arguments."
        )


def _is_required(action: argparse.Action) -> bool:
    return action.required and action.nargs != "*"


def _argparse_name(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or str(action.metavar or action.dest)


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)


def _written(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    return f"{action.option_strings[-1]} {value}" if action.option_strings else value


def _missing(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last} are missing" if first else f"{last} is missing"


def _reworded(message: str) -> str:
    message = message.removeprefix("argument ")
    if found := re.fullmatch(r"(.+?): invalid (int|float) value: (.*)", message):
        return f"{found[1]}: got {found[3]}, expected {_KINDS[found[2]]}"
    if found := re.fullmatch(r"(.+?): expected (one|at least one) argument", message):
        return f"{found[1]}: got nothing, expected {'a value' if found[2] == 'one' else 'one or more values'}"
    return message
