import re
import zipfile

import pytest

from pyg_samsa.datasets import catalog, raw_files
from pyg_samsa.datasets.raw_files import fetch_files, unpack, unpack_release
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io import download, unfold
from pyg_samsa.io.download import UnreachableError
from pyg_samsa.io.files import sha256

DOWNLOADED = [name for name in catalog.names() if "download" in catalog.option_names("samsa", name)]


@pytest.fixture
def offline(monkeypatch):
    """No server answers; the addresses that were asked for."""
    asked = []

    def retrieve(url, target, *_):
        asked.append(url)
        raise UnreachableError(url, target, "there is no connection to the server")

    monkeypatch.setattr(download, "_retrieve", retrieve)
    return asked


def told(error):
    """The files and the folder of the error."""
    _, names, folder = re.fullmatch(r"(\S+): (.+?) (?:is|are) not in (.+), and .*", str(error)).groups()
    return re.split(", | and ", names), folder


@pytest.mark.parametrize("options", [{}, {"download": False}], ids=["offline", "without download"])
@pytest.mark.parametrize("name", DOWNLOADED)
def test_the_error_names_all_files_and_their_folder_and_leaves_those_that_are_put_there(
    name, options, tmp_path, offline, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # OGB's folder is looked for below the working folder
    with pytest.raises(DataNotFoundError) as caught:
        catalog.load("samsa", name, tmp_path / "root", progress=False, **options)
    names, folder = told(caught.value)
    assert str(caught.value).startswith(f"{name}: ")
    assert folder.startswith(str(tmp_path / "root"))
    assert len(re.findall("https://", caught.value.hint)) == len(names) == len(set(names))
    assert "\n" not in str(caught.value) + caught.value.hint
    assert len(offline) == (0 if options else 1)  # the others are not tried
    folder = tmp_path / folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in names:
        (folder / file).write_text(f"not {file}")
    with pytest.raises(DataIntegrityError) as caught:  # and no other file is asked for
        catalog.load("samsa", name, tmp_path / "root", progress=False, **options)
    assert caught.value.hint
    assert {file: (folder / file).read_text() for file in names} == {file: f"not {file}" for file in names}
    left = [path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    assert sorted(left) == sorted(names)


def remotes(url, *names):
    return [RemoteFile(name, f"{url}/{name}", None) for name in names]


def test_only_what_is_missing_is_downloaded_and_returned(tmp_path, served):
    folder, url = served
    for name in "abc":
        (folder / name).write_text(name)
    (tmp_path / "b").write_text("mine")
    found = fetch_files("set", tmp_path, remotes(url, *"abc"), download=True, progress=False)
    assert found == [tmp_path / "a", tmp_path / "c"]
    assert [(tmp_path / name).read_text() for name in "abc"] == ["a", "mine", "c"]
    assert fetch_files("set", tmp_path, remotes(url, *"abc"), download=False, progress=False) == []


def test_nothing_is_written_beside_files_that_are_there(tmp_path, monkeypatch):
    def no_lock(path, **_):
        raise PermissionError(f"{path}: the folder cannot be written to")

    monkeypatch.setattr(download, "lock", no_lock)
    for name in "abc":
        (tmp_path / name).write_text(name)
    (tmp_path / "a.sha256").write_text(f"{sha256(tmp_path / 'a')}  a\n")
    files = [
        *remotes("https://a.org", "a", "b"),
        RemoteFile("c", "https://a.org/c", f"sha256:{sha256(tmp_path / 'c')}"),
    ]
    before = sorted(tmp_path.iterdir())
    assert fetch_files("set", tmp_path, files, download=True, progress=False) == []
    assert sorted(tmp_path.iterdir()) == before
    for name in "ac":  # the hash of the record, and the published one
        (tmp_path / name).write_text("other")
        with pytest.raises(DataIntegrityError, match=name):
            fetch_files("set", tmp_path, files, download=True, progress=False)
        (tmp_path / name).write_text(name)


def test_files_that_are_there_are_checked_before_a_download(tmp_path, served):
    folder, url = served
    (folder / "a").write_text("a")
    (tmp_path / "b").write_text("other")
    files = [*remotes(url, "a"), RemoteFile("b", f"{url}/b", "md5:" + "0" * 32)]
    with pytest.raises(DataIntegrityError, match="b: "):
        fetch_files("set", tmp_path, files, download=True, progress=False)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b"]


def test_the_error_names_the_file_that_the_server_lacks_and_those_that_are_left(tmp_path, served):
    folder, url = served
    (folder / "a").write_text("a")
    with pytest.raises(DataNotFoundError) as caught:
        fetch_files("set", tmp_path, remotes(url, *"abc"), download=True, progress=False, hint="Or so.")
    message = f"set: b and c are not in {tmp_path}, and b cannot be downloaded: the server answered 404 File not found"
    assert str(caught.value) == message
    assert caught.value.hint == (f"Check the network, or put them there yourself. Or so. Addresses: {url}/b {url}/c")
    (folder / "b").write_text("b")
    with pytest.raises(DataNotFoundError, match=r"set: c is not in .*, and it cannot be downloaded: ") as caught:
        fetch_files("set", tmp_path, remotes(url, *"abc"), download=True, progress=False)
    assert caught.value.hint == f"Check the network, or put it there yourself. Address: {url}/c"


def test_without_download_the_hint_offers_it(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"set: a, b and c are not in .*, and downloads are off") as caught:
        fetch_files("set", tmp_path, remotes("https://a.org", *"abc"), download=False, progress=False)
    assert caught.value.hint.startswith(
        "Set dataset.download to True, or put them there yourself. Addresses: https://a.org/a "
    )


@pytest.mark.parametrize("by_hand", [True, False])
def test_an_archive_is_kept_if_the_user_put_it_there(tmp_path, served, by_hand):
    folder, url = served
    place = tmp_path / "place"
    place.mkdir()
    with zipfile.ZipFile((place if by_hand else folder) / "set.zip", "w") as archive:
        archive.writestr("set/x.txt", "1")
    remote = RemoteFile("set.zip", f"{url}/set.zip", None)
    unpack_release("set", place, remote, place / "raw", ["x.txt"], download=not by_hand, progress=False)
    assert (place / "raw" / "x.txt").read_text() == "1"
    assert (place / "set.zip").is_file() == by_hand
    assert (place / "set.zip.sha256").is_file() == (not by_hand)


def test_every_set_with_downloads_uses_these_functions():
    from pyg_samsa.datasets.dataset_registry import registered_datasets

    entries = registered_datasets()
    assert len(DOWNLOADED) > 30
    for name in DOWNLOADED:
        module = __import__(entries[name].make.__module__, fromlist=["x"])
        assert not hasattr(module, "fetch"), name
    assert raw_files.fetch is download.fetch


@pytest.mark.parametrize("members", [["a/x.pt", "b/x.pt"], ["other.pt"], []])
def test_unpack_wants_each_file_once(tmp_path, members):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for member in members:
            archive.writestr(member, "1")
    with pytest.raises(DataIntegrityError, match=r"set\.zip"):
        unpack(tmp_path / "set.zip", tmp_path / "out", ["x.pt"])


def test_unpack_of_a_broken_archive_leaves_no_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/x.pt", "abcd" * 10_000)
    content = bytearray((tmp_path / "set.zip").read_bytes())
    content[40] ^= 0xFF
    (tmp_path / "set.zip").write_bytes(bytes(content))
    with pytest.raises(DataIntegrityError):
        unpack(tmp_path / "set.zip", tmp_path / "out", ["x.pt"])
    assert list((tmp_path / "out").iterdir()) == []


def test_archives_that_unfold_to_much_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(unfold, "_SMALLEST", 2**20)
    for size, fits in ((2**20, True), (2**21, False)):
        with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/x.pt", bytes(size // 2))
            archive.writestr("a/y.pt", bytes(size // 2))
        folder = tmp_path / str(size)
        if fits:
            unpack(tmp_path / "set.zip", folder, ["x.pt", "y.pt"])
            assert (folder / "y.pt").read_bytes() == bytes(size // 2)
            continue
        with pytest.raises(DataIntegrityError, match=r"set\.zip: got a larger one, expected .* at most 1 MiB"):
            unpack(tmp_path / "set.zip", folder, ["x.pt", "y.pt"])
        assert not (folder / "y.pt").exists()
