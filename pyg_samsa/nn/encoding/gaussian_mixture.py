"""A relative positional encoding whose spectrum is a learned mixture of Gaussians."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import Parameter

from pyg_samsa.nn.encoding.spectral import SpectralEncoding
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float

# The spectrum of the kernel exp(-z^2 / 2) has this standard deviation, in turns.
_UNIT = 1 / (2 * math.pi)


class GaussianMixtureEncoding(SpectralEncoding):
    r"""A relative positional encoding whose spectrum is a learned mixture of Gaussians, from `FLT
    <https://arxiv.org/abs/2302.01925>`_.

    .. math::
        g(\omega) &= \sum_{t} a_t \exp\!\Bigl(-\frac{\lVert \omega - \mu_t \rVert^2}{2 \sigma_t^2}\Bigr),
            \qquad p = \mathcal{N}(0, \pi^{-2} I)

        \mathrm{Re} f(z) &= \sum_t a_t \, (2 \pi \sigma_t^2)^{l/2}
            \exp\bigl(-2 \pi^2 \sigma_t^2 \lVert z / L \rVert^2\bigr) \cos\bigl(2 \pi \mu_t^\top z / L\bigr)

    Centres start at random and differ; amplitudes start small, of both signs and unequal, so that no two components
    learn the same. Logits take the real part of f, which does not change when z changes its sign, but does when z is
    rotated.

    Args:
        heads: Number of heads H.
        num_dims: Dimensions l of a position.
        num_frequencies: Draws m of a head.
        length_scale: L, the distance at which f should vary.
        num_components: Gaussians of a head.

    Shapes:
        - **output:** frequencies [H, m, l], ratios [H, m]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> encoding = GaussianMixtureEncoding(heads=4, num_dims=3, num_frequencies=16)
        >>> encoding().ratio.shape, encoding.kernel(torch.zeros(5, 3)).shape
        (torch.Size([4, 16]), torch.Size([4, 5]))

    Cost: O(H m l) times the components.
    """

    def __init__(
        self,
        heads: int,
        num_dims: int = 1,
        num_frequencies: int = 16,
        length_scale: float = 1.0,
        num_components: int = 25,
    ) -> None:
        super().__init__(heads, num_dims, num_frequencies, length_scale)
        check_integer("num_components", num_components)
        self.amplitude = Parameter(torch.empty(heads, num_components))
        self.mean = Parameter(torch.empty(heads, num_components, num_dims))
        self.log_width = Parameter(torch.empty(heads, num_components))
        self.reset_parameters()

    def reset_weights(self) -> None:
        """Draw new centres and small amplitudes.

        Example:
            >>> encoding = GaussianMixtureEncoding(heads=1)
            >>> encoding.reset_weights()
            >>> encoding.log_width.exp().unique().detach()  # 1 / (2 pi)
            tensor([0.1592])
        """
        torch.nn.init.normal_(self.amplitude, std=0.1)
        torch.nn.init.normal_(self.mean, std=_UNIT)
        torch.nn.init.constant_(self.log_width, math.log(_UNIT))

    def sample(self, generator: torch.Generator | None) -> Float[Tensor, "H m l"]:
        r"""Draw from :math:`p = \mathcal{N}(0, \pi^{-2} I)`, twice as wide as a component starts.

        Example:
            >>> encoding = GaussianMixtureEncoding(heads=1, num_frequencies=50_000)
            >>> abs(encoding.sample(torch.Generator().manual_seed(0)).std().item() * math.pi - 1) < 0.01
            True
        """
        return self._normal(generator) * (2 * _UNIT)

    def ratio(self, omega: Float[Tensor, "H m l"]) -> Float[Tensor, "H m"]:
        r"""Return :math:`g(\omega) / p(\omega)`.

        .. math::
            \frac{g}{p} = \sum_t a_t
                \exp\Bigl(-\frac{\lVert \omega - \mu_t \rVert^2}{2 \sigma_t^2} - \log p(\omega)\Bigr)

        The exponents are added before the exponential is taken, so that far out the ratio neither underflows nor
        overflows.

        Example:
            >>> encoding = GaussianMixtureEncoding(heads=1)
            >>> bool(encoding.ratio(torch.full((1, 16, 1), 1e4)).isfinite().all())
            True
        """
        distance = (omega.unsqueeze(2) - self.mean.unsqueeze(1)).square().sum(-1)
        log_p = omega.square().sum(-1) / (-2 * (2 * _UNIT) ** 2) - self.num_dims * math.log(
            2 * _UNIT * math.sqrt(2 * math.pi)
        )
        exponent = distance * (-0.5 * torch.exp(-2 * self.log_width)).unsqueeze(1) - log_p.unsqueeze(-1)
        return (exponent.exp() * self.amplitude.unsqueeze(1)).sum(-1)

    def closed_form(self, z: Float[Tensor, "... l"]) -> Float[Tensor, "H ..."]:
        r"""Return :math:`\mathrm{Re} f`, see the class.

        Example:
            One component at the centre is the normal density, here at 0 and 1:

            >>> encoding = GaussianMixtureEncoding(heads=1, num_components=1)
            >>> _ = torch.nn.init.ones_(encoding.amplitude), torch.nn.init.zeros_(encoding.mean)
            >>> encoding.closed_form(torch.tensor([[0.0], [1.0]])).detach().round(decimals=4)
            tensor([[0.3989, 0.2420]])
        """
        square = self._per_head(torch.exp(2 * self.log_width), z)
        mass = self._per_head(self.amplitude, z) * (2 * math.pi * square) ** (self.num_dims / 2)
        phase = torch.einsum("...l,hcl->h...c", z, self.mean) * (2 * math.pi)
        return (mass * torch.exp(-2 * math.pi**2 * square * z.square().sum(-1)[..., None]) * phase.cos()).sum(-1)
