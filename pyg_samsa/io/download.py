"""Verified downloads: TLS, size and hash are checked before the file appears.

pooch would add nothing: it does not refuse redirections to http or short bodies, and its errors name no cure.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io.files import atomic_write, lock, remove_partial, sha256, verify
from pyg_samsa.io.progress import progress_bar

_BLOCK = 1 << 18
_TIMEOUT = (15, 60)
_LARGEST = 2**36
_LOGGER = logging.getLogger(__name__)


class UnreachableError(DataNotFoundError):
    """A file is not there and cannot be downloaded.

    Args:
        url: Its address.
        target: Where it would be.
        reason: Why it cannot be downloaded.

    Example:
        >>> str(UnreachableError("https://example.org/a.zip", Path("a.zip"), "the server does not answer"))
        'a.zip is not there and cannot be downloaded from https://example.org/a.zip: the server does not answer'
    """

    def __init__(self, url: str, target: Path, reason: str) -> None:
        hint = f"Check the network, or fetch the file with a browser and save it as {target}."
        super().__init__(f"{target.name} is not there and cannot be downloaded from {url}: {reason}", hint=hint)
        self.reason = reason


def fetch(url: str, dest: str | os.PathLike[str], known_hash: str | None, *, progress: bool = True) -> Path:
    """Download ``url`` to ``dest``, unless the file exists already; then nothing is written.

    The certificate of the server is checked. A redirection from https to http, a body shorter than announced and a
    wrong hash are errors, and leave no file. If no hash was published (``known_hash=None``), the SHA-256 of the first
    download is recorded in ``<dest>.sha256``, and the file and later downloads are checked against it. A file that
    somebody else put there has no record and is used as it is.

    Args:
        url: http or https address.
        dest: File to write.
        known_hash: ``"sha256:..."`` or ``"md5:..."``; None if no hash was published.
        progress: Whether to show a progress bar.

    Returns:
        ``dest``.

    Raises:
        UnreachableError: There is no network, no such server, or no such file on it.
        DataIntegrityError: The existing or the downloaded file has a wrong hash.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> known_hash = "md5:d41d8cd98f00b204e9800998ecf8427e"
        >>> fetch("https://example.org/empty", path, known_hash).name  # exists already: nothing is downloaded
        'empty'
    """
    target = Path(dest)
    # Files appear whole, so one that is there needs no lock, which could not be made in a folder without write access.
    if target.is_file():
        _verify_there(target, known_hash)
        return target
    with lock(target):
        if target.is_file():  # another process was first
            _verify_there(target, known_hash)
            return target
        remove_partial(target)
        recorded = None if known_hash else _recorded(target)
        _retrieve(url, target, known_hash or recorded, recorded, progress)
        if known_hash is None:
            _record(target)
    return target


def _record_path(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _recorded(target: Path) -> str | None:
    record = _record_path(target)
    return f"sha256:{record.read_text().split()[0]}" if record.is_file() else None


def _verify_there(target: Path, known_hash: str | None) -> None:
    """Check a file that was there already; one that differs from an earlier download may be the right one."""
    recorded = None if known_hash else _recorded(target)
    expected = known_hash or recorded
    if expected is None:
        return
    try:
        verify(target, expected)
    except DataIntegrityError as error:
        if recorded is None:
            raise
        found = f"sha256 {sha256(target)}"
        hint = f"If this file is the right one, delete {_record_path(target)}."
        raise DataIntegrityError(target, f"the file of the first download ({expected})", found, hint=hint) from error


def _record(target: Path) -> None:
    record = _record_path(target)
    if not record.is_file():
        digits = sha256(target)
        _LOGGER.warning(
            "%s: there is no published hash to check this download against. Its SHA-256 is now in %s, and later "
            "downloads are checked against that.",
            target.name,
            record.name,
        )
        with atomic_write(_record_path(target)) as temporary:
            temporary.write_text(f"{digits}  {target.name}\n")


def _retrieve(url: str, target: Path, expected: str | None, recorded: str | None, progress: bool) -> None:
    import requests

    with atomic_write(target) as temporary:
        try:
            _stream(url, temporary, target, progress)
        except requests.RequestException as error:
            raise _unreachable(url, target, error) from error
        if expected:
            try:
                verify(temporary, expected)
            except DataIntegrityError as error:
                got = f"another file from the server: {error}".replace(str(temporary), url)
                hint = f"Find {target.name} elsewhere; nothing was written."
                if recorded:
                    hint = f"Nothing was written. To accept another version, delete {_record_path(target)}."
                raise DataIntegrityError(target, expected, got, hint=hint) from None


def _stream(url: str, temporary: Path, target: Path, progress: bool) -> None:
    import requests

    def refuse_downgrade(response: requests.Response, **_: Any) -> None:
        location = response.headers.get("location", "") if response.is_redirect else ""
        if urlsplit(response.url).scheme == "https" and urlsplit(location).scheme == "http":
            raise DataIntegrityError(
                target, "an https address", f"a redirection to {location}", hint="Nothing was written."
            )

    with requests.get(
        url, stream=True, timeout=_TIMEOUT, verify=True, hooks={"response": refuse_downgrade}
    ) as response:
        response.raise_for_status()
        announced = int(response.headers.get("content-length", 0))
        with (
            progress_bar(target.name, announced or None, enabled=progress, size=True) as advance,
            open(temporary, "wb") as file,
        ):
            for block in response.iter_content(_BLOCK):
                file.write(block)
                if file.tell() > _LARGEST:
                    expected = f"a file of at most {_LARGEST / 2**30:,.0f} GiB"
                    raise DataIntegrityError(target, expected, "a larger one", hint="Nothing was written.")
                advance(len(block))
        # Old versions of requests do not report a body that ends early.
        if announced and "content-encoding" not in response.headers and temporary.stat().st_size != announced:
            raise requests.ConnectionError(f"{temporary.stat().st_size} of {announced} bytes arrived")


def _unreachable(url: str, target: Path, error: Any) -> UnreachableError:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        reason = f"the server answered {error.response.status_code} {error.response.reason}"
    elif isinstance(error, requests.exceptions.SSLError):
        reason = "the server's certificate cannot be verified"
    elif isinstance(error, requests.Timeout):
        reason = "the server does not answer"
    elif isinstance(error, requests.exceptions.ChunkedEncodingError) or "bytes arrived" in str(error):
        reason = "the connection broke off"
    elif isinstance(error, requests.ConnectionError):
        reason = "there is no connection to the server"
    else:
        reason = str(error)
    return UnreachableError(url, target, reason)
