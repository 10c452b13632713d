"""Converts the molecules of a table in shards, so that memory holds one of them, however long the table is."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyg_samsa.chem.graph_table import GraphTable
from pyg_samsa.chem.molecule_names import parse_ranked
from pyg_samsa.chem.ogb_features import import_rdkit
from pyg_samsa.chem.parsing import CHUNK, Parsed, in_chunks, join_parsed
from pyg_samsa.chem.standardize import Standardizer, pack_steps
from pyg_samsa.datasets.molecules.csv_table import LeftOut, MoleculeTable, TableRow
from pyg_samsa.datasets.prepared import load_tensors
from pyg_samsa.datasets.texts import Texts
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.files import atomic_write, remove_partial, writing
from pyg_samsa.io.memory import map_copy
from pyg_samsa.io.worker_pool import map_chunks

_LOGGER = logging.getLogger(__name__)
SHARD_ROWS = 2**16
"""Rows of a shard. Tables of no more rows are converted in memory."""
_FORMAT = 3
_GRAPHS = ("x", "edge_index", "edge_attr", "num_nodes", "num_edges")
_DIGEST = 32


def molecule_kind(kind: str) -> str:
    """Return what rows whose molecule is refused for a kind of reason are called.

    Example:
        >>> molecule_kind("unreadable")
        'unreadable molecule'
    """
    return f"{kind} molecule"


@dataclass
class Shard:
    """Molecules that could be read, in the order of the table, with their fields, and the rows that are left out.

    Attributes:
        count: Rows of the table that were read, without blank lines and comments.
        graphs: Graphs of the K molecules.
        rows: Row of the file of each molecule, int64 [K].
        ranks: Ranks of the names by which they are split, 32 bytes [K]; empty for a split by a column.
        names: Hashes of the molecules, 32 bytes [K]: equal ones are equal molecules.
        smiles: SMILES without blanks around them; standardised molecules.
        given: SMILES as given of those that the standardisation changed; empty for the others.
        steps: The steps that changed each molecule, uint8 [K]: bit k for step k of
            :obj:`pyg_samsa.chem.standardize.STEPS`.
        split: Texts of the column of the split.
        targets: Columns of targets, K texts each.
        extra: Extra columns, K texts each.
        left_out: The rows that are left out.
    """

    count: int
    graphs: GraphTable
    rows: np.ndarray
    ranks: np.ndarray
    names: np.ndarray
    smiles: Texts
    given: Texts
    steps: np.ndarray
    split: Texts
    targets: list[Texts]
    extra: list[Texts]
    left_out: list[LeftOut]

    @property
    def texts(self) -> list[Texts]:
        """All columns of texts."""
        return [self.smiles, self.given, self.split, *self.targets, *self.extra]


def convert_table(
    table: MoleculeTable,
    folder: Path,
    *,
    max_atoms: int,
    split: str,
    seed: int,
    standardize: Sequence[str] = (),
    workers: int = 1,
    shard_rows: int | None = None,
    advance: Callable[[int], Any] = lambda _: None,
) -> Shard:
    """Convert the molecules of a table.

    If the table has more rows than a shard, shards are written into a folder as they are converted, and joined there
    to files that are mapped into memory. Shards that a killed preparation left there are not converted again.

    Args:
        table: The table.
        folder: Folder for the shards; it has to belong to this table and these options alone. The caller deletes it.
        max_atoms: Molecules with more atoms are left out.
        split: What molecules are split by: ``"random"`` (their canonical SMILES), ``"scaffold"`` or ``"column"``.
        seed: Seed of the split.
        standardize: Steps by which molecules are standardised, see `pyg_samsa.chem.standardize.Standardizer`.
        workers: Processes that convert molecules.
        shard_rows: Rows of a shard; None for :data:`SHARD_ROWS`.
        advance: Called with numbers of rows that are done.

    Raises:
        DataError: The table has no rows, or a row has more fields than the header.
        OSError: The disk is full.

    Example:
        >>> import tempfile
        >>> from pyg_samsa.datasets.molecules.csv_table import open_molecule_table
        >>> path = Path(tempfile.mkdtemp()) / "table.csv"
        >>> _ = path.write_text("smiles,y" + chr(10) + "CO,1" + chr(10) + "C(,2" + chr(10) + "CC,3")
        >>> options = {"max_atoms": 100, "split": "column", "seed": 0}
        >>> whole = convert_table(open_molecule_table(path), path.parent / "parts", **options)
        >>> parts = convert_table(open_molecule_table(path), path.parent / "parts", **options, shard_rows=1)
        >>> list(whole.smiles), list(parts.smiles), parts.left_out[0].reason
        (['CO', 'CC'], ['CO', 'CC'], 'RDKit cannot read this SMILES (the bracket ( is not closed)')

    Cost: memory of a shard, about 1 KB a row, and of some 80 bytes for each row of the table; three times the disk of
    the prepared file until the folder is deleted.
    """
    import_rdkit()
    size = SHARD_ROWS if shard_rows is None else shard_rows
    options: dict[str, Any] = {"max_atoms": max_atoms, "split": split, "seed": seed}
    convert = partial(parse_ranked, **options, standardize=Standardizer(standardize))
    done = _finished(folder)
    left_out: list[LeftOut] = []
    rows = table.rows(left_out)
    for path in done:
        count = _load(path).count
        sum(1 for _ in islice(rows, count))
        advance(count)
    left_out.clear()
    shards = _shards(rows, left_out, convert, size=size, workers=workers, advance=advance)
    first = next(shards, None)
    second = next(shards, None)
    if not done and first is not None and second is None:
        first.left_out += left_out
        return first
    paths = [*done]
    for shard in (one for group in ((first, second), shards) for one in group if one is not None):
        path = folder / f"{len(paths):06}.pt"
        _save(shard, path)
        paths.append(path)
    if not paths:
        raise table.without_rows()
    first = second = None
    joined = _join(paths, folder)
    joined.left_out += left_out
    return joined


def _shards(
    rows: Iterator[TableRow],
    left_out: list[LeftOut],
    convert: Callable[[list[str]], tuple[Parsed, np.ndarray, np.ndarray]],
    *,
    size: int,
    workers: int,
    advance: Callable[[int], Any],
) -> Iterator[Shard]:
    """Yield shards as their rows are converted; ``left_out`` loses what a shard takes."""
    waiting: deque[list[TableRow]] = deque()

    def chunks() -> Iterator[list[str]]:
        for chunk in in_chunks(rows, min(CHUNK, size)):
            waiting.append(chunk)
            yield [row.smiles for row in chunk]

    taken: list[TableRow] = []
    parts: list[Parsed] = []
    hashes: list[tuple[np.ndarray, np.ndarray]] = []
    for _, (parsed, ranks, names) in map_chunks(convert, chunks(), workers=workers):
        chunk = waiting.popleft()
        taken += chunk
        parts.append(parsed)
        hashes.append((ranks, names))
        advance(len(chunk))
        if len(taken) >= size:
            yield _shard(taken, parts, hashes, left_out)
            taken, parts, hashes = [], [], []
    if taken:
        yield _shard(taken, parts, hashes, left_out)


def _shard(
    taken: Sequence[TableRow],
    parts: Sequence[Parsed],
    hashes: Sequence[tuple[np.ndarray, np.ndarray]],
    left_out: list[LeftOut],
) -> Shard:
    parsed = join_parsed(parts)
    # The table is read ahead: what follows the last row belongs to the next shard.
    before = [one for one in left_out if one.row < taken[-1].row]
    left_out[:] = [one for one in left_out if one.row > taken[-1].row]
    refused = [
        LeftOut(taken[place].row, taken[place].smiles, reason, molecule_kind(kind))
        for place, reason, kind in parsed.refused
    ]
    kept = [taken[place] for place in parsed.kept]
    changes = {change.position: change for change in parsed.changes}
    changed = [changes.get(place) for place in parsed.kept]
    return Shard(
        len(taken),
        parsed.table,
        np.array([row.row for row in kept], dtype=np.int64),
        np.concatenate([ranks for ranks, _ in hashes]),
        np.concatenate([names for _, names in hashes]),
        Texts.of(parsed.smiles),
        Texts.of("" if one is None else one.before for one in changed),
        np.array([0 if one is None else pack_steps(one.steps) for one in changed], dtype=np.uint8),
        Texts.of(row.split for row in kept),
        [Texts.of(row.targets[place] for row in kept) for place in range(len(taken[0].targets))],
        [Texts.of(row.extra[place] for row in kept) for place in range(len(taken[0].extra))],
        [*before, *refused],
    )


def _save(shard: Shard, path: Path) -> None:
    content = {
        "format": _FORMAT,
        "count": shard.count,
        "graphs": {name: torch.from_numpy(getattr(shard.graphs, name)) for name in _GRAPHS},
        "rows": torch.from_numpy(shard.rows),
        "ranks": _as_bytes(shard.ranks),
        "names": _as_bytes(shard.names),
        "steps": torch.from_numpy(shard.steps),
        "texts": [[texts.content, texts.ptr] for texts in shard.texts],
        "targets": len(shard.targets),
        "left_out": [list(one) for one in shard.left_out],
    }
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def _as_bytes(hashes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(bytearray(hashes.astype(f"S{_DIGEST}").tobytes()), dtype=np.uint8))


def _load(path: Path) -> Shard:
    """Read a shard; its tensors are mapped into memory.

    Raises:
        DataIntegrityError: It is damaged.
    """
    content = load_tensors(path, mmap=True, listed=False)
    try:
        if content["format"] != _FORMAT:
            raise DataIntegrityError(path, f"a shard of format {_FORMAT}", f"format {content['format']}")
        smiles, given, split, *others = (Texts(*texts) for texts in content["texts"])
        return Shard(
            content["count"],
            GraphTable(*(content["graphs"][name].numpy() for name in _GRAPHS)),
            content["rows"].numpy(),
            content["ranks"].numpy().view(f"S{_DIGEST}"),
            content["names"].numpy().view(f"S{_DIGEST}"),
            smiles,
            given,
            content["steps"].numpy(),
            split,
            others[: content["targets"]],
            others[content["targets"] :],
            [LeftOut(*one) for one in content["left_out"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataIntegrityError(path, "a shard of molecules", "something else") from error


def _finished(folder: Path) -> list[Path]:
    """Return the shards that are there, in order, up to the first one that is missing or damaged."""
    found: list[Path] = []
    if not folder.is_dir():
        return found
    remove_partial(folder / "*")
    while (path := folder / f"{len(found):06}.pt").is_file():
        try:
            _load(path)
        except DataIntegrityError as error:
            _LOGGER.warning("The molecules of a damaged file are converted again: %s", error)
            path.unlink()
            break
        found.append(path)
    return found


def _join(paths: Sequence[Path], folder: Path) -> Shard:
    """Write the shards one after the other into one file for each column, and map these files into memory."""
    shards = [_load(path) for path in paths]
    graphs = [shard.graphs for shard in shards]
    join = partial(_write_column, folder)
    largest = max(int(table.edge_index.max(initial=0)) for table in graphs)
    narrow = next(dtype for dtype in (np.uint8, np.int16, np.int32) if largest <= np.iinfo(dtype).max)
    # Both rows of the edges: all sources, then all targets.
    ends = [table.edge_index[row] for row in (0, 1) for table in graphs]
    columns = []
    for place in range(len(shards[0].texts)):
        parts = [shard.texts[place] for shard in shards]
        ptr = torch.cat([torch.zeros(1, dtype=torch.long), *(part.ptr.diff() for part in parts)]).cumsum(0)
        content = join(f"texts-{place}", np.uint8, [part.content.numpy() for part in parts])
        columns.append(Texts(torch.from_numpy(content), ptr))
    smiles, given, split, *others = columns
    targets = len(shards[0].targets)
    return Shard(
        sum(shard.count for shard in shards),
        GraphTable(
            join("x", np.uint8, [table.x for table in graphs]).reshape(-1, graphs[0].x.shape[1]),
            join("edge_index", narrow, ends).reshape(2, -1),
            join("edge_attr", np.uint8, [table.edge_attr for table in graphs]).reshape(
                -1, graphs[0].edge_attr.shape[1]
            ),
            np.concatenate([table.num_nodes for table in graphs]),
            np.concatenate([table.num_edges for table in graphs]),
        ),
        np.concatenate([shard.rows for shard in shards]),
        np.concatenate([shard.ranks for shard in shards]),
        np.concatenate([shard.names for shard in shards]),
        smiles,
        given,
        np.concatenate([shard.steps for shard in shards]),
        split,
        others[:targets],
        others[targets:],
        [one for shard in shards for one in shard.left_out],
    )


def _write_column(folder: Path, name: str, dtype: Any, parts: Sequence[np.ndarray]) -> np.ndarray:
    path = folder / f"{name}.bin"
    with writing(path), path.open("wb") as file:
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype=dtype).data)
    if not path.stat().st_size:
        return np.empty(0, dtype)
    with path.open("rb") as file:
        return np.frombuffer(map_copy(file), dtype)
