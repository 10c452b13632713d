"""Random features: of a relative positional encoding, and the positive ones of the exponential of a product."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.autocast import without_autocast
from pyg_samsa.typing import Complex, Float


def fourier_features(
    pos: Float[Tensor, "T l"], frequencies: Float[Tensor, "H m l"], ratio: Float[Tensor, "H m"]
) -> tuple[Complex[Tensor, "T H m"], Complex[Tensor, "T H m"]]:
    r"""Random Fourier features of a relative positional encoding (theorem 4.1 of `FLT
    <https://arxiv.org/abs/2302.01925>`_).

    .. math::
        f(z) = \int g(\omega) \, e^{2 \pi i \omega^\top z} \, d\omega, \qquad \omega_1, \dots, \omega_m \sim p

        \varphi(r) = \tfrac{1}{\sqrt{m}} \Bigl[ \tfrac{g(\omega_t)}{p(\omega_t)} \, e^{2 \pi i \omega_t^\top r}
        \Bigr]_t, \qquad \psi(r) = \tfrac{1}{\sqrt{m}} \bigl[ e^{-2 \pi i \omega_t^\top r} \bigr]_t, \qquad
        \mathbb{E}\bigl[\varphi(r_i)^\top \psi(r_j)\bigr] = f(r_i - r_j)

    The paper allows any a, b with a b = g / p as factors of :math:`\varphi` and :math:`\psi`; here a = g / p and b = 1.
    The product depends on :math:`r_i - r_j` alone, for every single draw.

    Args:
        pos: Positions r.
        frequencies: Draws from p.
        ratio: g / p at the draws, of either sign.

    Returns:
        phi and psi, complex.

    Raises:
        ShapeError: Positions and frequencies differ in their number of dimensions.

    Example:
        With the ratio 1 the encoding of no distance is 1, whatever was drawn:

        >>> phi, psi = fourier_features(torch.zeros(1, 3), torch.randn(2, 4, 3), torch.ones(2, 4))
        >>> (phi * psi).sum(-1).real
        tensor([[1., 1.]])

    Cost: O(T H m l).
    """
    waves = fourier_waves(pos, frequencies)
    cosine, sine = waves.chunk(2, dim=-1)
    return torch.complex(cosine * ratio, sine * ratio), torch.complex(cosine, -sine)


def fourier_waves(pos: Float[Tensor, "T l"], frequencies: Float[Tensor, "H m l"]) -> Float[Tensor, "T H 2*m"]:
    r"""Real form of `fourier_features`, shared by queries and keys: cosines, then sines, over :math:`\sqrt{m}`.

    .. math::
        \mathrm{Re}\bigl(\varphi(r_i)^\top \psi(r_j)\bigr) = \tfrac{1}{m} \sum_t \tfrac{g(\omega_t)}{p(\omega_t)}
            \bigl( \cos \theta_{it} \cos \theta_{jt} + \sin \theta_{it} \sin \theta_{jt} \bigr),
            \qquad \theta_{it} = 2 \pi \omega_t^\top r_i

    Args:
        pos: Positions r.
        frequencies: Frequencies, in turns per unit of position.

    Returns:
        Waves.

    Raises:
        ShapeError: Positions and frequencies differ in their number of dimensions.

    Example:
        A quarter of a turn is cosine 0 and sine 1:

        >>> fourier_waves(torch.tensor([[0.0], [0.25]]), torch.ones(1, 1, 1)).round(decimals=4).abs()
        tensor([[[1., 0.]],
        <BLANKLINE>
                [[0., 1.]]])

    Cost: O(T H m l).
    """
    if pos.dim() != 2 or pos.size(1) != frequencies.size(2):
        raise ShapeError("pos", list(pos.shape), f"[T, {frequencies.size(2)}], one position a token")
    with without_autocast(pos):
        turns = (pos @ frequencies.flatten(0, 1).t().to(pos.dtype)).view(-1, *frequencies.shape[:2])
    # Whole turns carry nothing, and without them the angles of far positions lose no more digits.
    angle = (turns - turns.detach().round()).mul_(2 * math.pi)
    return torch.cat([angle.cos(), angle.sin()], dim=-1).mul_(1 / math.sqrt(frequencies.size(1)))


def append_waves(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "T H C"],
    waves: Float[Tensor, "T H waves"],
    ratio: Float[Tensor, "H m"],
) -> tuple[Float[Tensor, "T H C+2*m"], Float[Tensor, "T H C+2*m"]]:
    r"""Append the features of positions to queries and keys, so that their scaled product is the logit of attention
    with its additive encoding.

    .. math::
        q' = \bigl[q, \; C^{1/4} \, \mathrm{Re}\,\varphi, \; C^{1/4} \, \mathrm{Im}\,\varphi\bigr], \qquad
        k' = \bigl[k, \; C^{1/4} \, \mathrm{Re}\,\psi, \; -C^{1/4} \, \mathrm{Im}\,\psi\bigr]

        \frac{q'^\top k'}{\sqrt{C}} = \frac{q^\top k}{\sqrt{C}} + \mathrm{Re}\bigl(\varphi^\top \psi\bigr)

    Args:
        query: Queries [T, H, C].
        key: Keys [T, H, C].
        waves: `fourier_waves` of the tokens [T, H, 2m].
        ratio: g / p at the draws [H, m].

    Returns:
        Queries and keys [T, H, C + 2m].

    Example:
        >>> waves, ratio = fourier_waves(torch.tensor([[0.0], [0.5]]), torch.ones(1, 1, 1)), torch.full((1, 1), 0.25)
        >>> query, key = append_waves(torch.zeros(2, 1, 4), torch.zeros(2, 1, 4), waves, ratio)
        >>> torch.round(query[:, 0] @ key[:, 0].T / 2, decimals=4) + 0.0  # half a wave apart
        tensor([[ 0.2500, -0.2500],
                [-0.2500,  0.2500]])

    Cost: O(T H (C + m)).
    """
    scaled = waves * query.size(-1) ** 0.25
    return torch.cat([query, scaled * ratio.repeat(1, 2)], dim=-1), torch.cat([key, scaled], dim=-1)


def orthogonal_gaussian(
    heads: int,
    num_features: int,
    channels: int,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "H M F"]:
    r"""Draw the projections W of `FAVOR+ <https://arxiv.org/abs/2009.14794>`_: normal vectors, orthogonal in blocks.

    .. math::
        w_m \sim \mathcal{N}(0, I_F), \qquad
        w_m^\top w_{m'} = 0 \;\text{ for } m \ne m' \text{ of the same block of F rows}

    Each block is the Q of a QR decomposition of a Gaussian matrix, its rows scaled by norms of Gaussian vectors
    (section 3.2 there).

    Args:
        heads: Number of heads H, each with draws of its own.
        num_features: Rows M of a head.
        channels: Channels F of the vectors to project.
        generator: Source of random numbers; by default torch's own.
        dtype: Floating type of the result; by default torch's default type. The numbers drawn are those of float64.

    Returns:
        Projections.

    Example:
        >>> rows = orthogonal_gaussian(1, 3, 3)[0]
        >>> bool(((rows @ rows.T).triu(1).abs() < 1e-5).all())
        True

    Cost: O(H M F^2).
    """
    blocks = -(-num_features // channels)
    gaussian = torch.randn(heads, blocks, channels, channels, generator=generator, dtype=torch.float64)
    basis, triangle = torch.linalg.qr(gaussian)
    # With the signs of the diagonal the basis is uniform among all, whatever convention the decomposition follows.
    basis = basis * triangle.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    rows = basis.transpose(-1, -2).reshape(heads, blocks * channels, channels)[:, :num_features]
    norms = torch.randn(heads, num_features, channels, generator=generator, dtype=torch.float64).norm(
        dim=-1, keepdim=True
    )
    return (rows * norms).to(torch.get_default_dtype() if dtype is None else dtype)


def positive_features(
    x: Float[Tensor, "T H F"],
    projection: Float[Tensor, "H M F"],
    stabilizer: Float[Tensor, "..."] | None = None,
    eps: float = 1e-6,
) -> Float[Tensor, "T H M"]:
    r"""Positive random features whose inner product estimates the exponential of an inner product without bias.

    .. math::
        F(x) = \tfrac{1}{\sqrt{M}} \exp\!\bigl(W x - \tfrac{1}{2} \lVert x \rVert^2 - c\bigr) + \epsilon, \qquad
        \mathbb{E}\bigl[F(x)^\top F(y)\bigr] = e^{x^\top y} \quad \text{for } c = \epsilon = 0

    From `FAVOR+ <https://arxiv.org/abs/2009.14794>`_ (lemma 1).

    Args:
        x: Vectors.
        projection: W, see `orthogonal_gaussian`.
        stabilizer: c, broadcast to [T, H, M]; None is zero. Attention divides it out, but for the part of
            :math:`\epsilon`.
        eps: Added, so that no sum of features is zero.

    Returns:
        Features, all positive.

    Example:
        >>> x, seed = torch.tensor([[[0.5, 0.0]]]), torch.Generator().manual_seed(0)
        >>> features = positive_features(x, orthogonal_gaussian(1, 20000, 2, generator=seed))
        >>> bool((features.square().sum() - torch.tensor(0.25).exp()).abs() < 0.05)
        True

    Cost: O(T H M F).
    """
    exponent = torch.einsum("thf,hmf->thm", x, projection) - x.square().sum(-1, keepdim=True) / 2
    if stabilizer is not None:
        exponent = exponent - stabilizer
    return exponent.exp() / math.sqrt(projection.size(1)) + eps
