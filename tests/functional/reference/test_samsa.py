"""The oracle of one layer against numbers worked out by hand, against torch's own layers, and against finite
differences.
"""

import math
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import reference
from pyg_samsa.functional.reference import SAMSABlockParams, SAMSAConvParams
from pyg_samsa.nn import SAMSABlock, SAMSAConv


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number))


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def conv_params(channels: int, heads: int, num_samples: int, seed: int = 0) -> SAMSAConvParams:
    generator = torch.Generator().manual_seed(seed)
    d, s = channels, 2 * num_samples
    shapes = [
        (d, d),
        (d,),
        (2 * d, d),
        (2 * d,),
        (d, d),
        (d,),
        (d, d),
        (d,),
        (d,),
        (heads, d),
        (heads,),
        (s, 2 * d),
        (s, heads),
        (d, d),
        (d,),
    ]
    return SAMSAConvParams(
        *(torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for shape in shapes)
    )


def copying_params(num_samples: int, support_score: float = -9.0) -> SAMSAConvParams:
    """Two channels, two heads: query = key = x, value = 10 x, score of head h = channel h; supports have key 1 and
    value 7.
    """
    eye, zero = torch.eye(2).double(), torch.zeros(2, 2).double()
    support_key_value = double([[1.0, 7.0, 1.0, 7.0]] * (2 * num_samples))
    supports = (support_key_value, torch.full((2 * num_samples, 2), support_score).double())
    return SAMSAConvParams(
        eye,
        None,
        torch.stack([eye, 10 * eye], dim=1).flatten(0, 1),
        None,
        zero,
        None,
        zero,
        None,
        torch.ones(2).double(),
        eye,
        None,
        *supports,
        eye,
        None,
    )


class TestPieces:
    @pytest.mark.parametrize("eps", [None, 1e-3])
    def test_rms_norm_is_torchs(self, eps):
        x, weight = torch.randn(4, 6, dtype=torch.float64), torch.randn(6, dtype=torch.float64)
        torch.testing.assert_close(
            reference.rms_norm(x, weight, eps),
            torch.nn.functional.rms_norm(x, (6,), weight, eps),
            rtol=1e-14,
            atol=1e-14,
        )

    def test_rms_norm_eps_is_inside_the_root(self):
        # Mean of squares (9 + 0) / 2 = 4.5; with eps 4.5 the root is 3.
        torch.testing.assert_close(
            reference.rms_norm(double([[3.0, 0.0], [0.0, 0.0]]), double([1.0, 5.0]), eps=4.5),
            double([[1.0, 0.0], [0.0, 0.0]]),
        )
        # The default eps is 2^-52 in float64: for a token of 2^-26 mean square and eps are equal, the root is 2^-26
        # sqrt(2).
        assert reference.rms_norm(double([[2.0**-26]]), double([1.0])).item() == pytest.approx(math.sqrt(0.5))

    def test_no_token(self):
        empty = torch.zeros(0, 2).double()
        assert reference.rms_norm(empty, torch.ones(2)).shape == (0, 2)
        assert reference.attention(empty, torch.ones(3, 2), torch.ones(3, 5)).shape == (0, 5)

    def test_gelu_is_torchs_exact_one(self):
        x = torch.linspace(-6, 6, 49, dtype=torch.float64)
        torch.testing.assert_close(reference.gelu(x), torch.nn.functional.gelu(x), rtol=1e-14, atol=1e-14)

    def test_importance_score_is_the_stack_of_torch_layers(self):
        x, p = torch.randn(5, 4, dtype=torch.float64), conv_params(4, 2, 1)
        linear, rms_norm = torch.nn.functional.linear, torch.nn.functional.rms_norm
        hidden = linear(
            torch.nn.functional.gelu(linear(x, p.score_in_weight, p.score_in_bias)),
            p.score_hidden_weight,
            p.score_hidden_bias,
        )
        expected = linear(x + rms_norm(hidden, (4,), p.score_norm_weight), p.score_out_weight, p.score_out_bias)
        torch.testing.assert_close(reference.importance_score(x, p), expected)

    def test_attention_by_hand(self):
        # C = 4, so logits are halved: q.k / 2 = log 3 and 0, weights 3/4 and 1/4.
        q, k = double([[2 * math.log(3), 0.0, 0.0, 0.0]]), double([[1.0, 5.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
        torch.testing.assert_close(reference.attention(q, k, double([[4.0], [8.0]])), double([[5.0]]))

    def test_attention_is_torchs(self):
        q, k, v = (torch.randn(n, 3, dtype=torch.float64) for n in (5, 4, 4))
        torch.testing.assert_close(
            reference.attention(q, k, v), torch.nn.functional.scaled_dot_product_attention(q, k, v)
        )


class TestConv:
    def test_each_head_samples_its_own_token(self):
        # Head 0 ranks by channel 0: token 1 (value 30); head 1 by channel 1: token 0 (value 20). One key: its value is
        # the output.
        x = double([[1.0, 2.0], [3.0, -1.0]])
        assert reference.samsa_conv(x, [0, 2], copying_params(1), heads=2, num_samples=1).tolist() == [
            [30.0, 20.0],
            [30.0, 20.0],
        ]

    def test_attention_over_the_samples_and_output_projection(self):
        # K = 2: both tokens. Head 0, token 0: logits 1*1 and 1*3; head 1, token 0: 2*2 and 2*(-1); the output adds
        # channel 0 to channel 1.
        x, params = (
            double([[1.0, 2.0], [3.0, -1.0]]),
            replace(copying_params(2), out_weight=double([[1.0, 0.0], [1.0, 1.0]]), out_bias=double([0.0, 5.0])),
        )
        head0, head1 = 30 - 20 * sigmoid(1 - 3), 20 - 30 * sigmoid(-2 - 4)
        row = reference.samsa_conv(x, [0, 2], params, heads=2, num_samples=2)[0]
        torch.testing.assert_close(row, double([head0, head0 + head1 + 5]))

    def test_soft_by_hand(self):
        # K = 1, supports at -9. Head 0: i = token 1 (value 30), j = token 0 (10), P = sigmoid(3 - 1); head 1: 20 and
        # -10, P = sigmoid(2 + 1).
        x = double([[1.0, 2.0], [3.0, -1.0]])
        row = reference.samsa_conv(x, [0, 2], copying_params(1), heads=2, num_samples=1, sampling="soft")[0]
        torch.testing.assert_close(row, double([10 + 20 * sigmoid(2), -10 + 30 * sigmoid(3)]))

    def test_supports_fill_small_graphs_and_compete(self):
        x = double([[1.0, 2.0]])
        # K = 2, one token: it and a support, whose key is 1 and value 7. Head 0: logits 1 and 1; head 1: 2*2 and 2*1.
        row = reference.samsa_conv(x, [0, 1], copying_params(2), heads=2, num_samples=2)[0]
        torch.testing.assert_close(row, double([(10 + 7) / 2, 7 + 13 * sigmoid(4 - 2)]))
        # Supports score 1.5: they beat the token in head 0 (score 1) and lose in head 1 (score 2).
        assert reference.samsa_conv(
            x, [0, 1], copying_params(1, support_score=1.5), heads=2, num_samples=1
        ).tolist() == [[7.0, 20.0]]
        # A tie with the supports goes to the token, which comes first.
        assert reference.samsa_conv(
            x, [0, 1], copying_params(1, support_score=1.0), heads=2, num_samples=1
        ).tolist() == [[10.0, 20.0]]

    def test_noise_and_score_input_move_the_choice(self):
        x, params = double([[1.0, 2.0], [3.0, -1.0]]), copying_params(1)
        gumbel = double([[2.5, 0.0], [0.0, 0.0]])  # lifts token 0 in head 0 above token 1
        assert reference.samsa_conv(x, [0, 2], params, 2, 1, gumbel=gumbel)[0].tolist() == [10.0, 20.0]
        assert reference.samsa_conv(x, [0, 2], params, 2, 1, score_input=-x)[0].tolist() == [10.0, -10.0]
        # No noise on the supports: pushing both tokens down makes the supports win.
        assert reference.samsa_conv(x, [0, 2], params, 2, 1, gumbel=torch.full((2, 2), -20.0).double())[0].tolist() == [
            7.0,
            7.0,
        ]

    def test_replacement(self):
        x, params = double([[1.0, 2.0], [3.0, -1.0]]), copying_params(1)
        # Noise [H, K, n + 2K]: candidate 0 wins in head 0, the second support (candidate 3) in head 1.
        noise = double([[[9.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 20.0]]])
        assert reference.samsa_conv(x, [0, 2], params, 2, 1, sampling="replacement", gumbel=[noise])[0].tolist() == [
            10.0,
            7.0,
        ]
        # Without noise: the candidate at the median of the distribution, here the likeliest one.
        assert reference.samsa_conv(x, [0, 2], params, 2, 1, sampling="replacement")[0].tolist() == [30.0, 20.0]

    @pytest.mark.parametrize("sampling", ["hard", "soft"])
    def test_all_tokens_sampled_is_full_attention(self, sampling):
        # Exactly K tokens, supports far below (P = 1 to rounding): multi-head attention over all tokens, whatever the
        # scores.
        x, params = torch.randn(6, 4, dtype=torch.float64), conv_params(4, 2, 6)
        params = replace(params, support_score=torch.full((12, 2), -1e4).double())
        q = torch.nn.functional.linear(x, params.query_weight, params.query_bias).view(6, 2, 2).transpose(0, 1)
        key, value = (
            torch.nn.functional.linear(x, params.key_value_weight, params.key_value_bias)
            .view(6, 2, 2, 2)
            .permute(2, 1, 0, 3)
        )
        expected = torch.nn.functional.scaled_dot_product_attention(q, key, value).transpose(0, 1).reshape(6, 4)
        expected = torch.nn.functional.linear(expected, params.out_weight, params.out_bias)
        torch.testing.assert_close(reference.samsa_conv(x, [0, 6], params, 2, 6, sampling=sampling), expected)

    @pytest.mark.parametrize("sampling", ["hard", "soft", "replacement"])
    def test_graphs_do_not_see_each_other(self, sampling):
        params, x = conv_params(4, 2, 2), torch.randn(9, 4, dtype=torch.float64)
        ptr = torch.tensor([0, 0, 5, 5, 6, 9, 9])  # leading, inner and trailing graphs without tokens
        together = reference.samsa_conv(x, ptr, params, 2, 2, sampling=sampling)
        alone = [
            reference.samsa_conv(x[a:b], [0, b - a], params, 2, 2, sampling=sampling)
            for a, b in [(0, 5), (5, 6), (6, 9)]
        ]
        torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-14)

    def test_no_token_at_all(self):
        assert reference.samsa_conv(torch.zeros(0, 4).double(), [0, 0], conv_params(4, 2, 2), 2, 2).shape == (0, 4)

    @pytest.mark.parametrize("sampling", ["hard", "soft", "replacement"])
    def test_every_weight_gets_a_gradient(self, sampling):
        x, params = torch.randn(5, 4, dtype=torch.float64), conv_params(4, 2, 3)
        generator = torch.Generator().manual_seed(0)
        gumbel = (
            [torch.randn(2, 3, 11, generator=generator, dtype=torch.float64)] if sampling == "replacement" else None
        )
        reference.samsa_conv(x, [0, 5], params, 2, 3, sampling=sampling, gumbel=gumbel).square().sum().backward()
        for field in fields(params):
            gradient = getattr(params, field.name).grad
            assert gradient.isfinite().all(), field.name
            assert gradient.abs().sum() > 1e-6, field.name

    def test_gradcheck_of_the_soft_layer(self):
        x, params = torch.randn(4, 2, dtype=torch.float64, requires_grad=True), conv_params(2, 1, 1)
        weights = [getattr(params, field.name) for field in fields(params)]
        assert gradcheck(
            lambda x, *w: reference.samsa_conv(x, [0, 3, 4], SAMSAConvParams(*w), 1, 1, sampling="soft"), (x, *weights)
        )

    def test_bad_input(self):
        x, params = torch.randn(3, 4, dtype=torch.float64), conv_params(4, 2, 1)
        with pytest.raises(ConfigError, match="sampling"):
            reference.samsa_conv(x, [0, 3], params, 2, 1, sampling="hrd")
        with pytest.raises(ConfigError, match="heads"):
            reference.samsa_conv(x, [0, 3], params, 3, 1)
        with pytest.raises(ShapeError, match="support_score"):
            reference.samsa_conv(x, [0, 3], params, 2, 2)
        with pytest.raises(ShapeError, match="gumbel"):
            reference.samsa_conv(x, [0, 3], params, 2, 1, gumbel=torch.zeros(3, 1))
        for ptr in ([0, 2], [1, 3], [0, 2, 1, 3], []):
            with pytest.raises(ShapeError, match="ptr"):
                reference.samsa_conv(x, ptr, params, 2, 1)


class TestBlock:
    @staticmethod
    def params(alpha: float) -> SAMSABlockParams:
        generator = torch.Generator().manual_seed(5)
        shapes = [(4,), (4,), (6, 4), (6,), (4, 6), (4,)]
        return SAMSABlockParams(
            conv_params(4, 2, 2),
            *(torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes),
            double(alpha),
        )

    def test_is_algorithm_1(self):
        p, x, ptr = self.params(0.3), torch.randn(7, 4, dtype=torch.float64), [0, 3, 7]
        rms_norm, linear = torch.nn.functional.rms_norm, torch.nn.functional.linear
        middle = x + 0.3 * reference.samsa_conv(rms_norm(x, (4,), p.conv_norm_weight), ptr, p.conv, 2, 2, score_input=x)
        hidden = torch.nn.functional.gelu(
            linear(rms_norm(middle, (4,), p.ffn_norm_weight), p.ffn_in_weight, p.ffn_in_bias)
        )
        expected = middle + 0.3 * linear(hidden, p.ffn_out_weight, p.ffn_out_bias)
        torch.testing.assert_close(reference.samsa_block(x, ptr, p, 2, 2), expected)

    def test_zero_alpha_is_the_identity(self):
        x = torch.randn(5, 4, dtype=torch.float64)
        assert torch.equal(reference.samsa_block(x, [0, 5], self.params(0.0), 2, 2), x)

    def test_drop_path_drops_branches_of_whole_graphs(self):
        p, x, ptr = self.params(0.3), torch.randn(7, 4, dtype=torch.float64), [0, 3, 7]
        kept = reference.samsa_block(x, ptr, p, 2, 2)
        dropped = reference.samsa_block(x, ptr, p, 2, 2, keep=double([[1.0, 0.0], [1.0, 0.0]]))
        torch.testing.assert_close(dropped[:3], kept[:3])
        assert torch.equal(dropped[3:], x[3:])
        # Doubling one branch of one graph doubles what that branch alone adds.
        once, twice = (
            reference.samsa_block(x, ptr, p, 2, 2, keep=double([[factor, 0.0], [0.0, 0.0]])) - x
            for factor in (1.0, 2.0)
        )
        torch.testing.assert_close(twice[:3], 2 * once[:3])
        assert once[:3].abs().sum() > 0
        with pytest.raises(ShapeError, match="keep"):
            reference.samsa_block(x, ptr, p, 2, 2, keep=torch.ones(2, 1))

    def test_noise_reaches_the_scores(self):
        p, x = self.params(0.3), torch.randn(7, 4, dtype=torch.float64)
        down = torch.full((7, 2), -1e4).double()  # only supports are sampled: no token depends on another one
        block = reference.samsa_block(x, [0, 7], p, 2, 2, gumbel=down)
        alone = reference.samsa_block(x[:1], [0, 1], p, 2, 2, gumbel=down[:1])
        torch.testing.assert_close(block[:1], alone)


def test_weights_are_those_of_the_modules():
    conv = SAMSAConv(8, heads=2, num_samples=3)
    params = SAMSAConvParams.of(conv)
    assert params.query_weight is conv.query.weight
    assert params.out_bias is conv.out.bias
    block = SAMSABlock(8, heads=2, num_samples=3)
    assert SAMSABlockParams.of(block).alpha is block.alpha
