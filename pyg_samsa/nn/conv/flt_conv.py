from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.fourier_features import fourier_waves, orthogonal_gaussian
from pyg_samsa.functional.linear_attention import Waves, linear_attention
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.conv.attention_weights import AttentionWeights, identity_values, weights_of_all
from pyg_samsa.nn.conv.operators import register_operator
from pyg_samsa.nn.conv.token_conv import AttentionDropout, Bias, Heads, TokenContext, TokenConv
from pyg_samsa.nn.encoding.gaussian_mixture import GaussianMixtureEncoding
from pyg_samsa.nn.encoding.local_kernels import LocalBoxEncoding, LocalTentEncoding
from pyg_samsa.nn.encoding.shift_invariant import ShiftInvariantEncoding
from pyg_samsa.nn.encoding.spectral import SpectralEncoding
from pyg_samsa.options import Option, check_no_effect, check_options, plain
from pyg_samsa.typing import Float, Shaped

SPECTRAL_ENCODINGS: dict[str, type[SpectralEncoding]] = {
    "gaussian_mixture": GaussianMixtureEncoding,
    "shift_invariant": ShiftInvariantEncoding,
    "local_box": LocalBoxEncoding,
    "local_tent": LocalTentEncoding,
}
"""Relative positional encodings of `FLTConv`, by name."""
ENCODINGS = (*SPECTRAL_ENCODINGS, "none")
NumFeatures = Annotated[int, Option("Positive random features M of a head.", low=1, high=2**14)]
Causal = Annotated[bool, Option("Whether a token sees only itself and the tokens before it in its graph.")]
Redraw = Annotated[int | None, Option("Forward passes in training after which random features are drawn anew.", low=1)]


@register_operator("flt")
class FLTConv(TokenConv):
    r"""Linear attention with a learned relative positional encoding, from the
    `"Learning a Fourier Transform for Linear Relative Positional Encodings in Transformers"
    <https://arxiv.org/abs/2302.01925>`_ paper.

    .. math::
        x'_i = W_o \sum_j \mathrm{softmax}_j\bigl(q_i^\top k_j / \sqrt{C} + f(r_i - r_j)\bigr) \, v_j

    The sum is estimated in time linear in the number of tokens, with two kinds of random features: m waves, with
    frequencies drawn for f (:func:`pyg_samsa.functional.fourier_features`), are appended to queries and keys, and M
    positive orthogonal features approximate the exponential (:func:`pyg_samsa.functional.linear_attention`). Graphs of
    a batch never attend to each other.

    Random features are buffers, saved with the weights and fixed in evaluation. For given random features, permuting
    tokens permutes the output. Positions are taken relative to the mean of their graph (with ``causal``, relative to
    its first token), so that shifting a graph does not change the output, up to rounding. The estimate of f depends on
    differences only and would not need this; the positive features see the phase of each wave, and would be invariant
    only on average over draws. Rotations leave the output with ``"shift_invariant"`` unchanged only on average over
    draws and in the limit of many features; with the other encodings they change it.

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        encoding: The function f: ``"gaussian_mixture"``, ``"shift_invariant"``, ``"local_box"`` or ``"local_tent"``,
            see the classes in :obj:`SPECTRAL_ENCODINGS`, or ``"none"``. Every head has its own weights.
            None is ``"gaussian_mixture"``, or ``"none"`` where ``num_dims`` is 0.
        num_dims: Number l of coordinates of a position: 1 for places in a sequence, 3 for points, 0 for
            tokens without positions.
        num_features: Number M of positive random features of a head.
        num_frequencies: Number m of frequencies of a head.
        length_scale: Distance over which f varies, above 0, in the unit of the positions.
        encoding_options: Further arguments of the encoding, such as ``{"kernel": "matern32"}`` or ``{"num_components":
            10}``.
        causal: Whether a token attends only to itself and the tokens before it in its graph.
        redraw: Number of forward passes in training after which random features are drawn again, as in Performer; None
            for never.
        dropout: Probability that a value is dropped in training, 0 to below 1. It is dropped for all queries of its
            graph and head, because no weights of pairs are computed.
        bias: Whether the linear layers have a bias.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*), positions [T, l]
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other, or positions are missing.

    Example:
        >>> conv = FLTConv(16, heads=4, num_dims=3)
        >>> x, pos, batch = torch.randn(30, 16), torch.randn(30, 3), torch.arange(30) // 10
        >>> conv(x, batch=batch, pos=pos).shape
        torch.Size([30, 16])

    Cost: O(T D^2 + T M (D + H m)) time and O(T (D + H m)) memory; O(T H M) memory on devices other than the CPU or with
    ``causal``.
    """

    draw_state: Tensor
    projection: Tensor

    def __init__(
        self,
        channels: int,
        heads: Heads = 8,
        encoding: Annotated[
            str | None, Option("Relative positional encoding; empty for one that fits the data.", ENCODINGS)
        ] = None,
        num_dims: Annotated[int, Option("Coordinates of a position.", low=0, high=1024)] = 1,
        num_features: NumFeatures = 64,
        num_frequencies: Annotated[int, Option("Frequencies m of a head.", low=1, high=2**14)] = 16,
        length_scale: Annotated[
            float, Option("Distance at which the encoding varies, in units of the positions.", above=0)
        ] = 1.0,
        encoding_options: Mapping[str, Any] | None = None,
        causal: Causal = False,
        redraw: Redraw = None,
        dropout: AttentionDropout = 0.0,
        bias: Bias = True,
    ) -> None:
        check_options(FLTConv, locals())
        super().__init__(channels, heads, dropout, bias)
        num_dims, num_features, redraw = plain((num_dims, num_features, redraw))
        if encoding is None:
            encoding = "gaussian_mixture" if num_dims else "none"
        check_choice("encoding", encoding, ENCODINGS)
        self.encoding, self.num_dims, self.num_features = encoding, num_dims, num_features
        self.causal, self.redraw_every = causal, redraw
        if encoding == "none":
            unused = {"num_frequencies": num_frequencies, "length_scale": length_scale}
            check_no_effect(FLTConv, unused, reason="encoding is 'none'")
            if encoding_options:
                raise ConfigError("encoding_options", dict(encoding_options), "nothing where encoding is 'none'")
        elif not num_dims:
            raise ConfigError("encoding", encoding, "'none', because num_dims is 0: tokens have no positions")
        self.spectrum = None
        if encoding != "none":
            self.spectrum = _make(encoding, self.heads, num_dims, num_frequencies, length_scale, encoding_options)
        width = self.head_channels + (0 if self.spectrum is None else 2 * num_frequencies)
        self.register_buffer("projection", torch.empty(self.heads, num_features, width))
        # The seed of the draws, the number of draws so far, and the number of forward passes in training.
        self.register_buffer("draw_state", torch.zeros(3, dtype=torch.long))
        self.reset_parameters()

    @property
    def uses_positions(self) -> bool:
        """Whether there is an encoding, so that the operator needs ``pos``.

        Example:
            >>> FLTConv(16).uses_positions, FLTConv(16, encoding="none").uses_positions
            (True, False)
        """
        return self.encoding != "none"

    def reset_parameters(self) -> None:
        """Draw new weights and new random features."""
        for module in (self.query, self.key_value, self.out):
            module.reset_parameters()
        if self.spectrum is not None:
            self.spectrum.reset_weights()
        self.draw_state.zero_()
        self.draw_state[0] = int(torch.randint(2**53, ()))
        self.redraw()

    @torch.no_grad()
    def redraw(self) -> None:
        """Draw new random features and frequencies.

        Each operator has its own sequence of draws, which other random numbers do not change.

        Example:
            >>> conv = FLTConv(16, heads=4)
            >>> before = conv.projection.clone()
            >>> conv.redraw()
            >>> torch.equal(conv.projection, before)
            False
        """
        seed, number, _ = self.draw_state.tolist()
        generator = torch.Generator().manual_seed(seed + number)
        self.projection.copy_(orthogonal_gaussian(*self.projection.shape, generator=generator, dtype=torch.float64))
        if self.spectrum is not None:
            self.spectrum.redraw(generator)
        self.draw_state[1] += 1

    def check_positions(
        self, x: Float[Tensor, "T D"], pos: Shaped[Tensor, "T l"] | None, normal: Float[Tensor, "T _"] | None
    ) -> tuple[Shaped[Tensor, "T l"] | None, None]:
        """Return the positions if there is an encoding, and no normals.

        Raises:
            ShapeError: Positions are missing, or do not fit the tokens.

        Example:
            >>> pos, normal = FLTConv(16, num_dims=3).check_positions(torch.ones(5, 16), torch.ones(5, 3), None)
            >>> pos.shape, normal
            (torch.Size([5, 3]), None)
        """
        if self.spectrum is None:
            return None, None
        expected = f"[{x.size(0)}, {self.num_dims}], one position per token"
        if pos is None:
            hint = "Pass pos, for a sequence functional.sequence_positions(index)[:, None], or use encoding='none'."
            raise ShapeError("pos", None, f"{expected}, for encoding={self.encoding!r}", hint=hint)
        if pos.shape != (x.size(0), self.num_dims) or pos.is_complex():
            hint = f"num_dims={self.num_dims} is the number of coordinates of a position."
            raise ShapeError("pos", list(pos.shape), expected, hint=hint)
        return pos, None

    def attend(self, x: Float[Tensor, "T D"], context: TokenContext) -> tuple[Float[Tensor, "T H C"], None]:
        r"""Estimate attention with a relative encoding from random features.

        .. math::
            o_t = \frac{\phi(q_t)^\top \sum_u \psi(k_u) v_u}{\phi(q_t)^\top \sum_u \psi(k_u)}
        """
        self._count()
        query, key, value = self._query_key_value(x)
        if self.training and self.dropout:
            value = value * torch.empty_like(value[..., :1]).bernoulli_(1 - self.dropout).div_(1 - self.dropout)
        return self._estimate(query, key, value, context), None

    def attention_weights(self, x: Float[Tensor, "T D"], context: TokenContext, samples: None) -> AttentionWeights:
        """Return the estimated weights of all pairs of tokens of a graph: [2, M] and [M, H] with M the sum of n^2."""
        query, key, _ = self._query_key_value(x)
        index = context.index
        alpha = self._estimate(query, key, identity_values(index, self.heads, x.dtype), context)
        return weights_of_all(alpha, index)

    def _query_key_value(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        key, value = self.split_heads(self.key_value(x)).chunk(2, dim=-1)
        return self.split_heads(self.query(x)), key, value

    def _estimate(self, query: Tensor, key: Tensor, value: Tensor, context: TokenContext) -> Tensor:
        relative = None
        if context.pos is not None and self.spectrum is not None:
            frequencies, ratio = self.spectrum()
            relative = Waves(fourier_waves(self._place(context.pos, query.dtype, context.index), frequencies), ratio)
        return linear_attention(
            query, key, value, self.projection, context.index, relative=relative, causal=self.causal
        )

    def _place(self, pos: Tensor, dtype: torch.dtype, index: RaggedIndex) -> Tensor:
        """Return the positions [T, l] relative to the origin of their graph, in at least float32."""
        if index.num_tokens:
            # First relative to the first token, before rounding: far from zero, a mean has few correct digits.
            pos = pos - pos[index.ptr[:-1].clamp_max(index.num_tokens - 1)][index.batch]
        pos = pos.to(torch.promote_types(dtype, torch.float32))
        if self.causal:
            return pos
        sums = pos.new_zeros(index.num_graphs, self.num_dims).index_add(0, index.batch, pos)
        return pos - (sums / index.ptr.diff().clamp_min(1).unsqueeze(1))[index.batch]

    def _count(self) -> None:
        """Count a forward pass in training, and draw again if it is time.

        A checkpointed block that is computed again in the backward pass keeps its draws.
        """
        if self.redraw_every is None or not self.training or torch._C._current_graph_task_id() != -1:
            return
        if (passes := int(self.draw_state[2])) and passes % self.redraw_every == 0:
            self.redraw()
        self.draw_state[2] += 1

    def __repr__(self) -> str:
        sizes = f"{self.channels}, heads={self.heads}, encoding={self.encoding!r}, num_features={self.num_features}"
        return f"{type(self).__name__}({sizes}{', causal=True' if self.causal else ''})"


def _make(
    name: str, heads: int, num_dims: int, num_frequencies: int, length_scale: float, options: Mapping[str, Any] | None
) -> SpectralEncoding:
    encoding = SPECTRAL_ENCODINGS[name]
    allowed = [
        key
        for key in inspect.signature(encoding).parameters
        if key not in ("heads", "num_dims", "num_frequencies", "length_scale")
    ]
    for key, value in (options or {}).items():
        if key not in allowed:
            raise ConfigError(
                f"encoding_options: {key}",
                value,
                allowed or "nothing",
                hint=f"{encoding.__name__} has the options {allowed}.",
            )
    return encoding(heads, num_dims, num_frequencies, length_scale, **(options or {}))
