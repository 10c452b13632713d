"""Precomputed positional encodings."""

import pytest
import torch

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.nn.encoding.positional import PositionalEncoder

GRAPH = torch.tensor([0, 0, 1, 1, 1])


def test_evaluation_is_normalisation_and_a_linear_layer():
    torch.manual_seed(0)
    encoder, pe = PositionalEncoder(3, 4, flip_signs=True), torch.randn(5, 3)
    encoder(pe, GRAPH, 2)
    encoder.eval()
    norm = encoder.norm.module
    normalised = (pe - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(encoder(pe, GRAPH, 2), normalised @ encoder.lin.weight.T + encoder.lin.bias)


def test_encodings_that_hardly_varied_in_training_stay_in_range():
    encoder, pe = PositionalEncoder(2, 2), torch.randn(5, 2) * torch.tensor([1.0, 1e-4])
    encoder(pe, GRAPH, 2)
    encoder.eval()
    torch.nn.init.eye_(encoder.lin.weight)
    torch.nn.init.zeros_(encoder.lin.bias)
    torch.nn.init.ones_(encoder.norm.module.weight)
    encoder.norm.module.running_var.copy_(torch.tensor([1.0, 1e-8]))
    assert encoder(torch.tensor([[0.5, 1.0], [0.5, -1.0]]), GRAPH[:2], 1)[:, 1].tolist() == [5.0, -5.0]


def test_signs_are_flipped_graph_by_graph_in_training_alone():
    torch.manual_seed(0)
    encoder = PositionalEncoder(1, 1, flip_signs=True)
    encoder.norm = torch.nn.Identity()
    torch.nn.init.ones_(encoder.lin.weight)
    torch.nn.init.zeros_(encoder.lin.bias)
    pe = torch.ones(5, 1)
    seen = {tuple(encoder(pe, GRAPH, 2).flatten().tolist()) for _ in range(64)}
    assert seen == {(a, a, b, b, b) for a in (1.0, -1.0) for b in (1.0, -1.0)}
    assert torch.equal(encoder.eval()(pe, GRAPH, 2), pe)


def test_signs_of_the_first_columns_alone_may_be_flipped():
    torch.manual_seed(0)
    encoder = PositionalEncoder(3, 3, flip_signs=2)
    encoder.norm = torch.nn.Identity()
    torch.nn.init.eye_(encoder.lin.weight)
    torch.nn.init.zeros_(encoder.lin.bias)
    seen = torch.stack([encoder(torch.ones(5, 3), GRAPH, 2) for _ in range(64)])
    assert bool((seen[:, :, 2] == 1).all())
    assert {tuple(row) for row in seen[:, 0, :2].tolist()} == {(a, b) for a in (1.0, -1.0) for b in (1.0, -1.0)}
    with pytest.raises(ConfigError, match="flip_signs"):
        PositionalEncoder(3, 3, flip_signs=4)


def test_one_node_and_none():
    encoder = PositionalEncoder(3, 4)
    assert bool(torch.isfinite(encoder(torch.randn(1, 3), GRAPH[:1], 1)).all())
    assert encoder(torch.zeros(0, 3), GRAPH[:0], 1).shape == (0, 4)


def test_double_encodings_are_taken_in_the_type_of_the_weights():
    assert PositionalEncoder(3, 4)(torch.randn(5, 3).double(), GRAPH, 2).dtype == torch.float32


def test_resetting_forgets_the_statistics():
    encoder = PositionalEncoder(3, 4)
    encoder(torch.randn(5, 3) + 7, GRAPH, 2)
    assert encoder.norm.module.running_mean.any()
    encoder.reset_parameters()
    assert not encoder.norm.module.running_mean.any()


def test_wrong_encodings_are_named():
    encoder = PositionalEncoder(3, 4)
    with pytest.raises(ShapeError, match=r"pe.*\[5, 3\]"):
        encoder(torch.zeros(5, 2), GRAPH, 2)
    with pytest.raises(ShapeError, match="pe"):
        encoder(None, GRAPH, 2)
    with pytest.raises(NumericalError, match="pe"):
        encoder(torch.full((5, 3), torch.nan), GRAPH, 2)
    with pytest.raises(ConfigError, match="pe_channels"):
        PositionalEncoder(0, 4)
