import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.web.limits import Limits


def test_bytes_are_counted_in_mebibytes():
    assert Limits(max_mb=3).max_bytes == 3 * 1024**2


@pytest.mark.parametrize("name", ["max_mb", "max_rows", "max_atoms", "max_minutes", "max_tables", "drawn_atoms"])
def test_a_limit_below_one_is_refused_by_the_name_of_its_option(name):
    with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')}: got 0"):
        Limits(**{name: 0})
