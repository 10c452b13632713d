"""Which weights of a network that starts from another one are trained: all, only the readout, or low-rank updates."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import Encoder
from pyg_samsa.options import Option, check_options, keep_plain

ADAPTATIONS = ("all", "readout", "lora")
_HEADS = ("model.readout.", "head.")


@dataclass(frozen=True)
class AdaptationOptions:
    """Options of fine-tuning; the help of each option is in its annotation.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> AdaptationOptions("lora", lora_rank=4).lora_rank
        4
    """

    adapt: Annotated[
        str,
        Option(
            "Fine-tuning: all weights are trained; readout: all loaded weights but the readout are frozen (a linear "
            "probe); lora: the same with low-rank updates of the encoder.",
            ADAPTATIONS,
        ),
    ] = "all"
    lora_rank: Annotated[int, Option("Rank of the updates of train.adapt lora.", low=1, high=1024)] = 8

    def __post_init__(self) -> None:
        check_options(AdaptationOptions, vars(keep_plain(self)))


class LowRankUpdate(nn.Module):
    r"""A trainable update of a frozen matrix, from `"LoRA" <https://arxiv.org/abs/2106.09685>`_.

    .. math::
        W' = W + B A, \qquad A \in \mathbb{R}^{r \times n}, \; B \in \mathbb{R}^{m \times r}

    B starts at zero, so training starts from W.

    Args:
        weight: W [m, n].
        rank: r, 1 or more.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> parametrize.register_parametrization(layer, "weight", LowRankUpdate(layer.weight, 1))
        ParametrizedLinear(...
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter(weight.new_empty(rank, columns))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        r"""Return the updated matrix :math:`W + B A`.

        Example:
            >>> weight = torch.ones(2, 3)
            >>> torch.equal(LowRankUpdate(weight, 1)(weight), weight)
            True
        """
        return weight + self.up @ self.down


def adapt(network: nn.Module, options: AdaptationOptions, new: Collection[str]) -> None:
    """Freeze the loaded weights of a network, as far as the options say so.

    Weights that were not loaded, and those of the readout, are always trained.

    Args:
        network: A network whose weights were loaded; changed in place.
        options: What is trained.
        new: Names of the weights that were not loaded, from `start_from`.

    Raises:
        ConfigError: There is no encoder for low-rank updates.

    Example:
        >>> from pyg_samsa.nn import SAMSA
        >>> from pyg_samsa.training.batch_network import BatchNetwork
        >>> network = BatchNetwork(SAMSA.from_options([4], 1, channels=8, num_layers=1, heads=2, num_samples=4))
        >>> adapt(network, AdaptationOptions("readout"), new=[])
        >>> {name.split(".")[1] for name, weight in network.named_parameters() if weight.requires_grad}
        {'readout'}
    """
    if options.adapt == "all":
        return
    for name, weight in network.named_parameters():
        weight.requires_grad_(name in new or name.startswith(_HEADS))
    if options.adapt == "lora":
        encoders = [module for module in network.modules() if isinstance(module, Encoder)]
        layers = [layer for encoder in encoders for layer in encoder.modules() if isinstance(layer, nn.Linear)]
        if not layers:
            raise ConfigError("train.adapt", "lora", "another value: the network has no encoder with linear layers")
        for layer in layers:
            update = LowRankUpdate(layer.weight, min(options.lora_rank, *layer.weight.shape))
            parametrize.register_parametrization(layer, "weight", update)


def merged(network: nn.Module) -> nn.Module:
    """Return a network without low-rank updates, whose matrices contain them; the same one if it has none.

    Args:
        network: The network, which stays as it is.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> _ = parametrize.register_parametrization(layer, "weight", LowRankUpdate(layer.weight, 1))
        >>> sorted(name for name, _ in merged(nn.Sequential(layer)).named_parameters())
        ['0.bias', '0.weight']
    """
    if not any(isinstance(module, LowRankUpdate) for module in network.modules()):
        return network
    found = copy.deepcopy(network)
    for module in list(found.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and parametrize.is_parametrized(child, "weight"):
                module._modules[name] = _plain(child)
    return found


def _plain(layer: nn.Linear) -> nn.Linear:
    # PyTorch's own function that removes an update would also remove it from the layer that was copied.
    made = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    made = made.to(device=layer.weight.device, dtype=layer.weight.dtype)
    with torch.no_grad():
        made.weight.copy_(layer.weight)
        if layer.bias is not None:
            made.bias.copy_(layer.bias)
    return made.train(layer.training)
