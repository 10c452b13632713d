from __future__ import annotations

import torch

from pyg_samsa.functional import RaggedIndex, feature_keys, gaussian_codes, structural_keys
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
