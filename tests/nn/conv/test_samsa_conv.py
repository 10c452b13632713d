from __future__ import annotations

import pytest
import torch
import torch_geometric
from torch_geometric.nn import GPSConv, Sequential

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import SAMSABlock, SAMSAConv

SAMPLING = ["hard", "soft", "replacement"]


def make(sampling: str = "hard", **kwargs) -> SAMSAConv:
    torch.manual_seed(0)
    return SAMSAConv(16, heads=4, num_samples=3, sampling=sampling, **kwargs).double().eval()


def test_repr_and_weight_names():
    conv = SAMSAConv(16, heads=4, num_samples=3)
    assert str(conv) == "SAMSAConv(16, heads=4, num_samples=3, sampling='hard')"
    assert {name.split(".")[0] for name, _ in conv.named_parameters()} == {
        "query", "key_value", "score", "support_key_value", "support_score", "out",
    }  # fmt: skip
    assert conv.support_key_value.shape == (6, 32)
    assert conv.support_score.shape == (6, 4)


@pytest.mark.parametrize("sampling", SAMPLING)
def test_output_does_not_depend_on_batch_mates(sampling):
    conv = make(sampling)
    sizes = [7, 0, 1, 2, 40, 0]
    x = torch.randn(sum(sizes), 16, dtype=torch.float64)
    ptr = torch.tensor([0, *torch.tensor(sizes).cumsum(0).tolist()])
    together = conv(x, ptr=ptr)
    alone = torch.cat([conv(part) for part in x.split(sizes) if len(part)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sampling", SAMPLING)
def test_unsorted_batch_is_the_same_as_sorted(sampling):
    conv = make(sampling)
    batch = torch.tensor([0] * 5 + [2] * 9 + [3] * 2)
    x = torch.randn(16, 16, dtype=torch.float64)
    perm = torch.randperm(16)
    expected = conv(x, batch=batch, batch_size=6)
    torch.testing.assert_close(conv(x[perm], batch=batch[perm], batch_size=6), expected[perm], rtol=0, atol=1e-10)


@pytest.mark.parametrize("sampling", SAMPLING)
def test_permuting_tokens_permutes_output(sampling):
    conv = make(sampling)
    x, perm = torch.randn(20, 16, dtype=torch.float64), torch.randperm(20)
    torch.testing.assert_close(conv(x[perm]), conv(x)[perm], rtol=0, atol=1e-10)


def test_ptr_batch_and_index_agree():
    conv = make()
    x, batch, ptr = torch.randn(5, 16, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 2, 5])
    expected = conv(x, batch=batch)
    assert torch.equal(conv(x, ptr=ptr), expected)
    assert torch.equal(conv(x, ptr=RaggedIndex(ptr)), expected)
    assert torch.equal(conv(x, torch.empty(2, 0, dtype=torch.long), batch), expected)


@pytest.mark.parametrize("sampling", SAMPLING)
def test_no_tokens_at_all(sampling):
    conv = make(sampling).train()
    x = torch.randn(0, 16, dtype=torch.float64, requires_grad=True)
    out = conv(x, ptr=torch.tensor([0, 0, 0]))
    out.sum().backward()
    assert out.shape == (0, 16)


def test_sampled_tokens_name_rows_of_the_input_in_its_own_order():
    conv = make()
    x = torch.randn(12, 16, dtype=torch.float64)
    batch = torch.tensor([1, 0] * 6)
    out, sampled = conv(x, batch=batch, return_sampled_tokens=True)
    assert torch.equal(out, conv(x, batch=batch))
    assert sampled.index.shape == sampled.score.shape == (2, 4, 3)
    scores = conv.score(x)
    for graph in range(2):
        for head in range(4):
            for row, score in zip(
                sampled.index[graph, head].tolist(), sampled.score[graph, head].tolist(), strict=True
            ):
                if row >= 0:
                    assert batch[row] == graph
                    assert scores[row, head].item() == pytest.approx(score, abs=1e-12)
                else:
                    assert conv.support_score[-1 - row, head].item() == pytest.approx(score, abs=1e-12)
    assert (sampled.score.diff(dim=-1) <= 0).all()


def test_few_tokens_are_completed_by_support_vectors():
    _, sampled = make()(torch.randn(1, 16, dtype=torch.float64), return_sampled_tokens=True)
    assert ((sampled.index < 0).sum(-1) >= 2).all()


def test_score_input_decides_what_is_sampled_and_nothing_else():
    conv = make()
    x, other = torch.randn(2, 30, 16, dtype=torch.float64).unbind()
    _, own = conv(x, return_sampled_tokens=True)
    _, handed = conv(x, return_sampled_tokens=True, score_input=other)
    _, swapped = conv(other, return_sampled_tokens=True, score_input=x)
    assert not torch.equal(own.index, handed.index)
    assert torch.equal(own.index, swapped.index)


@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize(
    ("noise", "random_in_training", "random_in_evaluation"),
    [("train", True, False), ("always", True, True), ("never", False, False)],
)
def test_noise(sampling, noise, random_in_training, random_in_evaluation):
    conv = make(sampling, noise=noise)
    x = torch.randn(50, 16, dtype=torch.float64)
    assert torch.equal(conv.train()(x), conv(x)) is not random_in_training
    assert torch.equal(conv.eval()(x), conv(x)) is not random_in_evaluation


@pytest.mark.parametrize("sampling", SAMPLING)
def test_every_weight_gets_a_gradient(sampling):
    conv = make(sampling).train()
    x = torch.randn(40, 16, dtype=torch.float64, requires_grad=True)
    conv(x, batch=torch.arange(40) // 20).square().sum().backward()
    assert x.grad.abs().sum() > 0
    for name, parameter in conv.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_hard_evaluation_computes_no_rivals(monkeypatch):
    widths = []
    import pyg_samsa.functional.ragged_sampling as sampling

    original = sampling.ragged_topk
    monkeypatch.setattr(sampling, "ragged_topk", lambda *args: widths.append(args[-1]) or original(*args))
    conv = make()
    with torch.no_grad():
        conv(torch.randn(9, 16, dtype=torch.float64))
    conv.train()(torch.randn(9, 16, dtype=torch.float64))
    assert widths == [3, 6]


@pytest.mark.parametrize("sampling", SAMPLING)
def test_bfloat16_autocast_gives_finite_values_and_gradients(sampling):
    torch.manual_seed(0)
    conv = SAMSAConv(16, heads=4, num_samples=3, sampling=sampling)
    x = torch.randn(40, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x, batch=torch.arange(40) // 20)
    out.float().square().sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in conv.parameters())
    assert torch.isfinite(x.grad).all()


def test_attention_dropout_acts_in_training_only():
    conv = make(dropout=0.5, noise="never")
    x = torch.randn(50, 16, dtype=torch.float64)
    assert torch.equal(conv(x), conv(x))
    assert not torch.equal(conv.train()(x), conv(x))


def test_stands_where_a_convolution_stands():
    x, edge_index, batch = torch.randn(6, 16), torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 0, 0, 1, 1, 1])
    model = Sequential("x, edge_index, batch", [(SAMSAConv(16, 4, 3), "x, edge_index, batch -> x"), torch.nn.ReLU()])
    assert model(x, edge_index, batch).shape == (6, 16)


def test_in_gpsconv_graphs_are_apart_with_their_offsets():
    torch.manual_seed(0)
    gps = GPSConv(16, SAMSAConv(16, 4, 3), heads=4).double().eval()
    x, edge_index, batch = torch.randn(6, 16).double(), torch.tensor([[0, 1], [1, 0]]), torch.tensor([0, 0, 0, 1, 1, 1])
    other = torch.cat([x[:3], torch.randn(3, 16).double()])
    first, second = (gps(given, edge_index, batch, ptr=torch.tensor([0, 3, 6])) for given in (x, other))
    torch.testing.assert_close(first[:3], second[:3])
    assert not torch.allclose(first[3:], second[3:])


def test_no_graph_has_no_rows():
    none = torch.empty(0, dtype=torch.long)
    for layer in (make(), SAMSABlock(16, heads=4, num_samples=3).double()):
        x = torch.empty(0, 16, dtype=torch.float64, requires_grad=True)
        for options in ({"batch": none}, {"ptr": torch.tensor([0])}, {}):
            out = layer(x, **options)
            assert out.shape == (0, 16)
            out.sum().backward()


@pytest.mark.filterwarnings("ignore:'torch_geometric.compile' is deprecated")
def test_compiled_gives_the_same_result():
    conv = make()
    compiled = torch_geometric.compile(conv, backend="aot_eager")  # torch.compile under PyG's name
    for tokens in (10, 17):
        x = torch.randn(tokens, 16, dtype=torch.float64)
        ptr = torch.tensor([0, 4, tokens])
        torch.testing.assert_close(compiled(x, ptr=ptr), conv(x, ptr=ptr), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("kwargs", "key"),
    [
        ({"channels": 10, "heads": 3}, "heads"),
        ({"channels": 0}, "channels"),
        ({"channels": 16, "num_samples": 0}, "num_samples"),
        ({"channels": 16, "num_samples": 2.5}, "num_samples"),
        ({"channels": 16, "tau": 0.0}, "tau"),
        ({"channels": 16, "tau": float("nan")}, "tau"),
        ({"channels": 16, "dropout": 1.0}, "dropout"),
        ({"channels": 16, "sampling": "hrad"}, "sampling"),
        ({"channels": 16, "noise": "maybe"}, "noise"),
        ({"channels": 16, "attn_backend": "magic"}, "attn_backend"),
    ],
)
def test_bad_arguments_are_named(kwargs, key):
    with pytest.raises(ConfigError) as error:
        SAMSAConv(**kwargs)
    assert str(error.value).startswith(f"{key}:")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda conv: conv(torch.randn(5, 8, dtype=torch.float64)), "x"),
        (lambda conv: conv(torch.ones(5, 16, dtype=torch.long)), "x"),
        (lambda conv: conv(torch.randn(5, 16, dtype=torch.float64), batch=torch.zeros(4, dtype=torch.long)), "batch"),
        (lambda conv: conv(torch.randn(5, 16, dtype=torch.float64), batch=torch.zeros(5)), "batch"),
        (lambda conv: conv(torch.randn(5, 16, dtype=torch.float64), batch=torch.tensor([0, 0, -1, 0, 0])), "batch"),
        (
            lambda conv: conv(
                torch.randn(5, 16, dtype=torch.float64), batch=torch.tensor([0, 0, 0, 0, 7]), batch_size=2
            ),
            "batch",
        ),
        (lambda conv: conv(torch.randn(5, 16, dtype=torch.float64), ptr=torch.tensor([0, 4])), "ptr"),
        (lambda conv: conv(torch.randn(5, 16, dtype=torch.float64), ptr=torch.tensor([0, 6, 5])), "ptr"),
        (lambda conv: conv(torch.randn(5, 16, dtype=torch.float64), score_input=torch.randn(4, 16)), "score_input"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ShapeError) as error:
        call(make())
    assert str(error.value).startswith(f"{name}:")


def test_scores_that_are_not_finite_name_the_layer():
    conv = make()
    conv.name = "layer 3 of 24, SAMSAConv"
    x = torch.randn(5, 16, dtype=torch.float64)
    x[2, 0] = float("nan")
    with pytest.raises(NumericalError, match="layer 3 of 24"):
        conv(x)


@pytest.mark.cuda
@pytest.mark.parametrize("sampling", SAMPLING)
def test_cuda_agrees_with_cpu(sampling):
    conv = make(sampling)
    x, batch = torch.randn(60, 16, dtype=torch.float64), torch.tensor([0] * 3 + [1] * 50 + [3] * 7)
    expected = conv(x, batch=batch)
    torch.testing.assert_close(conv.cuda()(x.cuda(), batch=batch.cuda()).cpu(), expected, rtol=0, atol=1e-10)


def test_arguments_are_checked_in_a_subclass_with_a_constructor_of_its_own():
    class Few(SAMSAConv):
        def __init__(self, channels, **options):
            super().__init__(channels, num_samples=2, **options)

    assert Few(16).num_samples == 2
    with pytest.raises(ConfigError, match="sampling: got 'easy'"):
        Few(16, sampling="easy")
    with pytest.raises(ConfigError, match=r"tau: got 2\.0, expected the default 1\.0"):
        Few(16, importance="fixed", tau=2.0)


def test_defaults(defaults):
    expected = {
        "heads": 8,
        "num_samples": 128,
        "sampling": "hard",
        "tau": 1.0,
        "dropout": 0.0,
        "noise": "train",
        "bias": True,
        "attn_backend": "auto",
        "importance": "learned",
        "shared_sets": False,
        "support": True,
    }
    assert expected.items() <= defaults(SAMSAConv).items()


def test_shared_sets_are_one_set_for_all_heads():
    shared, own = (SAMSAConv(16, heads=4, num_samples=3, shared_sets=sets) for sets in (True, False))
    assert [tuple(conv.support_score.shape) for conv in (shared, own)] == [(6, 1), (6, 4)]
    _, sampled = shared.eval()(torch.randn(9, 16), return_sampled_tokens=True)
    assert bool((sampled.index == sampled.index[:, :1]).all())
