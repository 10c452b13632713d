"""Float features of nodes and edges, standardised over the training rows."""

from __future__ import annotations

import copy
from typing import Annotated, Any

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option

_KEY = "dataset.scale_features"


def add_feature_scale(
    dataset: Any,
    scale_features: Annotated[
        bool, Option("Whether float features of nodes and edges are standardised over the training rows.")
    ] = False,
) -> Any:
    r"""Return a shallow copy of a data set whose float features have mean 0 and standard deviation 1 in training.

    .. math::
        z_{if} = \frac{x_{if} - \mu_f}{\sigma_f}

    where :math:`\mu_f` and :math:`\sigma_f` are those of the nodes (or edges) of all training graphs. A feature that is
    constant there is only centred. If the nodes of one graph are split, all of them count: the network sees them all in
    training. Categorical features stay as they are.

    For the superpixels of the Long Range Graph Benchmark this is the protocol of `Tönshoff et al.
    <https://arxiv.org/abs/2309.00367>`_; their coordinates are in the hundreds.

    Args:
        dataset: A data set of this package that holds its graphs in memory.
        scale_features: False returns the data set itself.

    Raises:
        ConfigError: The data set has no float features, is one of point clouds, or does not hold its graphs in memory.

    Example:
        >>> from pyg_samsa.datasets.base import SplitDataset
        >>> from pyg_samsa.datasets.prepared import Prepared
        >>> from pyg_samsa.datasets.features import Features
        >>> from pyg_samsa.task import Task
        >>> tensors, slices = {"x": torch.tensor([[100.0], [300.0], [900.0]])}, {"x": torch.tensor([0, 2, 3])}
        >>> split = {"train": torch.tensor([0]), "test": torch.tensor([1])}
        >>> dataset = SplitDataset(Prepared(tensors, slices, split), Task("binary", ["y"]), Features(1))
        >>> [graph.x.flatten().tolist() for graph in add_feature_scale(dataset, True)]
        [[-1.0, 1.0], [7.0]]

    Cost: O(N F + E F'); one more copy of the features in memory.
    """
    if not scale_features:
        return dataset
    named = {"x": dataset.features.in_channels, "edge_attr": dataset.features.edge_channels}
    floats = [name for name, channels in named.items() if isinstance(channels, int)]
    data = getattr(dataset, "_data", None)
    if not floats:
        raise ConfigError(_KEY, True, "False: the features of nodes and edges are categories")
    if dataset.features.num_dims:
        raise ConfigError(_KEY, True, "False: clouds and pictures are scaled as a whole, so that distances keep")
    if data is None:
        raise ConfigError(_KEY, True, f"False for {type(dataset).__name__}, which does not hold its graphs in memory")
    scaled = copy.copy(dataset)
    scaled._data, scaled._data_list = copy.copy(data), None
    for name in floats:
        values = data[name]
        rows = _training_rows(dataset, name, len(values))
        scaled._data[name] = _scaled(values, values[rows])
    return scaled


def _training_rows(dataset: Any, name: str, count: int) -> Tensor | slice:
    """Return which nodes or edges are those of training graphs, as booleans."""
    if dataset.slices is None:
        return slice(None)
    sizes = dataset.slices[name].diff()
    chosen = torch.zeros(len(sizes), dtype=torch.bool)
    chosen[dataset.split_idx["train"]] = True
    return torch.repeat_interleave(chosen, sizes, output_size=count)


def _scaled(values: Tensor, training: Tensor) -> Tensor:
    wide = training.double()
    mean, std = (wide.mean(0), wide.std(0, correction=0)) if len(wide) else (wide.new_zeros(()), wide.new_ones(()))
    varies = std > 1e-6 * (1 + mean.abs())
    return ((values.double() - mean) / torch.where(varies, std, torch.ones_like(std))).to(values.dtype)
