import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.io.tables.formats import FORMATS, SUFFIXES, check_conversion, check_output, format_of, is_molfile, is_sdf


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


def test_a_molfile_is_read_and_not_written():
    for name, known in {"a.mol": True, "b.MOL.gz": True, "c.sdf": False, "mol": False, "d.mol2": False}.items():
        assert is_molfile(name) == known
        if known:
            assert is_sdf(format_of(name))
            with pytest.raises(ConfigError, match="a molfile has no properties"):
                check_output(name)
        else:
            check_output(name)
