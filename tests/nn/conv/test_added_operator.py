"""Adds an operator as CONTRIBUTING.md shows it, and trains a block of it by its name."""

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import OPERATORS, SAMSABlock, TokenConv, make_operator, register_operator


class MyConv(TokenConv):
    """Every token gets the mean value of its graph."""

    def attend(self, x, context):
        value = self.split_heads(self.key_value(x))[..., self.head_channels :]
        index = context.index
        sums = value.new_zeros(index.num_graphs, *value.shape[1:]).index_add(0, index.batch, value)
        return (sums / index.ptr.diff().view(-1, 1, 1))[index.batch], None


@pytest.fixture
def registered():
    register_operator("my")(MyConv)
    yield
    del OPERATORS["my"]


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


def test_unknown_operator_is_refused():
    with pytest.raises(ConfigError, match="my"):
        make_operator("my", 8)
