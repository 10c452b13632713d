"""Starts the server of the page."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.options import check_integer
from pyg_samsa.web.limits import Limits

_NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "multipart": "python-multipart"}


def check_installed() -> None:
    """Raise an error unless the packages of the extra ``web`` are installed.

    Raises:
        MissingDependencyError: One is not.

    Example:
        >>> check_installed()
    """
    import importlib

    for module, package in _NEEDED.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingDependencyError(package, "web", "The web page") from error


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    device: str = "cpu",
    threads: int = 1,
    neighbors: bool = True,
    started: Callable[[str], None] = lambda _: None,
) -> None:
    """Load models and serve their page until Ctrl-C.

    Args:
        models: Folders or names, see `pyg_samsa.predict.load_predictor`.
        host: Address to listen on. Everybody who reaches it can use the page; there is no password.
        port: Port, 0 for a free one.
        limits: What the server accepts.
        device: Device of the networks.
        threads: Threads of trees and Gaussian processes.
        neighbors: Whether the training molecules are read, to show the nearest ones.
        started: Called with the address of the page once the server listens.

    Raises:
        MissingDependencyError: A package of the extra ``web`` is not installed.
        ConfigError: The address cannot be used.
        DataNotFoundError: There is no such model.
    """
    check_installed()
    check_integer("--port", port, low=0, high=2**16 - 1)
    # The address is taken first: a port in use is told before models are loaded for a minute.
    with open_socket(host, port) as listening:
        import uvicorn

        from pyg_samsa.web.app import EVERYWHERE, create_app
        from pyg_samsa.web.served_models import load_models

        # Nothing of the data sets is read later.
        with tempfile.TemporaryDirectory(prefix="pyg-samsa-data-") as scratch:
            options = {"device": device, "threads": threads, "neighbors": neighbors}
            loaded = load_models(models, Path(scratch), **options)  # type: ignore[arg-type]
        names = [socket.gethostname(), socket.getfqdn()] if host in EVERYWHERE else []
        app = create_app(loaded, limits or Limits(), hosts=[host, *names])
        settings = uvicorn.Config(app, log_level="warning", server_header=False, lifespan="on")
        started(page_address(host, listening.getsockname()[1]))
        uvicorn.Server(settings).run(sockets=[listening])


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Args:
        host: Name or address.
        port: Port, 0 for a free one.

    Raises:
        ConfigError: The address cannot be used.

    Example:
        >>> with open_socket("127.0.0.1", 0) as found:
        ...     found.getsockname()[0]
        '127.0.0.1'
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError("--host", host, "the name or address of this computer") from error
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        # Two servers could bind one port; only one can listen.
        found.listen()
    except OSError as error:
        found.close()
        reason = str(error.strerror or error).lower()
        hint = "Choose another one, such as --port 8001; --port 0 takes a free one."
        raise ConfigError("--port", port, f"a port of {host} that is free ({reason})", hint=hint) from error
    return found


def page_address(host: str, port: int) -> str:
    """Return the address of the page for a browser.

    Args:
        host: Address that the server listens on.
        port: Its port.

    Example:
        >>> page_address("127.0.0.1", 8000), page_address("::1", 80), page_address("0.0.0.0", 8000)
        ('http://127.0.0.1:8000/', 'http://[::1]:80/', 'http://127.0.0.1:8000/')
    """
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"
