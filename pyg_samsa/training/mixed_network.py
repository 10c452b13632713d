"""The network of a mixture of tasks, and the weights of their losses."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import SAMSA, MultiTask
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.mixture import task_of


class UncertaintyWeights(nn.Module):
    r"""Learned weights of the losses of tasks, from `"Multi-Task Learning Using Uncertainty to Weigh Losses"
    <https://arxiv.org/abs/1705.07115>`_.

    .. math::
        \ell'_t = \frac{\ell_t}{k_t\,e^{s_t}} + \frac{s_t}{2}, \qquad k_t = 2 \; \text{(regression)}, \; 1 \;
        \text{(labels, classes)}

    where s, the logarithm of the variance of a task, starts at zero.

    Args:
        regressions: Name of each task -> whether it is a regression.

    Example:
        >>> UncertaintyWeights({"logS": True})("logS", torch.tensor(3.0)).item()
        1.5
    """

    def __init__(self, regressions: Mapping[str, bool]) -> None:
        super().__init__()
        self.regressions = dict(regressions)
        self.log_variances = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in regressions})

    def forward(self, task: str, loss: Tensor) -> Tensor:
        """Return the weighted loss of a task.

        Example:
            >>> UncertaintyWeights({"toxic": False})("toxic", torch.tensor(3.0)).item()
            3.0
        """
        log_variance = self.log_variances[task]
        return loss * (-log_variance).exp() / (2 if self.regressions[task] else 1) + log_variance / 2


class MixedNetwork(nn.Module):
    """Networks of several tasks with one encoder, see `pyg_samsa.nn.MultiTask`; each batch goes to that of its task.

    Args:
        parts: Name of each task -> its network. The networks stay as they are.
        modalities: Name of each task -> name of its modality.
        share_tokenizers: Whether tasks of one modality have the same tokenizer.
        loss_weights: Learned weights of the losses; None for fixed ones.

    Raises:
        ConfigError: A network is no SAMSA, or the networks cannot have the same encoder.

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> size = {"channels": 16, "num_layers": 2, "heads": 4, "num_samples": 8, "bridge": False}
        >>> parts = {name: BatchNetwork(SAMSA.from_options(width, 2, **size)) for name, width in (("a", 3), ("b", 6))}
        >>> network = MixedNetwork(parts, {"a": "points", "b": "points"})
        >>> batch = Batch.from_data_list([Data(x=torch.randn(4, 6))])
        >>> batch.task_name = "b"
        >>> network(batch)[0].shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        modalities: Mapping[str, str],
        *,
        share_tokenizers: bool = False,
        loss_weights: UncertaintyWeights | None = None,
    ) -> None:
        super().__init__()
        models: dict[str, SAMSA] = {}
        for name, part in parts.items():
            model = getattr(part, "model", None)
            if not isinstance(part, BatchNetwork) or not isinstance(model, SAMSA):
                raise ConfigError(f"model.type ({name})", type(part).__name__, "'samsa': tasks share its encoder")
            models[name] = model
        joined = MultiTask(models, modalities=modalities, share_tokenizers=share_tokenizers)
        self.modalities = joined.modalities
        """Name of each task -> name of its modality."""
        self.parts = nn.ModuleDict()
        """Name of each task -> its network."""
        for name, part in parts.items():
            own = copy.copy(part)
            own._modules = dict(part._modules)
            own.model = joined.networks[name]
            self.parts[name] = own
        self.loss_weights = loss_weights

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (prediction, target) of a batch, whose attribute ``task_name`` says of which task it is.

        Example:
            >>> from torch_geometric.data import Batch, Data
            >>> part = BatchNetwork(SAMSA.from_options(3, 2, channels=16, num_layers=1, bridge=False))
            >>> batch = Batch.from_data_list([Data(x=torch.randn(4, 3), y=torch.zeros(1, 2))])
            >>> batch.task_name = "a"
            >>> MixedNetwork({"a": part}, {})(batch)[1].shape
            torch.Size([1, 2])
        """
        return self.parts[task_of(batch)](batch)
