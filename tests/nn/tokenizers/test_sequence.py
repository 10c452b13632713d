"""One token per symbol."""

import torch

from pyg_samsa.functional import sinusoidal_positions
from pyg_samsa.nn import SequenceTokenizer


def test_tokens_are_embeddings_plus_sinusoids_of_their_places():
    torch.manual_seed(0)
    tokenizer = SequenceTokenizer(8, [5]).double()
    symbols, batch = torch.tensor([[4], [0], [4], [4], [1]]), torch.tensor([0, 0, 0, 1, 1])
    expected = tokenizer.node_encoder(symbols)
    expected = expected + sinusoidal_positions(torch.tensor([0, 1, 2, 0, 1]), 8, dtype=torch.float64)
    torch.testing.assert_close(tokenizer(symbols, batch=batch).x, expected)


def test_equal_symbols_at_the_same_place_have_equal_tokens():
    tokens = SequenceTokenizer(8, [5])(torch.tensor([[4], [0], [4]]), batch=torch.tensor([0, 0, 1])).x
    assert torch.equal(tokens[0], tokens[2])
    assert not torch.equal(tokens[0], tokens[1])


def test_defaults(defaults):
    expected = {
        "pe_channels": 0,
        "flip_signs": False,
    }
    assert expected.items() <= defaults(SequenceTokenizer).items()
