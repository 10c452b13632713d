"""The registry of data sets; every data set adds itself in its own file."""

from __future__ import annotations

import inspect
import os
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.options import Argument, Option, options_of

PACKAGES = ("molecules", "nodes", "points", "sequences")
"""Sub-packages whose modules register data sets when they are imported."""


@dataclass(frozen=True)
class Importer:
    """Prepares a data set from official files in any folder.

    Attributes:
        function: Called with the folder of the data sets, the files, and options, all but the first by keyword.
        files: Names of its arguments that take a file or a folder.

    Example:
        >>> registered_datasets()["modelnet10"].importer.files
        ('files',)
    """

    function: Callable[..., SplitDataset]
    files: tuple[str, ...] = ("files",)

    @property
    def options(self) -> list[str]:
        """Names of its other arguments.

        Example:
            >>> registered_datasets()["modelnet10"].importer.options
            ['name', 'num_points', 'incomplete', 'workers', 'progress']
        """
        return [name for name in _keywords(self.function) if name not in self.files]


@dataclass(frozen=True)
class RegisteredDataset:
    """A data set by one of our names.

    Attributes:
        name: Our name, which goes with the format ``"samsa"``.
        make: The class.
        fixed: Arguments of the class that the name fixes.
        aliases: Pairs of format and name that other packages use for the same data.
        prepared_path: Folder of the data sets -> the prepared file with default options; None if it depends on the
            arguments.
        importer: Prepares the data set from official files; None if it needs no files.

    Example:
        >>> entry = registered_datasets()["zinc"]
        >>> entry.name, entry.aliases
        ('zinc', (('PyG-ZINC', 'subset'),))
    """

    name: str
    make: Callable[..., SplitDataset]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[tuple[str, str], ...] = ()
    prepared_path: Callable[[str | os.PathLike[str]], Path] | None = None
    importer: Importer | None = None

    @property
    def options(self) -> dict[str, Argument]:
        """Arguments of the class that carry an `Option`, without the fixed ones.

        Example:
            >>> sorted(registered_datasets()["shapes"].options)
            ['normals', 'num_points', 'per_family', 'rotated', 'seed']
        """
        return {name: argument for name, argument in options_of(self.make).items() if name not in self.fixed}

    @property
    def keywords(self) -> list[str]:
        """Names of all keyword arguments, without the fixed ones.

        Example:
            >>> registered_datasets()["zinc"].keywords
            ['download', 'progress', 'transform']
        """
        return [name for name in _keywords(self.make) if name not in self.fixed]

    def is_prepared(self, root: str | os.PathLike[str]) -> bool:
        """Whether the data set with default options can be loaded at once.

        Example:
            >>> registered_datasets()["zinc"].is_prepared("nowhere")
            False
        """
        return self.prepared_path is not None and self.prepared_path(root).is_file()

    def load(self, root: str | os.PathLike[str], **options: Any) -> SplitDataset:
        """Load the data set.

        Args:
            root: Folder of the data sets.
            **options: Keyword arguments of the class.

        Raises:
            ConfigError: An option is unknown or has a value that is not allowed.

        Example:
            >>> registered_datasets()["zinc"].load("datasets", downlaod=True)
            Traceback (most recent call last):
            pyg_samsa.errors.ConfigError: option of zinc: got 'downlaod', expected one of 'download', ...
        """
        self.check_names(options, self.keywords)
        for name, argument in self.options.items():
            if name in options:
                argument.check(options[name])
        return self.make(root, **self.fixed, **options)

    def check_names(self, options: Iterable[str], known: Sequence[str]) -> None:
        """Raise a `ConfigError` unless all names of options are known.

        Example:
            >>> registered_datasets()["zinc"].check_names(["seed"], ["download"])
            Traceback (most recent call last):
            pyg_samsa.errors.ConfigError: option of zinc: got 'seed', expected one of 'download'
        """
        for option in options:
            check_choice(f"option of {self.name}", option, known)


_REGISTERED: dict[str, RegisteredDataset] = {}


def register_dataset(
    name: str,
    make: Callable[..., SplitDataset],
    *,
    fixed: Mapping[str, Any] | None = None,
    aliases: Iterable[tuple[str, str]] = (),
    prepared_path: Callable[..., Path] | None = None,
    importer: Importer | None = None,
) -> RegisteredDataset:
    """Add a data set to the catalogue; call it below the class, in the same file.

    Args:
        name: Our name of the data set.
        make: Its class. Arguments annotated with `Annotated[T, Option(...)]` become settings ``dataset.*`` of GraphGym.
        fixed: Arguments of the class that the name fixes.
        aliases: Pairs of format and name that other packages use for the same data.
        prepared_path: Called with the folder of the data sets and the fixed arguments; returns the prepared file.
        importer: Prepares the data set from official files.

    Raises:
        ConfigError: The name or an alias is taken.

    Example:
        >>> class Tiny(SplitDataset): ...
        >>> register_dataset("tiny", Tiny, aliases=[("PyG", "Tiny")]).name
        'tiny'
        >>> unregister_dataset("tiny")
    """
    arguments = dict(fixed or {})
    entry = RegisteredDataset(
        name,
        make,
        arguments,
        tuple(aliases),
        None if prepared_path is None else lambda root: prepared_path(root, **arguments),
        importer,
    )
    for other in _REGISTERED.values():
        taken = {("samsa", other.name), *other.aliases} & {("samsa", name), *entry.aliases}
        if taken:
            raise ConfigError("name", taken.pop(), f"an unused name; {other.name} has this one")
    _REGISTERED[name] = entry
    return entry


def unregister_dataset(name: str) -> None:
    """Remove a data set from the catalogue.

    Raises:
        ConfigError: There is no data set of this name.
    """
    check_choice("name", name, _REGISTERED)
    del _REGISTERED[name]


def registered_datasets() -> dict[str, RegisteredDataset]:
    """Return all data sets by our names, in alphabetical order; imports the modules that register them.

    Example:
        >>> "zinc" in registered_datasets()
        True
    """
    for package in PACKAGES:
        parent = import_module(f"{__package__}.{package}")
        for module in pkgutil.iter_modules(parent.__path__):
            import_module(f"{parent.__name__}.{module.name}")
    return dict(sorted(_REGISTERED.items()))


def dataset_options() -> dict[str, Argument]:
    """Return the options of all data sets by name; ranges are joined, and None is the data set's own default.

    Raises:
        ConfigError: Two data sets use one name for different types.

    Example:
        >>> dataset_options()["num_points"].option.low
        1
    """
    found: dict[str, dict[Callable[..., Any], Argument]] = {}
    for entry in registered_datasets().values():
        for name, argument in entry.options.items():
            found.setdefault(name, {}).setdefault(entry.make, argument)
    return {name: _join(name, owners) for name, owners in found.items()}


def _join(name: str, owners: Mapping[Callable[..., Any], Argument]) -> Argument:
    types = {owner.__name__: _without_none(argument.type) for owner, argument in owners.items()}
    if len(set(types.values())) > 1:
        raise ConfigError(f"option {name}", {owner: str(kind) for owner, kind in types.items()}, "one type everywhere")
    options = [argument.option for argument in owners.values()]
    helps = " ".join(dict.fromkeys(option.help for option in options))
    choices = tuple(dict.fromkeys(choice for option in options for choice in option.choices))
    joined = Option(
        f"{helps} Taken by {', '.join(types)}.",
        choices if all(option.choices for option in options) else (),
        _widest([option.low for option in options], min),
        _widest([option.high for option in options], max),
        _widest([option.below for option in options], max),
        _widest([option.above for option in options], min),
    )
    return Argument(name, next(iter(types.values())), None, joined)


def _without_none(kind: Any) -> Any:
    if get_origin(kind) not in (Union, UnionType):
        return kind
    kinds = tuple(each for each in get_args(kind) if each is not type(None))
    return Union[kinds]  # noqa: UP007 - of one type, this is the type itself


def _widest(bounds: Sequence[float | None], choose: Callable[[Iterable[float]], float]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return choose(known) if len(known) == len(bounds) else None


def _keywords(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
