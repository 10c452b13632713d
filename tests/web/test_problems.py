import pytest

from pyg_samsa.errors import ConfigError, DataError, SmilesError
from pyg_samsa.web.problems import DOCUMENT, describe_invalid, describe_unreadable, hint_of


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (DataError("the file is empty", hint="Choose another one."), "Choose another one."),
        (DataError("the file is empty"), "Check the file or the molecules."),
        (SmilesError(1, "C("), "Correct this SMILES."),
        (ConfigError("interval", 2, "a number below 1"), DOCUMENT),
    ],
)
def test_there_is_always_a_hint(error, hint):
    assert hint_of(error) == hint


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (
            {"type": "string_too_long", "loc": ("body", "a"), "input": "abcd", "ctx": {"max_length": 3}, "msg": ""},
            "a: got 4 characters, expected at most 3",
        ),
        (
            {"type": "too_long", "loc": ("body", "a"), "ctx": {"max_length": 3, "actual_length": 4}, "msg": ""},
            "a: got 4 values, expected at most 3",
        ),
        (
            {"type": "value_error", "loc": ("query", "sort"), "input": 1, "msg": "Value error, something"},
            "sort: value error, something",
        ),
        (
            {
                "type": "bool_parsing",
                "loc": ("query", "a"),
                "input": "x" * 99,
                "msg": "Input should be a valid boolean, unable to interpret input",
            },
            f'a: got "{"x" * 36}..., expected true or false',
        ),
        (
            {
                "type": "literal_error",
                "loc": ("query", "format"),
                "input": "doc",
                "msg": "Input should be 'csv', 'xlsx' or 'sdf'",
            },
            "format: got \"doc\", expected 'csv', 'xlsx' or 'sdf'",
        ),
        ({"type": "model_type", "loc": ("body",), "input": 1.5, "msg": ""}, "the body is 1.5, expected a JSON object"),
    ],
)
def test_what_pydantic_says_becomes_plain(about, told):
    assert describe_invalid(about, None, "/api/predict")[0] == told


def test_without_the_text_the_place_is_a_number():
    about = {"type": "json_invalid", "loc": ("body", 4), "msg": "", "ctx": {"error": "Expecting value"}}
    assert describe_invalid(about, None, "/api/other") == (
        "the body is not JSON: expecting value at character 5",
        DOCUMENT,
    )


def test_other_reasons_of_a_body_that_cannot_be_read():
    assert describe_unreadable(ValueError("x"), "/api/jobs")[0].startswith("the body cannot be read: it is damaged")
