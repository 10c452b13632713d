"""The contestants: modules that map packed tokens to packed tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GPSConv
from torch_geometric.nn.attention import PerformerAttention, PolynormerAttention, SGFormerAttention
from torch_geometric.utils import to_dense_batch

from benchmarks.kernels import PackedFullAttention
from benchmarks.workloads import Workload
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import PointNet, SAMSABlock, SAMSAConv

Build = Callable[[Workload, int], nn.Module]
PRODUCTS = "SAMSA, products alone"
ACTIVATED = "SAMSA, products, GELU and softmax"
BOUNDS = (PRODUCTS, ACTIVATED)


class Packed(nn.Module):
    """An operator of this package."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, index: RaggedIndex) -> Tensor:
        """Return the tokens after the operator."""
        return self.module(x, ptr=index)


class Padded(nn.Module):
    """An operator on a dense batch [B, N, D] with a mask; only real tokens are returned."""

    def __init__(
        self, module: nn.Module, call: Callable[[nn.Module, Tensor, Tensor], Tensor], out: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.module, self.call, self.out = module, call, out

    def forward(self, x: Tensor, index: RaggedIndex) -> Tensor:
        """Return the tokens after the operator."""
        dense, mask = to_dense_batch(x, index.batch, batch_size=index.num_graphs, max_num_nodes=index.max_size)
        y = self.call(self.module, dense, mask)[mask]
        return y if self.out is None else self.out(y)


class GPS(nn.Module):
    """PyG's GPSConv without a local operator: attention, feed-forward network (2 D hidden channels) and norms."""

    def __init__(self, channels: int, heads: int, kind: str) -> None:
        super().__init__()
        self.conv = GPSConv(channels, conv=None, heads=heads, attn_type=kind)

    def forward(self, x: Tensor, index: RaggedIndex) -> Tensor:
        """Return the tokens after the block."""
        return self.conv(x, torch.empty(2, 0, dtype=torch.long, device=x.device), index.batch)


class DensePreNorm(nn.Module):
    """The block of this package on a padded batch [B, N, D], with any attention."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.conv_norm, self.ffn_norm = nn.RMSNorm(channels), nn.RMSNorm(channels)
        self.ffn = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))
        self.alpha = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens [B, N, D] after the block."""
        x = x + self.alpha * self.attention(self.conv_norm(x), mask)
        return x + self.alpha * self.ffn(self.ffn_norm(x))


class MaskedAttention(nn.Module):
    """Full attention on a padded batch with a mask."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens [B, N, D] after attention."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(
            F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :]).transpose(1, 2).flatten(2)
        )


class EdgeConvOnNeighbours(nn.Module):
    """The operator of DGCNN: 20 nearest neighbours in feature space, an MLP on every edge, and the maximum."""

    def __init__(self, channels: int, neighbours: int = 20) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.mlp = nn.Sequential(nn.Linear(2 * channels, channels), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the points [B, N, D] after the operator."""
        near = (
            torch.cdist(x, x)
            .masked_fill(~mask[:, None, :], torch.inf)
            .topk(min(self.neighbours, x.size(1)), largest=False)
            .indices
        )
        graphs = torch.arange(x.size(0), device=x.device)[:, None, None]
        neighbours = x[graphs, near]
        centre = x.unsqueeze(2).expand_as(neighbours)
        return self.mlp(torch.cat([centre, neighbours - centre], dim=-1)).amax(2)


class PointNetLayers(nn.Module):
    """The point-wise layers of PointNet, with the global maximum joined to every point."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = PointNet(channels, channels, level="node")

    def forward(self, x: Tensor, index: RaggedIndex) -> Tensor:
        """Return the points [T, D] after the network."""
        return self.net(x, batch=index.batch, batch_size=index.num_graphs)


class ProductsAlone(nn.Module):
    """The matrix products of a block with SAMSA, with their shapes.

    Queries are taken 256 at a time, so that their products with the keys stay in the cache. The output means nothing:
    scores choose no keys, and tokens are not normalised.

    Args:
        activated: Whether GELU and softmax are computed too.
    """

    def __init__(self, channels: int, heads: int, samples: int, *, activated: bool = False) -> None:
        super().__init__()
        self.activated = activated
        self.heads, self.samples = heads, samples
        self.scores = nn.Sequential(nn.Linear(channels, channels), nn.Linear(channels, heads))
        self.query, self.key_value = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        act = nn.GELU() if activated else nn.Identity()
        self.ffn = nn.Sequential(nn.Linear(channels, 4 * channels), act, nn.Linear(4 * channels, channels))

    def forward(self, x: Tensor, index: RaggedIndex) -> Tensor:
        """Return the result [T, D] of the last product."""
        self.scores(x)
        rows = self.key_value(x[: index.num_graphs * self.samples])
        taken = torch.arange(self.samples, device=x.device) % len(rows)
        key, value = rows[taken].unflatten(1, (2, self.heads, -1)).permute(1, 2, 0, 3)
        queries = self.query(x).unflatten(1, (self.heads, -1)).transpose(0, 1)
        pieces = [piece for query in queries.split(index.sizes, dim=1) for piece in query.split(256, dim=1)]
        weights = (piece @ key.mT for piece in pieces)
        heads = [(each.softmax(-1) if self.activated else each) @ value for each in weights]
        return self.ffn(self.out(torch.cat(heads, dim=1).transpose(0, 1).flatten(1)))


def _block(conv: Callable[[Workload, int], nn.Module]) -> Build:
    def build(work: Workload, samples: int) -> nn.Module:
        block = SAMSABlock(work.channels, conv=conv(work, samples))
        nn.init.ones_(block.alpha)
        return Packed(block)

    return build


def _samsa(sampling: str = "hard") -> Callable[[Workload, int], nn.Module]:
    return lambda work, samples: SAMSAConv(work.channels, work.heads, samples, sampling=sampling)


def _full(work: Workload, samples: int) -> nn.Module:
    return PackedFullAttention(work.channels, work.heads)


def _masked(module: Any, x: Tensor, mask: Tensor) -> Tensor:
    return module(x, mask)


def _multihead(module: Any, x: Tensor, mask: Tensor) -> Tensor:
    return module(x, x, x, key_padding_mask=~mask, need_weights=False)[0]


def _encoder(module: Any, x: Tensor, mask: Tensor) -> Tensor:
    return module(x, src_key_padding_mask=~mask)


ATTENTION: dict[str, Build] = {
    "SAMSA": lambda work, samples: Packed(_samsa()(work, samples)),
    "packed full": lambda work, samples: Packed(_full(work, samples)),
    "MultiheadAttention, padded": lambda work, samples: Padded(
        nn.MultiheadAttention(work.channels, work.heads, batch_first=True), _multihead
    ),
    "Performer (PyG)": lambda work, samples: Padded(
        PerformerAttention(work.channels, work.heads, work.channels // work.heads), _masked
    ),
    "SGFormer (PyG)": lambda work, samples: Padded(SGFormerAttention(work.channels, 1, work.channels), _masked),
    "Polynormer (PyG)": lambda work, samples: Padded(
        PolynormerAttention(work.channels, work.heads, work.channels // work.heads), _masked
    ),
}
BLOCK: dict[str, Build] = {
    "SAMSA": _block(_samsa()),
    "SAMSA soft": _block(_samsa("soft")),
    PRODUCTS: lambda work, samples: ProductsAlone(work.channels, work.heads, samples),
    ACTIVATED: lambda work, samples: ProductsAlone(work.channels, work.heads, samples, activated=True),
    "packed full": _block(_full),
    "padded full": lambda work, samples: Padded(
        DensePreNorm(work.channels, MaskedAttention(work.channels, work.heads)), _masked
    ),
    "TransformerEncoderLayer": lambda work, samples: Padded(
        nn.TransformerEncoderLayer(
            work.channels,
            work.heads,
            4 * work.channels,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        ),
        _encoder,
    ),
    "GPSConv performer": lambda work, samples: GPS(work.channels, work.heads, "performer"),
    "GPSConv multihead": lambda work, samples: GPS(work.channels, work.heads, "multihead"),
}
CLOUDS: dict[str, Build] = {
    "EdgeConv on kNN": lambda work, samples: Padded(EdgeConvOnNeighbours(work.channels), _masked),
    "PointNet": lambda work, samples: PointNetLayers(work.channels),
}
