"""Batch normalisation with the statistics of the present weights."""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn
from torch_geometric.graphgym.imports import pl

from pyg_samsa.training.callbacks import rng_state, set_rng_state
from pyg_samsa.training.mixture import task_of


class PreciseBatchNorm(pl.Callback):
    r"""Computes the statistics of batch normalisation again before each validation, with the weights of that moment.

    .. math::
        \mu = \frac{1}{M} \sum_m \mu_m, \qquad \sigma^2 = \frac{1}{M} \sum_m \sigma_m^2

    over the last M training batches, as in `"Rethinking 'Batch' in BatchNorm" <https://arxiv.org/abs/2105.07576>`_. The
    running averages that they replace mix statistics of earlier weights, which a high learning rate leaves far behind:
    validation then swings from epoch to epoch. An epoch without validation does the same at its end.

    Training itself does not change: it uses the statistics of each batch, and no random number is used up. Networks
    without batch normalisation are left as they are.

    Args:
        num_batches: Number M of batches, at least 1, of each task. They are kept in memory.

    Example:
        >>> callback, network = PreciseBatchNorm(2), nn.BatchNorm1d(1)
        >>> for batch in torch.tensor([[[1.0], [3.0]], [[5.0], [7.0]]]):
        ...     callback.keep(batch)
        >>> callback.update(network)
        >>> network.running_mean, network.running_var
        (tensor([4.]), tensor([2.]))

    Cost: M forward passes for each validation.
    """

    def __init__(self, num_batches: int) -> None:
        self.num_batches = num_batches
        self.batches: dict[str, deque[Any]] = {}
        """Name of each task -> its last batches."""
        self._fresh = False

    def keep(self, batch: Any) -> None:
        """Keep a training batch, in place of the oldest one of its task if there are enough.

        Example:
            >>> callback = PreciseBatchNorm(2)
            >>> callback.keep(torch.zeros(1, 1))
            >>> len(callback.batches[""])
            1
        """
        self.batches.setdefault(task_of(batch), deque(maxlen=self.num_batches)).append(batch)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the batches before the first epoch of a run that is continued, which goes on as if uninterrupted."""
        if self.batches or not has_batch_norm(pl_module.network):
            return
        state = rng_state()
        for batch in trainer.datamodule.batches_before(trainer.current_epoch, self.num_batches):
            self.keep(trainer.strategy.batch_to_device(batch))
        set_rng_state(state)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Keep the batch, as a copy of its own, because GraphGym's encoders replace the features in a batch."""
        if has_batch_norm(pl_module.network):
            self.keep(copy(batch))
        self._fresh = False

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Update the statistics before validation."""
        self.update(pl_module.network)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Update the statistics of an epoch without validation."""
        if not self._fresh:
            self.update(pl_module.network)

    def update(self, network: nn.Module) -> None:
        """Compute the statistics of a network over the batches that were kept.

        Args:
            network: Called with each batch.
        """
        self._fresh = True
        if not self.batches:
            return
        devices = {weight.device for weight in network.parameters() if weight.is_cuda}
        with torch.random.fork_rng(devices=list(devices)):
            update_bn((copy(batch) for batches in self.batches.values() for batch in batches), network)


def has_batch_norm(network: nn.Module) -> bool:
    """Say whether a network has a layer with running statistics of batches.

    Example:
        >>> has_batch_norm(nn.BatchNorm1d(4)), has_batch_norm(nn.LayerNorm(4))
        (True, False)
    """
    return any(isinstance(module, _BatchNorm) and module.track_running_stats for module in network.modules())
