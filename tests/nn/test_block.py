from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import DropPath, SAMSABlock, SAMSAConv


def test_starts_as_the_identity_and_alpha_learns_first():
    block = SAMSABlock(16, heads=4, num_samples=3)
    x = torch.randn(10, 16)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.alpha.grad.abs() > 0


def test_shared_scalar_is_handed_in():
    block = SAMSABlock(16, heads=4, num_samples=3, rezero="shared").eval()
    x = torch.randn(10, 16)
    assert "alpha" not in dict(block.named_parameters())
    with pytest.raises(ConfigError, match="alpha"):
        block(x)
    own = SAMSABlock(16, heads=4, num_samples=3).eval()
    own.load_state_dict({**block.state_dict(), "alpha": torch.tensor(0.3)})
    assert torch.equal(block(x, alpha=torch.tensor(0.3)), own(x))


def test_unsorted_batch():
    block = SAMSABlock(16, heads=4, num_samples=3).double().eval()
    torch.nn.init.ones_(block.alpha)
    x, batch, perm = torch.randn(12, 16, dtype=torch.float64), torch.arange(12) // 5, torch.randperm(12)
    torch.testing.assert_close(block(x[perm], batch=batch[perm]), block(x, batch=batch)[perm], rtol=0, atol=1e-10)


def test_any_operator_with_the_same_signature_fits():
    conv = SAMSAConv(16, heads=2, num_samples=5)
    assert SAMSABlock(16, conv=conv).conv is conv


def test_drop_path_drops_whole_graphs_and_keeps_the_mean():
    torch.manual_seed(0)
    index = RaggedIndex(torch.arange(0, 4001, 4))
    out = DropPath(0.25).train()(torch.ones(4000, 2), index)
    per_graph = out.view(1000, 8)
    assert ((per_graph == 0).all(1) | (per_graph == 1 / 0.75).all(1)).all()
    assert out.mean().item() == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(
    ("kwargs", "key"),
    [({"dropout": 1.5}, "dropout"), ({"ffn_channels": 0}, "ffn_channels"), ({"rezero": "none"}, "rezero")],
)
def test_bad_arguments_are_named(kwargs, key):
    with pytest.raises(ConfigError) as error:
        SAMSABlock(16, heads=4, **kwargs)
    assert str(error.value).startswith(f"{key}:")


@pytest.mark.slow
def test_compiled_by_inductor_gives_the_same_result():
    block = SAMSABlock(16, heads=4, num_samples=3).double().eval()
    torch.nn.init.ones_(block.alpha)
    compiled, x, ptr = torch.compile(block), torch.randn(9, 16, dtype=torch.float64), torch.tensor([0, 4, 9])
    torch.testing.assert_close(compiled(x, ptr=ptr), block(x, ptr=ptr), rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_compiled_without_graph_breaks_and_anew_for_no_new_batch(training):
    torch._dynamo.reset()
    # Graphs of gradients make guards of their own; without gradients the frames are counted before any backend.
    counter = CompileCounterWithBackend("aot_eager" if training else "eager")
    block = SAMSABlock(16, heads=2, num_samples=3, noise="never").train(training)
    torch.nn.init.ones_(block.alpha)
    compiled = torch.compile(block, backend=counter, fullgraph=True)
    frames = []
    # Batches with few tokens for each that is sampled, and with many, are two graphs. The first three make their
    # numbers symbols.
    few, many = [[5, 2, 9], [3, 8, 1, 4], [2, 5]], [[30, 2], [20, 1, 26]]
    for sizes in (*few, *many, [7, 7, 1, 2, 9], [4, 6], [2, 3, 4, 5, 6, 7], [20, 1, 6], [33, 18, 7, 50], [5, 60]):
        index, x = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0)), torch.randn(sum(sizes), 16)
        with torch.set_grad_enabled(training):
            torch.testing.assert_close(compiled(x, ptr=index), block(x, ptr=index))
        frames.append(counter.frame_count)
    assert frames[-1] == frames[len(few) + len(many) - 1] <= 5


def test_dropout_follows_the_local_layer():
    assert SAMSABlock(16, heads=4, num_samples=3, dropout=0.25).local_dropout is None
    local = SAMSABlock(16, heads=4, num_samples=3, dropout=0.25, local="gine").local_dropout
    assert local.p == 0.25


def test_defaults(defaults):
    expected = {
        "dropout": 0.0,
        "drop_path": 0.0,
        "rezero": "own",
        "conv": "samsa",
        "edge_features": True,
        "act": "gelu",
    }
    assert expected.items() <= defaults(SAMSABlock).items()
