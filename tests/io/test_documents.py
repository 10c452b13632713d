"""YAML and JSON of absurd size and depth."""

import pytest
import yaml

from pyg_samsa.io.documents import LARGEST_YAML, parse_json, parse_yaml, read_text


def laughs(first, line):
    """Each of 12 names stands for the one before it, nine times."""
    lines = (line.format(here=level, there=", ".join([f"*a{level - 1}"] * 9)) for level in range(1, 12))
    return "\n".join([f"a0: &a0 {first}", *lines])


LISTS = laughs("[1, 2, 3]", "a{here}: &a{here} [{there}]")
MERGED = laughs("{x: 1}", "a{here}: &a{here}\n  <<: [{there}]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LISTS, "more than 100,000 values"),
        (MERGED, "more than 100,000 values"),
        ("- a\n" * 100_001, "more than 100,000 values"),
        ("a: &a [*a]", "contains itself"),
        ("a: &a {b: [1, *a]}", "contains itself"),
        ("[" * 100_000, "more than 50 levels"),
        ("a0: &a0 [1]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60)), "more than 50 levels"),
        ("x: 1" + ":1" * 100_000, "an integer of more than 100 digits"),
        ("x: " + "9" * 5000, "an integer of more than 100 digits"),
        ("x: 2001-99-99", "month"),
        ("x" * (LARGEST_YAML + 1), "more than 4,194,304 bytes"),
    ],
)
def test_bombs(text, words):
    with pytest.raises(yaml.YAMLError, match=words):
        parse_yaml(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\nc: [*a, *a]",
        "- 2001-01-02\n- 0x1f\n- 1:30\n- .inf\n- null\n- 'a'",
        "a: b: c",
    ],
)
def test_everything_else_is_as_in_pyyaml(text):
    try:
        expected = yaml.safe_load(text)
    except yaml.YAMLError as error:
        with pytest.raises(type(error)):
            parse_yaml(text)
    else:
        assert parse_yaml(text) == expected


def test_levels_of_yaml():
    assert parse_yaml("[" * 50 + "]" * 50)[0]
    with pytest.raises(yaml.YAMLError):
        parse_yaml("[" * 51 + "]" * 51)


@pytest.mark.parametrize("levels", [51, 10_000, 10**6])
def test_levels_of_json(levels):
    assert parse_json("[" * 50 + "]" * 50)[0]
    for text in ("[" * levels + "]" * levels, '{"a":' * levels + "1" + "}" * levels):
        with pytest.raises(ValueError, match="more than 50 levels"):
            parse_json(text)


def test_no_more_is_read_than_allowed(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes("ä: 1\r\n".encode())
    assert read_text(path, 7) == "ä: 1\n"
    for content, words in ((b"x" * 8, "more than 7"), (b"\xff", "utf-8")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            read_text(path, 7)
    with pytest.raises(ValueError, match="more than 7"):
        read_text("/dev/zero", 7)
