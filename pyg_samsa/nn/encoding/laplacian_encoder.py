"""An encoder of pairs of eigenvalue and entry of the eigenvector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Linear, Module, MultiheadAttention, TransformerEncoder, TransformerEncoderLayer
from torch_geometric.nn import MLP
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.nn.encoding.positional import check_encodings, flip_columns
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int

SPECTRAL_MODELS = ("deepset", "transformer")
RAW_NORMS = ("none", "batch")


class LaplacianEncoder(Module):
    r"""The encoder of Laplacian eigenvectors of `SAN <https://arxiv.org/abs/2106.03893>`_, in the form of `GraphGPS
    <https://arxiv.org/abs/2205.12454>`_.

    .. math::
        h_i = \mathrm{MLP}_2\Bigl(\sum_{k=1}^{\min(K, n)} \mathrm{E}\bigl([\phi_{ik}, \lambda_k]\bigr)\Bigr)

    Each pair of an entry of an eigenvector and its eigenvalue is encoded by E: with ``"deepset"`` by an MLP, each pair
    alone; with ``"transformer"`` by a linear map and a transformer whose tokens are the pairs of one node. A graph of n
    nodes has no more than n pairs; others take no part. The signs of eigenvectors are arbitrary: in training they are
    drawn for each graph and each eigenvector.

    Args:
        num_frequencies: Number of eigenvectors K.
        channels: Channels C of the result.
        model: ``"deepset"`` or ``"transformer"``.
        layers: Layers of E, without the linear map of the transformer. The hidden layers of an MLP have 2 C channels,
            and a ReLU follows each layer.
        heads: Heads of the transformer; a divisor of C.
        post_layers: Layers of the second MLP; 0 for none.
        norm: ``"batch"``: before E, a batch norm over the two numbers of the pair k of all nodes; ``"none"``.

    Shapes:
        - **input:** `pyg_samsa.functional.laplacian_spectrum.laplacian_spectrum` of the graphs [N, 2 K], graph numbers
          [N]
        - **output:** [N, C]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The encodings are missing or have another shape.
        NumericalError: An encoding is not finite.

    Example:
        >>> import numpy as np
        >>> from pyg_samsa.functional.laplacian_spectrum import laplacian_spectrum
        >>> pe = torch.from_numpy(laplacian_spectrum(np.array([[0, 1, 1, 2], [1, 0, 2, 1]]), 3, 8))
        >>> LaplacianEncoder(8, channels=16)(pe, torch.zeros(3, dtype=torch.long), 1).shape
        torch.Size([3, 16])

    Cost: O(layers N K C^2), with the transformer O(layers N K C (K + 2048)).
    """

    def __init__(
        self,
        num_frequencies: int,
        channels: int,
        *,
        model: str = "deepset",
        layers: int = 2,
        heads: int = 4,
        post_layers: int = 0,
        norm: str = "none",
    ) -> None:
        super().__init__()
        counts = {"num_frequencies": num_frequencies, "channels": channels, "layers": layers, "heads": heads}
        for key, count in counts.items():
            check_integer(key, count)
        check_integer("post_layers", post_layers, low=0)
        check_choice("model", model, SPECTRAL_MODELS)
        check_choice("norm", norm, RAW_NORMS)
        self.num_frequencies, self.channels, self.model = num_frequencies, channels, model
        self.norm = BatchNorm1d(num_frequencies) if norm == "batch" else None
        self.lin: Linear | None = None
        self.encoder: Module
        if model == "transformer":
            if channels % heads:
                raise ConfigError("heads", heads, f"a divisor of {channels} channels of the encoding")
            self.lin = Linear(2, channels)
            layer = TransformerEncoderLayer(channels, heads, batch_first=True)
            self.encoder = TransformerEncoder(layer, layers, enable_nested_tensor=False)
            self._reset_transformer()  # PyTorch makes copies of one layer.
        else:
            self.encoder = relu_mlp(2, channels, layers)
        self.post = relu_mlp(channels, channels, post_layers) if post_layers else None

    def reset_parameters(self) -> None:
        """Draw new weights.

        Example:
            >>> encoder = LaplacianEncoder(4, 8, model="transformer")
            >>> before = encoder.lin.weight.clone()
            >>> encoder.reset_parameters()
            >>> torch.equal(before, encoder.lin.weight)
            False
        """
        for module in (self.norm, self.lin, self.post):
            if module is not None:
                module.reset_parameters()
        if self.lin is None:
            reset(self.encoder)
        else:
            self._reset_transformer()

    def _reset_transformer(self) -> None:
        reset(self.encoder)
        for module in self.encoder.modules():
            if isinstance(module, MultiheadAttention):
                module._reset_parameters()  # The attention has no public method for this.

    def forward(
        self, pe: Float[Tensor, "N P"] | None, graph: Int[Tensor, " N"], num_graphs: int
    ) -> Float[Tensor, "N C"]:
        """Return the encoded pairs of each node.

        Args:
            pe: Entries of the eigenvectors, then eigenvalues, which are negative where a graph has no such pair.
            graph: Graph number of every node.
            num_graphs: Number of graphs.

        Example:
            >>> LaplacianEncoder(4, 8)(torch.zeros(0, 8), torch.zeros(0, dtype=torch.long), 1).shape  # no nodes
            torch.Size([0, 8])
        """
        pe = check_encodings(pe, graph.size(0), 2 * self.num_frequencies)
        pe = pe.to(next(self.parameters()).dtype)
        vectors, values = pe[:, : self.num_frequencies], pe[:, self.num_frequencies :]
        if not pe.size(0):
            return pe.new_zeros(0, self.channels)
        absent = values < 0
        if self.training:
            vectors = flip_columns(vectors, self.num_frequencies, graph, num_graphs)
        pairs = torch.stack([vectors, values], dim=2).masked_fill(absent.unsqueeze(2), 0)
        if self.norm is not None:
            pairs = self.norm(pairs)
        if self.lin is not None:
            encoded = self.encoder(self.lin(pairs), src_key_padding_mask=absent)
        else:
            encoded = self.encoder(pairs)
        pooled = encoded.masked_fill(absent.unsqueeze(2), 0).sum(1)
        return pooled if self.post is None else self.post(pooled)

    def extra_repr(self) -> str:
        """Return the sizes as they appear in the ``repr``."""
        return f"{self.num_frequencies}, {self.channels}, model={self.model!r}"


def relu_mlp(in_channels: int, channels: int, layers: int) -> MLP:
    r"""An MLP with a ReLU after each layer, whose hidden layers have twice the channels of the result.

    .. math::
        h_{l+1} = \max(0, W_l h_l + b_l)

    Args:
        in_channels: Channels of the input.
        channels: Channels C of the result.
        layers: Number of layers.

    Example:
        >>> relu_mlp(2, 8, 3).channel_list
        [2, 16, 16, 8]
    """
    widths = [in_channels, *[2 * channels] * (layers - 1), channels]
    return MLP(widths, norm=None, act="relu", plain_last=False)
