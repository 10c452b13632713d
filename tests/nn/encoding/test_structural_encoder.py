"""The encoder of columns of numbers, such as return probabilities, against loops."""

import pytest
import torch

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.nn.encoding.structural_encoder import StructuralEncoder

GRAPH = torch.tensor([0, 0, 2, 2, 2])
OPTIONS = [
    {},
    {"norm": "none"},
    {"model": "mlp", "layers": 1},
    {"model": "mlp", "layers": 3, "norm": "none"},
    {"model": "mlp"},
]


def reference(encoder, pe, training):
    rows = []
    for row in pe:
        numbers = list(row)
        if encoder.norm is not None:
            norm = encoder.norm.module
            for column in range(len(numbers)):
                mean, variance = norm.running_mean[column], norm.running_var[column]
                if training:
                    mean = sum(pe[:, column]) / len(pe)
                    variance = sum((number - mean) ** 2 for number in pe[:, column]) / len(pe)
                scaled = (numbers[column] - mean) / (variance + norm.eps).sqrt()
                numbers[column] = scaled * norm.weight[column] + norm.bias[column]
        for layer in [encoder.encoder] if encoder.model == "linear" else encoder.encoder.lins:
            weights = zip(layer.weight, layer.bias, strict=True)
            numbers = [sum(w * x for w, x in zip(row, numbers, strict=True)) + bias for row, bias in weights]
            if encoder.model == "mlp":
                numbers = [number.clamp(min=0) for number in numbers]
        rows.append(torch.stack(numbers))
    return torch.stack(rows)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_values_and_gradients_are_those_of_loops(options, training):
    torch.manual_seed(0)
    encoder, pe = StructuralEncoder(3, 4, **options).double(), torch.rand(5, 3).double()
    if encoder.norm is not None:
        encoder.norm.module.running_mean.uniform_()
        encoder.norm.module.running_var.uniform_(0.5, 2)
        torch.nn.init.uniform_(encoder.norm.module.weight)
    encoder.train(training)
    expected = reference(encoder, pe, training)
    weights, toward = list(encoder.parameters()), torch.randn(5, 4).double()
    expected_gradients = torch.autograd.grad((expected * toward).sum(), weights)
    found = encoder(pe, GRAPH, 3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for a, b in zip(torch.autograd.grad((found * toward).sum(), weights), expected_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def test_signs_of_the_first_columns_may_be_flipped_graph_by_graph_in_training():
    torch.manual_seed(0)
    encoder = StructuralEncoder(2, 2, norm="none", flip_signs=1)
    torch.nn.init.eye_(encoder.encoder.weight)
    torch.nn.init.zeros_(encoder.encoder.bias)
    pe = torch.ones(5, 2)
    seen = {tuple(encoder(pe, GRAPH, 3)[:, 0].tolist()) for _ in range(64)}
    assert seen == {(a, a, b, b, b) for a in (1.0, -1.0) for b in (1.0, -1.0)}
    assert bool((encoder(pe, GRAPH, 3)[:, 1] == 1).all())
    assert torch.equal(encoder.eval()(pe, GRAPH, 3), pe)
    assert StructuralEncoder(3, 2, flip_signs=True).flip_signs == 3


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_one_node_and_new_weights(options):
    encoder = StructuralEncoder(3, 4, **options)
    assert bool(torch.isfinite(encoder(torch.rand(1, 3), GRAPH[:1], 1)).all())
    before = [weight.clone() for weight in encoder.encoder.parameters()]
    if encoder.norm is not None:
        torch.nn.init.zeros_(encoder.norm.module.weight)
    encoder.reset_parameters()
    assert not any(map(torch.equal, before, encoder.encoder.parameters()))
    assert encoder.norm is None or bool((encoder.norm.module.weight == 1).all())


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"pe_channels": 0}, "pe_channels"),
        ({"channels": 0}, "channels"),
        ({"layers": 0}, "layers"),
        ({"model": "deepset"}, "model"),
        ({"norm": "layer"}, "norm"),
        ({"flip_signs": 4}, "flip_signs"),
    ],
)
def test_bad_arguments_are_named(options, key):
    with pytest.raises(ConfigError) as caught:
        StructuralEncoder(**{"pe_channels": 3, "channels": 4, **options})
    assert caught.value.key == key


def test_bad_encodings_are_named():
    encoder = StructuralEncoder(3, 4)
    for pe in (None, torch.zeros(5, 2)):
        with pytest.raises(ShapeError, match=r"pe: .*\[5, 3\]"):
            encoder(pe, GRAPH, 3)
    with pytest.raises(NumericalError, match="pe"):
        encoder(torch.full((5, 3), float("inf")), GRAPH, 3)
    assert "3, 4, model='linear'" in repr(encoder)
