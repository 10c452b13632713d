import importlib
from importlib.util import find_spec

import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import NumericalError, ShapeError
from pyg_samsa.metrics import WordF1
from pyg_samsa.metrics.word_f1 import word_f1
from pyg_samsa.training.official import _without

POSITIONS, SIZE = 4, 6  # the last two words are the unknown one and the end


def example(rows, seed=0):
    """Logits, encoded words, all words with those that are not in the vocabulary, and lists of them."""
    generator = torch.Generator().manual_seed(seed)
    preds = torch.randn(rows, POSITIONS * SIZE, generator=generator)
    names = [torch.randint(0, 9, (1 + row % 6,), generator=generator).tolist() for row in range(rows)]
    names = [[word if word < SIZE - 2 else word + 2 for word in name] for name in names]
    words, target = torch.full((rows, 6), -1), torch.full((rows, POSITIONS), SIZE - 1)
    for row, name in enumerate(names):
        words[row, : len(name)] = torch.tensor(name)
        short = torch.tensor(name[:POSITIONS])
        target[row, : len(short)] = short.where(short < SIZE - 2, SIZE - 2)
    return preds, target, words, names


def decoded(preds):
    """The predicted words of each row, up to the first end, as OGB's example decodes them."""
    rows = preds.view(-1, POSITIONS, SIZE).argmax(-1).tolist()
    return [row[: row.index(SIZE - 1)] if SIZE - 1 in row else row for row in rows]


@pytest.mark.skipif(find_spec("ogb") is None, reason="ogb is not installed")
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_evaluator_of_ogb(seed):
    preds, target, words, names = example(200, seed)
    metric = WordF1(POSITIONS * SIZE)
    for rows in torch.arange(200).split(64):
        graphs = [Data(x=torch.zeros(1, 1), words=words[row : row + 1]) for row in rows.tolist()]
        metric.update_batch(preds[rows], target[rows], Batch.from_data_list(graphs))
    with _without("outdated"):
        importlib.import_module("ogb")
    judge = importlib.import_module("ogb.graphproppred.evaluate").Evaluator("ogbg-code2")
    text = [[[str(word) for word in row] for row in rows] for rows in (names, decoded(preds))]
    expected = judge.eval({"seq_ref": text[0], "seq_pred": text[1]})["F1"]
    assert 0.1 < expected < 0.9
    assert metric.compute().item() == pytest.approx(expected, abs=1e-7)


def test_words_are_sets_before_the_end():
    scores = word_f1(torch.tensor([[0, 0, 0], [0, 1, -1], [-1, -1, -1]]), torch.tensor([[0, 0], [2, 1], [-1, -1]]))
    assert scores.tolist() == [1.0, 0.5, 0.0]
    metric = WordF1(POSITIONS * SIZE)
    logits = torch.zeros(1, POSITIONS, SIZE)
    logits[0, torch.arange(POSITIONS), torch.tensor([0, SIZE - 1, 1, 2])] = 1  # words after the end do not count
    metric.update(logits.flatten(1), torch.tensor([[0, SIZE - 1, SIZE - 1, SIZE - 1]]))
    assert metric.compute().item() == 1.0


def test_an_unknown_word_is_never_right_where_all_words_are_known():
    logits = torch.zeros(1, POSITIONS, SIZE)
    logits[0, :, SIZE - 2] = 1
    target = torch.tensor([[SIZE - 2, SIZE - 1, SIZE - 1, SIZE - 1]])
    metric = WordF1(POSITIONS * SIZE)
    metric.update(logits.flatten(1), target, torch.tensor([[SIZE]]))
    assert metric.compute().item() == 0.0


def test_wrong_inputs_are_named():
    metric = WordF1(POSITIONS * SIZE)
    with pytest.raises(ShapeError, match="target"):
        metric.update(torch.zeros(2, POSITIONS * SIZE), torch.zeros(3, POSITIONS, dtype=torch.long))
    with pytest.raises(ShapeError, match="target"):
        metric.update(torch.zeros(2, POSITIONS * SIZE), torch.zeros(2, 5, dtype=torch.long))
    for rows, columns in ((3, POSITIONS * SIZE), (2, POSITIONS * (SIZE + 1)), (2, POSITIONS * (SIZE - 1))):
        with pytest.raises(ShapeError, match="target"):
            metric.update(torch.zeros(rows, columns), torch.zeros(2, POSITIONS, dtype=torch.long))
    with pytest.raises(NumericalError, match="f1_words"):
        metric.update(torch.full((1, POSITIONS * SIZE), torch.nan), torch.zeros(1, POSITIONS, dtype=torch.long))
    with pytest.warns(UserWarning, match="f1_words is undefined"):
        assert WordF1(4).compute().isnan()
