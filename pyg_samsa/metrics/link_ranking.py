"""Mean reciprocal rank and hits of true pairs of nodes among all pairs with the same first node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from pyg_samsa.errors import NumericalError, ShapeError, check_choice
from pyg_samsa.metrics.metric_registry import BatchMetric, register_metric
from pyg_samsa.metrics.row_metric import warn_undefined

PROTOCOLS = ("raw", "filtered", "filtered_noself")
_CHUNK = 2**24


class Ranks(NamedTuple):
    """Where the true pairs stand.

    Args:
        above: Candidates with a higher score [T].
        tied: Candidates with the same score [T].
        source: First node of each true pair [T].
    """

    above: Tensor
    tied: Tensor
    source: Tensor


def rank_pairs(scores: Tensor, labels: Tensor, pairs: Tensor, protocol: str = "raw") -> Ranks:
    r"""Count the candidates that stand above each true pair.

    .. math::
        a_{ij} = |\{\, k \in \mathcal C_{ij} : s_{ik} > s_{ij} \,\}|, \qquad
        e_{ij} = |\{\, k \in \mathcal C_{ij} : s_{ik} = s_{ij} \,\}|

    The candidates :math:`\mathcal C_{ij}` of a true pair (i, j) are the other nodes k whose pair (i, k) is scored:

    - ``"raw"``: all of them, as the Long Range Graph Benchmark counts (https://arxiv.org/abs/2206.08164);
    - ``"filtered"``: those for which (i, k) is not a true pair;
    - ``"filtered_noself"``: the same without i itself.

    The last two are those of "Where Did the Gap Go?" (https://arxiv.org/abs/2309.00367).

    Args:
        scores: Score of each pair.
        labels: 1 for a true pair; anything else, also NaN, for others.
        pairs: The pairs of nodes; those that occur more than once count once.
        protocol: One of :obj:`PROTOCOLS`.

    Shapes:
        - **scores**, **labels:** [P]; **pairs:** int64 [2, P]

    Example:
        >>> pairs = torch.tensor([[0, 0, 0], [0, 1, 2]])
        >>> rank_pairs(torch.tensor([3.0, 1.0, 1.0]), torch.tensor([0, 1, 0]), pairs).above.tolist()
        [1]

    Cost: O(P log P + T n) for T true pairs in graphs of n nodes.
    """
    check_choice("protocol", protocol, PROTOCOLS)
    true = labels == 1
    relevant = torch.isin(pairs[0], pairs[0][true])
    scores, true, pairs = scores[relevant], true[relevant], pairs[:, relevant]
    width = int(pairs.max()) + 1 if pairs.numel() else 1
    keys, inverse = torch.unique(pairs[0] * width + pairs[1], return_inverse=True)
    own = torch.empty_like(keys, dtype=scores.dtype).scatter_(0, inverse, scores)
    true = torch.zeros_like(keys).scatter_reduce_(0, inverse, true.long(), "amax").bool()
    source, target = keys // width, keys % width
    # One row of a table for each source, one cell for each of its pairs.
    _, row, sizes = torch.unique_consecutive(source, return_inverse=True, return_counts=True)
    cell = torch.arange(len(keys)) - (sizes.cumsum(0) - sizes)[row]
    candidates = torch.full((len(sizes), int(sizes.max()) if len(sizes) else 0), -torch.inf, dtype=scores.dtype)
    # Removed candidates are cells that equal no score.
    removed = torch.zeros_like(true) if protocol == "raw" else true.clone()
    if protocol == "filtered_noself":
        removed |= source == target
    candidates[row, cell] = own.masked_fill(removed, -torch.inf)
    above, tied = [], []
    for chosen in true.nonzero().flatten().split(max(1, _CHUNK // max(1, candidates.size(1)))):
        others, score = candidates[row[chosen]], own[chosen].unsqueeze(1)
        above.append((others > score).sum(1))
        # In the raw protocol, the pair itself is among the cells.
        tied.append((others == score).sum(1) - int(protocol == "raw"))
    empty = [torch.zeros(0, dtype=torch.long)]
    return Ranks(torch.cat(above or empty), torch.cat(tied or empty), source[true])


def reciprocal_rank(above: Tensor, tied: Tensor) -> Tensor:
    r"""Return the reciprocal rank, in expectation if tied candidates stand in random order.

    .. math::
        \mathrm{RR} = \frac{1}{e + 1} \sum_{t = 0}^{e} \frac{1}{a + 1 + t}

    Args:
        above: Candidates a with a higher score.
        tied: Candidates e with the same score.

    Shapes:
        - **above**, **tied:** int64 [T]
        - **output:** float64 [T]

    Example:
        >>> reciprocal_rank(torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])).tolist()
        [1.0, 0.5, 0.75]

    Cost: O(T), and O(largest rank) once.
    """
    most = int((above + tied).max()) + 1 if above.numel() else 0
    harmonic = torch.cat([torch.zeros(1, dtype=torch.float64), (1 / torch.arange(1, most + 1).double()).cumsum(0)])
    several = (harmonic[above + tied + 1] - harmonic[above]) / (tied + 1)
    return torch.where(tied > 0, several, 1 / (above + 1).double())


def hits(above: Tensor, tied: Tensor, count: int) -> Tensor:
    r"""Return whether the rank is at most ``count``, as a probability if tied candidates stand in random order.

    .. math::
        \mathrm{Hits@}k = \frac{\min(e + 1, \max(0, k - a))}{e + 1}

    Args:
        above: Candidates a with a higher score.
        tied: Candidates e with the same score.
        count: k.

    Shapes:
        - **above**, **tied:** int64 [T]
        - **output:** float64 [T]

    Example:
        >>> hits(torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]), 1).tolist()
        [1.0, 0.0, 0.5]
    """
    return torch.minimum((count - above).clamp(min=0), tied + 1).double() / (tied + 1)


class LinkRanking(BatchMetric):
    r"""Base of the metrics that rank true pairs of nodes: the mean over the graphs of the mean over their true pairs.

    .. math::
        \mathrm{value} = \frac{1}{B} \sum_b \frac{1}{|\mathcal P_b|} \sum_{(i, j) \in \mathcal P_b} v(a_{ij}, e_{ij})

    with the true pairs :math:`\mathcal P_b` of graph b, see `rank_pairs`, `reciprocal_rank` and `hits`. Graphs without
    a true pair are left out; without any other the value is NaN and a warning says so. Pairs whose label is NaN are
    candidates too, and the loaders of a run add them, so that every node of a graph is a candidate. The benchmark's own
    code weighs each batch by its labelled pairs; here every graph counts the same, whatever the batches.

    Args:
        num_targets: Always 1.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**, **target:** [P] or [P, 1]
        - **pairs:** int64 [2, P], nodes of the whole batch
        - **batch:** graph number of each node, int64 [N], in any order
        - **value:** float64 scalar in [0, 1], in main memory

    Raises:
        ShapeError: Shapes do not fit.
        NumericalError: A score is NaN or infinite.

    Example:
        >>> from pyg_samsa.metrics import build
        >>> metric = build("mrr", num_targets=1)
        >>> pairs, batch = torch.tensor([[0, 0, 0], [0, 1, 2]]), torch.zeros(3, dtype=torch.long)
        >>> metric.update(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([float("nan"), 1.0, 0.0]), pairs, batch)
        >>> metric.compute().item()
        0.5

    Cost: That of `rank_pairs` for a batch; O(B) memory for the B graphs of the split.
    """

    higher_is_better = True
    kinds = ("binary",)
    needs_pairs = True
    evaluation_only = True
    protocol = "raw"
    count: int | None = None

    values: list[Tensor]

    def __init__(self, num_targets: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("values", default=[], dist_reduce_fx="cat")

    def update_batch(self, preds: Tensor, target: Tensor, batch: Any) -> None:
        """Add a batch with its ``edge_label_index``."""
        self.update(preds, target, batch.edge_label_index, batch.batch)

    def update(self, preds: Tensor, target: Tensor, pairs: Tensor, batch: Tensor) -> None:
        """Add the graphs of a batch.

        Args:
            preds: Score of each pair; the order alone counts.
            target: 1 for a true pair, 0 or NaN for others.
            pairs: The pairs of nodes.
            batch: Graph number of each node.
        """
        for name, values in (("preds", preds), ("target", target)):
            if values.numel() != pairs.size(1) or values.dim() not in (1, 2):
                raise ShapeError(name, list(values.shape), f"[{pairs.size(1)}], one for each pair")
        # Counted in main memory, as not every device has float64.
        scores, labels = (values.detach().reshape(-1).cpu() for values in (preds, target))
        if broken := int((~torch.isfinite(scores)).sum()):
            raise NumericalError(f"metric {self.name}", f"{broken} of {scores.numel()} scores are NaN or infinite")
        ranks = rank_pairs(scores, labels, pairs.cpu(), self.protocol)
        if self.count is None:
            values = reciprocal_rank(ranks.above, ranks.tied)
        else:
            values = hits(ranks.above, ranks.tied, self.count)
        _, graph, sizes = torch.unique(batch.cpu()[ranks.source], return_inverse=True, return_counts=True)
        self.values.append(torch.zeros(len(sizes), dtype=torch.float64).index_add(0, graph, values) / sizes)

    def compute(self) -> Tensor:
        """Return the mean over the graphs, a float64 scalar; NaN without any true pair."""
        values = self._stacked()
        if not values.numel():
            warn_undefined(self.name, "no pair is labelled 1")
        # In ascending order, so that batches and processes change no bit of the sum.
        return values.sort().values.mean()

    def _stacked(self) -> Tensor:
        # After a distributed gather torchmetrics leaves one tensor where the list was.
        parts = [self.values] if isinstance(self.values, Tensor) else self.values
        return torch.cat([torch.empty(0, dtype=torch.float64), *(part.cpu() for part in parts)])

    def _sync_dist(
        self, dist_sync_fn: Callable[..., list[Tensor]] = gather_all_tensors, process_group: Any = None
    ) -> None:
        # A process without graphs must offer an empty tensor; NCCL gathers only tensors on the device.
        self.values = [self._stacked()]

        def gather(values: Tensor, group: Any = None) -> list[Tensor]:
            return [part.cpu() for part in dist_sync_fn(values.to(self.device), group=group)]

        super()._sync_dist(gather, process_group)


def protocols(names: Iterable[str]) -> dict[str, str]:
    """Return the protocol of each metric that ranks pairs; other names are left out.

    Example:
        >>> protocols(["loss", "mrr", "hits@1_filtered"])
        {'mrr': 'raw', 'hits@1_filtered': 'filtered'}
    """
    return {name: _PROTOCOLS[name] for name in names if name in _PROTOCOLS}


_PROTOCOLS: dict[str, str] = {}


def _register(measure: str, count: int | None) -> None:
    for protocol in PROTOCOLS:
        name = measure if protocol == "raw" else f"{measure}_{protocol}"
        what = "reciprocal rank" if count is None else f"share of ranks up to {count}"
        described = f"Mean {what} of true pairs of nodes, protocol ``{protocol}``, see `LinkRanking`."
        # Pickles look for a class by its name in the module.
        label = "".join(part.capitalize() for part in name.replace("@", "At").split("_"))
        members = {"protocol": protocol, "count": count, "__doc__": described, "__module__": __name__}
        _PROTOCOLS[name] = protocol
        globals()[label] = register_metric(name)(type(label, (LinkRanking,), members))


for _measure, _count in (("mrr", None), ("hits@1", 1), ("hits@3", 3), ("hits@10", 10)):
    _register(_measure, _count)
