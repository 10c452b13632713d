"""Training without labels: features of some tokens are hidden, and predicted from the rest of the graph."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from pyg_samsa.errors import DataError
from pyg_samsa.functional.batch_vector import inverse_permutation
from pyg_samsa.functional.codes import feature_keys, mix, structural_keys
from pyg_samsa.functional.inputs import edges_of
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.encoding.feature_encoder import Features
from pyg_samsa.options import Option, check_options, keep_plain
from pyg_samsa.training.averages import Average
from pyg_samsa.training.batch_network import BatchNetwork, graphs_of

Column = int | None
"""Number of categories of a feature; None for a float."""
_ROUNDS = 4


@dataclass(frozen=True)
class MaskOptions:
    """Options of hidden features; the help of each option is in its annotation.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> MaskOptions().share
        0.15
    """

    share: Annotated[float, Option("Share of the tokens of which features are hidden.", above=0, below=1)] = 0.15
    feature_share: Annotated[
        float | None,
        Option(
            "Share of the features of such a token that are hidden; empty: all categories, or half of the floats.",
            above=0,
            high=1,
        ),
    ] = None

    def __post_init__(self) -> None:
        check_options(MaskOptions, vars(keep_plain(self)))


def columns_of(in_channels: Features | None) -> list[Column]:
    """Return what the features of nodes or edges are, one by one.

    Args:
        in_channels: Width of float features, or the cardinalities of categorical ones.

    Example:
        >>> columns_of(2), columns_of([5, 3])
        ([None, None], [5, 3])
    """
    if isinstance(in_channels, int):
        return [None] * in_channels
    return [int(size) for size in in_channels or ()]  # type: ignore[union-attr]


def width_of(columns: Sequence[Column]) -> int:
    """Return the width of the predictions of all features: a logit for each category, a number for a float.

    Example:
        >>> width_of([5, None])
        6
    """
    return sum(1 if column is None else column for column in columns)


class MaskedNetwork(BatchNetwork):
    r"""Hides features of some nodes and edges of a batch, and predicts them with a network.

    In training, the tokens and features are drawn at random. In evaluation they follow from keys of the nodes, see
    `pyg_samsa.functional.structural_keys`, so that the same features of a graph are hidden whatever the order of its
    nodes and whatever other graphs are in the batch. The two directions of an edge are hidden together, since one would
    tell the other.

    Args:
        model: A network whose features of nodes are encoded by a `MaskedEncoder`, and whose output has the width
            `width_of` of all columns: at node level, or at token level if features of edges are hidden too, which are
            then also encoded by a `MaskedEncoder`.
        columns: What the features of the nodes are.
        options: What is hidden.
        edge_columns: What the features of the edges are; empty if they stay visible.

    Shapes:
        - **input**: a ``torch_geometric.data.Batch`` with N nodes with F features, and E edges with F' features
        - **output**: predictions [N, P] and targets [N, F], NaN where a feature was visible; with ``edge_columns``
          [N + E, P] and [N + E, F + F']

    Raises:
        DataError: Features of edges are to be hidden, and a batch has none.

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> from pyg_samsa.nn import SAMSA, MaskedEncoder
        >>> model = SAMSA.from_options(MaskedEncoder(nn.Linear(2, 16), 2, 16), 2, channels=16, num_layers=1,
        ...                            level="node", bridge=False)
        >>> network = MaskedNetwork(model, [None, None], MaskOptions())
        >>> prediction, target = network(Batch.from_data_list([Data(x=torch.randn(9, 2))]))
        >>> prediction.shape, target.shape
        (torch.Size([9, 2]), torch.Size([9, 2]))
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        columns: Sequence[Column],
        options: MaskOptions,
        *,
        edge_columns: Sequence[Column] = (),
    ) -> None:
        super().__init__(model)
        self.num_node_columns, self.options = len(columns), options
        self.columns = [*columns, *edge_columns]
        """What the features are: those of the nodes, then those of the edges."""
        self.register_buffer("mean", torch.zeros(len(self.columns)))
        self.register_buffer("std", torch.ones(len(self.columns)))

    @property
    def hides_edges(self) -> bool:
        """Whether features of edges are hidden.

        Example:
            >>> MaskedNetwork(nn.Identity(), [None], MaskOptions()).hides_edges
            False
        """
        return len(self.columns) > self.num_node_columns

    def fit(self, x: Tensor, edge_attr: Tensor | None = None) -> None:
        """Take the scale of float features from training rows.

        Args:
            x: Features of nodes [N, F].
            edge_attr: Features of edges [E, F'], if they are hidden.

        Example:
            >>> network = MaskedNetwork(nn.Identity(), [None], MaskOptions())
            >>> network.fit(torch.tensor([[1.0], [3.0]]))
            >>> network.mean, network.std
            (tensor([2.]), tensor([1.]))
        """
        for place, (column, values) in enumerate(zip(self.columns, self.values(x, edge_attr), strict=True)):
            if column is None and values.numel():
                self.mean[place] = values.double().mean()
                self.std[place] = values.double().std(correction=0).clamp(min=1e-6)

    def values(self, x: Tensor, edge_attr: Tensor | None = None) -> list[Tensor]:
        """Return the values of each feature, in the order of ``columns``.

        Args:
            x: Features of nodes [N, F].
            edge_attr: Features of edges [E, F'], if they are hidden.

        Example:
            >>> MaskedNetwork(nn.Identity(), [2], MaskOptions()).values(torch.tensor([1, 0]))
            [tensor([1, 0])]
        """
        found = list(as_columns(x).unbind(1))
        if self.hides_edges:
            missing = x.new_zeros(0, len(self.columns) - self.num_node_columns)
            found += list((missing if edge_attr is None else as_columns(edge_attr)).unbind(1))
        return found

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (predictions, targets) of a batch."""
        x, edges = as_columns(batch.x), self._edge_features(batch)
        hidden, hidden_edges = self.hide(batch)
        seen = copy.copy(batch)
        seen.x = _with_mask(x, hidden)
        target = self._scaled(x, 0).masked_fill(~hidden, torch.nan)
        if edges is not None and hidden_edges is not None:
            seen.edge_attr = _with_mask(edges, hidden_edges)
            target = nn.functional.pad(target, (0, edges.size(1)), value=torch.nan)
            of_edges = self._scaled(edges, x.size(1)).masked_fill(~hidden_edges, torch.nan)
            target = torch.cat([target, nn.functional.pad(of_edges, (x.size(1), 0), value=torch.nan)])
        return super().forward(seen)[0], target

    def hide(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return which features are hidden: booleans [N, F] and [E, F'], or None if those of edges are visible.

        Args:
            batch: The batch.

        Example:
            >>> from torch_geometric.data import Batch, Data
            >>> network = MaskedNetwork(nn.Identity(), [4], MaskOptions(share=0.99))
            >>> batch = Batch.from_data_list([Data(x=torch.zeros(3, 1, dtype=torch.long))])
            >>> network.hide(batch)[0].shape
            torch.Size([3, 1])
        """
        x, edges = as_columns(batch.x), self._edge_features(batch)
        keys = _random_keys(x) if self.training else _keys(batch, x)
        hidden = self._drawn(keys, 0, x.size(1))
        if edges is None:
            return hidden, None
        source, target = edges_of(batch.edge_index, None)[0]  # type: ignore[misc]
        # The same for both directions; of a node with itself, another key than that of the node.
        return hidden, self._drawn(mix(mix(keys[source]) + mix(keys[target])), x.size(1), edges.size(1))

    def _drawn(self, keys: Tensor, first: int, count: int) -> Tensor:
        """Return which of some columns are hidden, for tokens with these keys."""
        share = self.options.feature_share
        shares = [share or (0.5 if column is None else 1.0) for column in self.columns[first : first + count]]
        places = torch.arange(1, count + 1, device=keys.device)
        keys = keys.unsqueeze(1)
        token, feature = _uniform(mix(keys)), _uniform(mix(keys ^ mix(places)))
        return (token < self.options.share) & (feature < torch.tensor(shares, device=keys.device))

    def _edge_features(self, batch: Any) -> Tensor | None:
        """Return the features of the edges [E, F'], or None if they stay visible."""
        if not self.hides_edges:
            return None
        if batch.edge_attr is None:
            raise DataError("The graphs have no edge features edge_attr, which are hidden in masked training")
        return as_columns(batch.edge_attr)

    def _scaled(self, values: Tensor, first: int) -> Tensor:
        columns = slice(first, first + values.size(1))
        return (values.to(self.mean.dtype) - self.mean[columns]) / self.std[columns]


def as_columns(features: Tensor) -> Tensor:
    """Return features with one column per feature.

    Example:
        >>> as_columns(torch.ones(3)).shape
        torch.Size([3, 1])
    """
    return features.unsqueeze(1) if features.dim() == 1 else features


def _with_mask(features: Tensor, hidden: Tensor) -> Tensor:
    return torch.cat([features.masked_fill(hidden, 0), hidden.to(features.dtype)], dim=1)


def _random_keys(x: Tensor) -> Tensor:
    return torch.randint(-(2**63), 2**63 - 1, (len(x),), device=x.device)


def _keys(batch: Any, x: Tensor) -> Tensor:
    """Return a key of each node that depends on its features and on its surroundings."""
    keys = feature_keys(x)
    edge_index = edges_of(batch.edge_index, None)[0]
    if edge_index is None or edge_index.numel() == 0:
        return keys
    graph, count = graphs_of(batch)
    index, order = resolve(len(x), x.device, graph, None, count)
    if order is None:
        return structural_keys(keys, edge_index, index, max_rounds=_ROUNDS)
    rank = inverse_permutation(order)
    return structural_keys(keys[order], rank[edge_index], index, max_rounds=_ROUNDS)[rank]


def _uniform(bits: Tensor) -> Tensor:
    """Turn 64-bit integers into numbers from 0 to below 1."""
    return ((bits >> 11) & (2**53 - 1)).double() / 2**53


class MaskedLoss:
    r"""Loss of hidden features: cross-entropy of categories, squared error of floats in units of their deviation.

    .. math::
        \ell = \frac{1}{F} \sum_f \frac{1}{|M_f|} \sum_{i \in M_f} \ell_f(\hat x_{if}, x_{if})

    where :math:`M_f` are the nodes of which the feature f is hidden; features that are hidden nowhere do not count.

    Args:
        columns: What the features are.
        reference: The loss of the best constant prediction, with which it is compared.

    Example:
        >>> loss = MaskedLoss([2, None])
        >>> loss(torch.zeros(1, 3), torch.tensor([[1.0, torch.nan]])).item() == torch.tensor(2.0).log().item()
        True
    """

    def __init__(self, columns: Sequence[Column], reference: float = 1.0) -> None:
        self.columns, self.reference = list(columns), reference
        self.average = MaskedAverage(self)

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return self.average.value(self.sums(pred, target))

    def sums(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the sum of the losses of each feature, and the number of nodes of which it is hidden: [2 F].

        Example:
            >>> MaskedLoss([None]).sums(torch.tensor([[3.0], [0.0]]), torch.tensor([[1.0], [torch.nan]])).tolist()
            [4.0, 1.0]
        """
        losses: list[Tensor] = []
        counts: list[Tensor] = []
        start = 0
        for place, column in enumerate(self.columns):
            stop = start + (column or 1)
            known = ~target[:, place].isnan()
            value, output = target[known, place], pred[known, start:stop]
            if column is None:
                losses.append((output.squeeze(1) - value).square().sum())
            else:
                losses.append(nn.functional.cross_entropy(output, value.long(), reduction="sum"))
            counts.append(known.sum())
            start = stop
        return torch.stack([*losses, *(count.to(pred.dtype) for count in counts)])


class MaskedAverage(Average):
    """What `MaskedLoss` is a mean over: the hidden values of each feature.

    Args:
        loss: The loss.

    Example:
        >>> MaskedAverage(MaskedLoss([None])).value(torch.tensor([4.0, 2.0])).item()
        2.0
    """

    def __init__(self, loss: MaskedLoss) -> None:
        super().__init__()
        self.loss = loss

    def sums(self, value: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        """Return the sums of a batch, see `MaskedLoss.sums`."""
        # A batch whose loss is not finite makes that of the split not finite.
        return self.loss.sums(pred, target) + 0 * value.detach()

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean over the features of their mean losses."""
        losses, counts = sums.chunk(2)
        found = counts > 0
        return (losses / counts.clamp(min=1)).sum() / found.sum().clamp(min=1)


def fit_masked(network: MaskedNetwork, x: Tensor, edge_attr: Tensor | None = None) -> float:
    """Fit the scale of a network to training rows, and return the loss of the best constant prediction on them.

    Args:
        network: The network.
        x: Features of the nodes of training rows [N, F].
        edge_attr: Features of their edges [E, F'], if they are hidden.

    Example:
        >>> round(fit_masked(MaskedNetwork(nn.Identity(), [2], MaskOptions()), torch.tensor([[0], [1]])), 4)
        0.6931
    """
    network.fit(x, edge_attr)
    losses = []
    for column, values in zip(network.columns, network.values(x, edge_attr), strict=True):
        if column is None:
            losses.append(1.0)
        else:
            share = torch.bincount(values.long(), minlength=column).double() / max(len(values), 1)
            losses.append(float(torch.special.entr(share).sum()))
    return sum(losses) / len(losses)
