import json

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.task import KINDS, LEVELS, Task

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_saved_task_is_read_again(kind, level):
    task = Task(kind, NAMES, level, parts=[[0, 1], [2]], pairs=True)
    saved = json.loads(json.dumps(task.as_dict()))
    assert Task.from_dict({**saved, "metrics": {}}) == task
    assert hash(task) == hash(Task.from_dict(saved))
    assert task.num_targets == 3


@pytest.mark.parametrize("kind", KINDS)
def test_readable_outputs(kind):
    output = torch.tensor([[0.0, 1.0, -40.0], [5.0, 5.0, 5.0]])
    expected = {"regression": output, "multiclass": torch.softmax(output, -1)}.get(kind, torch.sigmoid(output))
    task = Task(kind, NAMES)
    torch.testing.assert_close(task.readable(output), expected, rtol=0, atol=0)
    assert task.has_labels == (kind in ("binary", "multilabel"))


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("kind", "regresion"),
        ("kind", None),
        ("level", "edge"),
        ("names", []),
        ("names", "logS"),
        ("names", [1]),
        ("parts", "ab"),
        ("parts", [1]),
    ],
)
def test_wrong_values_are_named(key, wrong):
    saved = {"kind": "regression", "level": "graph", "names": ["logS"], key: wrong}
    with pytest.raises(ConfigError, match=rf"config\.json.*{key}") as caught:
        Task.from_dict(saved, origin="config.json")
    if wrong == "regresion":
        assert "regression" in caught.value.hint


def test_only_mappings_are_tasks():
    with pytest.raises(ConfigError, match="list"):
        Task.from_dict([])


WORDS = ["get", "name", "__UNK__", "__EOS__"]


def test_sequences_of_words():
    task = Task("words", WORDS, positions=2)
    assert (task.num_targets, task.has_labels) == (8, False)
    assert Task.from_dict(json.loads(json.dumps(task.as_dict()))) == task
    output = torch.randn(3, 8)
    expected = torch.cat([output[:, :4].softmax(1), output[:, 4:].softmax(1)], 1)
    torch.testing.assert_close(task.readable(output), expected)
    for kind, names, positions in (
        ("words", WORDS, 0),
        ("words", WORDS, True),
        ("words", WORDS, -1),
        ("words", WORDS[:2], 2),
        ("multiclass", WORDS, 2),
    ):
        with pytest.raises(ConfigError, match=r"task\.(positions|names)"):
            Task(kind, names, positions=positions)
