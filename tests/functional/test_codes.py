from __future__ import annotations

import pytest
import torch

from pyg_samsa.functional import RaggedIndex, distinct_keys, feature_keys, gaussian_codes, structural_keys
from pyg_samsa.functional.codes import mix


def test_mix_is_splitmix64():
    state, outputs = 0, []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        outputs.append(z ^ (z >> 31))
    golden = 0x9E3779B97F4A7C15 - 2**64
    assert [value % 2**64 for value in mix(torch.arange(3) * golden).tolist()] == outputs


def test_feature_keys_look_at_values_not_types():
    x = torch.tensor([[1, 2], [3, -4]])
    assert torch.equal(feature_keys(x), feature_keys(x.double()))
    assert torch.equal(feature_keys(torch.tensor([[-0.0]])), feature_keys(torch.tensor([[0.0]])))
    assert feature_keys(torch.rand(5000, 3)).unique().numel() == 5000


def test_structural_keys_follow_a_permutation():
    torch.manual_seed(0)
    nodes, edge_index = torch.randint(0, 3, (40,)), torch.randint(0, 40, (2, 90))
    labels = torch.randint(0, 2, (90,))
    index = RaggedIndex(torch.tensor([0, 40]))
    keys = structural_keys(nodes, edge_index, index, labels)
    perm = torch.randperm(40)
    place = torch.empty_like(perm).scatter_(0, perm, torch.arange(40))
    assert torch.equal(structural_keys(nodes[perm], place[edge_index], index, labels), keys[perm])


def test_structural_keys_see_direction_and_edge_labels():
    index = RaggedIndex(torch.tensor([0, 2]))
    nodes, edge = torch.zeros(2, dtype=torch.long), torch.tensor([[0], [1]])
    source, target = structural_keys(nodes, edge, index, torch.tensor([5])).tolist()
    assert source != target
    assert structural_keys(nodes, edge, index, torch.tensor([6])).tolist() != [source, target]


def test_refinement_reaches_as_far_as_the_graph():
    n = 100
    path = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    edge_index = torch.cat([path, path.flip(0)], 1)
    keys = structural_keys(torch.zeros(n, dtype=torch.long), edge_index, RaggedIndex(torch.tensor([0, n])))
    assert keys.unique().numel() == n // 2


def test_codes_are_standard_normal_and_independent():
    codes = gaussian_codes(mix(torch.arange(20000)), 16, dtype=torch.float64)
    assert codes.mean(0).abs().max() < 0.03
    assert (codes.std(0) - 1).abs().max() < 0.03
    assert (torch.corrcoef(codes.t()) - torch.eye(16)).abs().max() < 0.04
    assert abs(codes.pow(4).mean().item() - 3) < 0.1
    other = gaussian_codes(mix(torch.arange(20000)), 16, draw=1, dtype=torch.float64)
    assert torch.corrcoef(torch.stack([codes.flatten(), other.flatten()]))[0, 1].abs() < 0.01


def test_codes_depend_on_the_key_alone():
    keys = mix(torch.arange(10))
    assert torch.equal(gaussian_codes(keys, 7)[3:4], gaussian_codes(keys[3:4], 7))
    assert torch.equal(gaussian_codes(keys, 8)[:, :4], gaussian_codes(keys, 8).double()[:, :4].float())


def cycle(n):
    step = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
    return torch.cat([step, step.flip(0)], 1)


def star(leaves):
    spokes = torch.stack([torch.zeros(leaves, dtype=torch.long), torch.arange(1, leaves + 1)])
    return torch.cat([spokes, spokes.flip(0)], 1)


def cube():
    pairs = [(i, i ^ bit) for i in range(8) for bit in (1, 2, 4)]
    return torch.tensor(pairs).t()


SYMMETRIC = {
    "cycle": (6, cycle(6)),
    "star": (5, star(4)),
    "cube": (8, cube()),
    "two cycles": (8, torch.cat([cycle(4), cycle(4) + 4], 1)),
    "no edges": (4, torch.empty(2, 0, dtype=torch.long)),
}


def keys_of(n, edge_index):
    index = RaggedIndex(torch.tensor([0, n]))
    return distinct_keys(structural_keys(torch.zeros(n, dtype=torch.long), edge_index, index), edge_index, index)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_distinct_keys_differ_and_permuting_symmetric_nodes_gives_the_same_graph(name):
    n, edge_index = SYMMETRIC[name]
    keys = keys_of(n, edge_index)
    assert keys.unique().numel() == n
    edges = {tuple(edge) for edge in keys[edge_index].t().tolist()}
    for seed in range(5):
        perm = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        place = torch.empty_like(perm).scatter_(0, perm, torch.arange(n))
        again = keys_of(n, place[edge_index])
        assert set(again.tolist()) == set(keys.tolist())
        assert {tuple(edge) for edge in again[place[edge_index]].t().tolist()} == edges


def test_distinct_keys_do_not_depend_on_the_batch():
    parts, edges, ptr = [], [], [0]
    for n, edge_index in SYMMETRIC.values():
        edges.append(edge_index + ptr[-1])
        parts.append(keys_of(n, edge_index))
        ptr.append(ptr[-1] + n)
    index, edge_index = RaggedIndex(torch.tensor(ptr)), torch.cat(edges, 1)
    keys = structural_keys(torch.zeros(ptr[-1], dtype=torch.long), edge_index, index)
    assert torch.equal(distinct_keys(keys, edge_index, index), torch.cat(parts))


def test_distinct_keys_keep_those_that_differ_already():
    n, edge_index = 40, torch.randint(0, 40, (2, 90), generator=torch.Generator().manual_seed(0))
    index = RaggedIndex(torch.tensor([0, n]))
    keys = structural_keys(torch.arange(n), edge_index, index)
    assert torch.equal(distinct_keys(keys, edge_index, index), keys)


def test_nodes_left_over_are_numbered():
    n, edge_index = SYMMETRIC["cycle"]
    index = RaggedIndex(torch.tensor([0, n]))
    keys = structural_keys(torch.zeros(n, dtype=torch.long), edge_index, index)
    assert distinct_keys(keys, edge_index, index, max_rounds=0).unique().numel() == n
    empty = torch.empty(0, dtype=torch.long)
    assert distinct_keys(empty, empty.expand(2, 0), RaggedIndex(torch.tensor([0, 0]))).numel() == 0
