"""The rankings of pairs against literal references, which look at one pair after the other."""

import pickle
from fractions import Fraction
from itertools import permutations

import pytest
import torch

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.metrics.link_ranking import PROTOCOLS, hits, rank_pairs, reciprocal_rank

NAN = float("nan")
NAMES = [name for name in metrics.available() if name.startswith(("mrr", "hits"))]


def graphs(seed=0, sizes=(6, 4, 5, 3), ties=True):
    """Scores of all pairs of some graphs, a part of them labelled; the last graph has no true pair."""
    generator = torch.Generator().manual_seed(seed)
    pairs, labels, start = [], [], 0
    for number, size in enumerate(sizes):
        nodes = torch.arange(start, start + size)
        pairs.append(torch.cartesian_prod(nodes, nodes).T)
        label = torch.full((size * size,), NAN)
        label[torch.rand(size * size, generator=generator) < 0.5] = 0
        if number < len(sizes) - 1:
            label[torch.randperm(size * size, generator=generator)[: size + 2]] = 1
        labels.append(label)
        start += size
    scores = torch.randn(sum(size**2 for size in sizes), generator=generator)
    batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return (scores.round() if ties else scores), torch.cat(labels), torch.cat(pairs, 1), batch


def protocol_of(name):
    return name.partition("_")[2] or "raw"


def reference(name, scores, labels, pairs, batch):
    """The metric as the benchmark counts it, pair by pair and graph by graph, and ties in all orders."""
    table = {tuple(pair): (float(s), float(y)) for pair, s, y in zip(pairs.T.tolist(), scores, labels, strict=True)}
    means = []
    for graph in batch.unique().tolist():
        nodes = (batch == graph).nonzero().flatten().tolist()
        values = []
        for (i, j), (score, label) in table.items():
            if label != 1 or i not in nodes:
                continue
            others = [k for k in nodes if k != j and (i, k) in table]
            if protocol_of(name) != "raw":
                others = [k for k in others if table[i, k][1] != 1]
            if protocol_of(name) == "filtered_noself":
                others = [k for k in others if k != i]
            above = sum(table[i, k][0] > score for k in others)
            equal = sum(table[i, k][0] == score for k in others)
            ranks = [above + place + 1 for place in range(equal + 1)]  # of the true pair, in every order of the ties
            if name.startswith("mrr"):
                values.append(sum(Fraction(1, rank) for rank in ranks) / len(ranks))
            else:
                most = int(name.removeprefix("hits@").partition("_")[0])
                values.append(Fraction(sum(rank <= most for rank in ranks), len(ranks)))
        if values:
            means.append(sum(values) / len(values))
    return float(sum(means) / len(means))


def test_there_are_four_metrics_in_three_protocols():
    measures = ("mrr", "hits@1", "hits@3", "hits@10")
    ends = ("", "_filtered", "_filtered_noself")
    assert sorted(NAMES) == sorted(measure + end for measure in measures for end in ends)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ties", [False, True])
def test_equals_the_reference(name, ties):
    data = graphs(ties=ties)
    metric = metrics.build(name, 1)
    metric.update(data[0].unsqueeze(1), *data[1:])
    assert metric.compute().item() == pytest.approx(reference(name, *data), abs=1e-14)
    assert (metric.name, metric.higher_is_better, metric.needs_pairs) == (name, True, True)


def test_protocols_differ():
    data = graphs(ties=False)
    found = []
    for protocol in PROTOCOLS:
        metric = metrics.build("mrr" if protocol == "raw" else f"mrr_{protocol}", 1)
        metric.update(*data)
        found.append(metric.compute().item())
    assert found == sorted(set(found))


@pytest.mark.parametrize("name", ["mrr", "hits@3_filtered_noself"])
def test_batches_and_the_order_of_pairs_change_no_bit(name):
    scores, labels, pairs, batch = graphs(ties=False)
    metric = metrics.build(name, 1)
    metric.update(scores, labels, pairs, batch)
    together = metric.compute().item()
    metric.reset()
    for graph in (2, 0, 3, 1):
        nodes = (batch == graph).nonzero().flatten()
        own = torch.isin(pairs[0], nodes)
        own = own.nonzero().flatten()
        own = own[torch.randperm(len(own))]
        metric.update(scores[own], labels[own], pairs[:, own] - nodes[0], batch[nodes] - graph)
    assert metric.compute().item() == together


def test_a_pair_that_is_named_twice_counts_once():
    scores, labels, pairs, batch = graphs()
    metric = metrics.build("mrr_filtered", 1)
    metric.update(scores, labels, pairs, batch)
    once = metric.compute().item()
    metric.reset()
    metric.update(scores.repeat(2), labels.repeat(2), pairs.repeat(1, 2), batch)
    assert metric.compute().item() == once


def test_graphs_without_a_true_pair_are_left_out():
    scores, labels, pairs, batch = graphs()
    metric = metrics.build("mrr", 1)
    metric.update(scores, torch.zeros_like(labels), pairs, batch)
    with pytest.warns(UserWarning, match="mrr is undefined .*no pair is labelled 1"):
        assert metric.compute().isnan()


def test_expectation_over_the_orders_of_ties():
    """Four candidates above and below, three tied with the true pair: every order is as likely."""
    scores = [2.0, 1.0, 1.0, 1.0, 0.0]
    ranks = [order.index(1) + 1 for order in permutations(range(5)) if [scores[c] for c in order] == scores]
    above, tied = torch.tensor([1]), torch.tensor([2])
    assert reciprocal_rank(above, tied).item() == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks))
    for count in (1, 2, 3, 4, 5):
        assert hits(above, tied, count).item() == pytest.approx(sum(rank <= count for rank in ranks) / len(ranks))


def test_a_constant_score_is_worth_chance():
    scores, labels, pairs, batch = graphs()
    metric = metrics.build("hits@1_filtered_noself", 1)
    metric.update(torch.zeros_like(scores), labels, pairs, batch)
    assert metric.compute().item() == pytest.approx(
        reference("hits@1_filtered_noself", torch.zeros_like(scores), labels, pairs, batch)
    )
    assert 0 < metric.compute().item() < 1


def test_large_tables_are_ranked_in_parts(monkeypatch):
    data = graphs(ties=True)
    whole = rank_pairs(*data[:3])
    monkeypatch.setattr("pyg_samsa.metrics.link_ranking._CHUNK", 7)
    for one, other in zip(whole, rank_pairs(*data[:3]), strict=True):
        assert torch.equal(one, other)


def test_what_does_not_fit_is_named():
    scores, labels, pairs, batch = graphs()
    metric = metrics.build("mrr", 1)
    with pytest.raises(ShapeError, match="preds"):
        metric.update(scores[1:], labels, pairs, batch)
    with pytest.raises(ShapeError, match="target"):
        metric.update(scores, labels[1:], pairs, batch)
    with pytest.raises(NumericalError, match="metric mrr: 1 of"):
        metric.update(scores.index_fill(0, torch.tensor([3]), NAN), labels, pairs, batch)
    with pytest.raises(ConfigError, match="protocol"):
        rank_pairs(scores, labels, pairs, "all")


@pytest.mark.parametrize("name", NAMES)
def test_pickles(name):
    metric = metrics.build(name, 1)
    metric.update(*graphs())
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.compute()
