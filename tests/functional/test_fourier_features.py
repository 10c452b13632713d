"""Random features against the literal reference, and the identities that they satisfy for every draw."""

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.fourier_features import (
    append_waves,
    fourier_features,
    fourier_waves,
    orthogonal_gaussian,
    positive_features,
)
from pyg_samsa.functional.reference import flt


@pytest.mark.parametrize(("tokens", "dims", "draws"), [(1, 1, 1), (4, 3, 5), (0, 2, 3)], ids=str)
def test_features_are_the_reference(normal, tokens, dims, draws):
    pos, frequencies, ratio = normal(tokens, dims), normal(2, draws, dims), normal(2, draws)
    phi, psi = fourier_features(pos, frequencies, ratio)
    assert phi.shape == psi.shape == (tokens, 2, draws)
    for head in range(2 if tokens else 0):
        literal = flt.fourier_features(pos, frequencies[head], ratio[head])
        torch.testing.assert_close((phi[:, head], psi[:, head]), literal)


def test_the_encoding_has_the_gradients_of_the_reference(same, normal):
    pos, frequencies, ratio = normal(4, 2), normal(1, 3, 2), normal(1, 3)
    waves = fourier_waves(pos, frequencies)[:, 0]
    fast = (waves * ratio.repeat(1, 2)) @ waves.T
    same(fast, flt.encoding_matrix(pos, frequencies[0], ratio[0]), pos, frequencies, ratio)


def test_a_shift_of_all_positions_changes_no_product(normal):
    pos, frequencies = normal(5, 3, grad=False), normal(2, 7, 3, grad=False)
    one, other = fourier_waves(pos, frequencies), fourier_waves(pos + 3.7, frequencies)
    products = [torch.einsum("thm,uhm->htu", waves, waves) for waves in (one, other)]
    torch.testing.assert_close(*products)


def test_appended_waves_add_the_encoding_to_the_logits(normal):
    pos, frequencies, ratio = normal(4, 2), normal(2, 3, 2), normal(2, 3)
    query, key = normal(4, 2, 8), normal(4, 2, 8)
    longer = append_waves(query, key, fourier_waves(pos, frequencies), ratio)
    for head in range(2):
        logits = longer[0][:, head] @ longer[1][:, head].T / 8**0.5
        expected = query[:, head] @ key[:, head].T / 8**0.5 + flt.encoding_matrix(pos, frequencies[head], ratio[head])
        torch.testing.assert_close(logits, expected)
        torch.testing.assert_close(
            (longer[0][:, head], longer[1][:, head]),
            flt.extended(query[:, head], key[:, head], pos, frequencies[head], ratio[head]),
        )


def test_far_positions_keep_their_digits():
    frequencies = torch.full((1, 1, 1), 0.125, dtype=torch.float32)
    near, far = fourier_waves(torch.tensor([[1.0], [1.0 + 8 * 2**18]]), frequencies)
    torch.testing.assert_close(near, far, rtol=0, atol=1e-6)


def test_positions_of_another_dimension_are_an_error():
    with pytest.raises(ShapeError, match="pos"):
        fourier_waves(torch.zeros(3, 2), torch.zeros(1, 4, 3))
    with pytest.raises(ShapeError, match="pos"):
        fourier_features(torch.zeros(3), torch.zeros(1, 4, 3), torch.ones(1, 4))


@pytest.mark.parametrize(("features", "channels"), [(1, 1), (4, 4), (3, 8), (10, 4)], ids=str)
def test_rows_are_orthogonal_within_their_block(features, channels):
    rows = orthogonal_gaussian(2, features, channels, dtype=torch.float64)
    assert rows.shape == (2, features, channels)
    for block in rows.split(channels, dim=1):
        products = block @ block.mT
        torch.testing.assert_close(products, torch.diag_embed(products.diagonal(dim1=1, dim2=2)))


def test_rows_are_standard_normal_and_follow_the_generator():
    draws = [orthogonal_gaussian(50, 64, 16, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*draws)
    assert abs(float(draws[0].mean())) < 0.02
    assert abs(float(draws[0].var()) - 1) < 0.02
    assert not torch.equal(draws[0], orthogonal_gaussian(50, 64, 16, generator=torch.Generator().manual_seed(4)))


@pytest.mark.parametrize("stabilised", [False, True])
def test_positive_features_are_the_reference(same, normal, stabilised):
    x, projection = normal(4, 2, 3), normal(2, 5, 3)
    stabilizer = normal(1, 2, 1) if stabilised else None
    fast = positive_features(x, projection, stabilizer, eps=1e-3)
    literal = [
        flt.positive_features(x[:, h], projection[h], stabilizer[0, h, 0] if stabilised else 0.0, 1e-3)
        for h in range(2)
    ]
    same(fast, torch.stack(literal, dim=1), x, projection, *([stabilizer] if stabilised else []))


def test_features_are_positive_and_estimate_the_exponential():
    x, y = torch.tensor([[[0.3, -0.2]]]).double(), torch.tensor([[[0.5, 0.4]]]).double()
    projection = orthogonal_gaussian(1, 40_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, other = positive_features(x, projection, eps=0.0), positive_features(y, projection, eps=0.0)
    assert bool((one > 0).all())
    torch.testing.assert_close((one * other).sum(), (x * y).sum().exp(), rtol=0.02, atol=0)
