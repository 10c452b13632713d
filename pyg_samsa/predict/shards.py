"""Predictions for folders of tables, file by file; finished files are not predicted again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pyg_samsa.chem.molecule_changes import ChangeCounts
from pyg_samsa.chem.molecule_table import open_molecule_table
from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError
from pyg_samsa.io.documents import parse_json, read_text
from pyg_samsa.io.files import atomic_write, file_hash, remove_partial
from pyg_samsa.io.tables.formats import SUFFIXES, check_conversion, format_of, is_molfile
from pyg_samsa.predict.interface import Predictor
from pyg_samsa.predict.nearest import Search
from pyg_samsa.predict.stream import predict_to_file
from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor

RECORDS = "_predictions"
"""Folder in the output with a record of each finished file. Readers of folders of tables skip names with ``_``."""
_LARGEST_RECORD = 2**16


@dataclass(frozen=True)
class Shard:
    """One file of a folder of tables.

    Args:
        source: The table.
        target: The table with predictions.
        format: Format of the table.
        header: Whether a CSV file is expected to have a header.

    Example:
        >>> Shard(Path("in/0.csv"), Path("out/0.csv")).record
        PosixPath('out/_predictions/0.csv.json')
    """

    source: Path
    target: Path
    format: str = "csv"
    header: bool = True

    @property
    def listed(self) -> Path:
        """File that lists the standardised molecules.

        Example:
            >>> Shard(Path("in/0.csv"), Path("out/0.csv")).listed.name
            '0.csv-standardized.csv'
        """
        return self.target.parent / RECORDS / f"{self.target.name}-standardized.csv"

    @property
    def record(self) -> Path:
        """File that says what the finished output was made of.

        Example:
            >>> Shard(Path("in/0.csv"), Path("out/0.csv")).record.name
            '0.csv.json'
        """
        return self.target.parent / RECORDS / f"{self.target.name}.json"


class ShardResult(NamedTuple):
    """What was done for a shard.

    Attributes:
        rows: Number of its rows.
        errors: Number of rows without a prediction.
        skipped: Whether it was finished before.
        changes: How many molecules were standardised; None for a predictor without standardisation.
        far: How many molecules are far from all training molecules; None if that is not searched.

    Example:
        >>> ShardResult(10, 1).skipped
        False
    """

    rows: int
    errors: int
    skipped: bool = False
    changes: ChangeCounts | None = None
    far: int | None = None


def find_shards(
    source: Path,
    target: Path,
    *,
    input_format: str | None = None,
    output_format: str | None = None,
    header: bool = True,
) -> list[Shard]:
    """Return the files of a folder of tables of one format, sorted by name.

    Names that begin with ``.`` or ``_`` are left out, as other readers of such folders do.

    Args:
        source: The folder.
        target: Folder of the output, which need not exist.
        input_format: Format of all files; None for what their names say.
        output_format: Format of the output; None for the same.
        header: Whether CSV files are expected to have a header.

    Raises:
        DataNotFoundError: There is no table in the folder.
        ConfigError: It holds other files, or tables of several formats; or the output is not a folder of its own, or
            holds files that this prediction does not write.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "0.csv").write_text("smiles")
        >>> shards = find_shards(folder, Path(tempfile.mkdtemp()), output_format="parquet")
        >>> [shard.target.name for shard in shards]
        ['0.parquet']
    """
    files = sorted(file for file in source.iterdir() if not file.name.startswith((".", "_")))
    if not files:
        hint = "The files of a folder end with .csv, .csv.gz, .parquet, .sdf, .sdf.gz or .mol."
        raise DataNotFoundError(f"{source}: a folder without tables", hint=hint)
    formats = {}
    for file in files:
        found = (input_format or format_of(file)) if file.is_file() else None
        if found is None:
            hint = "Move it elsewhere, or let its name begin with _ or a dot."
            raise ConfigError("IN", str(file), "only tables in this folder", hint=hint)
        formats[found] = file
    if len(formats) > 1:
        first, second = sorted(str(file) for file in formats.values())[:2]
        raise ConfigError("IN", str(source), f"tables of one format in this folder, unlike {first} and {second}")
    format = next(iter(formats))
    written = output_format or format
    check_conversion(format, written)
    shards = [Shard(file, target / _renamed(file.name, format, written), format, header) for file in files]
    places: dict[Path, Path] = {}
    for shard in shards:
        if shard.target in places:
            told = f"names that differ by more than their endings, unlike {places[shard.target]} and {shard.source}"
            raise ConfigError("IN", str(source), told)
        places[shard.target] = shard.source
    _check_target(source, target, [shard.target.name for shard in shards])
    return shards


def predict_shard(
    predictor: Predictor,
    shard: Shard,
    options: StreamOptions,
    *,
    nearest: Search | None = None,
    advance: Callable[[float], None] = lambda _: None,
) -> ShardResult:
    r"""Predict one file, unless it was finished before with the same content, model and options.

    Args:
        predictor: The predictor.
        shard: The file.
        options: Options.
        nearest: The training molecules, if the nearest one of each row is searched.
        advance: Called with the number of rows of each chunk; an error of it interrupts the prediction.

    Raises:
        DataError: The file changed while it was read. An earlier output stays.
        ConfigError: See `pyg_samsa.predict.stream.predict_to_file`, which continues a file that was interrupted.

    Example:
        >>> import tempfile
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "0.csv").write_text("smiles,y\nC,1\n")
        >>> shard = Shard(folder / "0.csv", folder / "out" / "0.csv")
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> [predict_shard(predictor, shard, StreamOptions()) for _ in range(2)]
        [ShardResult(rows=1, errors=0, skipped=False, changes=None, far=None),
         ShardResult(rows=1, errors=0, skipped=True, changes=None, far=None)]
    """
    before = _state_of(shard.source)
    opened = open_molecule_table(shard.source, shard.format, header=shard.header, smiles_column=options.smiles_column)
    with opened as (reader, column):
        options = StreamOptions(**{**vars(options), "smiles_column": column})
        table = TablePredictor(predictor, reader, options, nearest)
        asked = {"signature": table.signature(), "input": file_hash(shard.source)}
        if (finished := _finished(shard, asked)) is not None:
            return finished
        writing: dict[str, Any] = {"advance": advance, "listed": shard.listed}
        done = predict_to_file(table, shard.target, **writing, accept=lambda: _check_same(shard.source, before))
    content = {**asked, "output": file_hash(shard.target), "rows": done.rows, "errors": done.errors}
    content |= {} if done.changes is None else {"changes": done.changes.as_dict()}
    content |= {} if done.far is None else {"far": done.far}
    remove_partial(shard.record)
    with atomic_write(shard.record) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return ShardResult(done.rows, done.errors, changes=done.changes, far=done.far)


def sum_results(results: Sequence[ShardResult]) -> ShardResult:
    """Return the sums over all shards.

    Example:
        >>> sum_results([ShardResult(2, 1), ShardResult(3, 0, True)])
        ShardResult(rows=5, errors=1, skipped=False, changes=None, far=None)
    """
    rows, errors = sum(result.rows for result in results), sum(result.errors for result in results)
    counts = [result.changes for result in results if result.changes is not None]
    changes = sum(counts, ChangeCounts()) if counts else None
    searched = [result.far for result in results if result.far is not None]
    far = sum(searched) if searched else None
    return ShardResult(rows, errors, all(result.skipped for result in results), changes, far)


def _finished(shard: Shard, asked: dict[str, str]) -> ShardResult | None:
    """Return what was done for a shard if it was finished before and nothing has changed since."""
    try:
        content: Any = parse_json(read_text(shard.record, _LARGEST_RECORD))
        same = {name: content[name] for name in asked} == asked and content["output"] == file_hash(shard.target)
        changes = ChangeCounts.from_dict(content["changes"]) if "changes" in content else None
        same = same and (changes is None or not changes.changed or shard.listed.is_file())
        far = int(content["far"]) if "far" in content else None
        return ShardResult(int(content["rows"]), int(content["errors"]), True, changes, far) if same else None
    except (OSError, ValueError, KeyError, TypeError, DataNotFoundError):
        return None  # predicted again


def _state_of(path: Path) -> tuple[int, int] | None:
    """Return what differs when a file has changed; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _check_same(path: Path, before: tuple[int, int] | None) -> None:
    if _state_of(path) != before:
        raise DataError(f"{path}: the file changed while it was read", hint="Run the same command again.")


def _renamed(name: str, source: str, target: str) -> str:
    if source == target and not is_molfile(name):
        return name
    ending = next((ending for ending in SUFFIXES[source] if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)] + SUFFIXES[target][0]


def _check_target(source: Path, target: Path, names: Iterable[str]) -> None:
    if target.exists() and not target.is_dir():
        raise ConfigError("OUT", str(target), "a folder, because IN is one")
    if target.resolve() == source.resolve() or source.resolve() in target.resolve().parents:
        raise ConfigError("OUT", str(target), "a folder outside of IN")
    if not target.is_dir():
        return
    ours = {name + ending for name in names for ending in ("", ".partial", ".partial.json")}
    others = sorted(file.name for file in target.iterdir() if not file.name.startswith((".", "_")))
    foreign = [name for name in others if name not in ours]
    if foreign:
        hint = "Write to a new folder, or move these files elsewhere; outputs of other names or formats count too."
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        expected = f"a folder without other files; it holds {foreign[0]}{more}"
        raise ConfigError("OUT", str(target), expected, hint=hint)
