import inspect
from typing import Annotated

import pytest

from pyg_samsa.datasets import catalog, dataset_registry
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import (
    dataset_options,
    register_dataset,
    registered_datasets,
    unregister_dataset,
)
from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option

ENTRIES = registered_datasets()
# Arguments that every caller handles by itself and that are no settings.
COMMON = {"cross_validated", "notify", "progress", "transform", "workers", "fractions", "name", "parts", "source"}


@pytest.fixture(params=ENTRIES)
def entry(request):
    return ENTRIES[request.param]


def test_names_are_plain(entry):
    assert entry.name == entry.name.lower()
    assert entry.name.replace("-", "").isalnum()


def test_every_keyword_is_an_option_with_help(entry):
    assert set(entry.keywords) - set(entry.options) <= COMMON
    for name, argument in entry.options.items():
        assert argument.option.help.endswith("."), name
        assert argument.default is not inspect.Parameter.empty
        argument.check(argument.default)


def test_is_not_prepared_in_an_empty_folder(entry, tmp_path):
    assert not entry.is_prepared(tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_options_are_refused_with_a_hint(entry, tmp_path):
    with pytest.raises(ConfigError, match="progres") as caught:
        entry.load(tmp_path, progres=False)
    assert "progress" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_wrong_values_are_refused_before_anything_is_made(entry, tmp_path):
    for name, argument in entry.options.items():
        if argument.option.low is not None:
            with pytest.raises(ConfigError, match=name):
                entry.load(tmp_path, **{name: argument.option.low - 1})
    assert not list(tmp_path.iterdir())


def test_aliases_resolve(entry):
    for format, name in entry.aliases:
        assert catalog.find(format, name) == entry
    assert catalog.find("samsa", entry.name) == entry


def test_docstrings_have_shapes_and_an_example(entry):
    assert "Shapes:" in entry.make.__doc__
    assert "Example:" in entry.make.__doc__


def test_importers_name_their_arguments(entry):
    if entry.importer is not None:
        parameters = inspect.signature(entry.importer.function).parameters
        assert set(entry.importer.files) <= set(parameters)
        assert not set(entry.importer.files) & set(entry.importer.options)


def test_options_of_all_data_sets_are_joined():
    options = dataset_options()
    assert set(options) == {name for entry in ENTRIES.values() for name in entry.options}
    for entry in ENTRIES.values():
        for name, argument in entry.options.items():
            options[name].check(argument.default)
    assert all(argument.default is None for argument in options.values())
    assert "ListOps" in options["max_length"].option.help


class Tiny(SplitDataset):
    def __init__(self, root, *, num_points: Annotated[str, Option("Number of points.")] = "many"):
        raise NotImplementedError


@pytest.fixture
def tiny():
    yield register_dataset("tiny", Tiny, aliases=[("PyG", "Tiny")])
    unregister_dataset("tiny")


def test_one_option_of_two_types_is_refused(tiny):
    with pytest.raises(ConfigError, match="num_points"):
        dataset_options()


def test_taken_names_are_refused(tiny):
    for name, alias in (("tiny", "Other"), ("other", "Tiny")):
        with pytest.raises(ConfigError, match="tiny"):
            register_dataset(name, Tiny, aliases=[("PyG", alias)])
    assert "other" not in dataset_registry.registered_datasets()


def test_unregistered_names_are_gone(tiny):
    assert catalog.knows("PyG", "Tiny")
    unregister_dataset("tiny")
    assert not catalog.knows("PyG", "Tiny")
    with pytest.raises(ConfigError, match="tiny"):
        unregister_dataset("tiny")
    register_dataset("tiny", Tiny)
