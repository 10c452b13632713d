from __future__ import annotations

from torch import Tensor

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.encoding.feature_encoder import Features
from pyg_samsa.nn.tokenizers.coordinate_free import CoordinateFree
from pyg_samsa.nn.tokenizers.node import NodeTokenizer
from pyg_samsa.typing import Float, Int, Shaped


class PointTokenizer(NodeTokenizer):
    r"""Makes one token of each point of a cloud, without a neighbour search.

    .. math::
        h_i = W [\mathrm{xyz}_i, \mathrm{normal}_i] + b

    With ``coordinate_free``, tokens do not contain coordinates (`SFT <https://arxiv.org/abs/2408.05822>`_): they are
    made of a learned vector and a random code, see `CoordinateFree`. With an operator that encodes the positions of
    pairs, the output of the network does not change when a cloud is moved, rotated or mirrored.

    Args:
        channels: Channels D of a token.
        in_channels: The features of a point, see `NodeTokenizer`; not used with ``coordinate_free``.
        coordinate_free: Whether tokens are made without coordinates.
        centroid_distance: Whether coordinate-free tokens contain their distance to the centroid of the cloud.
        pe_channels: Width of positional encodings that are passed as ``pe``; 0 for none.
        flip_signs: Whether to flip the signs of these encodings at random in training, or of how many.

    Shapes:
        - **input:** points [T, F], cloud numbers [T] (*optional*), positions [T, l] with ``coordinate_free``
        - **output:** `Tokens` with T tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other.

    Example:
        >>> import torch
        >>> PointTokenizer(16, in_channels=6)(torch.randn(5, 6)).x.shape
        torch.Size([5, 16])

    Cost: O(T F D).
    """

    def __init__(
        self,
        channels: int,
        in_channels: Features,
        *,
        coordinate_free: bool = False,
        centroid_distance: bool = False,
        pe_channels: int = 0,
        flip_signs: bool | int = False,
    ) -> None:
        if centroid_distance and not coordinate_free:
            raise ConfigError("centroid_distance", True, "False for tokens with coordinates (coordinate_free=False)")
        encoder = CoordinateFree(channels, centroid_distance=centroid_distance) if coordinate_free else in_channels
        super().__init__(channels, encoder, pe_channels=pe_channels, flip_signs=flip_signs)

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the optional inputs that the tokenizer uses.

        Example:
            >>> PointTokenizer(16, 3).inputs, PointTokenizer(16, 3, coordinate_free=True).inputs
            (frozenset(), frozenset({'pos'}))
        """
        return super().inputs | ({"pos"} if self.has_draws else set())

    @property
    def has_draws(self) -> bool:
        """Whether tokens contain random codes.

        Example:
            >>> PointTokenizer(16, 3).has_draws, PointTokenizer(16, 3, coordinate_free=True).has_draws
            (False, True)
        """
        return isinstance(self.node_encoder, CoordinateFree)

    def encode_features(
        self,
        x: Shaped[Tensor, "T ..."],
        batch: Int[Tensor, " T"] | RaggedIndex | None,
        *,
        batch_size: int | None,
        pos: Float[Tensor, "T l"] | None,
        draw: int,
    ) -> Float[Tensor, "T D"]:
        """Return the encoded points; arguments as in `NodeTokenizer.forward`.

        Raises:
            ShapeError: Tokens are coordinate-free, and positions are missing.

        Example:
            >>> import torch
            >>> x, tokenizer = torch.randn(5, 3), PointTokenizer(16, 3, coordinate_free=True)
            >>> tokenizer.encode_features(x, None, batch_size=1, pos=x, draw=0).shape
            torch.Size([5, 16])
        """
        if not self.has_draws:
            return super().encode_features(x, batch, batch_size=batch_size, pos=pos, draw=draw)
        if pos is None:
            raise ShapeError("pos", None, f"positions [{x.size(0)}, l], because the tokens are coordinate-free")
        return self.node_encoder(pos, batch, batch_size=batch_size, draw=draw)
