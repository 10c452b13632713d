"""Atomic writes, file hashes and locks."""

from __future__ import annotations

import errno
import glob
import hashlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, SAMSAError

_LOGGER = logging.getLogger(__name__)
_BLOCK = 1 << 20
_PROBE = 1 << 16
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Numbers of the errors of a disk without space."""
UNWRITABLE = (
    *FULL,
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
)
"""Numbers of the errors of a file that cannot be written."""


def _temporary(path: Path) -> Path:
    # The suffix stays last, because pandas, numpy and matplotlib choose the format by it.
    return path.with_name(f".{path.stem}.{secrets.token_hex(6)}.part{path.suffix}")


def _make_folder_of(path: Path) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_folder(key: str, folder: str | os.PathLike[str]) -> None:
    """Raise an error unless files can be written into a folder, which need not exist yet.

    Args:
        key: Name of the setting or argument that names the folder, for the error.
        folder: The folder.

    Raises:
        ConfigError: A file is in its place, or the rights or the file system do not allow to write into it.

    Example:
        >>> import tempfile
        >>> check_folder("out_dir", Path(tempfile.mkdtemp()) / "results")
    """
    try:
        there = _nearest_folder(folder)
    except OSError as error:
        raise ConfigError(key, str(folder), f"a folder that can be written to ({error.strerror})") from error
    if not there.is_dir():
        raise ConfigError(key, str(folder), f"a folder; {there} is a file")
    # Rights are not asked for: root has them all, also where a file system takes no files.
    reason = _why_unwritable(there)
    if reason is not None and reason.errno not in FULL:
        raise ConfigError(key, str(folder), f"a folder that can be written to; {there} cannot ({reason.strerror})")


def _nearest_folder(path: str | os.PathLike[str]) -> Path:
    """Return a path, or the nearest of the folders above it that exists."""
    given = Path(path).absolute()
    return next(place for place in (given, *given.parents) if place.exists())


def check_file(key: str, path: str | os.PathLike[str]) -> None:
    """Raise an error unless a file can be written; its folder need not exist yet.

    Args:
        key: Name of the argument that names the file, for the error.
        path: The file.

    Raises:
        ConfigError: It is a folder or a device, or its folder cannot be written to.

    Example:
        >>> import tempfile
        >>> check_file("OUT", Path(tempfile.mkdtemp()) / "out.csv")
    """
    if Path(path).is_dir():
        raise ConfigError(key, str(path), "a file, not a folder")
    _check_regular(key, path)
    check_folder(key, Path(path).parent)


def _check_regular(key: str, path: str | os.PathLike[str]) -> None:
    """Raise an error if a path is a device or a pipe, which a new file would replace."""
    # /dev/stdout may be a link to an ordinary file.
    if Path(path).absolute().parent == Path("/dev") or (os.path.exists(path) and not os.path.isfile(path)):
        raise ConfigError(key, str(path), "a file, not a device or a pipe")


def describe_unwritable(error: OSError) -> str:
    """Return one line about an error whose number is in `UNWRITABLE`.

    Example:
        >>> describe_unwritable(OSError(errno.ENOSPC, "No space left on device", "out.csv"))
        'out.csv: no space left on device'
    """
    place = f"{error.filename}: " if error.filename else ""
    return place + os.strerror(error.errno or 0).lower()


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors of a full disk, or of missing rights, name the file that is written.

    Libraries report them in many ways; all become an `OSError` with its number and the name of the file.

    Args:
        path: The file, or the folder, as the user knows it.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.
        ConfigError: The file system takes no files there.

    Example:
        >>> import errno
        >>> with writing("scores.csv"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        OSError: [Errno 28] No space left on device: 'scores.csv'
    """
    try:
        yield
    except SAMSAError:
        raise
    except Exception as error:
        known = isinstance(error, OSError) and error.errno in UNWRITABLE
        reason = error if known else _why_unwritable(_nearest_folder(Path(path).parent))
        if not isinstance(reason, OSError):
            raise
        if reason.errno not in UNWRITABLE:  # such as those of /proc, and of a network drive that is gone
            raise ConfigError("path", str(path), f"a place for files ({reason.strerror})") from error
        raise OSError(reason.errno, os.strerror(reason.errno or 0), str(path)) from error


def _why_unwritable(folder: Path) -> OSError | None:
    """Return the error of writing into a folder, which leaves no file there; None if that is possible."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error
    return None


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that replaces ``path`` if the block ends without an error.

    Readers of ``path`` see either the old file or the complete new one, even if the writer is killed. Missing parent
    folders are created. The temporary name has the suffix of ``path``, because some writers choose the format by it.

    Args:
        path: File to write; an existing one is replaced.

    Raises:
        DataNotFoundError: The block wrote nothing to the temporary path.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "scores.csv"
        >>> with atomic_write(path) as temporary:
        ...     _ = temporary.write_text("ap,0.7")
        >>> path.read_text(), [child.name for child in path.parent.iterdir()]
        ('ap,0.7', ['scores.csv'])
    """
    target = Path(path)
    _check_regular("path", target)
    _make_folder_of(target)
    temporary = _temporary(target)
    try:
        with writing(target):
            yield temporary
            if not temporary.is_file():
                raise DataNotFoundError(
                    f"{target}: nothing was written", hint="Write to the path that atomic_write yields."
                )
            _sync(temporary)
            os.replace(temporary, target)
    finally:
        _discard(temporary)


def atomic_link(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Give a complete file a second name, which replaces ``path`` at once.

    The names share their content on disk. Where the file system has no hard links, the content is copied.

    Args:
        source: A file that is not changed afterwards.
        path: Second name, on the same file system.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "last.txt").write_text("1")
        >>> atomic_link(folder / "last.txt", folder / "best.txt")
        >>> (folder / "best.txt").read_text()
        '1'
    """
    target = Path(path)
    _make_folder_of(target)
    temporary = _temporary(target)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        _sync(temporary)
        os.replace(temporary, target)
    finally:
        _discard(temporary)


def _discard(temporary: Path) -> None:
    """Delete a temporary file; a disk that cannot be written to has told so already."""
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``path`` if the block ends without an error.

    Args:
        path: Folder to create.
        overwrite: Replace an existing folder.

    Raises:
        ConfigError: ``path`` exists and ``overwrite`` is False.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "raw"
        >>> with atomic_directory(path) as temporary:
        ...     _ = (temporary / "train.txt").write_text("1")
        >>> [child.name for child in path.iterdir()]
        ['train.txt']
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise ConfigError("path", str(target), "a folder that does not exist yet", hint="Delete or rename it first.")
    _make_folder_of(target)
    temporary = _temporary(target)
    temporary.mkdir()
    try:
        with writing(target):
            yield temporary
        if target.exists():
            retired = _temporary(target)
            os.replace(target, retired)
            os.replace(temporary, target)
            shutil.rmtree(retired)
        else:
            os.replace(temporary, target)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


@contextmanager
def staged_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder whose files are moved into ``path`` if the block ends without an error.

    Files of the same name are replaced, all others stay.

    Args:
        path: Folder for the files, which need not exist.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "pages"
        >>> with staged_folder(path) as temporary:
        ...     _ = (temporary / "index.html").write_text("<p>")
        >>> [child.name for child in path.iterdir()], [child.name for child in path.parent.iterdir()]
        (['index.html'], ['pages'])
    """
    target = Path(path)
    _make_folder_of(target)
    temporary = _temporary(target)
    try:
        with writing(target):
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.rglob("*")):
                place = target / file.relative_to(temporary)
                if file.is_file():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(file, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_partial(path: str | os.PathLike[str]) -> list[Path]:
    """Delete temporary files that killed writers of ``path`` left behind, and return their names.

    Call this only while holding the lock of ``path``.

    Args:
        path: The file; ``*`` as its name means all files and folders of its folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / ".data.0a1b2c3d4e5f.part.pt").write_text("half")
        >>> [leftover.name for leftover in remove_partial(folder / "data.pt")]
        ['.data.0a1b2c3d4e5f.part.pt']
    """
    target = Path(path)
    stem, suffix = ("*", "*") if target.name == "*" else (glob.escape(target.stem), glob.escape(target.suffix))
    leftovers = sorted(target.parent.glob(f".{stem}.{'[0-9a-f]' * 12}.part{suffix}"))
    for leftover in leftovers:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    return leftovers


@contextmanager
def lock(
    path: str | os.PathLike[str],
    *,
    wait: bool = True,
    setting: str = "path",
    lock_file: str | os.PathLike[str] | None = None,
    keep_file: bool | None = None,
) -> Iterator[None]:
    """Hold the lock of a file or folder, so that no other process of this machine uses it.

    The lock is released when its process ends, even if it is killed.

    Args:
        path: File or folder to protect.
        wait: Whether to wait for another process that holds the lock.
        setting: Name of the setting that chose ``path``, for the error.
        lock_file: File of the lock, ``.<name>.lock`` beside ``path`` by default.
        keep_file: Whether this file stays. It has to where other processes may wait for it; None is ``wait``.

    Raises:
        ConfigError: Another process holds the lock and ``wait`` is False.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with lock(folder / "data.pt"):
        ...     pass
    """
    from filelock import FileLock, Timeout

    target = Path(path)
    file = Path(lock_file) if lock_file is not None else target.with_name(f".{target.name}.lock")
    held = FileLock(str(file))
    try:
        with writing(target):
            file.parent.mkdir(parents=True, exist_ok=True)
            held.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise ConfigError(setting, str(target), "one that no other process is using") from None
        _LOGGER.warning("%s is in use by another process; waiting for it.", target)
        held.acquire()
    try:
        yield
    finally:
        if not (wait if keep_file is None else keep_file):
            with suppress(OSError):  # Windows does not delete a file that is open
                file.unlink()
        held.release()


def file_hash(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return the hash of a file as lower-case hexadecimal digits.

    Args:
        path: File to read.
        algorithm: ``"sha256"`` or ``"md5"`` (for releases that publish nothing better).

    Raises:
        DataNotFoundError: The file does not exist.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> file_hash(path, "md5")
        'd41d8cd98f00b204e9800998ecf8427e'
    """
    if algorithm not in ("sha256", "md5"):
        raise ConfigError("algorithm", algorithm, ["sha256", "md5"])
    if not Path(path).is_file():
        raise DataNotFoundError(f"{path}: no such file", hint="Check the path.")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> sha256(path)[:8]
        'e3b0c442'
    """
    return file_hash(path, "sha256")


def md5(path: str | os.PathLike[str]) -> str:
    """Return the MD5 of a file.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> md5(path)[:8]
        'd41d8cd9'
    """
    return file_hash(path, "md5")


def split_hash(known_hash: str) -> tuple[str, str]:
    """Split ``"sha256:..."`` or ``"md5:..."`` into algorithm and digits; digits without a prefix are SHA-256.

    Example:
        >>> split_hash("md5:D41D8CD98F00B204E9800998ECF8427E")
        ('md5', 'd41d8cd98f00b204e9800998ecf8427e')
    """
    algorithm, _, digits = known_hash.rpartition(":")
    return algorithm or "sha256", digits.lower()


def verify(path: str | os.PathLike[str], *known_hashes: str) -> None:
    """Check the hash of a file.

    Args:
        path: File to check.
        known_hashes: ``"sha256:..."`` or ``"md5:..."`` (digits without a prefix are SHA-256); one of them must match.

    Raises:
        DataNotFoundError: The file does not exist.
        DataIntegrityError: The hash does not match.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "empty"
        >>> path.touch()
        >>> verify(path, "md5:d41d8cd98f00b204e9800998ecf8427e")
    """
    wanted = [split_hash(known_hash) for known_hash in known_hashes]
    found = {algorithm: file_hash(path, algorithm) for algorithm in dict(wanted)}
    if not any(found[algorithm] == digits for algorithm, digits in wanted):
        expected = " or ".join(f"{algorithm} {digits}" for algorithm, digits in wanted)
        raise DataIntegrityError(
            path, expected, ", ".join(f"{algorithm} {digits}" for algorithm, digits in found.items())
        )
