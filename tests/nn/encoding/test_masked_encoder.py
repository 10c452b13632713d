import pytest
import torch
from torch.nn import Linear

from pyg_samsa.errors import ShapeError
from pyg_samsa.nn import CategoricalEncoder, MaskedEncoder


def test_hidden_floats_are_replaced_by_their_vectors():
    linear = Linear(3, 8).double()
    encoder = MaskedEncoder(linear, 3, 8).double()
    linear = encoder.encoder
    x, hidden = torch.randn(5, 3, dtype=torch.double), torch.rand(5, 3) < 0.5
    found = encoder(torch.cat([x.masked_fill(hidden, 0), hidden.double()], 1))
    for row in range(5):
        expected = linear.bias.clone()
        for column in range(3):
            expected = expected + (
                encoder.hidden[column] if hidden[row, column] else x[row, column] * linear.weight[:, column]
            )
        torch.testing.assert_close(found[row], expected)


def test_categories_are_integers():
    encoder = MaskedEncoder(CategoricalEncoder([4, 3], 8), 2, 8)
    visible = torch.tensor([[1, 2, 0, 0], [0, 0, 1, 1]])
    found = encoder(visible)
    torch.testing.assert_close(found[0], encoder.encoder(torch.tensor([[1, 2]]))[0])
    torch.testing.assert_close(found[1], encoder.encoder(torch.tensor([[0, 0]]))[0] + encoder.hidden.sum(0))


def test_wrong_widths_are_refused():
    with pytest.raises(ShapeError, match=r"features: got \[2, 3\], expected \[N, 6\]"):
        MaskedEncoder(Linear(3, 8), 3, 8)(torch.zeros(2, 3))


def test_new_weights_are_drawn():
    encoder = MaskedEncoder(Linear(3, 8), 3, 8)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.reset_parameters()
    assert all(not torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
