"""Predictions on a cluster of Dask: chunks of one table, or the files of a folder."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pyg_samsa._version import __version__
from pyg_samsa.errors import ConfigError, DataError, SAMSAError
from pyg_samsa.io.memory import keep_freed_blocks
from pyg_samsa.io.user_code import import_user_code
from pyg_samsa.predict.interface import Predictions, Predictor
from pyg_samsa.predict.predictor_folder import load_predictor
from pyg_samsa.predict.shards import Shard, ShardResult, predict_shard
from pyg_samsa.predict.table_predictor import ChunkInputs, StreamOptions, predict_chunks

_AHEAD = 3
_STOP_SECONDS, _POLL_SECONDS = 10.0, 0.1
_loaded: dict[SharedModel, Predictor] = {}
_one_at_a_time = threading.RLock()


@dataclass(frozen=True)
class SharedModel:
    """A model that the workers of a cluster load, each process once.

    Args:
        name: Folder, or name of a packaged model; a folder must be visible to all workers under this path.
        fingerprint: Hash of its files.
        device: Device of its networks.
        threads: Number of threads of a process.
        imports: Modules or Python files that register what the network needs.

    Example:
        >>> SharedModel.of("peptides", "12ab").name
        'peptides'
    """

    name: str
    fingerprint: str
    device: str = "cpu"
    threads: int = 1
    imports: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, fingerprint: str, *, imports: Sequence[str] = (), **options: Any) -> SharedModel:
        """Return the model with absolute paths, because workers have another working folder.

        Args:
            name: As given by the user.
            fingerprint: Hash of its files.
            imports: Modules or Python files.
            **options: ``device`` and ``threads``.

        Example:
            >>> SharedModel.of("peptides", "12ab", device="cuda").device
            'cuda'
        """
        files = tuple(str(Path(module).resolve()) if module.endswith(".py") else module for module in imports)
        given = Path(name).expanduser()
        return cls(str(given.resolve()) if given.exists() else name, fingerprint, imports=files, **options)

    def load(self) -> Predictor:
        """Return the predictor; a process loads it once.

        Raises:
            DataNotFoundError: There is no such model.
            ConfigError: It is another one than that of the fingerprint.

        Example:
            >>> from pyg_samsa.predict import load_predictor
            >>> model = SharedModel("peptides", load_predictor("peptides").fingerprint)
            >>> model.load() is model.load()
            True
        """
        import torch

        with _one_at_a_time:
            if self not in _loaded:
                keep_freed_blocks()
                import_user_code(self.imports)
                torch.set_num_threads(self.threads)
                predictor = load_predictor(self.name, device=self.device, threads=self.threads)
                if predictor.fingerprint != self.fingerprint:
                    raise ConfigError("MODEL", self.name, "the same files on all machines; those here are others")
                _loaded[self] = predictor
            return _loaded[self]


def check_workers(client: Any, model: SharedModel) -> int:
    """Load a model on all workers of a cluster, and return their number.

    Args:
        client: ``distributed.Client``.
        model: The model.

    Raises:
        ConfigError: A worker has no such model, another one, or another version of this package.

    Example:
        >>> from distributed import Client
        >>> from pyg_samsa.predict import load_predictor
        >>> model = SharedModel("peptides", load_predictor("peptides").fingerprint)
        >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        ...     check_workers(client, model)
        1
    """
    found = client.run(_describe, model, on_error="return")
    for worker, answer in sorted(found.items()):
        if isinstance(answer, SAMSAError):
            hint = "The folder of the model must have the same path on all machines. " + answer.hint
            raise ConfigError("--dask", worker, f"a worker that can load the model ({answer})", hint=hint.strip())
        if isinstance(answer, BaseException):
            hint = f"Install pyg-samsa {__version__} there, with the same extras as here."
            told = f"{type(answer).__name__}: {answer}".splitlines()[0]
            raise ConfigError("--dask", worker, f"a worker that can import pyg_samsa ({told})", hint=hint)
        if answer != __version__:
            raise ConfigError("--dask", worker, f"a worker with pyg-samsa {__version__}; it has {answer}")
    return len(found)


def predict_chunks_on(
    client: Any, model: SharedModel, options: StreamOptions, inputs: Iterable[ChunkInputs]
) -> Iterator[Predictions]:
    """Predict chunks on a cluster as `pyg_samsa.predict.table_predictor.predict_chunks` does here, in order.

    Only a few chunks for each worker are read ahead, so memory does not grow with the table.

    Args:
        client: ``distributed.Client``.
        model: The model.
        options: Options; ``workers`` does not matter.
        inputs: The chunks.

    Raises:
        DataError: A chunk ended several workers one after the other.

    Example:
        >>> from distributed import Client
        >>> from pyg_samsa.predict import load_predictor
        >>> model = SharedModel("peptides", load_predictor("peptides").fingerprint)
        >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        ...     inputs = [ChunkInputs(["NCC(=O)O", "C"], {}, False)]
        ...     [result.values.shape for result in predict_chunks_on(client, model, StreamOptions(), inputs)]
        [(2, 3)]
    """
    options = replace(options, workers=1)
    waiting: deque[Any] = deque()
    source = iter(inputs)
    ahead = _AHEAD * max(1, sum(client.nthreads().values()))
    number = 0
    try:
        while True:
            for given in islice(source, ahead - len(waiting)):
                waiting.append(client.submit(_predict_chunk, model, options, given, pure=False))
            if not waiting:
                return
            number += 1
            yield _result(waiting.popleft(), f"chunk {number}")
    finally:
        client.cancel(list(waiting))


def predict_shards_on(
    client: Any,
    model: SharedModel,
    options: StreamOptions,
    shards: Sequence[Shard],
    *,
    advance: Callable[[float], None] = lambda _: None,
) -> list[ShardResult]:
    """Predict the files of a folder on a cluster, each as `pyg_samsa.predict.shards.predict_shard` does.

    The workers read and write the files, so they must be visible to all of them under the same paths. When this
    function ends with an error or by Ctrl-C, or its process is killed, the workers stop after the chunk at hand.

    Args:
        client: ``distributed.Client``.
        model: The model.
        options: Options; ``workers`` does not matter.
        shards: The files.
        advance: Called with 1 after each file.

    Raises:
        DataError: A file ended several workers one after the other.
        SAMSAError: A file cannot be predicted; those that are finished stay.
    """
    from distributed import as_completed

    options = replace(options, workers=1)
    futures = {client.submit(_predict_shard, model, options, shard, pure=False): shard for shard in shards}
    results = []
    try:
        for future in as_completed(futures, loop=client.loop):
            results.append(_result(future, str(futures[future].source)))
            advance(1)
    except BaseException:
        client.cancel(list(futures))
        _wait_until_idle(client)
        raise
    return results


def _wait_until_idle(client: Any) -> None:
    """Wait a while until no worker predicts, so that the next command finds no file in use."""
    deadline = time.monotonic() + _STOP_SECONDS
    with suppress(Exception):  # of a cluster that does not answer any more
        while time.monotonic() < deadline and not all(client.run(_is_idle).values()):
            time.sleep(_POLL_SECONDS)


def _is_idle() -> bool:
    idle = _one_at_a_time.acquire(blocking=False)
    if idle:
        _one_at_a_time.release()
    return idle


def _result(future: Any, what: str) -> Any:
    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        hint = "A worker may need more memory, or max_atoms may be too large. Then run the same command again."
        raise DataError(f"{what}: the workers that predicted it were ended, one after the other", hint=hint) from error
    except (CancelledError, OSError) as error:
        if isinstance(error, SAMSAError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        hint = "Run the same command again to continue."
        raise DataError(f"{what}: the scheduler of the cluster does not answer any more", hint=hint) from error


def _describe(model: SharedModel) -> str:
    model.load()
    return __version__


def _predict_chunk(model: SharedModel, options: StreamOptions, given: ChunkInputs) -> Predictions:
    predictor = model.load()
    # A worker with several threads predicts one chunk at a time: networks use threads of their own.
    with _one_at_a_time:
        return next(predict_chunks(predictor, [given], options, has_blocks=given.has_blocks))


def _predict_shard(model: SharedModel, options: StreamOptions, shard: Shard) -> ShardResult:
    predictor = model.load()
    with _one_at_a_time:
        _stop_if_cancelled()
        return predict_shard(predictor, shard, options, advance=_stop_if_cancelled)


def _stop_if_cancelled(_: float = 0) -> None:
    """Raise an error if nobody waits for this task any more; Dask itself does not end a task that runs."""
    from distributed import CancelledError, get_worker
    from distributed.worker import thread_state

    task = get_worker().state.tasks.get(thread_state.key)
    if task is None or task.state == "cancelled":
        raise CancelledError(thread_state.key)
