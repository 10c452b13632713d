"""Every data set by the names that users know from GraphGPS's and the benchmarks' configuration files."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.molecules import csv_molecules, lrgb, ogb, peptides, zinc
from pyg_samsa.datasets.molecules import lrgb_release as release
from pyg_samsa.datasets.molecules.csv_molecules import CSVMolecules
from pyg_samsa.datasets.molecules.lrgb import OFFICIAL, LRGBPeptides
from pyg_samsa.datasets.molecules.lrgb_release import RELEASES, LRGBRelease
from pyg_samsa.datasets.molecules.ogb import SETS, OGBMolecules
from pyg_samsa.datasets.molecules.peptides import EmbeddedPeptides
from pyg_samsa.datasets.molecules.zinc import ZINC
from pyg_samsa.datasets.points import modelnet, shapenet_part, shapes
from pyg_samsa.datasets.points.modelnet import ModelNet
from pyg_samsa.datasets.points.shapenet_part import ShapeNetPart
from pyg_samsa.datasets.points.shapes import Shapes
from pyg_samsa.datasets.sequences import aan, cifar, imdb, listops, news_pairs, pathfinder
from pyg_samsa.datasets.sequences.aan import AANRetrieval
from pyg_samsa.datasets.sequences.cifar import CIFAR10Gray, Digits
from pyg_samsa.datasets.sequences.imdb import IMDB
from pyg_samsa.datasets.sequences.listops import ListOps
from pyg_samsa.datasets.sequences.news_pairs import NewsPairs
from pyg_samsa.datasets.sequences.pathfinder import Pathfinder
from pyg_samsa.errors import ConfigError

OURS: dict[str, Callable[..., SplitDataset]] = {
    "peptides-embedded": EmbeddedPeptides,
    **{name: partial(LRGBPeptides, name=name) for name in OFFICIAL},
    **{name: partial(LRGBRelease, name=name) for name in RELEASES},
    "zinc": partial(ZINC, name="subset"),
    "zinc-full": partial(ZINC, name="full"),
    **{name: partial(OGBMolecules, name=name) for name in SETS},
    **{name: partial(ModelNet, name=name) for name in modelnet.RELEASES},
    "shapenetpart": ShapeNetPart,
    "shapes": partial(Shapes, parts=False),
    "shapes-parts": partial(Shapes, parts=True),
    "listops": ListOps,
    "pathfinder": Pathfinder,
    "imdb": partial(IMDB, source="official"),
    "imdb-embedded": partial(IMDB, source="embedded"),
    "cifar10-gray": CIFAR10Gray,
    "digits": Digits,
    "aan": AANRetrieval,
    "news-pairs": NewsPairs,
    "csv": CSVMolecules,
}
"""Our names, which go with the format ``samsa``."""

_SEQUENCES: dict[str, Callable[..., Path]] = {
    "listops": listops.generated_path,
    "pathfinder": pathfinder.generated_path,
    "imdb": partial(imdb.prepared_path, source="official"),
    "imdb-embedded": partial(imdb.prepared_path, source="embedded"),
    "cifar10-gray": cifar.prepared_path,
    "digits": cifar.digits_path,
    "aan": aan.prepared_path,
    "news-pairs": news_pairs.prepared_path,
}

_ELSEWHERE = {
    ("OGB", "peptides-functional"): "peptides-func",
    ("OGB", "peptides-structural"): "peptides-struct",
    ("OGB", "PCQM4Mv2Contact-shuffle"): "pcqm-contact",
    ("PyG-VOCSuperpixels", "edge_wt_region_boundary"): "pascalvoc-sp",
    ("PyG-COCOSuperpixels", "edge_wt_region_boundary"): "coco-sp",
    ("PyG-ZINC", "subset"): "zinc",
    ("PyG-ZINC", "full"): "zinc-full",
    **{("OGB", name): name for name in SETS},
    **{("OGB", name.replace("-", "_")): name for name in SETS},
    **{("PyG-LRGBDataset", name): name for name in (*OFFICIAL, *RELEASES)},
    **{
        ("PyG-LRGBDataset", name): name.lower()
        for name in ("PascalVOC-SP", "COCO-SP", "PCQM-Contact", "Peptides-func", "Peptides-struct")
    },
}


def _resolve(format: str, name: str) -> str | None:
    if format == "samsa":
        return name if name in OURS else None
    return _ELSEWHERE.get((format, name))


def canonical(format: str, name: str) -> str:
    """Return our name of a data set.

    Raises:
        ConfigError: No such data set.

    Example:
        >>> canonical("OGB", "peptides-functional")
        'peptides-func'
    """
    ours = _resolve(format, name)
    if ours is None:
        formats = dict.fromkeys(known for known, _ in available())
        if format not in formats:
            raise ConfigError("dataset.format", format, formats)
        raise ConfigError(
            "dataset.name", name, [known for known_format, known in available() if known_format == format]
        )
    return ours


def option_names(format: str, name: str) -> list[str]:
    """Return the options that :func:`load` takes for a data set.

    Example:
        >>> option_names("samsa", "zinc")
        ['download', 'progress', 'transform']
    """
    make = OURS[canonical(format, name)]
    parameters, fixed = signature(make).parameters, make.keywords if isinstance(make, partial) else ()
    return [
        option
        for option, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and option not in fixed
    ]


def is_prepared(name: str, root: str | os.PathLike[str]) -> bool:
    """Say whether one of our names can be loaded at once.

    Example:
        >>> is_prepared("peptides-func", "nowhere")
        False
    """
    if name == "peptides-embedded":
        return peptides.prepared_path(root).is_file()
    if name in OFFICIAL:
        return lrgb.prepared_path(root, name).is_file()
    if name in RELEASES:
        return release.prepared_path(root, name).is_file()
    if name in SETS:
        return ogb.prepared_path(root, name).is_file()
    if name in modelnet.RELEASES:
        return modelnet.prepared_path(root, name).is_file()
    if name == "shapenetpart":
        return shapenet_part.prepared_path(root).is_file()
    if name in ("shapes", "shapes-parts"):
        return shapes.prepared_path(root, parts=name == "shapes-parts").is_file()
    if name == "csv":
        return csv_molecules.prepared_path(root, None).is_file()  # a table is prepared when it is named
    if name in _SEQUENCES:
        return _SEQUENCES[name](root).is_file()
    return zinc.prepared_path(root, "full" if name == "zinc-full" else "subset").is_file()


def knows(format: str, name: str) -> bool:
    """Say whether :func:`load` has this data set; a GraphGym loader leaves the others to other loaders.

    Args:
        format: ``dataset.format`` of a configuration file.
        name: ``dataset.name``.

    Example:
        >>> knows("OGB", "peptides-functional"), knows("PyG", "Cora")
        (True, False)
    """
    return _resolve(format, name) is not None


def available() -> list[tuple[str, str]]:
    """Return every pair of format and name that :func:`load` understands, ours first.

    Example:
        >>> available()[0]
        ('samsa', 'peptides-embedded')
    """
    return [("samsa", name) for name in OURS] + list(_ELSEWHERE)


def import_files(
    name: str, root: str | os.PathLike[str], files: str | os.PathLike[str], **options: Any
) -> SplitDataset:
    """Prepare one of our data sets from official files that lie elsewhere.

    Args:
        name: One of our names whose release is a folder (or, for ModelNet, also one npz file).
        root: Folder of the data sets.
        files: Where the official files are.
        **options: Of the data set's class; those that it does not take are refused.

    Raises:
        ConfigError: The data set is none of files in a folder, or does not take an option.
        DataNotFoundError: The files are not there.
        DataIntegrityError: A file is not what it should be.

    Example:
        >>> import_files("digits", "datasets", "somewhere")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: name: got 'digits', expected one of 'modelnet10', 'modelnet40', 'shapenetpart', ...
    """
    known = importable()
    if name not in known:
        raise ConfigError("name", name, known)
    make = OURS[name]
    fixed = dict(make.keywords) if isinstance(make, partial) else {}
    own = getattr(make.func if isinstance(make, partial) else make, "import_files", None)
    takes = list(signature(own).parameters) if own is not None else option_names("samsa", name)
    for option in options:
        if option not in takes:
            raise ConfigError(f"option of {name}", option, takes)
    if own is not None:
        return own(root, files=files, **fixed, **options)
    return load("samsa", name, root, folder=files, **({"source": "official"} if "source" in takes else {}), **options)


def importable() -> list[str]:
    """Return our names that :func:`import_files` takes.

    Example:
        >>> importable()[0]
        'modelnet10'
    """
    return [
        *modelnet.RELEASES,
        "shapenetpart",
        *(name for name in OURS if name != "imdb-embedded" and "folder" in option_names("samsa", name)),
    ]


def load(format: str, name: str, root: str | os.PathLike[str] = "datasets", **options: Any) -> SplitDataset:
    """Load a data set by the names of GraphGym's ``dataset.format`` and ``dataset.name``.

    Args:
        format: ``"samsa"`` for our names, or a format of GraphGPS: ``"OGB"``, ``"PyG-ZINC"``, ``"PyG-VOCSuperpixels"``, ``"PyG-COCOSuperpixels"``,
            ``"PyG-LRGBDataset"``.
        name: Name of the data set within the format, see :func:`available`.
        root: Folder of the data sets.
        **options: Of the data set's class: ``progress`` and ``transform`` of all, and what else it takes.

    Returns:
        An in-memory PyG data set of all splits with ``split_idx``, ``task``, ``level``, ``target_names``, ``num_targets``, ``in_channels`` and
        ``edge_channels``.

    Raises:
        ConfigError: No such data set, or an option that it does not take.
        DataNotFoundError: Its files are not there and cannot be downloaded.
        DataIntegrityError: A file is not what it should be.

    Example:
        >>> load("samsa", "peptides-embeded")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: dataset.name: got 'peptides-embeded', expected one of 'peptides-embedded', ...
    """
    ours = canonical(format, name)
    takes = option_names(format, name)
    for option in options:
        if option not in takes:
            raise ConfigError(f"option of {ours}", option, takes)
    return OURS[ours](root, **options)
