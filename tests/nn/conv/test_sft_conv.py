from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.nn import GPSConv, Sequential

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional import RaggedIndex, maxout_score, relative_attention
from pyg_samsa.nn import SAMSABlock, SFTConv

ENCODINGS = ("none", "dist", "dist_normal", "field")
SAMPLERS = ("samsa", "paired")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def make(encoding: str = "field", **kwargs: object) -> SFTConv:
    return SFTConv(16, heads=4, num_samples=3, encoding=encoding, **kwargs).double().eval()


def cloud(count: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    return {
        "pos": torch.randn(count, 3, dtype=dtype),
        "normal": torch.nn.functional.normalize(torch.randn(count, 3, dtype=dtype), dim=1),
    }


def of(geometry: dict[str, Tensor], rows: Tensor | slice) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in geometry.items()}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_permutation_batch_mates_and_empty_graphs(encoding, sampler):
    conv = make(encoding, sampler=sampler)
    batch = torch.tensor([0] * 2 + [1] * 9 + [3] + [4] * 30)
    x, geometry = torch.randn(42, 16, dtype=torch.float64), cloud(42)
    out = conv(x, batch=batch, batch_size=6, **geometry)
    perm = torch.randperm(42)
    torch.testing.assert_close(
        conv(x[perm], batch=batch[perm], batch_size=6, **of(geometry, perm)), out[perm], rtol=0, atol=1e-12
    )
    for graph in range(6):
        rows = batch == graph
        torch.testing.assert_close(conv(x[rows], batch_size=1, **of(geometry, rows)), out[rows], rtol=0, atol=1e-12)
    assert conv(x[:0], batch=batch[:0], batch_size=2, **of(geometry, slice(0, 0))).shape == (0, 16)


@pytest.mark.parametrize("shared", [True, False])
def test_sampled_tokens(shared):
    conv = make(shared=shared)
    x, geometry = torch.randn(40, 16, dtype=torch.float64), cloud(40)
    batch = torch.tensor([1, 0]).repeat(20)
    out, sampled = conv(x, batch=batch, return_sampled_tokens=True, **geometry)
    assert torch.equal(out, conv(x, batch=batch, **geometry))
    assert sampled.index.shape == sampled.score.shape == (2, 4, 3)
    assert bool((sampled.index[:, :1] == sampled.index).all()) is shared
    rows = sampled.index[sampled.index >= 0]
    assert rows.numel()
    for graph in range(2):
        own = sampled.index[graph][sampled.index[graph] >= 0]
        assert bool((batch[own] == graph).all())


def test_positions_matter_where_they_are_encoded_only():
    x, geometry, other = torch.randn(20, 16, dtype=torch.float64), cloud(20), cloud(20)
    for encoding in ENCODINGS:
        conv = make(encoding)
        assert torch.equal(conv(x, **geometry), conv(x, pos=other["pos"], normal=geometry["normal"])) is (
            encoding == "none"
        )
        assert torch.equal(conv(x, **geometry), conv(x, pos=geometry["pos"], normal=other["normal"])) is (
            encoding != "dist_normal"
        )


@pytest.mark.parametrize("length", [1, 2, 5])
def test_positions_of_any_length(length):
    assert make("dist")(torch.randn(7, 16, dtype=torch.float64), pos=torch.randn(7, length)).shape == (7, 16)


def test_length_scale_divides_positions():
    x, pos = torch.randn(9, 16, dtype=torch.float64), torch.randn(9, 3, dtype=torch.float64)
    conv = make("field")
    expected = conv(x, pos=pos / 4)
    conv.length_scale = 4.0
    torch.testing.assert_close(conv(x, pos=pos), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("encoding", ["dist", "dist_normal", "field"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_moving_turning_and_mirroring_change_nothing(encoding, sampler):
    conv = make(encoding, sampler=sampler)
    x, geometry, batch = torch.randn(40, 16, dtype=torch.float64), cloud(40), torch.arange(40) // 20
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q @ torch.diag(
        torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    )
    shift = torch.randn(2, 3, dtype=torch.float64)[batch]
    moved = {"pos": geometry["pos"] @ turn + shift, "normal": geometry["normal"] @ turn}
    torch.testing.assert_close(conv(x, batch=batch, **moved), conv(x, batch=batch, **geometry), rtol=0, atol=1e-11)


def test_rows_without_a_positive_score_are_zero():
    conv = make("none", bias=False)
    torch.nn.init.constant_(conv.support_score, -1e6)
    x = torch.randn(10, 16, dtype=torch.float64)
    with torch.no_grad():
        conv.query.weight.zero_()
        conv.key_value.weight.zero_()
        conv.key_value.weight.view(4, 2, 4, 16)[:, 1].normal_()
    # All maxima are 0, below their mean: every score is negative.
    assert torch.equal(conv(x), torch.zeros_like(x))
    conv(x.requires_grad_()).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("leak", ["softplus", "relu"])
def test_a_leak_shortens_the_output(leak):
    """The values of every head are (1, 1, 1, 1), so that an output tells the sum of its probabilities."""
    conv = make("none", leak=leak)
    torch.nn.init.constant_(conv.support_score, -1e6)
    with torch.no_grad():
        conv.key_value.weight.view(4, 2, 4, 16)[:, 1].zero_()
        conv.key_value.bias.view(4, 2, 4)[:, 1].fill_(1.0)
        conv.leak_weight.fill_(0.1)
        conv.leak_bias.zero_()
        conv.out.weight.copy_(torch.eye(16))
        conv.out.bias.zero_()
    sums = conv(5 * torch.randn(30, 16, dtype=torch.float64))
    assert bool((sums >= 0).all())
    assert bool((sums < 1).all())
    assert 0.1 < float(sums.detach().mean()) < 0.95
    conv.leak_weight, conv.leak_mode = None, "none"
    rows = conv(5 * torch.randn(30, 16, dtype=torch.float64))
    assert bool(((rows - 1).abs() < 1e-6).logical_or(rows == 0).all())


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("score", ["maxout", "softmax"])
def test_every_weight_gets_a_gradient(encoding, sampler, score):
    conv = make(encoding, sampler=sampler, score=score, dropout=0.2).train()
    x = torch.randn(40, 16, dtype=torch.float64, requires_grad=True)
    # Graphs so small that support pairs are sampled, too.
    conv(x, batch=torch.arange(40) // 4, **cloud(40)).square().sum().backward()
    assert x.grad.abs().sum() > 0
    for name, parameter in conv.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_scores_are_standardised_at_the_start():
    conv = SFTConv(128, heads=8, num_samples=64)
    x = torch.nn.functional.rms_norm(torch.randn(500, 128), (128,))
    key = conv.key_value(x).view(-1, 8, 2, 16)[:, :, 0].transpose(0, 1)
    scores = maxout_score(conv.query(x).view(-1, 8, 16).transpose(0, 1), key).detach()
    assert abs(float(scores.mean())) < 0.15
    assert 0.8 < float(scores.std()) < 1.2


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("noise", "random_in_training", "random_in_evaluation"),
    [("train", True, False), ("always", True, True), ("never", False, False)],
)
def test_noise(sampler, noise, random_in_training, random_in_evaluation):
    conv = make("none", sampler=sampler, noise=noise)
    x = torch.randn(50, 16, dtype=torch.float64)
    assert torch.equal(conv.train()(x), conv(x)) is not random_in_training
    assert torch.equal(conv.eval()(x), conv(x)) is not random_in_evaluation


def test_dropout_acts_in_training_only_and_is_the_same_backward():
    conv = make("none", dropout=0.5, noise="never", leak="none")
    x = torch.randn(50, 16, dtype=torch.float64)
    assert torch.equal(conv(x), conv(x))
    assert not torch.equal(conv.train()(x), conv(x))
    torch.manual_seed(1)
    value = torch.ones(1, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    query, key, leak = (torch.randn(shape, dtype=torch.float64) for shape in ((50, 4, 4), (1, 4, 3, 4), (1, 4)))
    out = relative_attention(query, key, value, leak.abs(), RaggedIndex(torch.tensor([0, 50])), dropout=0.5)
    # The output is linear in the values: their gradient times the values is the output itself, if the same weights
    # are dropped.
    (grad,) = torch.autograd.grad(out.sum(), value)
    torch.testing.assert_close((grad * value).sum(), out.sum())


class Memory(TorchDispatchMode):
    """Remembers the largest number of elements of a tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


@pytest.mark.parametrize("encoding", ["none", "field"])
def test_nothing_of_size_n_k_c_is_made_and_no_score_is_kept(encoding):
    tokens, samples, channels, heads = 4096, 64, 64, 2
    conv = SFTConv(channels, heads, samples, encoding).train()
    x, geometry = torch.randn(tokens, channels, requires_grad=True), cloud(tokens, torch.float32)
    saved = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.numel()
        return tensor

    with Memory() as memory:
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            out = conv(x, **geometry)
        out.sum().backward()
    # The scores of one piece of the rows with its features, or the tokens with their keys and values.
    assert memory.largest <= 4 * max(2**19, tokens * 2 * channels)
    assert memory.largest < tokens * samples * channels / 4
    # Input, normalised input, hidden activations of the importance, queries, output: a handful of [T, D], and no [T,
    # K, H].
    assert saved < 14 * tokens * channels + 40 * samples * channels + 20 * channels**2


def test_memory_grows_with_the_tokens_not_faster():
    def peak(tokens: int) -> int:
        gc.collect()
        conv = SFTConv(32, 2, 16, "dist").train()
        with Memory() as memory:
            conv(torch.randn(tokens, 32), **cloud(tokens, torch.float32)).sum().backward()
        return memory.largest

    assert peak(8192) <= 2.2 * peak(4096)


@pytest.mark.parametrize("score", ["maxout", "softmax"])
def test_bfloat16_autocast_gives_finite_values_and_gradients(score):
    conv = SFTConv(16, heads=4, num_samples=3, encoding="field", score=score)
    x = torch.randn(40, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x, batch=torch.arange(40) // 20, **cloud(40, torch.float32))
    out.float().square().sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in conv.parameters())


def test_compiled_gives_the_same_result():
    conv = make("field")
    x, geometry, ptr = torch.randn(17, 16, dtype=torch.float64), cloud(17), torch.tensor([0, 4, 17])
    torch.testing.assert_close(
        torch.compile(conv, backend="aot_eager")(x, ptr=ptr, **geometry),
        conv(x, ptr=ptr, **geometry),
        rtol=0,
        atol=1e-10,
    )


def test_stands_where_a_convolution_stands():
    x, edge_index, batch = torch.randn(6, 16), torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 0, 0, 1, 1, 1])
    model = Sequential("x, edge_index, batch", [(SFTConv(16, 4, 3), "x, edge_index, batch -> x"), torch.nn.ReLU()])
    assert model(x, edge_index, batch).shape == (6, 16)
    assert GPSConv(16, SFTConv(16, 4, 3), heads=4)(x, edge_index, batch).shape == (6, 16)


def test_block():
    block = (
        SAMSABlock(16, conv="sft", heads=4, num_samples=3, encoding="dist_normal", attn_dropout=0.1, ffn_channels=8)
        .double()
        .eval()
    )
    assert block.conv.dropout == 0.1
    x, geometry, batch = torch.randn(30, 16, dtype=torch.float64), cloud(30), torch.arange(30) % 3
    assert torch.equal(block(x, batch=batch, **geometry), x)
    torch.nn.init.ones_(block.alpha)
    with torch.no_grad():
        out = block(x, batch=batch, **geometry)
    for graph in range(3):
        rows = batch == graph
        torch.testing.assert_close(block(x[rows], **of(geometry, rows)), out[rows], rtol=0, atol=1e-12)
    with pytest.raises(ShapeError, match="normal"):
        block(x, batch=batch, pos=geometry["pos"])


@pytest.mark.parametrize(
    ("kwargs", "key"),
    [
        ({"channels": 10, "heads": 3}, "heads"),
        ({"channels": 0}, "channels"),
        ({"channels": 16, "num_samples": True}, "num_samples"),
        ({"channels": 16, "tau": 0.0}, "tau"),
        ({"channels": 16, "dropout": 1.0}, "dropout"),
        ({"channels": 16, "length_scale": 0.0}, "length_scale"),
        ({"channels": 16, "encoding": "distance"}, "encoding"),
        ({"channels": 16, "leak": "tanh"}, "leak"),
        ({"channels": 16, "score": "dot"}, "score"),
        ({"channels": 16, "sampler": "pair"}, "sampler"),
        ({"channels": 16, "sampling": "replacement"}, "sampling"),
        ({"channels": 16, "noise": "maybe"}, "noise"),
    ],
)
def test_bad_arguments_are_named(kwargs, key):
    with pytest.raises(ConfigError) as error:
        SFTConv(**kwargs)
    assert str(error.value).startswith(f"{key}:")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda conv, x: conv(x[:, :8]), "x"),
        (lambda conv, x: conv(x), "pos"),
        (lambda conv, x: conv(x, pos=x[:, :3]), "normal"),
        (lambda conv, x: conv(x, pos=x[:4, :3], normal=x[:, :3]), "pos"),
        (lambda conv, x: conv(x, pos=x[:, :3].long(), normal=x[:, :3]), "pos"),
        (lambda conv, x: conv(x, pos=x[:, :3], normal=x[:, :2]), "normal"),
        (lambda conv, x: conv(x, score_input=x[:4], **cloud(5)), "score_input"),
        (lambda conv, x: conv(x, batch=torch.zeros(4, dtype=torch.long), **cloud(5)), "batch"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ShapeError) as error:
        call(make("dist_normal"), torch.randn(5, 16, dtype=torch.float64))
    assert str(error.value).startswith(f"{name}:")
    assert "\n" not in str(error.value)


def test_scores_that_are_not_finite_name_the_layer():
    conv = make("none")
    conv.name = "layer 3 of 24, SFTConv"
    x = torch.randn(5, 16, dtype=torch.float64)
    x[2, 0] = float("nan")
    with pytest.raises(NumericalError, match="layer 3 of 24"):
        conv(x)


@pytest.mark.cuda
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_cuda_agrees_with_cpu(encoding, sampler):
    conv = make(encoding, sampler=sampler)
    x, batch, geometry = torch.randn(60, 16, dtype=torch.float64), torch.tensor([0] * 3 + [1] * 50 + [3] * 7), cloud(60)
    expected = conv(x, batch=batch, **geometry)
    moved = {name: value.cuda() for name, value in geometry.items()}
    torch.testing.assert_close(conv.cuda()(x.cuda(), batch=batch.cuda(), **moved).cpu(), expected, rtol=0, atol=1e-10)


def test_arguments_are_checked_in_a_subclass_with_a_constructor_of_its_own():
    class Few(SFTConv):
        def __init__(self, channels, **options):
            super().__init__(channels, num_samples=2, **options)

    assert Few(16).num_samples == 2
    with pytest.raises(ConfigError, match="sampling: got 'easy'"):
        Few(16, sampling="easy")
    with pytest.raises(ConfigError, match=r"tau: got 2\.0, expected the default 1\.0"):
        Few(16, sampler="paired", tau=2.0)


@pytest.mark.parametrize("shared", [True, False])
def test_attention_weights_are_those_of_the_sampled_tokens(shared):
    conv = make(shared=shared)
    x, geometry = torch.randn(30, 16, dtype=torch.float64), cloud(30)
    batch = torch.tensor([0] * 20 + [1] * 10)
    given = {"batch": batch, "return_attention_weights": True, "return_sampled_tokens": True}
    out, (pairs, weights), sampled = conv(x, **given, **geometry)
    assert torch.equal(out, conv(x, batch=batch, **geometry))
    assert weights.shape == (pairs.size(1), 4)
    of_tokens = pairs[0] < 30  # the others are supports
    pairs, weights = pairs[:, of_tokens], weights[of_tokens]
    assert pairs.size(1) >= 20
    assert bool((batch[pairs[0]] == batch[pairs[1]]).all())
    for head in range(4):
        for graph in range(2):
            used = weights[:, head] != 0
            found = pairs[0][used & (batch[pairs[1]] == graph)].unique()
            own = sampled.index[graph, head]
            assert set(found.tolist()) <= set(own[own >= 0].tolist())


def test_defaults(defaults):
    expected = {
        "heads": 8,
        "num_samples": 128,
        "encoding": "none",
        "leak": "softplus",
        "score": "maxout",
        "sampler": "samsa",
        "sampling": "hard",
        "tau": 1.0,
        "noise": "train",
        "dropout": 0.0,
        "bias": True,
        "shared": True,
        "length_scale": 1.0,
    }
    assert expected.items() <= defaults(SFTConv).items()
