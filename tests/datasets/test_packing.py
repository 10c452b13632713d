"""Packs of prepared data: what is packed comes out again, and nothing else is written anywhere."""

import json
import os
import random
import stat
import zipfile
from hashlib import sha256
from types import SimpleNamespace

import pytest

from pyg_samsa.datasets import packing
from pyg_samsa.datasets.packing import MANIFEST, PackedFile, pack_files, unpack_files
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from tests import fresh_process

CONTENT = {"zinc/subset-v1.pt": b"abc" * 1000, "configs/small/x.yaml": b"a: 1\n", "encodings/lap-8-00.pt": b""}


@pytest.fixture
def files(tmp_path):
    made = {}
    for place, content in CONTENT.items():
        made[place] = tmp_path / "source" / place
        made[place].parent.mkdir(parents=True, exist_ok=True)
        made[place].write_bytes(content)
    return made


@pytest.fixture
def pack(tmp_path, files):
    pack_files(tmp_path / "a.zip", files, progress=False)
    return tmp_path / "a.zip"


def unpack(pack, root):
    return unpack_files(pack, root, progress=False)


def below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("fast", [False, True])
def test_what_is_packed_comes_out_again(tmp_path, files, fast):
    listed = pack_files(tmp_path / "a.zip", files, fast=fast, progress=False)
    assert [(file.path, file.size, file.sha256) for file in listed] == [
        (place, len(content), sha256(content).hexdigest()) for place, content in sorted(CONTENT.items())
    ]
    written, there = unpack(tmp_path / "a.zip", tmp_path / "new" / "datasets")
    assert (written, there) == (listed, [])
    assert below(tmp_path / "new" / "datasets") == CONTENT
    assert unpack(tmp_path / "a.zip", tmp_path / "new" / "datasets") == ([], listed)


def test_the_same_files_give_the_same_pack(tmp_path, files, pack):
    os.utime(files["zinc/subset-v1.pt"], (0, 0))
    pack_files(tmp_path / "b.zip", dict(reversed(files.items())), progress=False)
    assert (tmp_path / "b.zip").read_bytes() == pack.read_bytes()


def test_files_that_are_there_stay(tmp_path, pack):
    root = tmp_path / "datasets"
    (root / "zinc").mkdir(parents=True)
    (root / "zinc" / "other.pt").write_bytes(b"other")
    (root / "zinc" / "subset-v1.pt").write_bytes(CONTENT["zinc/subset-v1.pt"])
    written, there = unpack(pack, root)
    assert [file.path for file in written] == ["configs/small/x.yaml", "encodings/lap-8-00.pt"]
    assert [file.path for file in there] == ["zinc/subset-v1.pt"]
    assert below(root) == CONTENT | {"zinc/other.pt": b"other"}


@pytest.mark.parametrize("content", [b"xyz" * 1000, b"shorter"])
def test_another_file_is_not_replaced(tmp_path, pack, content):
    place = tmp_path / "datasets" / "zinc" / "subset-v1.pt"
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    with pytest.raises(ConfigError, match=r"--root: .* expected a folder without another zinc/subset-v1\.pt"):
        unpack(pack, tmp_path / "datasets")
    assert below(tmp_path / "datasets") == {"zinc/subset-v1.pt": content}


OUTSIDE = [
    "../outside.pt",
    "zinc/../../outside.pt",
    "/tmp/outside.pt",
    "C:/outside.pt",
    "C:outside.pt",
    "..\\outside.pt",
    "zinc\\x.pt",
    "",
    ".",
    "..",
    "zinc/",
    "./x.pt",
    "zinc//x.pt",
    "zinc/./x.pt",
    MANIFEST,
    "x\n.pt",
    "x. ",
    "nul.",
    "x:stream",
]


@pytest.mark.parametrize("place", OUTSIDE)
def test_places_outside_the_folder_are_neither_packed_nor_unpacked(tmp_path, files, place):
    with pytest.raises(ConfigError, match="a place below the folder of the data sets"):
        pack_files(tmp_path / "b.zip", {place: files["zinc/subset-v1.pt"]}, progress=False)
    evil = write(tmp_path / "evil.zip", [(place, b"evil")])
    with pytest.raises(DataIntegrityError) as caught:
        unpack(evil, tmp_path / "deep" / "er" / "datasets")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "deep").exists()
    assert not list(tmp_path.rglob("*outside*"))


def write(path, members, listed=None, format=1):
    """Write a pack whose manifest lists the members, or something else."""
    if listed is None:
        listed = [{"path": name, "size": len(data), "sha256": sha256(data).hexdigest()} for name, data in members]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, json.dumps({"format": format, "files": listed}))
        for name, data in members:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            archive.writestr(entry, data)
    return path


def test_a_link_is_written_as_the_file_that_it_is(tmp_path):
    """The target of a symbolic link is the content of its member; nothing makes a link of it."""
    entry = zipfile.ZipInfo("zinc/link.pt")
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    target = b"/etc/passwd"
    listed = [{"path": "zinc/link.pt", "size": len(target), "sha256": sha256(target).hexdigest()}]
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(MANIFEST, json.dumps({"format": 1, "files": listed}))
        archive.writestr(entry, target)
    unpack(tmp_path / "evil.zip", tmp_path / "datasets")
    place = tmp_path / "datasets" / "zinc" / "link.pt"
    assert not place.is_symlink()
    assert place.read_bytes() == target


ENTRY = {"path": "x.pt", "size": 1, "sha256": "00" * 32}


@pytest.mark.parametrize(
    ("members", "listed", "format", "words"),
    [
        ([("x.pt", b"1")], [], 1, "the files of its manifest"),
        ([], [ENTRY], 1, "the files of its manifest"),
        ([("x.pt", b"1")], [ENTRY, ENTRY], 1, "the files of its manifest"),
        ([("x.pt", b"1")], [ENTRY], 1, "1 bytes, "),
        ([("x.pt", b"12")], [ENTRY], 1, "2 bytes, "),
        ([("x.pt", b"1")], [{**ENTRY, "size": 10**15}], 1, "a disk with"),
        ([("x.pt", b"1")], [{**ENTRY, "size": -1}], 1, "bytes"),
        ([("x.pt", b"1")], [{**ENTRY, "size": True}], 1, "a manifest with path, size and sha256"),
        ([("x.pt", b"1")], [{**ENTRY, "more": 1}], 1, "a manifest with path, size and sha256"),
        ([("x.pt", b"1")], ["x.pt"], 1, "a manifest with path, size and sha256"),
        ([("x.pt", b"1")], [ENTRY], 2, "format 2"),
    ],
)
def test_a_manifest_that_does_not_fit_is_named(tmp_path, members, listed, format, words):
    path = write(tmp_path / "evil.zip", members, listed, format)
    with pytest.raises((DataIntegrityError, ConfigError), match=words) as caught:
        unpack(path, tmp_path / "datasets")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "datasets" / "x.pt").exists()


def test_no_more_than_the_size_of_the_manifest_is_read(tmp_path):
    """A member that unpacks to many megabytes is given up after its first bytes."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps({"format": 1, "files": [ENTRY]}))
        with archive.open("x.pt", "w") as member:
            for _ in range(64):
                member.write(bytes(1 << 20))
    with pytest.raises(DataIntegrityError, match="2 bytes, "):
        unpack(path, tmp_path / "datasets")


CODE = """
import resource, sys
from pyg_samsa.datasets.packing import unpack_files
from pyg_samsa.errors import DataIntegrityError
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 2**27, -1))
try:
    unpack_files(*sys.argv[1:], progress=False)
except DataIntegrityError as error:
    print(error)
"""


@pytest.mark.parametrize("name", [MANIFEST, "x.pt"])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_archives_that_unfold_to_much_take_little_memory(tmp_path, name, method):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        if name != MANIFEST:
            archive.writestr(MANIFEST, json.dumps({"format": 1, "files": [ENTRY]}))
        with archive.open(name, "w") as member:
            for _ in range(12):
                member.write(bytes(1 << 24))
    # The size in the directory is a lie.
    content = path.read_bytes().replace((12 << 24).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    path.write_bytes(content)
    done = fresh_process.run(CODE, path, tmp_path / "datasets", timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "bomb.zip: got " in done.stdout
    assert "MemoryError" not in done.stdout


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all" * 100])
def test_another_file_is_named(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataIntegrityError, match=r"a\.zip: got a damaged file"):
        unpack(tmp_path / "a.zip", tmp_path / "datasets")
    with pytest.raises(DataNotFoundError, match=r"b\.zip: no such file"):
        unpack(tmp_path / "b.zip", tmp_path / "datasets")


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b"\xff", b"[" * 10**5, b'{"format": 1, "files": 3}', b"null"])
def test_a_manifest_that_is_none(tmp_path, manifest):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(MANIFEST, manifest)
    with pytest.raises(DataIntegrityError):
        unpack(tmp_path / "a.zip", tmp_path / "datasets")


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("data.pt", b"x")
    with pytest.raises(DataIntegrityError, match="it has no manifest"):
        unpack(tmp_path / "a.zip", tmp_path / "datasets")


@pytest.mark.parametrize("fast", [False, True])
def test_damage_anywhere_is_one_error_or_none(tmp_path, files, fast):
    pack_files(tmp_path / "a.zip", files, fast=fast, progress=False)
    whole, generator = (tmp_path / "a.zip").read_bytes(), random.Random(0)
    damaged, lines = tmp_path / "b.zip", []
    for number in range(300):
        data = bytearray(whole)
        if number % 3:
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        else:
            del data[generator.randrange(len(data)) :]
        damaged.write_bytes(data)
        root = tmp_path / f"datasets{number}"
        try:
            unpack(damaged, root)
        except DataIntegrityError as error:
            lines += str(error).splitlines()
        # Whatever was written is right.
        assert all(CONTENT[place] == content for place, content in below(root).items())
    assert 200 < len(lines) <= 300
    assert not list(tmp_path.rglob("*.part*"))


def test_a_disk_without_space_is_named(tmp_path, pack, monkeypatch):
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(ConfigError, match="a disk with 0 MiB of space; it has 0"):
        unpack(pack, tmp_path / "datasets")


def test_a_file_that_changes_while_it_is_packed_is_named(tmp_path, files, monkeypatch):
    monkeypatch.setattr(packing, "sha256", lambda path: "00" * 32)
    with pytest.raises(DataIntegrityError, match=r"subset-v1\.pt: got"):
        pack_files(tmp_path / "a.zip", {"zinc/subset-v1.pt": files["zinc/subset-v1.pt"]}, progress=False)
    assert not (tmp_path / "a.zip").exists()


def test_a_packed_file_is_plain():
    assert PackedFile(**ENTRY) == PackedFile("x.pt", 1, "00" * 32)
