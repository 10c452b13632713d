"""SFT's sampler against the literal reference."""

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import reference
from pyg_samsa.functional.paired_sampling import ragged_sample_paired
from pyg_samsa.functional.ragged import RaggedIndex


@pytest.mark.parametrize("sizes", [[0], [1], [6, 0, 2], [3, 3]], ids=str)
def test_each_graph_and_head_is_the_reference(same, normal, sizes):
    tokens, heads, k = sum(sizes), 2, 2
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    values, scores, supports, support_scores = (
        normal(tokens, heads, 3),
        normal(tokens, heads),
        normal(4, heads, 3),
        normal(4, heads),
    )
    fast = ragged_sample_paired(values, scores, supports, support_scores, index, k)
    literal = []
    for begin, size in zip(index.ptr.tolist(), sizes, strict=False):
        own = slice(begin, begin + size)
        for h in range(heads):
            vectors, z = torch.cat([values[own, h], supports[:, h]]), torch.cat([scores[own, h], support_scores[:, h]])
            literal.append(reference.paired_sample(vectors, z, k))
    same(fast.values.flatten(0, 1), torch.stack(literal), values, scores, supports, support_scores)


def test_a_function_of_candidates_gives_the_same_as_a_table(normal):
    index = RaggedIndex(torch.tensor([0, 5]))
    values, scores, supports, support_scores = normal(5, 1, 3), normal(5, 1), normal(4, 1, 3), normal(4, 1)
    table = ragged_sample_paired(values, scores, supports, support_scores, index, 2)
    computed = ragged_sample_paired(lambda c: values[c, 0], scores, supports, support_scores, index, 2)
    torch.testing.assert_close(table, computed)


def test_random_pairs_are_made_of_the_same_tokens():
    torch.manual_seed(0)
    index, k = RaggedIndex(torch.tensor([0, 8])), 4
    values, scores = torch.eye(8)[:, None], torch.zeros(8, 1)
    samples = ragged_sample_paired(
        values, scores, torch.zeros(8, 1, 8), torch.full((8, 1), -9.0), index, k, shuffle=True
    )
    torch.testing.assert_close(samples.values[0, 0, :, :4], torch.eye(4) / 2)
    assert sorted(samples.values[0, 0, :, 4:].argmax(-1).tolist()) == [0, 1, 2, 3]


def test_very_low_scores_mix_without_nan():
    index = RaggedIndex(torch.tensor([0, 2]))
    scores = torch.tensor([[-1000.0], [-1001.0]], requires_grad=True)
    values, low = torch.tensor([[[1.0]], [[0.0]]]), torch.full((2, 1), -5000.0)
    samples = ragged_sample_paired(values, scores, torch.zeros(2, 1, 1), low, index, 1)
    # Far below zero softplus is the exponential, so the share is a sigmoid of the difference.
    torch.testing.assert_close(samples.values.flatten(), torch.sigmoid(torch.tensor([1.0])))
    samples.values.sum().backward()
    assert bool(torch.isfinite(scores.grad).all())


def test_wrong_arguments_are_named():
    index, one = RaggedIndex(torch.tensor([0, 1])), torch.zeros(1, 1)
    with pytest.raises(ShapeError, match="S >= 2k = 2"):
        ragged_sample_paired(one[..., None], one, one[..., None], one, index, 1)
    with pytest.raises(ConfigError, match="num_samples"):
        ragged_sample_paired(one[..., None], one, one[..., None], one, index, 0)


def test_there_may_be_more_supports_than_are_needed(normal):
    index, k = RaggedIndex(torch.tensor([0, 1])), 1
    values, scores = normal(1, 1, 2), torch.zeros(1, 1).double()
    supports, support_scores = normal(5, 1, 2), torch.tensor([[-1.0], [3.0], [-2.0], [2.0], [-3.0]]).double()
    samples = ragged_sample_paired(values, scores, supports, support_scores, index, k)
    few = ragged_sample_paired(values, scores, supports[[1, 3]], support_scores[[1, 3]], index, k)
    torch.testing.assert_close(samples.values, few.values)
    with pytest.raises(ShapeError, match=r"^support_scores: got \[5, 1\], expected \[S, H\] with S >= 2k = 6$"):
        ragged_sample_paired(values, scores, supports, support_scores, index, 3)
