import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.io.tables.formats import FORMATS, SUFFIXES, check_conversion, format_of, is_sdf


def test_each_ending_names_its_format():
    for format, endings in SUFFIXES.items():
        for ending in endings:
            assert format_of(f"a.b{ending.upper()}") == format
    assert format_of("csv") is None


def test_only_structures_and_tables_exclude_each_other():
    for source in FORMATS:
        for target in FORMATS:
            if is_sdf(source) == is_sdf(target):
                check_conversion(source, target)
            else:
                with pytest.raises(ConfigError, match="structures"):
                    check_conversion(source, target)
