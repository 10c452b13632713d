from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear, Parameter

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.maxout import LEAKS, leak_mass
from pyg_samsa.functional.pair_features import PAIR_FEATURES
from pyg_samsa.functional.paired_sampling import ragged_sample_paired
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.ragged_sampling import Samples, ragged_sample_without_replacement
from pyg_samsa.functional.relative import SCORES, Relation, relative_attention
from pyg_samsa.functional.sampling import MODES, gumbel_noise
from pyg_samsa.nn.conv.attention_weights import AttentionWeights, weights_of_samples
from pyg_samsa.nn.conv.operators import register_operator
from pyg_samsa.nn.conv.samsa_conv import Noise, NumSamples, Tau
from pyg_samsa.nn.conv.token_conv import AttentionDropout, Bias, Heads, TokenContext, TokenConv
from pyg_samsa.nn.importance_score import ImportanceScore, LinearScore, check_scores
from pyg_samsa.options import Option, check_no_effect, check_options
from pyg_samsa.typing import Float

SAMPLERS = ("samsa", "paired")
# Initial a, b, c, L1 and L2 of the field encoding. For coordinates in the unit ball, distances go from 0 to 2, so both
# limits have an effect.
_FIELD = 1.0


@register_operator("sft")
class SFTConv(TokenConv):
    r"""The attention operator of the
    `"Sampling Foundational Transformer: A Theoretical Perspective" <https://arxiv.org/abs/2408.05822>`_ paper.

    K tokens of a graph are sampled by learned importance, once for all heads. Every token attends to them with a score
    that is a sum of maxima, a relative encoding of the pair, and leaky probabilities:

    .. math::
        S_{ij} &= \tfrac{1}{\sqrt{C}} \textstyle\sum_c \bigl(\max(q_{ic}, \tilde k_{jc}) - \mu\bigr) / s, \qquad
        S'_{ij} = S_{ij} \, \mathrm{softplus}(W_w \phi_{ij}) + W_b \phi_{ij}

        x'_i &= W_o \sum_j \frac{\mathrm{ReLU}(S'_{ij})}{\sum_j \mathrm{ReLU}(S'_{ij}) + \sum_j \mathrm{softplus}(c_j)
        + 10^{-9}} \, \tilde v_j,
        \qquad c = W_c \tilde v

    The output of a row without a positive score is zero. Positions enter only through the features :math:`\phi` of
    pairs. With tokens without coordinates (`CoordinateFree`), the output therefore does not change when a cloud is
    moved, rotated or mirrored.

    In every graph, 2K learned support pairs with their own scores are candidates too, so graphs with fewer than K
    tokens and empty graphs are allowed. Support pairs are placed at the centroid of the graph and have a normal of
    zero. If the sampler mixes tokens, positions and normals are mixed like keys and values, and contribute to the
    gradient of the scores.

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        num_samples: Number K of tokens that are sampled per graph.
        encoding: Features of pairs: ``"none"``, ``"dist"``, ``"dist_normal"`` or ``"field"``, see
            `pyg_samsa.functional.pair_features`.
        leak: How probability leaks: ``"softplus"``, ``"relu"``, or ``"none"``.
        score: ``"maxout"``, or ``"softmax"``: the ablation with a scaled dot product and the exponential, in which the
            leak is one more term of the denominator.
        sampler: ``"samsa"``, as in `SAMSAConv`, or ``"paired"``: pairs of tokens, each mixed into one.
        sampling: ``"hard"`` or ``"soft"``, for the sampler ``"samsa"``.
        tau: Temperature of the relaxation of the sampler ``"samsa"``, above 0.
        noise: When Gumbel noise is added to the scores: ``"train"``, ``"always"`` or ``"never"``; the sampler
            ``"paired"`` then also pairs at random.
        dropout: Probability that an attention weight is dropped in training, 0 to below 1.
        bias: Whether the linear layers have a bias.
        shared: Whether all heads of a graph attend to the same tokens; otherwise each head samples its own, as in
            `SAMSAConv`.
        length_scale: Length by which positions are divided, above 0. The encodings are designed for graphs of size
            about 1 after the division.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*), positions [T, l] and normals [T, l] where the
          encoding needs them
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other, or positions or normals are missing.
        NumericalError: A score is not finite.

    Example:
        >>> conv = SFTConv(16, heads=4, num_samples=8, encoding="dist")
        >>> x, batch, pos = torch.randn(30, 16), torch.arange(30) // 10, torch.randn(30, 3)
        >>> conv(x, batch=batch, pos=pos).shape
        torch.Size([30, 16])

    Cost: O(T D^2 + T K D) time and O(T D + B K D) memory. The term T K D is computed by elementwise operations, which
    are slower than the matrix products of softmax attention.
    """

    samples = True

    def __init__(
        self,
        channels: int,
        heads: Heads = 8,
        num_samples: NumSamples = 128,
        encoding: Annotated[
            str, Option("Features of the positions of a pair, which the score depends on.", PAIR_FEATURES)
        ] = "none",
        leak: Annotated[str, Option("How probability leaks.", LEAKS)] = "softplus",
        score: Annotated[
            str, Option("Score of a pair; softmax is the ablation with a dot product.", SCORES)
        ] = "maxout",
        sampler: Annotated[
            str, Option("How keys are sampled: as SAMSA, or pairs of mixed tokens.", SAMPLERS)
        ] = "samsa",
        sampling: Annotated[str, Option("How the sampler samsa samples.", MODES)] = "hard",
        tau: Tau = 1.0,
        noise: Noise = "train",
        dropout: AttentionDropout = 0.0,
        bias: Bias = True,
        shared: Annotated[bool, Option("Whether all heads sample the same tokens.")] = True,
        length_scale: Annotated[float, Option("Length by which positions are divided.", above=0, below=math.inf)] = 1.0,
    ) -> None:
        check_options(SFTConv, locals())
        super().__init__(channels, heads, dropout, bias)
        bias, shared = bool(bias), bool(shared)
        if sampler == "paired":
            check_no_effect(SFTConv, {"sampling": sampling, "tau": tau}, reason="sampler is 'paired'")
        if encoding == "none":
            check_no_effect(SFTConv, {"length_scale": length_scale}, reason="encoding is 'none'")
        self.num_samples, self.sets = int(num_samples), 1 if shared else self.heads
        self.encoding, self.leak_mode, self.score_mode, self.sampler = encoding, leak, score, sampler
        self.sampling, self.tau, self.noise, self.length_scale = sampling, float(tau), noise, float(length_scale)
        self.score = (ImportanceScore if sampler == "samsa" else LinearScore)(channels, self.sets, bias=bias)
        self.support_key_value = Parameter(torch.empty(2 * num_samples, 2 * channels))
        self.support_score = Parameter(torch.empty(2 * num_samples, self.sets))
        self.leak_weight = None if leak == "none" else Parameter(torch.empty(self.heads, self.head_channels))
        self.leak_bias = None if leak == "none" or not bias else Parameter(torch.empty(self.heads))
        self.relation = Linear(PAIR_FEATURES[encoding], 2 * self.heads) if encoding != "none" else None
        self.raw_field = Parameter(torch.empty(5)) if encoding == "field" else None
        self.reset_parameters()

    @property
    def uses_positions(self) -> bool:
        """Whether there is an encoding, so that the operator needs ``pos``.

        Example:
            >>> SFTConv(16).uses_positions, SFTConv(16, encoding="dist").uses_positions
            (False, True)
        """
        return self.encoding != "none"

    def reset_parameters(self) -> None:
        r"""Draw new weights.

        Queries and keys of normalised tokens get unit variance, for which the score is standardised. With PyTorch's
        default range, which gives a third of that, almost no score would be positive. The pair features start with a
        factor near 1 and a term near 0.
        """
        super().reset_parameters()
        bound = math.sqrt(3 / self.channels)
        for linear in (self.query, self.key_value):
            torch.nn.init.uniform_(linear.weight, -bound, bound)
        torch.nn.init.normal_(self.support_key_value)
        torch.nn.init.normal_(self.support_score)
        if self.leak_weight is not None:
            bound = math.sqrt(3 / self.head_channels)
            torch.nn.init.uniform_(self.leak_weight, -bound, bound)
        if self.leak_bias is not None:
            torch.nn.init.zeros_(self.leak_bias)
        if self.relation is not None:
            with torch.no_grad():
                self.relation.bias[: self.heads].fill_(math.log(math.expm1(1.0)))
                self.relation.bias[self.heads :].zero_()
        if self.raw_field is not None:
            torch.nn.init.constant_(self.raw_field, math.log(math.expm1(_FIELD)))

    def check_positions(
        self, x: Float[Tensor, "T D"], pos: Float[Tensor, "T l"] | None, normal: Float[Tensor, "T _"] | None
    ) -> tuple[Float[Tensor, "T l"] | None, Float[Tensor, "T _"] | None]:
        """Return the positions and the normals that the encoding uses, or None for each.

        Raises:
            ShapeError: They are missing, or do not fit the tokens.

        Example:
            >>> pos, normal = SFTConv(16, encoding="dist").check_positions(torch.ones(5, 16), torch.ones(5, 3), None)
            >>> pos.shape, normal
            (torch.Size([5, 3]), None)
        """
        if self.encoding == "none":
            return None, None
        used = {"pos": pos, "normal": normal} if self.encoding == "dist_normal" else {"pos": pos}
        for name, value in used.items():
            if value is None:
                expected = f"[{x.size(0)}, l], because encoding is {self.encoding!r}"
                raise ShapeError(name, None, expected, hint="Or use encoding='none'.")
            if value.dim() != 2 or value.size(0) != x.size(0) or value.size(1) < 1 or not value.is_floating_point():
                expected = f"floats [{x.size(0)}, l], one row per token"
                raise ShapeError(name, f"{list(value.shape)} {value.dtype}", expected)
        pos, normal = used["pos"], used.get("normal")
        if pos is not None and normal is not None and pos.shape != normal.shape:
            raise ShapeError("normal", list(normal.shape), f"{list(pos.shape)}, as pos")
        return pos, normal

    def attend(self, x: Float[Tensor, "T D"], context: TokenContext) -> tuple[Float[Tensor, "T H C"], Samples]:
        r"""Sample keys and values, and mix the values with leaky probabilities.

        .. math::
            o_i = \sum_j A_{ij} \tilde{v}_j
        """
        place = self._place(x, context)
        samples = self.sample(x, context, place)
        return self._mix(x, samples, place, context.index), samples

    def attention_weights(self, x: Float[Tensor, "T D"], context: TokenContext, samples: Samples) -> AttentionWeights:
        """Return the leaky probabilities; a mixed key is listed as its token with the higher score."""
        alpha = self._mix(x, samples, self._place(x, context), context.index, weights=True)
        candidates = samples.candidates.expand(-1, self.heads, -1)
        return weights_of_samples(alpha, candidates, context.index)

    def _place(self, x: Tensor, context: TokenContext) -> Tensor | None:
        """Return positions relative to the centroid of the graph [T, l], followed by normals if used [T, 2 l]."""
        if context.pos is None:
            return None
        pos, index = context.pos.to(x.dtype), context.index
        total = torch.zeros(index.num_graphs, pos.size(1), dtype=pos.dtype, device=pos.device)
        total = total.index_add(0, index.batch, pos)
        # Support tokens are at the centroid.
        pos = (pos - (total / index.ptr.diff().clamp_min(1).unsqueeze(1))[index.batch]) / self.length_scale
        return pos if context.normal is None else torch.cat([pos, context.normal.to(x.dtype)], dim=1)

    def sample(
        self, x: Float[Tensor, "T D"], context: TokenContext, place: Float[Tensor, "T g"] | None = None
    ) -> Samples:
        """Sample key-value pairs, with positions and normals appended.

        Args:
            x: Tokens, sorted by graph.
            context: Where graphs begin and end, and the input of the scores.
            place: Positions and normals of the tokens, as the pair features need them.

        Returns:
            `Samples` with values [B, sets, K, 2D / sets + g]; there is one set for all heads, or one per head.

        Raises:
            NumericalError: A score is not finite.

        Example:
            >>> conv, x = SFTConv(16, heads=4, num_samples=8), torch.randn(30, 16)
            >>> conv.sample(x, TokenContext(RaggedIndex(torch.tensor([0, 10, 30])), x)).values.shape
            torch.Size([2, 1, 8, 32])
        """
        scores = self.score(context.score_input)
        check_scores(scores, self.name)
        noisy = self.noise == "always" or (self.noise == "train" and self.training)
        if noisy:
            scores = scores + gumbel_noise(scores)
        support = self.support_key_value.view(-1, self.sets, 2 * self.channels // self.sets)
        if place is not None:
            support = F.pad(support, (0, place.size(1)))
        few = self.can_project_sampled(x, context.index.num_graphs, self.num_samples)
        values = (lambda tokens: self._sampled_pairs(x, place, tokens)) if few else self._pairs(x, place)
        arguments = (values, scores, support, self.support_score.to(scores.dtype), context.index, self.num_samples)
        if self.sampler == "paired":
            return ragged_sample_paired(*arguments, shuffle=noisy)
        return ragged_sample_without_replacement(*arguments, tau=self.tau, mode=self.sampling)

    def _pairs(self, x: Tensor, place: Tensor | None) -> Tensor:
        """Return the key-value pairs of all tokens, with places appended, [T, sets, 2D / sets + g]."""
        pairs = self.pairs_of_all(x, self.sets)
        return pairs if place is None else torch.cat([pairs, place.unsqueeze(1).expand(-1, self.sets, -1)], dim=-1)

    def _sampled_pairs(self, x: Tensor, place: Tensor | None, tokens: Tensor) -> Tensor:
        """Return those of some tokens [B, sets, m], as [B, sets, m, 2D / sets + g]."""
        pairs = self.project_sampled(x, tokens)
        return pairs if place is None else torch.cat([pairs, place[tokens]], dim=-1)

    def _mix(
        self, x: Tensor, samples: Samples, place: Tensor | None, index: RaggedIndex, *, weights: bool = False
    ) -> Tensor:
        """Return the mixed values [T, H, C]; with ``weights``, the weights of the keys [T, H, K] instead."""
        widths = [2 * self.channels // self.sets, 0 if place is None else place.size(1)]
        pairs, sampled_place = samples.values.split(widths, dim=-1)
        pairs = pairs.unflatten(-1, (self.heads // self.sets, -1)).transpose(2, 3).flatten(1, 2)
        key, value = pairs.chunk(2, dim=-1)
        leak = self._leak(value)
        if weights:
            # If the values are an identity matrix, the output is the weights.
            value = torch.eye(key.size(-2), dtype=key.dtype, device=key.device).expand(*key.shape[:2], -1, -1)
        query = self.split_heads(self.query(x))
        relation = None
        if place is not None and self.relation is not None:
            field = None if self.raw_field is None else F.softplus(self.raw_field)
            maps = self.relation.weight, self.relation.bias
            relation = Relation(self.encoding, place, sampled_place, *maps, field)
        dropout = 0.0 if weights else self.attention_dropout
        options = {"score": self.score_mode, "relation": relation, "dropout": dropout}
        return relative_attention(query, key, value, leak, index, **options)  # type: ignore[arg-type]

    def _leak(self, value: Tensor) -> Tensor:
        """Return the leaking mass of every graph and head [B, H], from linear maps of the sampled values."""
        if self.leak_weight is None:
            return value.new_zeros(value.shape[:2])
        leak = (value @ self.leak_weight.to(value.dtype).unsqueeze(-1)).squeeze(-1)
        if self.leak_bias is not None:
            leak = leak + self.leak_bias.to(leak.dtype).unsqueeze(-1)
        return leak_mass(leak, self.leak_mode)

    def __repr__(self) -> str:
        options = (
            f"encoding={self.encoding!r}, leak={self.leak_mode!r}, score={self.score_mode!r}, sampler={self.sampler!r}"
        )
        return f"{type(self).__name__}({self.channels}, heads={self.heads}, num_samples={self.num_samples}, {options})"
