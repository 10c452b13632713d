import pickle

import pytest
import torch

from pyg_samsa.datasets import texts as module
from pyg_samsa.datasets.texts import Texts

WORDS = ["CCO", "", "é", "日本", "\ud800", " C\n"]


def test_texts_are_those_of_a_list(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 4)
    texts = Texts.of(WORDS)
    assert list(texts) == WORDS
    assert [texts[place] for place in range(-6, 6)] == WORDS + WORDS
    assert (texts[1:5:2], texts[::-1]) == (WORDS[1:5:2], WORDS[::-1])
    assert len(texts) == 6
    assert "日本" in texts
    assert repr(texts) == "Texts(6)"


@pytest.mark.parametrize("place", [6, -7])
def test_a_place_outside_is_an_error(place):
    with pytest.raises(IndexError, match=f"text {place} of 6"):
        Texts.of(WORDS)[place]


def test_no_text():
    assert list(Texts.of([])) == []
    assert Texts.of([]).ptr.tolist() == [0]


def test_they_are_pickled_for_worker_processes():
    assert list(pickle.loads(pickle.dumps(Texts.of(WORDS)))) == WORDS


def test_they_are_parts_of_larger_tensors():
    content = torch.tensor([65, 66, 67], dtype=torch.uint8)
    assert list(Texts(content, torch.tensor([1, 2, 2, 3]))) == ["B", "", "C"]


def test_columns_of_a_table_are_read_in_one_pass():
    rows = iter([["a", "é"], ["", "\ud800"], ["bc", ""]])
    columns = Texts.columns(rows, 2)
    assert [list(column) for column in columns] == [["a", "", "bc"], ["é", "\ud800", ""]]
    assert [list(column) for column in Texts.columns([], 3)] == [[], [], []]
    with pytest.raises(ValueError, match="zip"):
        Texts.columns([["a"], ["b", "c"]], 1)
