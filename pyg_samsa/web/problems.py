"""What is wrong with a request, in one line, and what helps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pyg_samsa.errors import DataError, SAMSAError, SmilesError

DOCUMENT = "The file /api/openapi.json describes what each address takes."
_EXAMPLES = {"/api/predict": '{"smiles": ["CCO"]}', "/api/jobs": '{"text": "CCO ethanol"}'}
_WORDS = {
    "a valid string": "a text",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid list": "a list",
    "a valid dictionary": "an object",
}
_SHOWN = 40


def hint_of(error: SAMSAError) -> str:
    """Return what helps against an error; never empty.

    Args:
        error: The error.

    Example:
        >>> hint_of(DataError("the file is empty", hint="Choose another one.")), hint_of(SmilesError(1, "C("))
        ('Choose another one.', 'Correct this SMILES.')
    """
    if error.hint:
        return error.hint
    if isinstance(error, SmilesError):
        return "Correct this SMILES."
    return "Check the file or the molecules." if isinstance(error, DataError) else DOCUMENT


def encodable(text: str) -> str:
    """Return a text with ``?`` for halves of pairs of surrogates, which no file, database or answer can hold.

    Args:
        text: The text.

    Example:
        >>> encodable("C" + chr(0xD800)), encodable("caf\u00e9")
        ('C?', 'caf\u00e9')
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def describe_invalid(error: Mapping[str, Any], body: Any, path: str) -> tuple[str, str]:
    r"""Return one line about a request that FastAPI refuses, and a hint.

    Args:
        error: What pydantic says: ``type``, ``loc``, ``msg``, ``input`` and ``ctx``.
        body: The text that is not JSON, if that is the error.
        path: Address of the request.

    Example:
        >>> about = {"type": "string_type", "loc": ("body", "smiles", 2), "msg": "Input should be a valid string"}
        >>> describe_invalid({**about, "input": 5}, None, "/api/predict")[0]
        'smiles[2]: got 5, expected a text'
        >>> about = {"type": "json_invalid", "loc": ("body", 11), "msg": "", "ctx": {"error": "Expecting value"}}
        >>> describe_invalid(about, '{"smiles":\n}', "/api/predict")[0]
        'the body is not JSON: expecting value at line 2, column 1'
    """
    kind, place = error["type"], _place(error["loc"])
    if kind == "json_invalid":
        return f"the body is not JSON: {_lower(error['ctx']['error'])} at {_where(body, error['loc'][-1])}", _send(path)
    if not place:
        return _describe_body(error), _send(path)
    given: Any = error.get("input")
    context = error.get("ctx", {})
    if kind == "missing":
        return f"{place} is missing", DOCUMENT
    if kind == "extra_forbidden":
        return f"there is nothing called {place}", DOCUMENT
    if kind in ("too_long", "too_short"):
        bound = f"at most {context['max_length']:,}" if kind == "too_long" else f"at least {context['min_length']:,}"
        return f"{place}: got {context['actual_length']:,} values, expected {bound}", DOCUMENT
    if kind == "string_too_long":
        return f"{place}: got {len(given):,} characters, expected at most {context['max_length']:,}", DOCUMENT
    expected = str(error["msg"])
    if not expected.startswith("Input should be "):
        return f"{place}: {_lower(expected)}", DOCUMENT
    expected = re.split(r", (?:unable|got) ", expected.removeprefix("Input should be "))[0]
    expected = f"a number {expected}" if expected.startswith(("less", "greater")) else expected
    return f"{place}: got {_shown(given)}, expected {_WORDS.get(expected, expected)}", DOCUMENT


def describe_unreadable(cause: BaseException | None, path: str) -> tuple[str, str]:
    """Return one line about a body that FastAPI cannot read at all, and a hint.

    Args:
        cause: What went wrong.
        path: Address of the request.

    Example:
        >>> describe_unreadable(RecursionError(), "/api/jobs")
        ('the body cannot be read: it is nested too deeply', 'Send a JSON object, such as {"text": "CCO ethanol"}.')
    """
    if isinstance(cause, RecursionError):
        reason = "it is nested too deeply"
    elif isinstance(cause, UnicodeDecodeError):
        reason = f"it is not UTF-8 text at byte {cause.start + 1:,}"
    else:
        reason = "it is damaged, or not of the type that its header names"
    return f"the body cannot be read: {reason}", _send(path)


def _describe_body(error: Mapping[str, Any]) -> str:
    given = error.get("input")
    if error["type"] == "missing" or given in (b"", ""):
        return "the body is empty, expected a JSON object"
    if isinstance(given, bytes):
        return "the body is not sent as JSON, expected the header content-type: application/json"
    return f"the body is {_shown(given)}, expected a JSON object"


def _send(path: str) -> str:
    example = _EXAMPLES.get(path)
    return f"Send a JSON object, such as {example}." if example else DOCUMENT


def _place(loc: Sequence[Any]) -> str:
    """Return where a value stands: ``smiles[2]`` for the third entry of a list."""
    text = ""
    for part in loc[1:]:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{str(part)[:_SHOWN]}"
    return text


def _where(body: Any, position: int) -> str:
    before = body[:position] if isinstance(body, str) else ""
    if not isinstance(body, str):
        return f"character {position + 1:,}"
    return f"line {before.count(chr(10)) + 1:,}, column {position - before.rfind(chr(10)):,}"


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "something else"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
