from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import LayerNorm, Linear, Module, Parameter

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError, check_choice
from pyg_samsa.functional.maxout import LEAKS, leak_mass
from pyg_samsa.functional.pair_features import PAIR_FEATURES
from pyg_samsa.functional.paired_sampling import ragged_sample_paired
from pyg_samsa.functional.ragged import RaggedIndex, resolve
from pyg_samsa.functional.relative import SCORES, Relation, relative_attention
from pyg_samsa.functional.sampling import MODES, Samples, gumbel_noise, ragged_sample_without_replacement
from pyg_samsa.nn.conv.samsa_conv import NOISE, ImportanceScore, SampledTokens

SAMPLERS = ("samsa", "paired")
# Initial a, b, c, L1, L2 of the field encoding: for coordinates in the unit ball, whose distances go from 0 to 2, both limits are met.
_FIELD = 1.0
# With more tokens than this for each one that is sampled, keys and values are computed for the sampled tokens only.
_MANY = 2


class LinearScore(Module):
    r"""The importance of every token in `SFT <https://arxiv.org/abs/2408.05822>`_, :math:`z = \mathrm{Linear}(\mathrm{LN}(x)) / \sqrt{2}`.

    Args:
        channels: Channels D of a token.
        heads: Number of scores of a token.
        bias: Give the product a bias.

    Example:
        >>> LinearScore(16, 1)(torch.randn(5, 16)).shape
        torch.Size([5, 1])

    Cost: O(T D).
    """

    def __init__(self, channels: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.norm = LayerNorm(channels)
        self.out = Linear(channels, heads, bias=bias)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.norm.reset_parameters()
        self.out.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of the tokens [T, heads], at least float32."""
        scores = self.out(self.norm(x)) * math.sqrt(0.5)
        return scores if scores.dtype == torch.float64 else scores.float()


class SFTConv(Module):
    r"""The attention operator of the `"Sampling Foundational Transformer: A Theoretical Perspective" <https://arxiv.org/abs/2408.05822>`_ paper.

    K tokens of a graph are sampled by learned importance, once for all heads, and every token attends to these by a sum of maxima, a relative
    encoding of the pair, and probabilities that leak:

    .. math::
        S_{ij} &= \tfrac{1}{\sqrt{C}} \textstyle\sum_c \bigl(\max(q_{ic}, \tilde k_{jc}) - \mu\bigr) / s, \qquad
        S'_{ij} = S_{ij} \, \mathrm{softplus}(W_w \phi_{ij}) + W_b \phi_{ij}

        x'_i &= W_o \sum_j \frac{\mathrm{ReLU}(S'_{ij})}{\sum_j \mathrm{ReLU}(S'_{ij}) + \sum_j \mathrm{softplus}(c_j) + 10^{-9}} \, \tilde v_j,
        \qquad c = W_c \tilde v

    A row without a positive score gives zero. Positions enter through the features :math:`\phi` of pairs alone, so that with tokens that have no
    coordinates (`CoordinateFree`) the output does not change when a cloud is moved, turned or mirrored.

    2K learned support pairs with their own scores are candidates in every graph, so that graphs with fewer than K tokens, or none, are legal. They
    stand at the centroid of the graph's positions and have a normal of zero. Where the sampler mixes tokens, positions and normals are mixed like
    keys and values, and the gradient of the scores sees them too.

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        num_samples: Number K of tokens that each graph samples.
        encoding: Features of pairs: ``"none"``, ``"dist"``, ``"dist_normal"`` or ``"field"``, see `pyg_samsa.functional.pair_features`.
        leak: ``"softplus"``, ``"relu"`` in its place, or ``"none"``.
        score: ``"maxout"``, or ``"softmax"``: the ablation with a scaled dot product and the exponential; the leak is a further term of its sum.
        sampler: ``"samsa"``, as in `SAMSAConv`, or ``"paired"``: pairs of tokens, each mixed into one.
        sampling: ``"hard"`` or ``"soft"``, of the sampler ``"samsa"``.
        tau: Temperature of the relaxation of the sampler ``"samsa"``, above 0.
        noise: When Gumbel noise is added to the importance: ``"train"``, ``"always"`` or ``"never"``; ``"paired"`` then pairs at random, too.
        dropout: Probability that an attention weight is dropped in training, 0 to below 1.
        bias: Give every product a bias.
        shared: All heads of a graph attend to the same tokens; otherwise each samples its own, as in `SAMSAConv`.
        unit: Length by which positions are divided, above 0; the encodings are made for graphs whose size is about 1 then.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*), positions [T, l] and normals [T, l] where the encoding needs them
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

    Cost: O(T D^2 + T K D) time, the latter in elementwise operations that are slower than the matrix products of softmax; O(T D + B K D) memory.
    """

    def __init__(
        self,
        channels: int,
        heads: int = 8,
        num_samples: int = 128,
        encoding: str = "none",
        leak: str = "softplus",
        score: str = "maxout",
        sampler: str = "samsa",
        sampling: str = "hard",
        tau: float = 1.0,
        noise: str = "train",
        dropout: float = 0.0,
        bias: bool = True,
        shared: bool = True,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        for key, value in (("channels", channels), ("heads", heads), ("num_samples", num_samples)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(key, value, "an integer of at least 1")
        if channels % heads:
            raise ConfigError("heads", heads, f"a divisor of channels = {channels}")
        if not tau > 0:
            raise ConfigError("tau", tau, "a temperature above 0")
        if not 0 <= dropout < 1:
            raise ConfigError("dropout", dropout, "a probability from 0 to below 1")
        if not 0 < unit < math.inf:
            raise ConfigError("unit", unit, "a length above 0")
        for key, choice, allowed in (
            ("encoding", encoding, tuple(PAIR_FEATURES)),
            ("leak", leak, LEAKS),
            ("score", score, SCORES),
            ("sampler", sampler, SAMPLERS),
            ("sampling", sampling, MODES),
            ("noise", noise, NOISE),
        ):
            check_choice(key, choice, allowed)
        self.channels, self.heads, self.num_samples, self.sets = channels, heads, num_samples, 1 if shared else heads
        self.encoding, self.leak_mode, self.score_mode, self.sampler = encoding, leak, score, sampler
        self.sampling, self.tau, self.noise, self.dropout, self.unit = sampling, tau, noise, dropout, unit
        self.name = type(self).__name__
        self.query = Linear(channels, channels, bias=bias)
        self.key_value = Linear(channels, 2 * channels, bias=bias)
        self.score = (ImportanceScore if sampler == "samsa" else LinearScore)(channels, self.sets, bias=bias)
        self.support_key_value = Parameter(torch.empty(2 * num_samples, 2 * channels))
        self.support_score = Parameter(torch.empty(2 * num_samples, self.sets))
        self.leak_weight = None if leak == "none" else Parameter(torch.empty(heads, channels // heads))
        self.leak_bias = None if leak == "none" or not bias else Parameter(torch.empty(heads))
        self.relation = Linear(PAIR_FEATURES[encoding], 2 * heads) if encoding != "none" else None
        self.raw_field = Parameter(torch.empty(5)) if encoding == "field" else None
        self.out = Linear(channels, channels, bias=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        r"""Draw new weights.

        Queries and keys of normalised tokens get unit variance, for which the score is standardised; with PyTorch's own range, a third of that, next
        to no score would be positive. The pair features start with a factor near 1 and a term near 0.
        """
        for module in (self.query, self.key_value, self.score, self.out):
            module.reset_parameters()
        bound = math.sqrt(3 / self.channels)
        for linear in (self.query, self.key_value):
            torch.nn.init.uniform_(linear.weight, -bound, bound)
        torch.nn.init.normal_(self.support_key_value)
        torch.nn.init.normal_(self.support_score)
        if self.leak_weight is not None:
            torch.nn.init.uniform_(
                self.leak_weight, -math.sqrt(3 / self.leak_weight.size(1)), math.sqrt(3 / self.leak_weight.size(1))
            )
        if self.leak_bias is not None:
            torch.nn.init.zeros_(self.leak_bias)
        if self.relation is not None:
            self.relation.reset_parameters()
            with torch.no_grad():
                self.relation.bias[: self.heads].fill_(math.log(math.expm1(1.0)))
                self.relation.bias[self.heads :].zero_()
        if self.raw_field is not None:
            torch.nn.init.constant_(self.raw_field, math.log(math.expm1(_FIELD)))

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        ptr: Tensor | RaggedIndex | None = None,
        batch_size: int | None = None,
        return_attention_weights: bool | None = None,
        score_input: Tensor | None = None,
        pos: Tensor | None = None,
        normal: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, SampledTokens]:
        """Run the operator; arguments as in `SAMSAConv`.

        Args:
            x: Tokens [T, D].
            edge_index: Accepted and ignored.
            batch: Graph number of each token [T], in any order; None means one graph.
            ptr: Offsets [B+1] of graphs that lie one after the other, in place of ``batch``.
            batch_size: Number of graphs, where some at the end may be empty.
            return_attention_weights: Also return which tokens each head sampled, with their scores; of mixed pairs the better token.
            score_input: Tokens [T, D] from which importance is computed; by default ``x``.
            pos: Positions of the tokens [T, l], l at least 1; ignored without an encoding.
            normal: Unit normals of the tokens [T, l]; only ``"dist_normal"`` uses them.

        Returns:
            Tokens [T, D]; with ``return_attention_weights`` also `SampledTokens`.
        """
        if x.dim() != 2 or x.size(1) != self.channels or not x.is_floating_point():
            raise ShapeError("x", f"{list(x.shape)} {x.dtype}", f"floats [T, {self.channels}]")
        if score_input is not None and score_input.shape != x.shape:
            raise ShapeError("score_input", list(score_input.shape), list(x.shape))
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size)
        place = self._place(x, pos, normal)
        if perm is not None:
            x = x[perm]
            score_input = None if score_input is None else score_input[perm]
            place = None if place is None else place[perm]
        if place is not None:
            place = _centred(place, index, self.encoding == "dist_normal", self.unit)
        samples = self._sample(x, x if score_input is None else score_input, place, index)
        out = self.out(self._attend(x, samples.values, place, index).flatten(1))
        if perm is not None:
            out = torch.empty_like(out).index_copy(0, perm, out)
        if not return_attention_weights:
            return out
        return out, self._sampled_tokens(samples, index.num_tokens, perm)

    def _place(self, x: Tensor, pos: Tensor | None, normal: Tensor | None) -> Tensor | None:
        """Return what the pair features need of every token, [T, l] or [T, 2 l]."""
        if self.encoding == "none":
            return None
        needed = [("pos", pos)] + ([("normal", normal)] if self.encoding == "dist_normal" else [])
        for name, value in needed:
            if value is None:
                raise ShapeError(
                    name,
                    None,
                    f"[{x.size(0)}, l], because encoding is {self.encoding!r}",
                    hint="Or use encoding='none'.",
                )
            if value.dim() != 2 or value.size(0) != x.size(0) or value.size(1) < 1 or not value.is_floating_point():
                raise ShapeError(
                    name, f"{list(value.shape)} {value.dtype}", f"floats [{x.size(0)}, l], one row a token"
                )
        if len(needed) == 2 and pos.shape != normal.shape:  # type: ignore[union-attr]
            raise ShapeError("normal", list(normal.shape), f"{list(pos.shape)}, as pos")  # type: ignore[union-attr]
        return torch.cat([value for _, value in needed if value is not None], dim=1).to(x.dtype)

    def _sample(self, x: Tensor, score_input: Tensor, place: Tensor | None, index: RaggedIndex) -> Samples:
        """Sample key-value pairs, with places behind them: [B, sets, K, 2D / sets + g]."""
        scores = self.score(score_input)
        # One sum tells in all but rare cases; a sum of large finite scores may overflow.
        if (
            not torch.compiler.is_compiling()
            and not math.isfinite(scores.detach().sum().item())
            and not bool(torch.isfinite(scores).all())
        ):
            raise NumericalError(
                self.name,
                "importance scores are not finite",
                hint="Look for NaN or infinite features, or lower optim.base_lr or clip the gradient.",
            )
        noisy = self.noise == "always" or (self.noise == "train" and self.training)
        if noisy:
            scores = scores + gumbel_noise(scores)
        width = 2 * self.channels // self.sets
        support = self.support_key_value.view(-1, self.sets, width)
        if place is not None:
            support = F.pad(support, (0, place.size(1)))
        many = x.size(0) > _MANY * self.num_samples * index.num_graphs
        pieces = (
            (lambda tokens: self._project(x, place, tokens)) if many else self._pairs(x, place),
            scores,
            support,
            self.support_score.to(scores.dtype),
            index,
            self.num_samples,
        )
        if self.sampler == "paired":
            return ragged_sample_paired(*pieces, shuffle=noisy)
        return ragged_sample_without_replacement(*pieces, tau=self.tau, mode=self.sampling)

    def _pairs(self, x: Tensor, place: Tensor | None) -> Tensor:
        """Return the key-value pairs of all tokens, with places behind them, [T, sets, 2D / sets + g]."""
        pairs = self.key_value(x).view(x.size(0), self.sets, 2 * self.channels // self.sets)
        return pairs if place is None else torch.cat([pairs, place.unsqueeze(1).expand(-1, self.sets, -1)], dim=-1)

    def _project(self, x: Tensor, place: Tensor | None, tokens: Tensor) -> Tensor:
        """Return the same of some tokens [B, sets, m] as [B, sets, m, 2D / sets + g], each projected for its own heads only."""
        graphs, sets, count = tokens.shape
        rows = x.index_select(0, tokens.transpose(0, 1).flatten()).view(sets, graphs * count, self.channels)
        weight = self.key_value.weight.view(sets, -1, self.channels).transpose(1, 2)
        pairs = (
            rows @ weight
            if self.key_value.bias is None
            else torch.baddbmm(self.key_value.bias.view(sets, 1, -1), rows, weight)
        )
        pairs = pairs.view(sets, graphs, count, -1).transpose(0, 1)
        return pairs if place is None else torch.cat([pairs, place[tokens]], dim=-1)

    def _attend(self, x: Tensor, sampled: Tensor, place: Tensor | None, index: RaggedIndex) -> Tensor:
        """Let tokens attend to sampled pairs [B, sets, K, 2D / sets + g]; [T, H, C]."""
        pairs, sampled_place = sampled.split(
            [2 * self.channels // self.sets, 0 if place is None else place.size(1)], dim=-1
        )
        pairs = pairs.unflatten(-1, (self.heads // self.sets, -1)).transpose(2, 3).flatten(1, 2)
        key, value = pairs.chunk(2, dim=-1)
        query = self.query(x).view(-1, self.heads, self.channels // self.heads)
        relation = None
        if place is not None and self.relation is not None:
            field = None if self.raw_field is None else F.softplus(self.raw_field)
            relation = Relation(self.encoding, place, sampled_place, self.relation.weight, self.relation.bias, field)
        dropout = self.dropout if self.training else 0.0
        return relative_attention(
            query, key, value, self._leak(value), index, score=self.score_mode, relation=relation, dropout=dropout
        )

    def _leak(self, value: Tensor) -> Tensor:
        """Return the leaking mass of every graph and head [B, H]; the leak of a sampled token is a product with its values of that head."""
        if self.leak_weight is None:
            return value.new_zeros(value.shape[:2])
        leak = (value @ self.leak_weight.to(value.dtype).unsqueeze(-1)).squeeze(-1)
        if self.leak_bias is not None:
            leak = leak + self.leak_bias.to(leak.dtype).unsqueeze(-1)
        return leak_mass(leak, self.leak_mode)

    def _sampled_tokens(self, samples: Samples, tokens: int, perm: Tensor | None) -> SampledTokens:
        candidate = samples.candidates.expand(-1, self.heads, -1)
        is_token = candidate < tokens
        row = torch.where(is_token, candidate, tokens - 1 - candidate)
        if perm is not None and tokens:
            row = torch.where(is_token, perm[row.clamp_min(0)], row)
        return SampledTokens(row, samples.scores.expand(-1, self.heads, -1))

    def __repr__(self) -> str:
        options = (
            f"encoding={self.encoding!r}, leak={self.leak_mode!r}, score={self.score_mode!r}, sampler={self.sampler!r}"
        )
        return f"{type(self).__name__}({self.channels}, heads={self.heads}, num_samples={self.num_samples}, {options})"


def _centred(place: Tensor, index: RaggedIndex, normals: bool, unit: float) -> Tensor:
    """Move the centroid of every graph to the origin, where its support tokens stand, and measure in another unit; normals stay."""
    count = place.size(1) // 2 if normals else place.size(1)
    pos = place[:, :count]
    total = torch.zeros(index.num_graphs, count, dtype=place.dtype, device=place.device).index_add(0, index.batch, pos)
    pos = (pos - (total / index.ptr.diff().clamp_min(1).unsqueeze(1))[index.batch]) / unit
    return torch.cat([pos, place[:, count:]], dim=1) if normals else pos
