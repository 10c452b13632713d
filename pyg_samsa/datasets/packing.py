"""One compressed file that carries prepared data to a machine without network, and is checked when it is unpacked."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.io.documents import parse_json
from pyg_samsa.io.files import atomic_write, sha256
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.unfold import blocks_of

MANIFEST = "manifest.json"
_FORMAT = 1
_BLOCK = 1 << 20
_LARGEST_MANIFEST = 1 << 24
_OLDEST = (1980, 1, 1, 0, 0, 0)  # the same date always, so that the same files give the same pack
_AGAIN = "Copy the file again, or pack it again with `pyg-samsa data pack`."
_DAMAGE = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError, ValueError, struct.error)


@dataclass(frozen=True)
class PackedFile:
    """A file of a pack.

    Args:
        path: Place below the folder of the data sets, with forward slashes.
        size: Size in bytes.
        sha256: SHA-256 of the content, in hexadecimal digits.

    Example:
        >>> PackedFile("zinc/subset-v1.pt", 3, "00" * 32).size
        3
    """

    path: str
    size: int
    sha256: str


def pack_files(
    out: str | os.PathLike[str], files: Mapping[str, Path], *, fast: bool = False, progress: bool = True
) -> list[PackedFile]:
    """Write files and their hashes into one compressed file, whole or not at all.

    Args:
        out: The pack, a ZIP file; an existing one is replaced.
        files: Place below the folder of the data sets -> file.
        fast: Whether it is compressed quickly (deflate) instead of well (LZMA).
        progress: Whether to show a progress bar.

    Raises:
        ConfigError: A place leads out of the folder.
        DataIntegrityError: A file changes in the meantime.

    Returns:
        What was packed, sorted by place.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.pt").write_text("x")
        >>> pack_files(folder / "a.zip", {"set/a.pt": folder / "a.pt"}, progress=False)[0].path
        'set/a.pt'

    Cost: O(bytes); about 2 MB a second without ``fast``.
    """
    for place in files:
        if not _is_inside(place):
            raise ConfigError("files", place, "a place below the folder of the data sets")
    listed = [PackedFile(place, files[place].stat().st_size, sha256(files[place])) for place in sorted(files)]
    content = {"format": _FORMAT, "files": [asdict(file) for file in listed]}
    method = zipfile.ZIP_DEFLATED if fast else zipfile.ZIP_LZMA
    total = sum(file.size for file in listed)
    with (
        atomic_write(out) as temporary,
        zipfile.ZipFile(temporary, "w", method) as archive,
        progress_bar(Path(out).name, total, enabled=progress, size=True) as advance,
    ):
        archive.writestr(_entry(MANIFEST, method), json.dumps(content, indent=1))
        for file in listed:
            with open(files[file.path], "rb") as source, archive.open(_entry(file.path, method), "w") as target:
                _copy(iter(lambda: source.read(_BLOCK), b""), cast(BinaryIO, target), file, files[file.path], advance)
    return listed


def _entry(name: str, method: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _OLDEST)
    entry.compress_type, entry.external_attr = method, 0o644 << 16
    return entry


def unpack_files(
    pack: str | os.PathLike[str], root: str | os.PathLike[str], *, progress: bool = True
) -> tuple[list[PackedFile], list[PackedFile]]:
    """Check a pack and write its files into a folder, each of them whole or not at all.

    Nothing but regular files below the folder is written, and only if place, size and hash are those of the manifest.
    Files that are already there with the same content stay. Other files are never replaced.

    Args:
        pack: From `pack_files`.
        root: Folder of the data sets.
        progress: Whether to show a progress bar.

    Raises:
        DataNotFoundError: There is no such pack.
        DataIntegrityError: It is damaged, or is not from `pack_files`.
        ConfigError: Another file is in the place of one, or there is not enough space.

    Returns:
        The files that were written, and those that were there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.pt").write_text("x")
        >>> _ = pack_files(folder / "a.zip", {"set/a.pt": folder / "a.pt"}, progress=False)
        >>> written, there = unpack_files(folder / "a.zip", folder / "datasets", progress=False)
        >>> [file.path for file in written], (folder / "datasets" / "set" / "a.pt").read_text()
        (['set/a.pt'], 'x')

    Cost: O(bytes).
    """
    path, folder = Path(pack), Path(root)
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file", hint="Check the path. `pyg-samsa data pack` makes such files.")
    with _open(path) as archive:
        listed = _read_manifest(archive, path)
        there = [file for file in listed if _is_there(file, folder)]
        wanted = [file for file in listed if file not in there]
        total = sum(file.size for file in wanted)
        _check_space(folder, total)
        with progress_bar(path.name, total, enabled=progress, size=True) as advance:
            for file in wanted:
                with atomic_write(folder / file.path) as temporary, open(temporary, "wb") as target:
                    _copy(blocks_of(archive, file.path), target, file, path, advance)
    return wanted, there


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a pack; whatever a damaged file raises becomes one error."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (ConfigError, DataIntegrityError):
        raise
    except (*_DAMAGE, OSError) as error:
        # A damaged offset leads before the beginning of the file; a full disk is no damage.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataIntegrityError(path, "a pack of data", f"a damaged file ({reason})", hint=_AGAIN) from error


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> list[PackedFile]:
    """Return the files of a pack, whose names are those of the manifest and lead nowhere else."""
    names = archive.namelist()
    if MANIFEST not in names:
        raise DataIntegrityError(path, "a pack of data", "another file: it has no manifest", hint=_AGAIN)
    content = parse_json(_read_text(archive, path))
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        got = f"format {content.get('format')!r}" if isinstance(content, dict) else "another content"
        raise DataIntegrityError(path, f"a pack of format {_FORMAT}", got, hint="Update this package, or pack again.")
    listed = content.get("files")
    if not isinstance(listed, list):
        raise DataIntegrityError(path, "a manifest with a list of files", repr(listed)[:80], hint=_AGAIN)
    files = [_read_entry(entry, path) for entry in listed]
    if sorted([MANIFEST, *(file.path for file in files)]) != sorted(names):
        raise DataIntegrityError(path, "the files of its manifest, each once", "others", hint=_AGAIN)
    return files


def _read_text(archive: zipfile.ZipFile, path: Path) -> str:
    text = b""
    for block in blocks_of(archive, MANIFEST):
        text += block
        if len(text) > _LARGEST_MANIFEST:
            raise DataIntegrityError(path, "a pack of data", "another file: its manifest is too large", hint=_AGAIN)
    return text.decode()


def _read_entry(entry: Any, path: Path) -> PackedFile:
    kinds = {"path": str, "size": int, "sha256": str}
    if not isinstance(entry, dict) or {key: type(value) for key, value in entry.items()} != kinds:
        raise DataIntegrityError(path, "a manifest with path, size and sha256", repr(entry)[:80], hint=_AGAIN)
    if not _is_inside(entry["path"]):
        got = f"the place {entry['path'][:80]!r}"
        raise DataIntegrityError(
            path, "places below one folder", got, hint="Nothing was written. Do not trust this file."
        )
    return PackedFile(**entry)


def _is_inside(place: str) -> bool:
    """Whether a place is a plain relative path: no root, no drive, no step upwards, on any system."""
    parts = place.split("/")
    return (
        place == str(PurePosixPath(place))
        and place != MANIFEST
        and not any(part in ("", ".", "..") or part.endswith((".", " ")) for part in parts)
        and not any(character in place for character in '\\:*?"<>|')
        and place.isprintable()
    )


def _is_there(file: PackedFile, folder: Path) -> bool:
    """Whether a file has been unpacked before; another file in its place is an error."""
    place = folder / file.path
    if not os.path.lexists(place):
        return False
    if place.is_file() and place.stat().st_size == file.size and sha256(place) == file.sha256:
        return True
    raise ConfigError("--root", str(folder), f"a folder without another {file.path}", hint=f"Move {place} away first.")


def _check_space(folder: Path, size: int) -> None:
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise ConfigError(
            "--root", str(folder), f"a disk with {size / 2**20:,.0f} MiB of space; it has {free / 2**20:,.0f}"
        )


def _copy(
    blocks: Iterable[bytes], target: BinaryIO, file: PackedFile, where: Path, advance: Callable[[int], Any]
) -> None:
    """Copy a file, and check its size and its hash; no more than its size is written."""
    found, size = hashlib.sha256(), 0
    for whole in blocks:
        block = whole[: file.size - size + 1]
        size += len(block)
        if size > file.size:
            break
        found.update(block)
        target.write(block)
        advance(len(block))
    if size != file.size or found.hexdigest() != file.sha256:
        expected = f"{file.path} with {file.size} bytes and SHA-256 {file.sha256[:12]}..."
        raise DataIntegrityError(where, expected, f"{size} bytes, {found.hexdigest()[:12]}...", hint=_AGAIN)
