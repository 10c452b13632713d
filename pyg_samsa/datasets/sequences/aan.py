"""Pairs of documents of the ACL Anthology Network: are they related by a citation?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import Importer, register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Folder, MaxLength
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.sequences.sequence_dataset import flatten, require_files
from pyg_samsa.datasets.splits import consecutive_splits
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import check_integer
from pyg_samsa.task import SPLITS, Task
from pyg_samsa.transforms.path_graph import path_edges

FILES = {"train": "new_aan_pairs.train.tsv", "val": "new_aan_pairs.eval.tsv", "test": "new_aan_pairs.test.tsv"}
ROWS = {"train": 147_086, "val": 18_090, "test": 17_437}
"""Pairs of each official file."""

_LABELS = {b"0": 0, b"0.0": 0, b"1": 1, b"1.0": 1}
_TASK, _FEATURES = Task("multiclass", ["unrelated", "related"], pairs=True), Features([256])
_VERSION = 1
_RELEASE = "lra_release.gz of the Long Range Arena (folder tsv_data)"


class PairDataset(SplitDataset):
    """Pairs of texts, each one graph of two paths, see :class:`AANRetrieval`.

    Args:
        prepared: From :func:`pack_pairs`.
        task: The targets.
        features: The number of symbols.
        transform: Called on every pair on access.
        root: Folder it came from.

    Example:
        >>> dataset = PairDataset(pack_pairs([b"ab", b"c"], [(0, 1), (1, 1)], [0, 1], {}), _TASK, _FEATURES)
        >>> dataset[0].document.tolist(), dataset[0].edge_index.tolist()
        ([0, 0, 1], [[0], [1]])
    """

    def __init__(
        self,
        prepared: Prepared,
        task: Task,
        features: Features,
        *,
        transform: Callable[[Data], Data] | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(prepared, task, features, transform=transform, root=root)
        self._texts: Tensor = prepared.extra["texts"]
        self._ptr: Tensor = prepared.extra["ptr"]

    def count_tokens(self, *, edges: bool = True) -> Tensor:
        """Return the number of symbols of each pair, with ``edges`` of symbols and edges: int64 [G]."""
        symbols = self._ptr.diff()
        tokens = (symbols + (symbols - 1).clamp_min(0) if edges else symbols)[self._data.pair].sum(1)
        return tokens if self._indices is None else tokens[torch.as_tensor(list(self._indices), dtype=torch.long)]

    def get(self, idx: int) -> Data:
        """Return one pair as a graph of two paths."""
        data = super().get(idx)
        first, second = (self._texts[self._ptr[number] : self._ptr[number + 1]] for number in data.pair[0].tolist())
        del data.pair
        data.x = torch.cat([first, second]).long()[:, None]
        data.document = torch.repeat_interleave(torch.arange(2), torch.tensor([len(first), len(second)]))
        data.edge_index = torch.cat([path_edges(len(first)), path_edges(len(second)) + len(first)], dim=1)
        return data


class AANRetrieval(PairDataset):
    """Pairs of documents of the ACL Anthology Network as bytes: the task "Retrieval" of the Long Range Arena.

    From Radev et al., "The ACL anthology network corpus" (2013), in the form of Tay et al., `"Long Range Arena"
    <https://arxiv.org/abs/2011.04006>`_
    (2020). Reads the files ``new_aan_pairs.{train,eval,test}.tsv`` with the columns label, two identifiers and two
    texts, without header and quotes.

    **A pair is one graph of two paths**: the nodes of the first document, then those of the second, and no edge between
    them. ``document`` [n] says which of the two a node belongs to. So everything batches as any graph does, the number
    of nodes is the number of tokens, and a shared encoder meets both documents in one pass:
    :func:`pyg_samsa.functional.tower_batch` gives the number of each node's *document* in the batch, 2B documents in
    all, by which positions start again and readouts are taken; a readout [2B, D] is then ``readout.view(B, 2 * D)``,
    both vectors of a pair side by side.

    Args:
        root: Folder of the data sets; this one is in ``<root>/aan``.
        folder: The folder that holds the three files; by default ``<root>/aan/raw``.
        max_length: Bytes of a document at most.
        progress: Show a progress bar.
        transform: Called on every pair on access.

    Shapes:
        - **item:** ``x`` int64 [n, 1] (bytes), ``document`` int64 [n] (0 or 1), ``edge_index`` int64 [2, n-2] (i -> i+1
          within a document), ``y`` int64 [1].

    Raises:
        DataNotFoundError: The files are not there.
        DataIntegrityError: A file is truncated, empty or mislabelled.

    Example:
        >>> dataset = AANRetrieval("datasets", folder="lra_release/tsv_data")  # doctest: +SKIP
        >>> {split: len(index) for split, index in dataset.split_idx.items()}  # doctest: +SKIP
        {'train': 147086, 'val': 18090, 'test': 17437}

    Cost: the files are read in a minute or two, once. A document in many pairs is stored once.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        folder: Folder = None,
        max_length: MaxLength = 4000,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        check_integer("max_length", max_length, low=1)
        raw = Path(folder) if folder is not None else Path(root) / "aan" / "raw"
        prepared = prepare_once(prepared_path(root, max_length), lambda: _read(raw, max_length, progress))
        super().__init__(prepared, _TASK, _FEATURES, transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str], max_length: int = 4000) -> Path:
    """Return the file that holds the prepared pairs.

    Example:
        >>> prepared_path("datasets", max_length=1000) == prepared_path("datasets")
        False
    """
    return Path(root) / "aan" / f"aan-l{max_length}-v{_VERSION}.pt"


def _read(folder: Path, max_length: int, progress: bool) -> Prepared:
    require_files("aan", folder, list(FILES.values()), _RELEASE)
    numbers: dict[bytes, int] = {}
    pairs: list[tuple[int, int]] = []
    labels: list[int] = []
    with progress_bar("Reading AAN", sum(ROWS.values()), enabled=progress) as advance:
        for split in SPLITS:
            before = len(labels)
            with (folder / FILES[split]).open("rb") as file:
                for row, line in enumerate(file, start=1):
                    label, texts = _read_row(folder / FILES[split], row, line)
                    labels.append(label)
                    first, second = (numbers.setdefault(text[:max_length], len(numbers)) for text in texts)
                    pairs.append((first, second))
                    advance(1)
            if len(labels) - before != ROWS[split]:
                raise DataIntegrityError(folder / FILES[split], f"{ROWS[split]} rows", len(labels) - before)
    return pack_pairs(list(numbers), pairs, labels, consecutive_splits(list(ROWS.values())))


def pack_pairs(
    texts: Sequence[bytes | np.ndarray],
    pairs: Sequence[tuple[int, int]],
    labels: Sequence[int],
    split_idx: dict[str, Tensor],
) -> Prepared:
    """Lay documents end to end, each once, with the numbers of the two documents of each pair.

    Example:
        >>> prepared = pack_pairs([b"ab", b"c"], [(0, 1), (1, 1)], [0, 1], {})
        >>> prepared.data["pair"].tolist(), prepared.extra["ptr"].tolist()
        ([[0, 1], [1, 1]], [0, 2, 3])
    """
    flat, ptr = flatten(texts)
    each = torch.arange(len(labels) + 1)
    data = {"pair": torch.tensor(pairs), "y": torch.tensor(labels)}
    return Prepared(data, {"pair": each, "y": each}, split_idx, {"texts": flat, "ptr": ptr})


def _read_row(path: Path, row: int, line: bytes) -> tuple[int, tuple[bytes, bytes]]:
    fields = line.rstrip(b"\r\n").split(b"\t")
    if len(fields) != 5:
        raise DataIntegrityError(path, f"label, two identifiers and two texts in row {row}", f"{len(fields)} columns")
    if fields[0] not in _LABELS:
        raise DataIntegrityError(path, f"the label 0 or 1 in row {row}", repr(fields[0][:80]))
    if not fields[3].strip() or not fields[4].strip():
        raise DataIntegrityError(path, f"two texts in row {row}", "an empty one")
    return _LABELS[fields[0]], (fields[3], fields[4])


register_dataset("aan", AANRetrieval, prepared_path=prepared_path, importer=Importer(AANRetrieval, files=("folder",)))
