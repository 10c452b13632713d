from collections import Counter

import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.registry import register_in


def test_a_class_is_found_by_its_name():
    registry = {}
    assert register_in(registry, "metric", "count")(Counter) is Counter
    assert registry == {"count": Counter}


def test_a_class_may_be_registered_again_after_its_module_was_imported_again():
    registry = {"count": Counter}
    again = type("Counter", (), {"__module__": "collections"})
    register_in(registry, "metric", "count")(again)
    assert registry == {"count": again}


def test_a_name_is_taken_by_another_class():
    registry = {"count": Counter}
    with pytest.raises(ConfigError, match="metric: got 'count', expected an unused name; Counter has this one"):
        register_in(registry, "metric", "count")(dict)
    assert registry == {"count": Counter}
