"""Adds an operator as CONTRIBUTING.md shows it, and trains a block of it by its name."""

from typing import Annotated

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.run import run
from pyg_samsa.graphgym.config import cfg, load_config
from pyg_samsa.graphgym.plan import build_network
from pyg_samsa.graphgym.settings import SETTINGS
from pyg_samsa.nn import OPERATORS, SAMSABlock, TokenConv, make_operator, register_operator
from pyg_samsa.options import Option


class MyConv(TokenConv):
    """Every token gets the mean value of its graph, times a factor."""

    def __init__(
        self,
        channels,
        heads=8,
        dropout=0.0,
        bias=True,
        factor: Annotated[float, Option("Factor of the mean.", above=0)] = 1.0,
    ):
        super().__init__(channels, heads, dropout, bias)
        self.factor = factor

    def attend(self, x, context):
        value = self.split_heads(self.key_value(x))[..., self.head_channels :]
        index = context.index
        sums = value.new_zeros(index.num_graphs, *value.shape[1:]).index_add(0, index.batch, value)
        return self.factor * (sums / index.ptr.diff().view(-1, 1, 1))[index.batch], None


@pytest.fixture
def registered():
    register_operator("my")(MyConv)
    yield
    del OPERATORS["my"]
    SETTINGS.pop("my.factor", None)


def test_added_operator_is_made_and_trained_by_name(registered):
    torch.manual_seed(0)
    block = SAMSABlock(8, conv="my", heads=2)
    x, batch = torch.randn(6, 8), torch.tensor([0, 0, 0, 1, 1, 1])
    optimizer = torch.optim.SGD(block.parameters(), lr=0.1)
    before = block(x, batch=batch)
    before.square().mean().backward()
    optimizer.step()
    assert any(isinstance(module, MyConv) for module in block.modules())
    assert not torch.equal(before, block(x, batch=batch))


def test_mean_is_of_each_graph(registered):
    conv = make_operator("my", 8, heads=2)
    out = conv(torch.randn(5, 8), batch=torch.tensor([0, 0, 1, 1, 1]))
    torch.testing.assert_close(out[0], out[1])
    torch.testing.assert_close(out[2], out[4])
    assert not torch.allclose(out[0], out[2])


@pytest.fixture
def config(shapes_config):
    return lambda **samsa: shapes_config(**{"bridge": False, "attention": "my", **samsa})


def test_a_configuration_names_the_operator_and_its_own_options(registered, config):
    (result,) = run(config(), ["my.factor", "2"], verbosity=-1)
    assert result.parameters > 0
    network = build_network(cfg.share.dim_in, cfg.share.dim_out)
    (conv,) = (module for module in network.modules() if isinstance(module, MyConv))
    assert conv.factor == 2.0


def test_wrong_options_are_named_as_settings_before_any_work(registered, config):
    with pytest.raises(ConfigError, match=r"my\.factor: got -1\.0"):
        load_config(config(), ["my.factor", "-1"])
    with pytest.raises(ConfigError, match=r"samsa\.num_samples: got 4, expected null") as caught:
        load_config(config(num_samples=4))
    assert caught.value.hint == "Set samsa.num_samples null."
    with pytest.raises(ConfigError) as caught:
        load_config(config(num_samples=4, sampling="soft"))
    assert caught.value.hint == "Set samsa.num_samples null samsa.sampling null."
    with pytest.raises(ConfigError, match=r"my\.factor: got 2\.0, expected 1\.0, because samsa\.attention is 'full'"):
        load_config(config(), ["my.factor", "2", "samsa.attention", "full"])


def test_unknown_operator_is_refused():
    with pytest.raises(ConfigError, match="my"):
        make_operator("my", 8)
