"""Relative positional encodings that are kernels of the distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import Parameter

from pyg_samsa.errors import check_choice
from pyg_samsa.nn.encoding.spectral import SpectralEncoding
from pyg_samsa.typing import Float

KERNELS: dict[str, int | None] = {"gaussian": None, "exponential": 1, "matern32": 3, "matern52": 5}
"""Kernels by name, with the degrees of freedom of the t distribution that is their spectrum; None is normal."""


class ShiftInvariantEncoding(SpectralEncoding):
    r"""A relative positional encoding that is a kernel of the distance, from `FLT <https://arxiv.org/abs/2302.01925>`_.

    Frequencies are drawn from the spectrum of the kernel itself, so the ratio g / p is the same for all draws:

    .. math::
        f(z) = a \, \kappa\bigl(\lVert z \rVert / (\ell L)\bigr), \qquad p = \hat{\kappa}, \qquad g / p = a

    :math:`\kappa(d)` is :math:`e^{-d^2/2}` (``"gaussian"``), :math:`e^{-d}` (``"exponential"``), :math:`(1 + \sqrt{3}
    d) e^{-\sqrt{3} d}` (``"matern32"``) or :math:`(1 + \sqrt{5} d + 5 d^2 / 3) e^{-\sqrt{5} d}` (``"matern52"``). Every
    head learns a and :math:`\ell`, which start at 1.

    Args:
        heads: Number of heads H.
        num_dims: Dimensions l of a position.
        num_frequencies: Draws m of a head.
        length_scale: L, the distance at which f should vary.
        kernel: Name in `KERNELS`.

    Shapes:
        - **output:** frequencies [H, m, l], ratios [H, m]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> ShiftInvariantEncoding(heads=2, kernel="exponential").kernel(torch.tensor([[0.0], [1.0]])).detach()
        tensor([[1.0000, 0.3679],
                [1.0000, 0.3679]])

    Cost: O(H m l).
    """

    def __init__(
        self,
        heads: int,
        num_dims: int = 1,
        num_frequencies: int = 16,
        length_scale: float = 1.0,
        kernel: str = "gaussian",
    ) -> None:
        super().__init__(heads, num_dims, num_frequencies, length_scale)
        check_choice("kernel", kernel, tuple(KERNELS))
        self.kernel_name = kernel
        self.amplitude = Parameter(torch.empty(heads))
        self.log_length = Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_weights(self) -> None:
        """Set amplitudes and lengths to 1.

        Example:
            >>> encoding = ShiftInvariantEncoding(heads=2)
            >>> encoding.reset_weights()
            >>> encoding.amplitude.tolist(), encoding.log_length.tolist()
            ([1.0, 1.0], [0.0, 0.0])
        """
        torch.nn.init.ones_(self.amplitude)
        torch.nn.init.zeros_(self.log_length)

    def sample(self, generator: torch.Generator | None) -> Float[Tensor, "H m l"]:
        r"""Draw from the spectrum of the kernel of length 1.

        .. math::
            \omega = \frac{1}{2 \pi} \frac{x}{\sqrt{\chi^2_\nu / \nu}}, \qquad x \sim \mathcal{N}(0, I_l)

        The denominator, which makes it a multivariate t distribution, is 1 for the Gaussian kernel.

        Example:
            >>> encoding = ShiftInvariantEncoding(heads=1, num_frequencies=50_000)
            >>> abs(encoding.sample(torch.Generator().manual_seed(0)).std().item() * 2 * math.pi - 1) < 0.01
            True
        """
        normal, freedom = self._normal(generator) / (2 * math.pi), KERNELS[self.kernel_name]
        if freedom is None:
            return normal
        squares = (
            torch.randn(*normal.shape[:2], freedom, generator=generator, dtype=normal.dtype)
            .square()
            .mean(-1, keepdim=True)
        )
        return normal / squares.sqrt()

    def frequencies(self) -> Float[Tensor, "H m l"]:
        r"""Return the draws, divided by the length :math:`\ell` of the head.

        Example:
            >>> encoding = ShiftInvariantEncoding(heads=1)
            >>> _ = torch.nn.init.constant_(encoding.log_length, math.log(2.0))
            >>> torch.allclose(2 * encoding.frequencies(), encoding.draws)
            True
        """
        return self.draws * torch.exp(-self.log_length).view(-1, 1, 1)

    def ratio(self, omega: Float[Tensor, "H m l"]) -> Float[Tensor, "H m"]:
        """Return the amplitudes, :math:`g / p = a`.

        Example:
            >>> ShiftInvariantEncoding(heads=1).ratio(torch.randn(1, 3, 1)).detach()
            tensor([[1., 1., 1.]])
        """
        return self.amplitude.unsqueeze(1).expand(-1, omega.size(1))

    def closed_form(self, z: Float[Tensor, "... l"]) -> Float[Tensor, "H ..."]:
        r"""Return the kernel :math:`a \, \kappa(\lVert z \rVert / \ell)`.

        Example:
            >>> encoding = ShiftInvariantEncoding(heads=1, kernel="exponential")
            >>> encoding.closed_form(torch.tensor([[2.0]])).detach().round(decimals=4)  # exp(-2)
            tensor([[0.1353]])
        """
        freedom = KERNELS[self.kernel_name]
        distance = torch.linalg.vector_norm(z, dim=-1) * self._per_head(torch.exp(-self.log_length), z)
        d = distance if freedom is None else distance * math.sqrt(freedom)
        if freedom is None:
            values = torch.exp(-0.5 * d.square())
        else:
            values = {1: torch.ones_like(d), 3: 1 + d, 5: 1 + d + d.square() / 3}[freedom] * torch.exp(-d)
        return self._per_head(self.amplitude, z) * values

    def extra_repr(self) -> str:
        """Return the kernel and the sizes as they appear in the ``repr``."""
        return f"{super().extra_repr()}, kernel={self.kernel_name!r}"
