from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.options import check_integer, check_positive
from pyg_samsa.typing import Float


class Spectrum(NamedTuple):
    r"""Draws of a `SpectralEncoding`: frequencies :math:`\omega` and ratios :math:`g(\omega) / p(\omega)`.

    Attributes:
        frequencies: In turns per unit of position.
        ratio: Spectrum over the density that they were drawn from.

    Example:
        >>> Spectrum(torch.randn(2, 16, 3), torch.ones(2, 16)).ratio.shape
        torch.Size([2, 16])
    """

    frequencies: Float[Tensor, "H m l"]
    ratio: Float[Tensor, "H m"]


class SpectralEncoding(Module):
    r"""Base of the relative positional encodings of `FLT <https://arxiv.org/abs/2302.01925>`_ (theorem 4.1).

    The encoding f of the difference of two positions is defined by its Fourier transform g, which is evaluated at
    frequencies drawn from a density p:

    .. math::
        f(z) = \int g(\omega) \, e^{2 \pi i \omega^\top z / L} \, d\omega
        \approx \frac{1}{m} \sum_{t=1}^m \frac{g(\omega_t)}{p(\omega_t)} \cos\bigl(2 \pi \omega_t^\top z / L\bigr)

    The encoding is added to the logits of attention. Every head has its own f and draws [ours], so that some heads can
    attend to near tokens and others to far ones. Draws are a buffer, fixed until `redraw`; everything else is learned.

    A subclass draws in `sample`, and gives g / p in `ratio` and f in `closed_form`, all in units of L.

    Args:
        heads: Number of heads H.
        num_dims: Dimensions l of a position.
        num_frequencies: Draws m of a head; the error of the estimate falls as their square root.
        length_scale: L, above 0: the distance at which the encoding should vary, in units of the positions, such as 10
            for places in a sequence, 2 for a molecule in ångström and 0.5 for a cloud in the unit ball.

    Shapes:
        - **output:** frequencies [H, m, l], ratios [H, m]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        A constant encoding, whose spectrum is concentrated at zero:

        >>> class Constant(SpectralEncoding):
        ...     def sample(self, generator):
        ...         return torch.zeros_like(self.draws)
        ...     def ratio(self, omega):
        ...         return omega.new_full(omega.shape[:2], 3.0)
        >>> Constant(heads=1, num_dims=2, num_frequencies=4).estimate(torch.randn(5, 2))
        tensor([[3., 3., 3., 3., 3.]])

    Cost: O(H m l).
    """

    draws: Tensor

    def __init__(self, heads: int, num_dims: int, num_frequencies: int, length_scale: float = 1.0) -> None:
        super().__init__()
        for key, value in (("heads", heads), ("num_dims", num_dims), ("num_frequencies", num_frequencies)):
            check_integer(key, value)
        check_positive("length_scale", length_scale)
        self.heads, self.num_dims, self.num_frequencies, self.length_scale = (
            heads,
            num_dims,
            num_frequencies,
            float(length_scale),
        )
        self.register_buffer("draws", torch.zeros(heads, num_frequencies, num_dims))

    def reset_parameters(self) -> None:
        """Draw new weights and frequencies.

        Example:
            >>> from pyg_samsa.nn import LocalBoxEncoding
            >>> encoding = LocalBoxEncoding(heads=1)
            >>> before = encoding.draws.clone()
            >>> encoding.reset_parameters()
            >>> torch.equal(before, encoding.draws)
            False
        """
        self.reset_weights()
        self.redraw()

    @torch.no_grad()
    def redraw(self, generator: torch.Generator | None = None) -> None:
        r"""Draw new frequencies :math:`\omega_t \sim p`, on the CPU in float64, so that they are the same on every
        device.

        Args:
            generator: Source of random numbers; torch's own by default.

        Example:
            >>> from pyg_samsa.nn import LocalBoxEncoding
            >>> one, other = LocalBoxEncoding(heads=1), LocalBoxEncoding(heads=1)
            >>> for encoding in (one, other):
            ...     encoding.redraw(torch.Generator().manual_seed(0))
            >>> torch.equal(one.draws, other.draws)
            True
        """
        self.draws.copy_(self.sample(generator))

    def forward(self) -> Spectrum:
        r"""Return the frequencies :math:`\omega_t / L` and the ratios :math:`g(\omega_t) / p(\omega_t)`.

        Example:
            >>> from pyg_samsa.nn import GaussianMixtureEncoding
            >>> frequencies, ratio = GaussianMixtureEncoding(heads=2, num_dims=3, num_frequencies=5)()
            >>> frequencies.shape, ratio.shape
            (torch.Size([2, 5, 3]), torch.Size([2, 5]))
        """
        omega = self.frequencies()
        return Spectrum(omega / self.length_scale, self.ratio(omega))

    def kernel(self, z: Float[Tensor, "... l"]) -> Float[Tensor, "H ..."]:
        """Return :math:`f(z)` of every head in closed form, which the features estimate.

        Args:
            z: Differences of positions.

        Example:
            >>> from pyg_samsa.nn import ShiftInvariantEncoding
            >>> ShiftInvariantEncoding(heads=1).kernel(torch.tensor([[0.0], [1.0]])).detach()  # exp(-1 / 2)
            tensor([[1.0000, 0.6065]])
        """
        return self.closed_form(z / self.length_scale)

    def estimate(self, z: Float[Tensor, "... l"]) -> Float[Tensor, "H ..."]:
        r"""Return the estimate of f from the present draws, :math:`\tfrac{1}{m} \sum_t \tfrac{g}{p} \cos(2 \pi
        \omega_t^\top z / L)`.

        Args:
            z: Differences of positions.

        Example:
            At distance 0 every draw estimates the amplitude exactly:

            >>> from pyg_samsa.nn import ShiftInvariantEncoding
            >>> ShiftInvariantEncoding(heads=1).estimate(torch.zeros(1, 1)).detach()
            tensor([[1.]])

        Cost: O(H m l) for each difference.
        """
        spectrum = self()
        angle = 2 * math.pi * torch.einsum("...l,hml->h...m", z, spectrum.frequencies)
        shape = (self.heads, *[1] * (z.dim() - 1), -1)
        return (spectrum.ratio.view(shape) * angle.cos()).mean(-1)

    def reset_weights(self) -> None:
        """Draw new weights; the base class has none."""

    def sample(self, generator: torch.Generator | None) -> Float[Tensor, "H m l"]:
        r"""Draw frequencies :math:`\omega_t \sim p` in float64, in turns per L."""
        raise NotImplementedError

    def frequencies(self) -> Float[Tensor, "H m l"]:
        r"""Return the frequencies :math:`\omega_t` of the draws, in turns per L.

        Example:
            >>> from pyg_samsa.nn import LocalBoxEncoding
            >>> encoding = LocalBoxEncoding(heads=2, num_dims=3)
            >>> encoding.frequencies() is encoding.draws
            True
        """
        return self.draws

    def ratio(self, omega: Float[Tensor, "H m l"]) -> Float[Tensor, "H m"]:
        r"""Return :math:`g(\omega) / p(\omega)`.

        Args:
            omega: Frequencies, in turns per L.
        """
        raise NotImplementedError

    def closed_form(self, z: Float[Tensor, "... l"]) -> Float[Tensor, "H ..."]:
        """Return :math:`f` at differences of positions in units of L.

        Args:
            z: Differences of positions, divided by L.
        """
        raise NotImplementedError

    def _normal(self, generator: torch.Generator | None) -> Tensor:
        return torch.randn(self.draws.shape, generator=generator, dtype=torch.float64)

    def _uniform(self, generator: torch.Generator | None) -> Tensor:
        """Draw from (0, 1), without the ends."""
        return torch.rand(self.draws.shape, generator=generator, dtype=torch.float64).clamp_(1e-15, 1 - 1e-15)

    def _per_head(self, weights: Tensor, z: Tensor) -> Tensor:
        """View weights [H, ...] so that they broadcast against z [..., l] with a head dimension before."""
        return weights.view(weights.size(0), *[1] * (z.dim() - 1), *weights.shape[1:])

    def extra_repr(self) -> str:
        """Return the sizes as they appear in the ``repr``."""
        sizes = f"heads={self.heads}, num_dims={self.num_dims}, num_frequencies={self.num_frequencies}"
        return f"{sizes}, length_scale={self.length_scale:g}"
