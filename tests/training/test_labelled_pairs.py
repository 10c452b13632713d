import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.training.labelled_pairs import add_candidates, draw_negatives, has_only_true_pairs, pair_step


def graph(nodes, pairs, labels=None):
    pairs = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
    labels = torch.ones(pairs.size(1)) if labels is None else torch.tensor(labels)
    return Data(x=torch.ones(nodes, 1), edge_label_index=pairs, edge_label=labels)


GRAPHS = [
    graph(6, [(0, 3), (0, 4), (5, 1)]),
    graph(4, []),
    graph(3, [(2, 0), (2, 1), (2, 2)]),
    graph(9, [(8, 0), (1, 7)]),
]


def batch(graphs=GRAPHS):
    return Batch.from_data_list(graphs)


def pairs_of(made):
    """Set of (graph, i, j, label) with numbers within the graph."""
    found = []
    for (i, j), label in zip(made.edge_label_index.T.tolist(), made.edge_label.tolist(), strict=True):
        number = int(made.batch[i])
        assert int(made.batch[j]) == number
        start = int(made.ptr[number])
        found.append((number, i - start, j - start, label))
    assert len({pair[:3] for pair in found}) == len(found)
    return found


def test_negatives_are_other_pairs_with_the_same_first_node():
    found = pairs_of(draw_negatives(batch(), torch.arange(4)))
    true = {(number, *pair) for number, data in enumerate(GRAPHS) for pair in data.edge_label_index.T.tolist()}
    assert {pair[:3] for pair in found if pair[3] == 1} == true
    heads = [pair[:2] for pair in found if pair[3] == 0]
    # Node 0 of the first graph has just four others for its two true pairs, and the third graph has none.
    counts = {head: heads.count(head) for head in set(heads)}
    assert 3 <= counts.pop((0, 0)) <= 4
    assert counts == {(0, 5): 2, (3, 8): 2, (3, 1): 2}


def test_draws_of_a_graph_depend_on_its_seed_alone():
    seeds = torch.tensor([5, 6, 7, 8])
    together = pairs_of(draw_negatives(batch(), seeds))
    for number, data in enumerate(GRAPHS):
        alone = pairs_of(draw_negatives(batch([data]), seeds[number : number + 1]))
        assert [pair[1:] for pair in together if pair[0] == number and pair[3] == 0] == [
            pair[1:] for pair in alone if pair[3] == 0
        ]
    assert pairs_of(draw_negatives(batch(), seeds + 1)) != together


def test_every_pair_is_drawn_as_often():
    data = [graph(10, [(0, 1)])] * 2000
    made = draw_negatives(batch(data), torch.arange(2000))
    drawn = torch.tensor([pair[2] for pair in pairs_of(made) if pair[3] == 0]).bincount(minlength=10)
    assert drawn[1] == 0
    expected = 4000 / 9
    rest = drawn[drawn > 0]
    assert len(rest) == 9
    assert ((rest - expected) ** 2 / expected).sum() < 30  # chi square of 8 degrees of freedom


def test_candidates_are_all_pairs_of_first_nodes_of_true_pairs():
    labelled = [graph(3, [(0, 1), (0, 0), (1, 2)], [1.0, 0.0, 0.0]), graph(2, [(1, 0)])]
    found = pairs_of(add_candidates(batch(labelled)))
    assert [pair[:3] for pair in found[:4]] == [(0, 0, 1), (0, 0, 0), (0, 1, 2), (1, 1, 0)]
    assert [pair[:3] for pair in found[4:]] == [(0, 0, 2), (1, 1, 1)]
    assert [pair[3] for pair in found[:4]] == [1, 0, 0, 1]
    assert all(pair[3] != pair[3] for pair in found[4:])


def test_labels_of_integers_become_floats_with_missing_ones():
    data = graph(3, [(0, 1)])
    data.edge_label = data.edge_label.long()
    assert add_candidates(batch([data])).edge_label.tolist()[:1] == [1.0]
    data.edge_label = data.edge_label.view(-1, 1)
    assert add_candidates(batch([data])).edge_label.shape == (3,)


def test_no_pairs_at_all():
    empty = batch([graph(3, []), graph(1, [])])
    for step in (add_candidates, lambda made: draw_negatives(made, torch.arange(2))):
        assert step(empty.clone()).edge_label_index.shape == (2, 0)


def test_data_say_whether_negatives_are_drawn():
    assert has_only_true_pairs(GRAPHS)
    assert not has_only_true_pairs([*GRAPHS, graph(2, [(0, 1)], [0.0])])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("draws", [True, False])
def test_what_a_loader_does(training, draws):
    step = pair_step(training=training, draws=draws, ranks=True)
    if training and not draws:
        assert step is None
        return
    made = batch()
    made.row_id = torch.arange(4)
    first = pairs_of(step(made.clone()))
    labels = [pair[3] for pair in first]
    assert (0 in labels) is draws
    assert any(label != label for label in labels) is (not training)
    # Training draws anew, evaluation does not.
    again = pairs_of(step(made.clone()))
    assert (str(first) == str(again)) is (not training)
