from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.errors import ConfigError


class Spectrum(NamedTuple):
    """Draws of a `SpectralEncoding`.

    Attributes:
        frequencies: In turns per unit of position, [H, m, l].
        ratio: Spectrum over the density that they were drawn from, [H, m].
    """

    frequencies: Tensor
    ratio: Tensor


class SpectralEncoding(Module):
    r"""Base of the relative positional encodings of `FLT <https://arxiv.org/abs/2302.01925>`_: a function of the difference of two positions, known
    by its Fourier transform g, which is estimated at frequencies drawn from a density p.

    .. math::
        f(z) = \int g(\omega) \, e^{2 \pi i \omega^\top z / L} \, d\omega
        \approx \frac{1}{m} \sum_{t=1}^m \frac{g(\omega_t)}{p(\omega_t)} \cos\bigl(2 \pi \omega_t^\top z / L\bigr)

    f is added to the logits of attention. Every head has an f and draws of its own: heads that look near and heads that look far are what such an
    encoding is for, and it costs a few numbers. Draws are a buffer, fixed until `redraw`; all else is learned.

    A subclass draws in `sample`, and gives g / p in `ratio` and f in `closed_form`, all in units of L.

    Args:
        heads: Number of heads H.
        num_dims: Dimensions l of a position.
        num_frequencies: Draws m of a head; the error of the estimate falls as the square root of them.
        length_scale: L, above 0: the distance at which the encoding should vary, in units of the positions, such as 10 for places in a sequence, 2
            for a molecule in ångström and 0.5 for a cloud in the unit ball.
    """

    draws: Tensor

    def __init__(self, heads: int, num_dims: int, num_frequencies: int, length_scale: float = 1.0) -> None:
        super().__init__()
        for key, value in (("heads", heads), ("num_dims", num_dims), ("num_frequencies", num_frequencies)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(key, value, "an integer of at least 1")
        if isinstance(length_scale, bool) or not (math.isfinite(length_scale) and length_scale > 0):
            raise ConfigError("length_scale", length_scale, "a distance above 0")
        self.heads, self.num_dims, self.num_frequencies, self.length_scale = (
            heads,
            num_dims,
            num_frequencies,
            float(length_scale),
        )
        self.register_buffer("draws", torch.zeros(heads, num_frequencies, num_dims))

    def reset_parameters(self) -> None:
        """Draw new weights and frequencies."""
        self.reset_weights()
        self.redraw()

    @torch.no_grad()
    def redraw(self, generator: torch.Generator | None = None) -> None:
        """Draw new frequencies, on the CPU in float64, so that they are the same on every device."""
        self.draws.copy_(self.sample(generator))

    def forward(self) -> Spectrum:
        """Return the frequencies [H, m, l] and g / p at them [H, m]."""
        omega = self.frequencies()
        return Spectrum(omega / self.length_scale, self.ratio(omega))

    def kernel(self, z: Tensor) -> Tensor:
        """Return what the features estimate, f of differences of positions [..., l], in closed form and of every head: [H, ...]."""
        return self.closed_form(z / self.length_scale)

    def estimate(self, z: Tensor) -> Tensor:
        """Return the estimate of f from the present draws, at differences of positions [..., l]: [H, ...]."""
        spectrum = self()
        angle = 2 * math.pi * torch.einsum("...l,hml->h...m", z, spectrum.frequencies)
        shape = (self.heads, *[1] * (z.dim() - 1), -1)
        return (spectrum.ratio.view(shape) * angle.cos()).mean(-1)

    def reset_weights(self) -> None:
        """Draw new weights."""
        raise NotImplementedError

    def sample(self, generator: torch.Generator | None) -> Tensor:
        """Draw [H, m, l] in float64."""
        raise NotImplementedError

    def frequencies(self) -> Tensor:
        """Return the frequencies [H, m, l] of the draws, in turns per L."""
        return self.draws

    def ratio(self, omega: Tensor) -> Tensor:
        """Return g / p at frequencies [H, m, l] as [H, m]."""
        raise NotImplementedError

    def closed_form(self, z: Tensor) -> Tensor:
        """Return f at z / L [..., l] as [H, ...]."""
        raise NotImplementedError

    def _normal(self, generator: torch.Generator | None) -> Tensor:
        return torch.randn(self.draws.shape, generator=generator, dtype=torch.float64)

    def _uniform(self, generator: torch.Generator | None) -> Tensor:
        """Draw from (0, 1): neither end."""
        return torch.rand(self.draws.shape, generator=generator, dtype=torch.float64).clamp_(1e-15, 1 - 1e-15)

    def _per_head(self, weights: Tensor, z: Tensor) -> Tensor:
        """View weights [H, ...] so that they broadcast against z [..., l] with a head dimension before."""
        return weights.view(weights.size(0), *[1] * (z.dim() - 1), *weights.shape[1:])

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"heads={self.heads}, num_dims={self.num_dims}, num_frequencies={self.num_frequencies}, length_scale={self.length_scale:g}"
