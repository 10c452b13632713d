import pytest

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.hub.json_file import read_json, write_json


def test_numbers_that_are_not_finite_become_null(tmp_path):
    write_json(tmp_path / "a.json", {"format": 1, "nested": {"list": (1, float("inf"), "µ")}})
    assert read_json(tmp_path / "a.json", 1) == {"format": 1, "nested": {"list": [1, None, "µ"]}}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "1"}', "[" * 100_000])
def test_other_files_are_errors(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataIntegrityError, match=r"a\.json"):
        read_json(tmp_path / "a.json", 1)


def test_a_missing_file_and_a_newer_format(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"a\.json"):
        read_json(tmp_path / "a.json", 1)
    write_json(tmp_path / "a.json", {"format": 3})
    with pytest.raises(ConfigError, match="at most 2"):
        read_json(tmp_path / "a.json", 2)
