"""What is true of SFT's theory and what is not: the sentences and the numbers of docs/theory.md."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.functional import jacobian

from pyg_samsa.functional import RaggedIndex, leaky_probability, maxout_score, relative_attention
from pyg_samsa.functional.maxout import STD_OF_MAX
from pyg_samsa.nn import SFTConv

PAGE = (Path(__file__).parents[2] / "docs" / "theory.md").read_text(encoding="utf-8")
seeds = st.integers(0, 2**31 - 1)
ONE_GRAPH = RaggedIndex(torch.tensor([0, 1]))


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def row(name: str, table: int = 0) -> list[float]:
    """Return the numbers of a row of a table in the page, the ``table``-th of those with such a row."""
    lines = [line for line in PAGE.splitlines() if line.startswith(f"| {name} |")]
    numbers = re.findall(r"[−-]?\d+(?:\.\d+)?", lines[table].split("|", 2)[2])
    return [float(number.replace("−", "-")) for number in numbers]


def probability(query: Tensor, keys: Tensor, leak: float) -> Tensor:
    """Probabilities of keys [K, C] for queries [n, C]."""
    return leaky_probability(maxout_score(query, keys), torch.tensor(leak, dtype=query.dtype))


def output(query: Tensor, keys: Tensor, values: Tensor, leak: float, score: str = "maxout") -> Tensor:
    """The attention of one query [C]."""
    mass = torch.full((1, 1), leak, dtype=query.dtype)
    return relative_attention(query[None, None], keys[None, None], values[None, None], mass, ONE_GRAPH, score=score)[
        0, 0
    ]


def sized(*shape: int) -> Tensor:
    """Normal numbers of very different sizes."""
    return torch.randn(*shape, dtype=torch.float64) * 10.0 ** torch.empty(()).uniform_(-1, 1)


@settings(max_examples=100, deadline=None)
@given(seed=seeds, channels=st.integers(1, 5), share=st.floats(0, 1))
def test_the_score_is_convex_in_query_and_key_together(seed, channels, share):
    torch.manual_seed(seed)
    first, second = sized(2, 1, channels), sized(2, 1, channels)
    between = share * first + (1 - share) * second
    chord = share * maxout_score(*first) + (1 - share) * maxout_score(*second)
    assert float(maxout_score(*between)) <= float(chord) + 1e-12


@settings(max_examples=100, deadline=None)
@given(
    seed=seeds,
    channels=st.integers(1, 4),
    count=st.integers(1, 4),
    share=st.floats(0, 1),
    leak=st.sampled_from([0.01, 1.0, 5.0]),
)
def test_a_probability_is_quasiconvex_in_its_own_key(seed, channels, count, share, leak):
    torch.manual_seed(seed)
    query, keys, others = sized(1, channels), sized(count, channels), sized(2, channels)

    def at(key: Tensor) -> float:
        return float(probability(query, torch.cat([key[None], keys[1:]]), leak)[0, 0])

    assert at(share * others[0] + (1 - share) * others[1]) <= max(at(others[0]), at(others[1])) + 1e-12


@settings(max_examples=100, deadline=None)
@given(seed=seeds, channels=st.integers(1, 3), leak=st.sampled_from([0.01, 1.0]))
def test_a_probability_without_gradient_for_its_own_key_is_minimal(seed, channels, leak):
    torch.manual_seed(seed)
    query, keys = sized(1, channels), sized(3, channels)
    own = (query[0] - torch.rand(channels, dtype=torch.float64) * torch.randint(-1, 3, (channels,))).requires_grad_()
    here = probability(query, torch.cat([own[None], keys[1:]]), leak)[0, 0]
    assume(not torch.autograd.grad(here, own)[0].any())
    for other in sized(10, channels):
        assert float(here.detach()) <= float(probability(query, torch.cat([other[None], keys[1:]]), leak)[0, 0]) + 1e-12


def test_a_probability_is_not_quasiconvex_in_the_query():
    places = row("t")
    assert len(places) == 3
    assert places == sorted(places)
    query = torch.stack([double([t, 0.0]) for t in places])
    start, middle, end = probability(query, double([[0.0, 6.0], [2.0, 0.0]]), 1.0)[:, 0].tolist()
    assert middle > max(start, end) + 0.05
    assert [round(number, 4) for number in (start, middle, end)] == row("A_1")


def counter_example() -> SFTConv:
    """The layer of the page: the keys are two support pairs, which every graph samples, and the query is the token
    itself.
    """
    conv = SFTConv(2, heads=1, num_samples=2).double().eval()
    with torch.no_grad():
        for linear in (conv.query, conv.out):
            linear.weight.copy_(torch.eye(2))
            linear.bias.zero_()
        conv.support_score.copy_(double([[1e3], [1e3], [-1e3], [-1e3]]))
        conv.support_key_value[:2] = double([[0.0, 6.0, 1.0, 0.0], [2.0, 0.0, 0.0, 0.0]])
        conv.leak_weight.zero_()
        conv.leak_bias.fill_(math.log(math.expm1(0.5)))
    return conv


def test_the_layer_is_not_quasiconvex_and_so_not_pseudoconvex():
    conv = counter_example()
    first = [float(conv(double([[t, 0.0]])).detach()[0, 0]) for t in row("t")]
    assert [round(number, 4) for number in first] == row("A_1")
    assert first[1] > max(first[0], first[2])


def test_a_point_without_gradient_need_not_be_a_minimum():
    outputs, slopes = [], []
    for place in row("q"):
        query = double([place]).requires_grad_()
        out = output(query, double([[-1.0]]), double([[-1.0]]), 1.0)
        outputs.append(round(float(out.detach()), 4))
        slopes.append(round(float(torch.autograd.grad(out.sum(), query)[0]), 4))
    assert outputs == row("output")
    assert slopes == row("gradient")
    assert slopes[0] == 0
    assert outputs[1] < outputs[0]


def test_an_output_is_not_quasiconvex_in_a_key():
    query, other, values = double([0.0, 0.0]), double([1.5, 1.5]), double([[-1.0, 0.0], [1.0, 0.0]])
    ends = [double([8.0, -8.0]), double([-8.0, 8.0])]
    one, two, middle = (
        float(output(query, torch.stack([key, other]), values, 1.0)[0]) for key in (*ends, sum(ends) / 2)
    )
    assert middle > max(one, two) + 0.5


@settings(max_examples=100, deadline=None)
@given(
    seed=seeds,
    channels=st.integers(1, 4),
    count=st.integers(1, 6),
    leak=st.sampled_from([0.1, 1.0, 10.0]),
    size=st.sampled_from([1.0, 1e3]),
)
def test_the_gradient_is_bounded_whatever_the_keys(seed, channels, count, leak, size):
    torch.manual_seed(seed)
    query, keys, values = sized(channels), sized(count, channels) * size, sized(count, channels)
    gradient = torch.linalg.matrix_norm(jacobian(lambda q: output(q, keys, values, leak), query), ord=2)
    bound = 2 * count * float(torch.linalg.vector_norm(values, dim=1).max()) / (STD_OF_MAX * leak)
    assert float(gradient) <= bound * (1 + 1e-12)


def test_the_gradient_of_softmax_is_not():
    keys, values, query = double([[1e3], [-1e3]]), double([[1.0], [-1.0]]), double([0.0])
    bound = 2 * 2 * 1.0 / (STD_OF_MAX * 1.0)
    assert float(jacobian(lambda q: output(q, keys, values, 1.0), query).abs()) <= bound
    assert float(jacobian(lambda q: output(q, keys, values, 1.0, score="softmax"), query).abs()) > 50 * bound


@pytest.mark.parametrize("score", ["maxout", "softmax"])
def test_the_leak_tells_queries_apart_where_values_are_equal(score):
    torch.manual_seed(0)
    index, value = RaggedIndex(torch.tensor([0, 20])), torch.randn(1, 1, 1, 4, dtype=torch.float64)
    query, key = torch.randn(20, 1, 4, dtype=torch.float64) + 1, torch.randn(1, 1, 5, 4, dtype=torch.float64)

    def rows(leak: float) -> Tensor:
        mass = torch.full((1, 1), leak, dtype=torch.float64)
        return relative_attention(query, key, value.expand(-1, -1, 5, -1), mass, index, score=score)[:, 0]

    torch.testing.assert_close(rows(0.0), value[0, 0].expand(20, -1), rtol=0, atol=1e-6)
    leaky = rows(2.0)
    weights = (
        maxout_score(query[:, 0], key[0, 0]).relu() if score == "maxout" else torch.exp(query[:, 0] @ key[0, 0].T / 2)
    )
    r = weights.sum(1, keepdim=True)
    torch.testing.assert_close(leaky, value[0, 0] * r / (r + 2.0), rtol=0, atol=1e-8)
    centred = leaky - leaky.mean(0)
    assert int(torch.linalg.matrix_rank(centred, rtol=1e-6)) == 1
    assert len({round(float(number), 6) for number in leaky[:, 0]}) == 20
