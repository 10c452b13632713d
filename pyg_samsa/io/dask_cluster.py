"""Connections to clusters of Dask."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pyg_samsa.errors import ConfigError, MissingDependencyError

LOCAL = "local"
_PROTOCOLS = ("tcp://", "tls://", "ws://", "wss://", "ucx://")
_CONNECT_SECONDS, _WORKER_SECONDS = 10, 60


def check_address(address: str, workers: int | None = None) -> None:
    """Raise an error unless a cluster can have this address.

    Args:
        address: See `open_cluster`.
        workers: See `open_cluster`.

    Raises:
        ConfigError: It cannot, or ``workers`` is given for a cluster that has its own.

    Example:
        >>> check_address("tcp://10.0.0.1:8786")
        >>> check_address("10.0.0.1")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: --dask: got '10.0.0.1', expected local, or the address of a scheduler such as
        tcp://10.0.0.1:8786
    """
    if address != LOCAL and not address.startswith(_PROTOCOLS):
        raise ConfigError("--dask", address, "local, or the address of a scheduler such as tcp://10.0.0.1:8786")
    if address != LOCAL and workers is not None:
        raise ConfigError("--workers", workers, "nothing with --dask tcp://..., whose cluster has its own workers")


@contextmanager
def open_cluster(address: str, *, workers: int | None = None) -> Iterator[Any]:
    """Connect to a cluster of Dask, or start one on this machine.

    Args:
        address: ``tcp://HOST:PORT`` of a scheduler, or ``"local"``.
        workers: Number of processes of a local cluster; None is one per core. Not for a scheduler.

    Yields:
        ``distributed.Client``. It is closed at the end, and so is a local cluster.

    Raises:
        MissingDependencyError: Dask is not installed.
        ConfigError: The address is none, nothing answers there, or the cluster has no workers.
    """
    check_address(address, workers)
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise MissingDependencyError("distributed", "dask", "--dask") from None
    from joblib import cpu_count

    _quieten()
    with ExitStack() as stack:
        place: Any = address
        client: Any = None
        try:
            if address == LOCAL:
                quiet: dict[str, Any] = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
                place = LocalCluster(n_workers=workers or int(cpu_count()), threads_per_worker=1, **quiet)
                stack.enter_context(place)
            client = stack.enter_context(Client(place, timeout=_CONNECT_SECONDS, set_as_default=False))
            client.wait_for_workers(1, timeout=_WORKER_SECONDS)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            reached = client is not None or address == LOCAL
            hint = "Start workers: dask worker ADDRESS --nthreads 1" if reached else "Start it: dask scheduler"
            expected = "a cluster with workers" if reached else "the address of a scheduler that answers"
            raise ConfigError("--dask", address, expected, hint=hint) from error
        yield client


def _quieten() -> None:
    """Leave out the steps of starting and ending; what goes wrong is raised as an error."""
    if logging.getLogger().getEffectiveLevel() <= logging.INFO:  # --verbose
        return
    import dask

    dask.config.set({"logging.distributed": "critical"})
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
