from typing import Annotated, get_args, get_origin

import pytest

from pyg_samsa.datasets import option_types
from pyg_samsa.datasets.dataset_registry import registered_datasets
from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option, options_of

TYPES = {name: kind for name, kind in vars(option_types).items() if get_origin(kind) is Annotated}
# A value of each type that is allowed, and one that is not; None where every value of the type is.
VALUES = {
    "Seed": (0, -1),
    "Download": (True, "yes"),
    "Folder": ("raw", None),
    "Source": ("official", "fetched"),
    "NumTrain": (1, 0),
    "NumVal": (0, -1),
    "NumTest": (0, 2.5),
    "MaxLength": (1, 0),
    "TextUnit": ("words", "letters"),
    "NumPoints": (1, 0),
    "Normals": (None, 1),
    "Rotated": ("test", "val"),
    "Incomplete": (False, "no"),
}


def argument(name, default):
    def load(value=default):
        """An importer of one option."""

    load.__annotations__["value"] = TYPES[name]
    return options_of(load)["value"]


def test_every_type_has_values_to_test():
    assert set(VALUES) == set(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_values_are_checked(name):
    good, bad = VALUES[name]
    found = argument(name, good)
    found.check(good)
    if bad is not None:
        with pytest.raises(ConfigError, match="value"):
            found.check(bad)


@pytest.mark.parametrize("name", TYPES)
def test_help_is_a_sentence_of_one_line(name):
    (option,) = [each for each in get_args(TYPES[name]) if isinstance(each, Option)]
    assert option.help[0].isupper()
    assert option.help.endswith(".")
    assert len(option.help) <= 100


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_taken_by_a_data_set(name):
    (option,) = [each for each in get_args(TYPES[name]) if isinstance(each, Option)]
    makers = {entry.make for entry in registered_datasets().values()}
    importers = [entry.importer.function for entry in registered_datasets().values() if entry.importer]
    makers |= {getattr(function, "func", function) for function in importers}  # func: that of a partial
    assert any(found.option == option for make in makers for found in options_of(make).values())
