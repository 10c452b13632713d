"""Relative positional encodings that are zero outside a box."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import Parameter

from pyg_samsa.nn.encoding.spectral import SpectralEncoding
from pyg_samsa.options import check_positive
from pyg_samsa.typing import Float


class _LocalEncoding(SpectralEncoding):
    """A function that is zero outside a box around zero: amplitude and half widths of every head, [H] and [H, l]."""

    def __init__(self, heads: int, num_dims: int, num_frequencies: int, length_scale: float) -> None:
        super().__init__(heads, num_dims, num_frequencies, length_scale)
        self.amplitude = Parameter(torch.empty(heads))
        self.log_width = Parameter(torch.empty(heads, num_dims))

    def reset_weights(self) -> None:
        """Set amplitudes and half widths to 1."""
        torch.nn.init.ones_(self.amplitude)
        torch.nn.init.zeros_(self.log_width)


class LocalBoxEncoding(_LocalEncoding):
    r"""A relative positional encoding that is constant in a box and zero outside, from `FLT
    <https://arxiv.org/abs/2302.01925>`_.

    .. math::
        f(z) = a \prod_{i=1}^l \mathbb{1}\{|z_i| \le v_i L\}, \qquad
        g(\omega) = a \prod_{i=1}^l \frac{\sin(2 \pi v_i \omega_i)}{\pi \omega_i}

    g falls so slowly that its integral does not converge absolutely, and no density on all frequencies gives an
    estimate with a mean. So the density ends at R: :math:`p(\omega) \propto \prod_i 1 / (\gamma + |\omega_i|)` for
    :math:`|\omega_i| \le R`, close to the best there is. What is estimated without bias is the box with edges blurred
    over about L / 2R,

    .. math::
        f_R(z) = a \prod_i \tfrac{1}{\pi}
            \bigl[\mathrm{Si}(2 \pi R (v_i + z_i / L)) + \mathrm{Si}(2 \pi R (v_i - z_i / L))\bigr] \to f(z).

    The variance grows with each dimension about ninefold: for l = 3 take many frequencies, or a smooth kernel. Every
    head learns a and v, which start at 1.

    Args:
        heads: Number of heads H.
        num_dims: Dimensions l of a position.
        num_frequencies: Draws m of a head.
        length_scale: L, the half width at the start.
        cutoff: R, in turns per L.

    Shapes:
        - **output:** frequencies [H, m, l], ratios [H, m]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> LocalBoxEncoding(heads=1, length_scale=2.0).kernel(torch.tensor([[0.0], [1.9], [2.1]])).tolist()
        [[1.0, 1.0, 0.0]]

    Cost: O(H m l).
    """

    def __init__(
        self, heads: int, num_dims: int = 1, num_frequencies: int = 16, length_scale: float = 1.0, cutoff: float = 8.0
    ) -> None:
        super().__init__(heads, num_dims, num_frequencies, length_scale)
        check_positive("cutoff", cutoff)
        # Half of the main lobe of the spectrum at the start.
        self.cutoff, self.knee = float(cutoff), 0.5
        self.reset_parameters()

    def sample(self, generator: torch.Generator | None) -> Float[Tensor, "H m l"]:
        r"""Draw by the inverse of the distribution function, :math:`|\omega| = \gamma \bigl((1 + R / \gamma)^u -
        1\bigr)`.

        Example:
            >>> encoding = LocalBoxEncoding(heads=1, num_frequencies=1000, cutoff=3.0)
            >>> bool(encoding.sample(None).abs().max() <= 3.0)
            True
        """
        place = 2 * self._uniform(generator) - 1
        return place.sign() * self.knee * torch.expm1(place.abs() * math.log1p(self.cutoff / self.knee))

    def ratio(self, omega: Float[Tensor, "H m l"]) -> Float[Tensor, "H m"]:
        r"""Return g / p.

        .. math::
            \frac{g}{p} = a \prod_i \frac{\sin 2 \pi v_i \omega_i}{\pi \omega_i} \cdot
                2 (\gamma + |\omega_i|) \log(1 + R / \gamma)

        Example:
            At the first zero of the spectrum:

            >>> LocalBoxEncoding(heads=1).ratio(torch.full((1, 1, 1), 0.5)).abs().item() < 1e-6
            True
        """
        width = torch.exp(self.log_width).unsqueeze(1)
        spectrum = 2 * width * torch.sinc(2 * width * omega)
        over_p = (self.knee + omega.abs()) * (2 * math.log1p(self.cutoff / self.knee))
        return self.amplitude.unsqueeze(1) * (spectrum * over_p).prod(-1)

    def closed_form(self, z: Float[Tensor, "... l"]) -> Float[Tensor, "H ..."]:
        r"""Return the box :math:`a \prod_i \mathbb{1}\{|z_i| \le v_i\}`.

        Example:
            >>> LocalBoxEncoding(heads=1, num_dims=2).closed_form(torch.tensor([[0.9, 0.9], [0.9, 1.1]])).detach()
            tensor([[1., 0.]])
        """
        inside = (z.abs() <= self._per_head(torch.exp(self.log_width), z)).all(-1)
        return self._per_head(self.amplitude, z) * inside


class LocalTentEncoding(_LocalEncoding):
    r"""A relative positional encoding that falls linearly to zero at the faces of a box, from `FLT
    <https://arxiv.org/abs/2302.01925>`_.

    .. math::
        f(z) = a \prod_{i=1}^l (v_i - |z_i| / L)_+, \qquad
        g(\omega) = a \prod_{i=1}^l \Bigl(\frac{\sin(\pi v_i \omega_i)}{\pi \omega_i}\Bigr)^2,
        \qquad p = \prod_{i=1}^l \mathrm{Cauchy}\bigl(\omega_i; \, 1 / \pi\bigr)

    With the heavy tails of p the ratio g / p is bounded. Every head learns a and v, which start at 1.

    Args:
        heads: Number of heads H.
        num_dims: Dimensions l of a position.
        num_frequencies: Draws m of a head.
        length_scale: L, the half width at the start.

    Shapes:
        - **output:** frequencies [H, m, l], ratios [H, m]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> LocalTentEncoding(heads=1, length_scale=2.0).kernel(torch.tensor([[0.0], [1.0], [3.0]])).tolist()
        [[1.0, 0.5, 0.0]]

    Cost: O(H m l).
    """

    def __init__(self, heads: int, num_dims: int = 1, num_frequencies: int = 16, length_scale: float = 1.0) -> None:
        super().__init__(heads, num_dims, num_frequencies, length_scale)
        self.knee = 1 / math.pi
        self.reset_parameters()

    def sample(self, generator: torch.Generator | None) -> Float[Tensor, "H m l"]:
        r"""Draw by the inverse of the distribution function, :math:`\omega = \tfrac{1}{\pi} \tan(\pi (u - \tfrac12))`.

        Example:
            The median of the absolute value is the width of the Cauchy distribution, :math:`1 / \pi`:

            >>> draws = LocalTentEncoding(heads=1, num_frequencies=50_000).sample(torch.Generator().manual_seed(0))
            >>> abs(draws.abs().median().item() * math.pi - 1) < 0.03
            True
        """
        return self.knee * torch.tan(math.pi * (self._uniform(generator) - 0.5))

    def ratio(self, omega: Float[Tensor, "H m l"]) -> Float[Tensor, "H m"]:
        r"""Return g / p, which is bounded.

        .. math::
            \frac{g}{p} = a \prod_i \Bigl(\frac{\sin \pi v_i \omega_i}{\pi \omega_i}\Bigr)^2 (1 + \pi^2 \omega_i^2)

        Example:
            >>> round(LocalTentEncoding(heads=1).ratio(torch.zeros(1, 1, 1)).item(), 4)
            1.0
        """
        width = torch.exp(self.log_width).unsqueeze(1)
        spectrum = (width * torch.sinc(width * omega)).square()
        over_p = (self.knee**2 + omega.square()) * (math.pi / self.knee)
        return self.amplitude.unsqueeze(1) * (spectrum * over_p).prod(-1)

    def closed_form(self, z: Float[Tensor, "... l"]) -> Float[Tensor, "H ..."]:
        r"""Return the tent :math:`a \prod_i (v_i - |z_i|)_+`.

        Example:
            >>> z = torch.tensor([[0.5, 0.5], [0.5, 1.5]])
            >>> LocalTentEncoding(heads=1, num_dims=2).closed_form(z).detach()
            tensor([[0.2500, 0.0000]])
        """
        return self._per_head(self.amplitude, z) * (self._per_head(torch.exp(self.log_width), z) - z.abs()).clamp_min(
            0
        ).prod(-1)
