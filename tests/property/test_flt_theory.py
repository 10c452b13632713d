"""What is true of FLT: the identity of concatenation, estimates without bias against closed forms, their rate, and how
they move with positions.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import sici

from pyg_samsa.functional import (
    append_waves,
    fourier_features,
    fourier_waves,
    orthogonal_gaussian,
    positive_features,
    sequence_positions,
)
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.reference import flt
from pyg_samsa.nn import FLTConv, GaussianMixtureEncoding, LocalBoxEncoding, LocalTentEncoding, ShiftInvariantEncoding

MAKERS = {
    "gaussian_mixture": GaussianMixtureEncoding,
    "gaussian": lambda *args: ShiftInvariantEncoding(*args, kernel="gaussian"),
    "exponential": lambda *args: ShiftInvariantEncoding(*args, kernel="exponential"),
    "matern32": lambda *args: ShiftInvariantEncoding(*args, kernel="matern32"),
    "matern52": lambda *args: ShiftInvariantEncoding(*args, kernel="matern52"),
    "local_tent": LocalTentEncoding,
    "local_box": LocalBoxEncoding,
}


def make(name, heads=1, num_dims=1, draws=200_000, length=1.5):
    """An encoding with weights away from where they start."""
    torch.manual_seed(0)
    encoding = MAKERS[name](heads, num_dims, draws, length).double()
    with torch.no_grad():
        for weight in encoding.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return encoding


def expected(encoding, z):
    """What the draws estimate: f, and for the box, whose density ends somewhere, the box without the frequencies
    beyond.
    """
    if not isinstance(encoding, LocalBoxEncoding):
        return encoding.kernel(z)
    width, r, z = torch.exp(encoding.log_width).detach(), encoding.cutoff, z / encoding.length_scale
    edges = [torch.from_numpy(sici((2 * math.pi * r * (width[:, None] + sign * z)).numpy())[0]) for sign in (1, -1)]
    return encoding.amplitude[:, None] * (sum(edges) / math.pi).prod(-1)


@pytest.mark.parametrize("num_dims", [1, 3])
@pytest.mark.parametrize("name", MAKERS)
def test_estimates_have_the_closed_form_as_their_mean(name, num_dims):
    encoding = make(name, num_dims=num_dims)
    z = torch.randn(12, num_dims, dtype=torch.float64) * torch.linspace(0, 1.5, 12, dtype=torch.float64)[:, None]
    with torch.no_grad():
        omega, ratio = encoding()
        terms = ratio[0] * torch.cos(2 * math.pi * z @ omega[0].T)
        error, spread = terms.mean(1) - expected(encoding, z)[0], terms.std(1) / math.sqrt(terms.size(1))
        torch.testing.assert_close(encoding.estimate(z)[0], terms.mean(1))
    assert bool((error.abs() < 4.5 * spread + 1e-12).all()), (error / spread).tolist()
    # And the test can tell: a few hundredths of the scale of f are seen, for the cube, whose variance is the largest, a
    # fifth.
    assert float(spread.max()) < (0.05 if name == "local_box" else 0.004) * max(
        1.0, float(encoding.kernel(z[:1] * 0).detach().abs())
    )


@pytest.mark.parametrize("name", ["gaussian_mixture", "gaussian", "matern32", "local_tent", "local_box"])
def test_the_error_falls_as_the_root_of_the_draws(name):
    encoding = make(name, draws=2**17)
    z = torch.linspace(0, 2, 9, dtype=torch.float64)[:, None]
    with torch.no_grad():
        omega, ratio = encoding()
        terms = ratio[0] * torch.cos(2 * math.pi * z @ omega[0].T) - expected(encoding, z)[0][:, None]
    counts = [2**power for power in range(2, 10)]
    errors = [terms.unflatten(1, (-1, m)).mean(-1).square().mean().sqrt() for m in counts]
    slope = torch.linalg.lstsq(
        torch.stack([torch.tensor(counts).double().log(), torch.ones(len(counts), dtype=torch.float64)], dim=1),
        torch.stack(errors).log()[:, None],
    ).solution[0]
    assert -0.55 < float(slope) < -0.45


def test_spectra_are_those_of_the_paper():
    torch.manual_seed(1)
    mixture, box, tent = (
        make(name, heads=2, num_dims=2, draws=5) for name in ("gaussian_mixture", "local_box", "local_tent")
    )
    density = {
        mixture: lambda w: math.pi / 2 * torch.exp(-(math.pi**2) * (w @ w) / 2),
        box: lambda w: (1 / (2 * math.log1p(8 / 0.5) * (0.5 + w.abs()))).prod(),
        tent: lambda w: ((1 / math.pi) / (math.pi * (math.pi**-2 + w * w))).prod(),
    }
    for encoding in (mixture, box, tent):
        omega, ratio = encoding()
        omega = omega * encoding.length_scale
        for h in range(2):
            for t in range(5):
                if encoding is mixture:
                    weights = (mixture.amplitude[h], mixture.mean[h], mixture.log_width[h].exp())
                    g = flt.gaussian_mixture_spectrum(omega[h, t], *weights)
                    f = flt.gaussian_mixture_kernel(omega[h, t] / encoding.length_scale, *weights)
                    torch.testing.assert_close(mixture.kernel(omega[h, t])[h], f, rtol=1e-10, atol=1e-12)
                else:
                    g = {box: flt.local_box_spectrum, tent: flt.local_tent_spectrum}[encoding](
                        omega[h, t], encoding.amplitude[h], encoding.log_width[h].exp()
                    )
                torch.testing.assert_close(ratio[h, t], g / density[encoding](omega[h, t]), rtol=1e-9, atol=1e-12)


def test_concatenated_features_add_the_encoding_to_the_logit():
    torch.manual_seed(0)
    query, key = torch.randn(2, 7, 3, 5, dtype=torch.float64)
    pos, omega, ratio = (torch.randn(*shape, dtype=torch.float64) for shape in ((7, 2), (3, 4, 2), (3, 4)))
    phi, psi = fourier_features(pos, omega, ratio)
    extended_query, extended_key = append_waves(query, key, fourier_waves(pos, omega), ratio)
    logits = torch.einsum("ihc,jhc->hij", query, key) / math.sqrt(5) + torch.einsum("iht,jht->hij", phi, psi).real
    found = torch.einsum("ihc,jhc->hij", extended_query, extended_key) / math.sqrt(5)
    torch.testing.assert_close(found, logits, rtol=0, atol=1e-12)


def test_one_sided_ratio_keeps_its_sign():
    """Roots of the ratio on both sides would lose the sign, and the ratio on both sides would square it."""
    phi, psi = fourier_features(torch.zeros(1, 1), torch.ones(1, 1, 1), torch.tensor([[-0.3]]))
    assert float((phi * psi).sum().real) == pytest.approx(-0.3)


@pytest.mark.parametrize(("features", "channels"), [(3, 4), (4, 4), (10, 4)])
def test_positive_features_estimate_the_exponential_of_the_product(features, channels):
    """Every row is a standard normal vector, so the mean is exact for any number of features; orthogonal rows only
    lower the variance.
    """
    heads = 60_000  # as many independent draws
    projection = orthogonal_gaussian(
        heads, features, channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    gram = projection[:5, : min(features, channels)] @ projection[:5, : min(features, channels)].transpose(1, 2)
    torch.testing.assert_close(gram, torch.diag_embed(gram.diagonal(dim1=1, dim2=2)), rtol=0, atol=1e-10)
    x, y = torch.randn(2, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) / 2
    of_x, of_y = (positive_features(v.expand(1, heads, -1), projection, eps=0.0)[0] for v in (x, y))
    estimates = (of_x * of_y).sum(-1)
    assert abs(float(estimates.mean() - (x @ y).exp())) < 4.5 * float(estimates.std()) / math.sqrt(heads)
    independent = torch.randn(
        heads, features, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    of_x, of_y = (positive_features(v.expand(1, heads, -1), independent, eps=0.0)[0] for v in (x, y))
    if features == channels:
        assert float(estimates.var()) < 0.98 * float((of_x * of_y).sum(-1).var())


def attention_with_encoding(conv, x, pos, kernel):
    """Softmax attention with the logits that the operator stands for."""
    size = conv.channels // conv.heads
    query = conv.query(x).view(-1, conv.heads, size)
    key, value = conv.key_value(x).view(-1, conv.heads, 2 * size).split(size, dim=-1)
    logits = torch.einsum("ihc,jhc->hij", query, key) / math.sqrt(size) + kernel(pos[:, None] - pos[None])
    return conv.out(torch.einsum("hij,jhc->ihc", logits.softmax(-1), value).flatten(1))


def test_the_operator_approaches_softmax_attention_with_the_encoding():
    errors, without = [], []
    x, pos = torch.randn(2, 12, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x / 2  # shorter vectors need fewer features
    for factor in (1, 16):
        total = []
        for seed in range(20):
            torch.manual_seed(0)
            conv = FLTConv(
                8, heads=2, encoding="shift_invariant", num_dims=1, num_features=64 * factor, num_frequencies=4 * factor
            ).double()
            conv.draw_state[0] = seed
            conv.redraw()
            with torch.no_grad():
                out = conv(x, pos=pos[:, :1])
                total.append(out - attention_with_encoding(conv, x, pos[:, :1], conv.spectrum.kernel))
                without.append(out - attention_with_encoding(conv, x, pos[:, :1], lambda z: torch.zeros(2, 12, 12)))
        errors.append(float(torch.stack(total).square().mean().sqrt()))
    # 16 times as many of both: in the limit a quarter of the error, somewhat more where few features carry most of a
    # sum.
    assert errors[1] < errors[0] / 2.5
    assert errors[1] < float(torch.stack(without[20:]).square().mean().sqrt()) / 1.5


@pytest.mark.parametrize("encoding", ["gaussian_mixture", "shift_invariant", "local_box", "local_tent"])
@pytest.mark.parametrize("causal", [False, True])
def test_shifting_a_graph_changes_nothing(encoding, causal):
    torch.manual_seed(0)
    conv = FLTConv(8, heads=2, encoding=encoding, num_dims=3, causal=causal).double()
    x, pos = torch.randn(15, 8, dtype=torch.float64), torch.randn(15, 3, dtype=torch.float64)
    index = RaggedIndex(torch.tensor([0, 6, 15]))
    shift = torch.tensor([[5.0, -3.0, 2.0], [-40.0, 1.0, 0.5]], dtype=torch.float64)[index.batch]
    torch.testing.assert_close(conv(x, ptr=index, pos=pos + shift), conv(x, ptr=index, pos=pos), rtol=0, atol=1e-9)


def test_without_an_origin_only_the_estimate_of_f_is_invariant_for_a_draw():
    """Why positions are taken relative to their graph: positive features see the phase of every wave."""
    torch.manual_seed(0)
    conv = FLTConv(8, heads=2, encoding="shift_invariant", num_dims=3).double()
    x, pos = torch.randn(9, 8, dtype=torch.float64), torch.randn(9, 3, dtype=torch.float64)
    omega, ratio = conv.spectrum()
    matrices = [flt.encoding_matrix(place, omega[0], ratio[0]) for place in (pos, pos + 3.0)]
    torch.testing.assert_close(matrices[0], matrices[1], rtol=0, atol=1e-10)
    conv._place = lambda pos, dtype, index: pos
    assert float((conv(x, pos=pos) - conv(x, pos=pos + 3.0)).detach().abs().max()) > 1e-3


def test_rotations_leave_a_kernel_of_the_distance_as_it_is_but_not_a_draw_of_it():
    encoding = make("gaussian", num_dims=3, draws=64)
    z, (rotation, _) = torch.randn(10, 3, dtype=torch.float64), torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    torch.testing.assert_close(encoding.kernel(z @ rotation), encoding.kernel(z), rtol=0, atol=1e-12)
    assert float((encoding.estimate(z @ rotation) - encoding.estimate(z)).detach().abs().max()) > 1e-3
    mixture = make("gaussian_mixture", num_dims=3, draws=64)
    assert float((mixture.kernel(z @ rotation) - mixture.kernel(z)).detach().abs().max()) > 1e-3
    torch.testing.assert_close(mixture.kernel(-z), mixture.kernel(z))


def test_far_positions_of_a_long_sequence_keep_their_digits():
    torch.manual_seed(0)
    conv = FLTConv(8, heads=2, num_dims=1, length_scale=5.0)
    pos = sequence_positions(RaggedIndex(torch.tensor([0, 40])))[:, None]
    x = torch.randn(40, 8)
    torch.testing.assert_close(conv(x, pos=pos), conv(x, pos=pos + 1_000_000), rtol=0, atol=1e-4)
