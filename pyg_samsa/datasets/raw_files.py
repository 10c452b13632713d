"""Files of a release: downloaded, or put into their folder by hand."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from lzma import LZMAError
from pathlib import Path

from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io.download import UnreachableError, fetch
from pyg_samsa.io.files import atomic_write
from pyg_samsa.io.unfold import blocks_of, most_unfolded, too_large


def fetch_files(
    name: str, folder: Path, remotes: Sequence[RemoteFile], *, download: bool, progress: bool, hint: str = ""
) -> list[Path]:
    """Download the files of a release that are not there yet, and return what was downloaded.

    Files that are there, whoever put them there, are used as they are if they have the published hash, and are never
    changed or deleted. They are checked first, and their folder need not be writable if nothing is missing.

    Args:
        name: Name of the data set, for the error.
        folder: Where all of them are.
        remotes: The files.
        download: Whether they may be downloaded.
        progress: Show progress bars.
        hint: Another way to get the data, which is added to the hint of the error.

    Raises:
        DataNotFoundError: Files are missing and may not or cannot be downloaded; it names all of them and ``folder``.
        DataIntegrityError: A file has a wrong hash.

    Example:
        >>> remotes = [RemoteFile("a.zip", "https://example.org/a.zip", None)]
        >>> fetch_files("zinc", Path("none"), remotes, download=False, progress=False)
        Traceback (most recent call last):
        pyg_samsa.errors.DataNotFoundError: zinc: a.zip is not in none, and downloads are off
    """
    missing = [remote for remote in remotes if not (folder / remote.name).is_file()]
    if missing and not download:
        raise _not_there(name, folder, missing, "downloads are off", "Set dataset.download to True", hint)
    there = [remote for remote in remotes if remote not in missing]
    for remote in [*there, *missing]:
        try:
            fetch(remote.url, folder / remote.name, remote.known_hash, progress=progress)
        except UnreachableError as error:
            left = [remote for remote in missing if not (folder / remote.name).is_file()]
            which = "it" if len(left) == 1 else remote.name
            reason = f"{which} cannot be downloaded: {error.reason}"
            raise _not_there(name, folder, left, reason, "Check the network", hint) from error
    return [folder / remote.name for remote in missing]


def _not_there(
    name: str, folder: Path, missing: Sequence[RemoteFile], reason: str, cure: str, hint: str
) -> DataNotFoundError:
    *first, last = [remote.name for remote in missing]
    names, one = f"{', '.join(first)} and {last}" if first else last, not first
    message = f"{name}: {names} {'is' if one else 'are'} not in {folder}, and {reason}"
    by_hand = f"{cure}, or put {'it' if one else 'them'} there yourself."
    addresses = f"{'Address' if one else 'Addresses'}: {' '.join(remote.url for remote in missing)}"
    return DataNotFoundError(message, hint=" ".join(part for part in (by_hand, hint, addresses) if part))


def unpack_release(
    name: str, place: Path, remote: RemoteFile, folder: Path, files: Sequence[str], *, download: bool, progress: bool
) -> None:
    """Unpack the archive of a release, after its download if it is not there.

    An archive that was downloaded is deleted afterwards. One that was there already is kept.

    Args:
        name: Name of the data set, for errors.
        place: Folder of the archive.
        remote: The archive.
        folder: Where the files go.
        files: Their names, as for :func:`unpack`.
        download: Whether the archive may be downloaded.
        progress: Show a progress bar.

    Raises:
        DataNotFoundError: It is not there and may not or cannot be downloaded.
        DataIntegrityError: The archive is damaged, or lacks one of the files.
    """
    downloaded = fetch_files(name, place, [remote], download=download, progress=progress)
    unpack(place / remote.name, folder, files)
    for archive in downloaded:
        archive.unlink()


def unpack(archive: Path, folder: Path, names: Sequence[str]) -> None:
    """Extract the named files from an archive, from any folder in it.

    Args:
        archive: Zip archive.
        folder: Where the files go.
        names: Their names, or the last parts of their paths, under which they are written too.

    Raises:
        DataIntegrityError: The archive is damaged, lacks one of them, or unfolds to more than
            `pyg_samsa.io.unfold.most_unfolded` allows.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "set.zip", "w") as archive:
        ...     archive.writestr("set/train.txt", "1")
        >>> unpack(folder / "set.zip", folder / "raw", ["train.txt"])
        >>> (folder / "raw" / "train.txt").read_text()
        '1'
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.namelist() if not member.startswith("__MACOSX")]
            left = most_unfolded(archive)
            for name in names:
                found = [member for member in members if f"/{member}".endswith(f"/{name}")]
                if len(found) != 1:
                    raise DataIntegrityError(archive, f"an archive with {name}", f"one with {len(found)} of them")
                with atomic_write(folder / name) as temporary, open(temporary, "wb") as target:
                    for block in blocks_of(content, found[0]):
                        left -= len(block)
                        if left < 0:
                            raise too_large(archive)
                        target.write(block)
    except (zipfile.BadZipFile, EOFError, zlib.error, LZMAError, NotImplementedError, RuntimeError) as error:
        raise DataIntegrityError(archive, "a zip archive", f"a damaged one ({error})") from error
