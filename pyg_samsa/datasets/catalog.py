"""All data sets by name: ours, and the names of GraphGPS's and the benchmarks' configuration files."""

from __future__ import annotations

import os
from typing import Any

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import RegisteredDataset, registered_datasets
from pyg_samsa.errors import ConfigError, check_choice


def names() -> list[str]:
    """Return our names, which go with the format ``samsa``.

    Example:
        >>> "digits" in names()
        True
    """
    return list(registered_datasets())


def available() -> list[tuple[str, str]]:
    """Return every pair of format and name that :func:`load` accepts, ours first.

    Example:
        >>> ("samsa", "zinc") in available(), ("PyG-ZINC", "subset") in available()
        (True, True)
    """
    return list(_by_pair())


def knows(format: str, name: str) -> bool:
    """Whether :func:`load` has this data set; a GraphGym loader leaves the others to other loaders.

    Args:
        format: ``dataset.format`` of a configuration file.
        name: ``dataset.name``.

    Example:
        >>> knows("OGB", "peptides-functional"), knows("PyG", "Cora")
        (True, False)
    """
    return (format, name) in _by_pair()


def canonical(format: str, name: str) -> str:
    """Return our name of a data set.

    Raises:
        ConfigError: There is no such data set.

    Example:
        >>> canonical("OGB", "peptides-functional")
        'peptides-func'
    """
    return find(format, name).name


def find(format: str, name: str) -> RegisteredDataset:
    """Return the registered data set of a format and a name.

    Raises:
        ConfigError: There is no such data set.

    Example:
        >>> find("PyG-ZINC", "full").name
        'zinc-full'
    """
    pairs = _by_pair()
    if (format, name) in pairs:
        return pairs[format, name]
    formats = list(dict.fromkeys(known for known, _ in pairs))
    check_choice("dataset.format", format, formats)
    raise ConfigError("dataset.name", name, [known for known_format, known in pairs if known_format == format])


def option_names(format: str, name: str) -> list[str]:
    """Return the keyword arguments that :func:`load` takes for a data set.

    Example:
        >>> option_names("samsa", "zinc")
        ['download', 'progress', 'transform']
    """
    return find(format, name).keywords


def is_transductive(format: str, name: str) -> bool:
    """Whether a data set is one graph whose nodes are split.

    Example:
        >>> is_transductive("PyG-WebKB", "cornell"), is_transductive("PyG-ZINC", "subset"), is_transductive("PyG", "x")
        (True, False, False)
    """
    entry = _by_pair().get((format, name))
    return entry is not None and bool(getattr(entry.make, "transductive", False))


def is_prepared(name: str, root: str | os.PathLike[str]) -> bool:
    """Whether a data set with default options can be loaded at once.

    Args:
        name: One of our names.
        root: Folder of the data sets.

    Raises:
        ConfigError: There is no such data set.

    Example:
        >>> is_prepared("peptides-func", "nowhere")
        False
    """
    return find("samsa", name).is_prepared(root)


def importable() -> list[str]:
    """Return our names of the data sets that :func:`import_files` takes.

    Example:
        >>> "modelnet10" in importable(), "digits" in importable()
        (True, False)
    """
    return [name for name, entry in registered_datasets().items() if entry.importer is not None]


def import_files(
    name: str, root: str | os.PathLike[str], *files: str | os.PathLike[str] | None, **options: Any
) -> SplitDataset:
    """Prepare one of our data sets from official files in any folder.

    Args:
        name: One of our names.
        root: Folder of the data sets.
        files: The official files in the order of ``find("samsa", name).importer.files``; most data sets take one
            folder.
        **options: Other arguments of the importer.

    Raises:
        ConfigError: The data set cannot be imported, or does not take an option.
        DataNotFoundError: The files are not there.
        DataIntegrityError: A file is not what it should be.

    Example:
        >>> import_files("digits", "datasets", "somewhere")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: name: got 'digits', expected one of 'aan', ...
    """
    importer = find("samsa", name).importer if name in importable() else None
    if importer is None:
        raise ConfigError("name", name, importable())
    find("samsa", name).check_names(options, importer.options)
    if len(files) != len(importer.files):
        raise ConfigError(f"files of {name}", files, f"{len(importer.files)}: {', '.join(importer.files)}")
    return importer.function(root, **dict(zip(importer.files, files, strict=True)), **options)


def load(format: str, name: str, root: str | os.PathLike[str] = "datasets", **options: Any) -> SplitDataset:
    """Load a data set by the names of GraphGym's ``dataset.format`` and ``dataset.name``.

    Args:
        format: ``"samsa"`` for our names, or a format of GraphGPS: ``"OGB"``, ``"PyG-ZINC"``, ``"PyG-VOCSuperpixels"``,
            ``"PyG-COCOSuperpixels"``, ``"PyG-LRGBDataset"``.
        name: Name of the data set within the format, see :func:`available`.
        root: Folder of the data sets.
        **options: Keyword arguments of the data set's class; all take ``progress`` and ``transform``.

    Returns:
        An in-memory PyG data set of all splits with ``task``, ``features`` and ``split_idx``.

    Raises:
        ConfigError: There is no such data set, or an option is unknown or has a value that is not allowed.
        DataNotFoundError: Its files are not there and cannot be downloaded.
        DataIntegrityError: A file is not what it should be.

    Example:
        >>> load("OGB", "peptides-functonal")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: dataset.name: got 'peptides-functonal', expected one of ...
    """
    return find(format, name).load(root, **options)


def _by_pair() -> dict[tuple[str, str], RegisteredDataset]:
    entries = list(registered_datasets().values())
    ours = {("samsa", entry.name): entry for entry in entries}
    return ours | {pair: entry for entry in entries for pair in entry.aliases}
