import copy
import itertools

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import RaggedIndex, sequence_positions
from pyg_samsa.nn import FLTConv, PerformerConv, SAMSABlock
from pyg_samsa.nn.conv.flt_conv import ENCODINGS

INDEX = RaggedIndex(torch.tensor([0, 5, 5, 6, 13]))
each_encoding = pytest.mark.parametrize("encoding", ENCODINGS)
each_direction = pytest.mark.parametrize("causal", [False, True])


def waves(encoding, count):
    """Without an encoding there are no frequencies to choose."""
    return {} if encoding == "none" else {"num_frequencies": count}


def make(encoding="gaussian_mixture", num_dims=3, **options):
    torch.manual_seed(0)
    return FLTConv(
        8, heads=2, encoding=encoding, num_dims=num_dims, num_features=8, **waves(encoding, 4), **options
    ).double()


def tokens(num_dims=3, count=13):
    torch.manual_seed(1)
    return torch.randn(count, 8, dtype=torch.float64), torch.randn(count, num_dims, dtype=torch.float64)


@each_encoding
@each_direction
def test_no_graph_sees_its_batch_mates(encoding, causal):
    conv, (x, pos) = make(encoding, causal=causal), tokens()
    out = conv(x, ptr=INDEX, pos=pos)
    torch.testing.assert_close(out[:5], conv(x[:5], pos=pos[:5]), rtol=0, atol=1e-13)
    # A mate whose keys are enormous moves the stabilizer of its own graph alone.
    loud = x.clone()
    loud[5:] *= 1e3
    assert torch.equal(conv(loud, ptr=INDEX, pos=pos)[:5], out[:5])


@each_encoding
def test_permuting_tokens_permutes_the_output(encoding):
    conv, (x, pos), perm = make(encoding), tokens(), torch.randperm(13)
    out = conv(x, batch=INDEX.batch, batch_size=4, pos=pos)
    torch.testing.assert_close(
        conv(x[perm], batch=INDEX.batch[perm], batch_size=4, pos=pos[perm]), out[perm], rtol=0, atol=1e-12
    )


@each_encoding
def test_causal_output_does_not_see_what_comes_later(encoding):
    conv, (x, pos) = make(encoding, causal=True), tokens()
    changed, moved = x.clone(), pos.clone()
    changed[9:], moved[9:] = 50 * x[9:], pos[9:] + 7
    one, other = conv(x, ptr=INDEX, pos=pos), conv(changed, ptr=INDEX, pos=moved)
    torch.testing.assert_close(one[:9], other[:9], rtol=0, atol=1e-14)
    assert float((one[9:] - other[9:]).detach().abs().max()) > 1e-2


def test_positions_matter_and_scale_with_the_length():
    conv, (x, pos) = make("shift_invariant", length_scale=2.0), tokens()
    assert float((conv(x, pos=pos) - conv(x, pos=pos.flip(0))).detach().abs().max()) > 1e-3
    other = make("shift_invariant", length_scale=1.0)
    torch.testing.assert_close(conv(x, pos=2 * pos), other(x, pos=pos), rtol=0, atol=1e-12)


@each_encoding
@each_direction
def test_every_weight_learns(encoding, causal):
    conv, (x, pos) = make(encoding, causal=causal), tokens()
    pos.requires_grad_()
    conv(x, ptr=INDEX, pos=pos).square().sum().backward()
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in conv.parameters())
    assert encoding == "none" or bool(pos.grad.any())


def test_draws_are_fixed_until_drawn_anew_and_follow_the_seed():
    conv, (x, pos) = make(), tokens()
    assert torch.equal(conv(x, pos=pos), conv(x, pos=pos))
    assert torch.equal(make()(x, pos=pos), conv(x, pos=pos))
    twin, before = copy.deepcopy(conv), conv(x, pos=pos)
    conv.redraw()
    assert not torch.allclose(conv(x, pos=pos), before)
    torch.manual_seed(99)  # the sequence of draws belongs to the operator
    twin.redraw()
    assert torch.equal(twin(x, pos=pos), conv(x, pos=pos))


def test_draws_are_saved_with_the_weights():
    conv, (x, pos) = make(redraw=2), tokens()
    for _ in range(3):
        conv(x, pos=pos)
    other = FLTConv(8, heads=2, num_dims=3, num_features=8, num_frequencies=4, redraw=2).double()
    other.load_state_dict(conv.state_dict())
    for _ in range(3):
        assert torch.equal(other(x, pos=pos), conv(x, pos=pos))


def test_redraws_in_training_every_so_many_passes():
    conv, (x, pos) = make(redraw=2), tokens()
    outs = [conv(x, pos=pos) for _ in range(5)]
    assert [torch.equal(one, other) for one, other in itertools.pairwise(outs)] == [True, False, True, False]
    conv.eval()
    state = conv.draw_state.clone()
    assert torch.equal(conv(x, pos=pos), conv(x, pos=pos))
    assert torch.equal(conv.draw_state, state)


def test_a_checkpointed_pass_keeps_its_draws():
    """Computed again for its gradient, a pass must neither count nor draw."""
    (x, pos), gradients = tokens(), []
    for again in (False, True):
        conv, y = make(redraw=1, dropout=0.3), x.clone().requires_grad_()
        for _ in range(3):
            torch.manual_seed(5)
            run = lambda t, conv=conv: conv(t, pos=pos)  # noqa: E731
            out = checkpoint(run, y, use_reentrant=False) if again else run(y)
            out.square().sum().backward()
        gradients.append(y.grad)
        assert conv.draw_state[2] == 3
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_dropout_acts_in_training_alone_and_keeps_the_mean():
    conv, (x, pos) = make(dropout=0.5, bias=False), tokens()
    conv.eval()
    whole = conv(x, pos=pos)
    assert torch.equal(conv(x, pos=pos), whole)
    conv.train()
    mean = torch.stack([conv(x, pos=pos).detach() for _ in range(500)]).mean(0)
    torch.testing.assert_close(mean, whole.detach(), rtol=0, atol=0.1)
    assert float(whole.detach().abs().max()) > 0.3


@pytest.mark.parametrize("num_dims", [1, 3])
@each_encoding
def test_blocks_of_sequences_and_of_points(encoding, num_dims):
    """Whole numbers as places of a sequence, coordinates of clouds and molecules; it learns to tell a token's place
    from nothing else."""
    torch.manual_seed(0)
    options = {"encoding": encoding, "num_dims": num_dims, "num_features": 16, **waves(encoding, 8)}
    block = SAMSABlock(8, conv="flt", heads=2, **options)
    torch.nn.init.ones_(block.alpha)
    pos = sequence_positions(INDEX)[:, None] if num_dims == 1 else torch.randn(13, 3)
    x = torch.randn(13, 8)
    out = block(x, ptr=INDEX, pos=pos, normal=torch.randn(13, 3))
    assert out.shape == x.shape
    assert bool(torch.isfinite(out).all())
    out.sum().backward()
    assert all(weight.grad is not None for weight in block.parameters())
    same = SAMSABlock(8, conv=FLTConv(8, 2, **options))
    same.load_state_dict(block.state_dict())
    assert torch.equal(same(x, ptr=INDEX, pos=pos), out)


def test_performer_takes_no_positions():
    conv, (x, pos) = PerformerConv(8, heads=2).double(), tokens()
    assert torch.equal(conv(x, pos=pos), conv(x))
    assert conv.encoding == "none"
    assert repr(conv) == "PerformerConv(8, heads=2, encoding='none', num_features=64)"


def test_batches_without_tokens():
    conv, (x, pos) = make(), tokens()
    assert conv(x[:0], batch=INDEX.batch[:0], batch_size=2, pos=pos[:0]).shape == (0, 8)
    conv(x[:0], pos=pos[:0]).sum().backward()


def test_half_precision_and_autocast_stay_near():
    torch.manual_seed(0)
    conv, (x, pos) = make().float(), tokens()
    x, pos = x.float(), pos.float()
    exact = conv(x, ptr=INDEX, pos=pos)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = conv(x, ptr=INDEX, pos=pos)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), exact, rtol=0, atol=0.03)
    mixed.float().sum().backward()
    assert bool(torch.isfinite(conv.query.weight.grad).all())


def test_the_default_encoding_fits_the_positions():
    assert FLTConv(8, heads=2).encoding == FLTConv(8, heads=2, num_dims=3).encoding == "gaussian_mixture"
    assert FLTConv(8, heads=2, num_dims=0).encoding == "none"


def test_bad_arguments_are_named():
    x, pos = torch.randn(3, 8), torch.randn(3, 3)
    for options, key in [
        ({"heads": 3}, "heads"),
        ({"encoding": "gaussian"}, "encoding"),
        ({"num_features": 0}, "num_features"),
        ({"num_frequencies": 0}, "num_frequencies"),
        ({"num_dims": -1}, "num_dims"),
        ({"num_dims": 0, "encoding": "local_box"}, "encoding: got 'local_box', expected 'none', because num_dims is 0"),
        ({"encoding": "none", "num_frequencies": 8}, "num_frequencies: got 8, expected the default 16"),
        ({"encoding": "none", "length_scale": 2.0}, "length_scale: got 2.0, expected the default 1.0"),
        ({"redraw": 0}, "redraw"),
        ({"dropout": 1.0}, "dropout"),
        ({"length_scale": 0.0}, "length_scale"),
        ({"encoding_options": {"kernel": "matern32"}}, "encoding_options: kernel"),
        ({"encoding": "shift_invariant", "encoding_options": {"kernel": "matern"}}, "kernel"),
        ({"encoding": "none", "encoding_options": {"kernel": "matern32"}}, "encoding_options"),
        ({"encoding_options": {"num_components": 0}}, "num_components"),
        ({"encoding": "local_box", "encoding_options": {"cutoff": -1.0}}, "cutoff"),
    ]:
        with pytest.raises(ConfigError, match=key):
            FLTConv(8, **options)
    conv = FLTConv(8, heads=2, num_dims=3)
    for given in (None, pos[:, :2], pos[:2]):
        with pytest.raises(ShapeError, match="pos") as error:
            conv(x, pos=given)
        assert error.value.hint
    with pytest.raises(ShapeError, match="x: got"):
        conv(torch.randn(3, 4), pos=pos)


def test_defaults(defaults):
    expected = {
        "heads": 8,
        "num_dims": 1,
        "num_features": 64,
        "num_frequencies": 16,
        "length_scale": 1.0,
        "causal": False,
        "dropout": 0.0,
        "bias": True,
    }
    assert expected.items() <= defaults(FLTConv).items()
