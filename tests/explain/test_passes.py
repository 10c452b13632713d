import pytest
import torch
from torch_geometric.data import Batch

from pyg_samsa.errors import ConfigError
from pyg_samsa.explain import _passes
from pyg_samsa.nn import SAMSA


@pytest.fixture
def batch(graphs):
    return Batch.from_data_list(graphs)


@pytest.fixture
def model(network):
    return network().eval()


def literal(model, batch):
    with torch.no_grad():
        return model(batch.x, batch.edge_index, batch.edge_attr, batch.batch)


def test_tokens_are_kept_before_every_block_and_after_the_last(model, batch):
    with torch.no_grad():
        passes = _passes.open_passes(model, batch)
    count = batch.num_nodes + batch.num_edges
    assert [tuple(x.shape) for x in passes.inputs] == [(count, 16)] * 4
    assert passes.inputs[-1] is passes.tokens.x
    assert torch.cat([passes.tokens.node_rows, passes.tokens.edge_rows]).sort().values.tolist() == list(range(count))
    assert not any(block._forward_pre_hooks for block in model.encoder.blocks)


@pytest.mark.parametrize("layer", range(4))
def test_the_prediction_is_the_same_from_every_layer(model, batch, layer):
    with torch.no_grad():
        passes = _passes.open_passes(model, batch)
        found = _passes.run_from(model, passes.inputs[layer], passes.tokens.index, layer)
    torch.testing.assert_close(found, literal(model, batch))


def test_read_out_finishes_a_forward_pass(model, batch):
    with torch.no_grad():
        passes = _passes.open_passes(model, batch)
        found = _passes.read_out(model, passes.tokens.x, passes.tokens.index)
    torch.testing.assert_close(found, literal(model, batch))


def test_samples_are_those_of_the_operator(model, batch):
    seen = []
    hook = model.encoder.blocks[1].conv.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    with torch.no_grad():
        passes = _passes.open_passes(model, batch)
        hook.remove()
        block, x = model.encoder.blocks[1], passes.inputs[1]
        samples = _passes.sample(block, x, passes.tokens.index)
        _, sampled = block.conv(block.conv_norm(x), **seen[0], return_sampled_tokens=True)
    count = x.size(0)
    assert samples.candidates.shape == (5, 4, 4)
    is_token = samples.candidates < count
    assert torch.equal(is_token, sampled.index >= 0)
    assert torch.equal(samples.candidates[is_token], sampled.index[is_token])


def test_every_draw_has_its_own_codes(model, batch):
    with torch.no_grad():
        first, again, other = (_passes.open_passes(model, batch, draw).tokens.x for draw in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_hooks_are_removed_after_an_error(model, batch):
    batch.x = batch.x[:, :2]
    with pytest.raises(Exception):  # noqa: B017, PT011
        _passes.open_passes(model, batch)
    assert not any(block._forward_pre_hooks for block in model.encoder.blocks)


def fail_in_evaluation(model):
    assert not any(module.training for module in model.modules())
    raise ZeroDivisionError


def test_evaluation_mode_ends_with_the_block_and_every_module_gets_its_mode_back(network):
    model = network().train()
    model.encoder.blocks[1].eval()
    before = {name: module.training for name, module in model.named_modules()}
    with pytest.raises(ZeroDivisionError), _passes.evaluating(model):
        fail_in_evaluation(model)
    assert {name: module.training for name, module in model.named_modules()} == before


def test_networks_that_can_be_explained_are_returned(model):
    assert _passes.check_network(model) is model
    assert _passes.check_sampling(model) is None


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"bridge": False, "edge_channels": None}, "bridge"),
        ({"level": "node"}, "level"),
        ({"towers": 2}, "level"),
        ({"attention": "sft", "num_dims": 3}, "positions"),
        ({"noise": "always"}, "noise in evaluation"),
        ({"eval_codes": "random"}, "noise in evaluation"),
    ],
)
def test_other_networks_are_refused(options, culprit, network):
    with pytest.raises(ConfigError, match=culprit):
        _passes.check_network(network(**options))


@pytest.mark.parametrize("attention", ["full", "performer"])
def test_operators_that_do_not_sample_are_named(attention):
    model = SAMSA.from_options(5, 2, edge_channels=3, channels=16, num_layers=1, heads=2, attention=attention)
    with pytest.raises(ConfigError, match="does not sample") as caught:
        _passes.check_sampling(model)
    assert type(model.encoder.blocks[0].conv).__name__ in caught.value.hint


def test_wrappers_are_refused_with_the_cure(model):
    with pytest.raises(ConfigError, match="Sequential") as caught:
        _passes.check_network(torch.nn.Sequential(model))
    assert "Pass the SAMSA network itself" in caught.value.hint
