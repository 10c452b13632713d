"""The encoder of pairs of eigenvalue and entry of the eigenvector, against loops over nodes and pairs."""

import copy
import math

import numpy as np
import pytest
import torch

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional.laplacian_spectrum import laplacian_spectrum
from pyg_samsa.nn.encoding.laplacian_encoder import LaplacianEncoder, relu_mlp

SIZES = (5, 1, 0, 3)
K, C = 4, 6
GRAPH = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))


def spectra():
    cycles = [np.array([[i, (i + 1) % n] for i in range(n) if n > 1]).reshape(-1, 2).T.astype(int) for n in SIZES]
    parts = [laplacian_spectrum(edges, n, K) for edges, n in zip(cycles, SIZES, strict=True)]
    return torch.from_numpy(np.concatenate(parts)).double()


def without_dropout(encoder):
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = 0.0
    return encoder


def affine(layer, vector):
    return layer.weight @ vector + layer.bias


def mlp(module, vector):
    for layer in module.lins:
        vector = affine(layer, vector).clamp(min=0)
    return vector


def layer_norm(norm, vector):
    mean = vector.sum() / len(vector)
    variance = ((vector - mean) ** 2).sum() / len(vector)
    return (vector - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias


def transformer(module, tokens):
    """Encode the pairs of one node that are there."""
    for layer in module.layers:
        attention, width = layer.self_attn, len(tokens[0])
        projected = [attention.in_proj_weight @ token + attention.in_proj_bias for token in tokens]
        query, key, value = ([token[part * width : (part + 1) * width] for token in projected] for part in range(3))
        size, found = width // attention.num_heads, []
        for i in range(len(tokens)):
            heads = []
            for head in range(attention.num_heads):
                own = slice(head * size, (head + 1) * size)
                logits = [query[i][own] @ key[j][own] / math.sqrt(size) for j in range(len(tokens))]
                total = sum(logit.exp() for logit in logits)
                heads.append(sum(logit.exp() / total * value[j][own] for j, logit in enumerate(logits)))
            found.append(affine(attention.out_proj, torch.cat(heads)))
        tokens = [layer_norm(layer.norm1, token + new) for token, new in zip(tokens, found, strict=True)]
        hidden = [affine(layer.linear2, affine(layer.linear1, token).clamp(min=0)) for token in tokens]
        tokens = [layer_norm(layer.norm2, token + new) for token, new in zip(tokens, hidden, strict=True)]
    return tokens


def reference(encoder, pe, training):
    rows = []
    for node in range(len(pe)):
        kept = []
        for k in range(K):
            if pe[node, K + k] < 0:
                continue
            pair = torch.stack([pe[node, k], pe[node, K + k]])
            if encoder.norm is not None:
                norm = encoder.norm
                mean, variance = norm.running_mean[k], norm.running_var[k]
                if training:
                    seen = [
                        pe[other, column] if pe[other, K + k] >= 0 else pe.new_zeros(())
                        for other in range(len(pe))
                        for column in (k, K + k)
                    ]
                    mean = sum(seen) / len(seen)
                    variance = sum((number - mean) ** 2 for number in seen) / len(seen)
                pair = (pair - mean) / (variance + norm.eps).sqrt() * norm.weight[k] + norm.bias[k]
            kept.append(pair)
        if encoder.lin is None:
            kept = [mlp(encoder.encoder, pair) for pair in kept]
        else:
            kept = transformer(encoder.encoder, [affine(encoder.lin, pair) for pair in kept])
        rows.append(sum(kept) if encoder.post is None else mlp(encoder.post, sum(kept)))
    return torch.stack(rows)


OPTIONS = [
    {"layers": 1},
    {"layers": 3, "post_layers": 2, "norm": "batch"},
    {"layers": 2, "post_layers": 1},
    {"model": "transformer", "layers": 1, "heads": 2},
    {"model": "transformer", "layers": 2, "heads": 3, "post_layers": 3, "norm": "batch"},
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_values_and_gradients_are_those_of_loops(options, training, monkeypatch):
    torch.manual_seed(0)
    encoder, pe = without_dropout(LaplacianEncoder(K, C, **options).double()), spectra()
    if encoder.norm is not None:
        encoder.norm.running_mean.uniform_()
        encoder.norm.running_var.uniform_(0.5, 2)
        torch.nn.init.uniform_(encoder.norm.weight)
        torch.nn.init.uniform_(encoder.norm.bias)
    encoder.train(training)
    monkeypatch.setattr(torch, "randint", lambda low, high, size, **_: torch.ones(size, dtype=torch.long))
    expected = reference(copy.deepcopy(encoder), pe, training)
    found = encoder(pe, GRAPH, len(SIZES))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    weights = list(encoder.parameters())
    torch.manual_seed(1)
    toward = torch.randn_like(found)
    found = torch.autograd.grad((encoder(pe, GRAPH, len(SIZES)) * toward).sum(), weights)
    expected = torch.autograd.grad((reference(encoder, pe, training) * toward).sum(), weights)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_signs_are_drawn_for_each_graph_and_eigenvector_in_training_alone(options):
    torch.manual_seed(0)
    encoder, pe = without_dropout(LaplacianEncoder(K, C, **options).double()), spectra()
    encoder.norm = None  # it would mix graphs
    encoder.eval()
    expected = {}
    for bits in range(2**K):
        signs = torch.tensor([1.0 if bits >> k & 1 else -1.0 for k in range(K)]).double()
        expected[bits] = encoder(torch.cat([pe[:, :K] * signs, pe[:, K:]], dim=1), GRAPH, len(SIZES))
    assert torch.equal(encoder(pe, GRAPH, len(SIZES)), encoder(pe, GRAPH, len(SIZES)))
    encoder.train()
    seen = set()
    for _ in range(20):
        found = encoder(pe, GRAPH, len(SIZES))
        drawn = []
        for graph in (0, 3):
            rows = graph == GRAPH
            fits = [bits for bits, out in expected.items() if torch.allclose(out[rows], found[rows], atol=1e-9)]
            assert fits
            drawn.append(fits[0])
        seen.add(tuple(drawn))
    assert len(seen) > 10
    assert len({drawn[0] for drawn in seen}) > 4


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_graph_does_not_see_others_and_nodes_may_change_places(options):
    torch.manual_seed(0)
    encoder, pe = LaplacianEncoder(K, C, **options).double().eval(), spectra()
    out = encoder(pe, GRAPH, len(SIZES))
    for graph in range(len(SIZES)):
        rows = graph == GRAPH
        alone = encoder(pe[rows], torch.zeros(int(rows.sum()), dtype=torch.long), 1)
        torch.testing.assert_close(alone, out[rows], rtol=0, atol=1e-12)
    order = torch.randperm(len(pe))
    torch.testing.assert_close(encoder(pe[order], GRAPH[order], len(SIZES)), out[order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_one_node_trains(options):
    encoder = LaplacianEncoder(K, C, **options)
    pe = torch.tensor([[1.0, 0, 0, 0, 0, -1, -1, -1]])
    encoder(pe, GRAPH[:1], 1).sum().backward()
    assert all(bool(torch.isfinite(weight.grad).all()) for weight in encoder.parameters())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_new_weights(options):
    encoder = LaplacianEncoder(K, C, **options)
    if encoder.norm is not None:
        torch.nn.init.uniform_(encoder.norm.weight)
    before = {name: weight.clone() for name, weight in encoder.named_parameters()}
    encoder.reset_parameters()
    constant = ("norm1", "norm2", "in_proj_bias", "out_proj.bias", "norm.bias")
    for name, weight in encoder.named_parameters():
        if not any(part in name for part in constant):
            assert not torch.equal(weight, before[name]), name


def test_layers_of_a_transformer_are_no_copies():
    first, second = LaplacianEncoder(K, C, model="transformer", heads=2).encoder.layers
    assert not torch.equal(first.self_attn.in_proj_weight, second.self_attn.in_proj_weight)
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_the_mlp_has_a_relu_after_each_layer():
    assert relu_mlp(3, 5, 1).channel_list == [3, 5]
    assert relu_mlp(3, 5, 4).channel_list == [3, 10, 10, 10, 5]
    assert bool((relu_mlp(3, 5, 1)(torch.randn(50, 3)) >= 0).all())


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"num_frequencies": 0}, "num_frequencies"),
        ({"channels": 0}, "channels"),
        ({"layers": 0}, "layers"),
        ({"post_layers": -1}, "post_layers"),
        ({"model": "mlp"}, "model"),
        ({"norm": "layer"}, "norm"),
        ({"model": "transformer", "heads": 4}, "heads"),
        ({"heads": 0}, "heads"),
    ],
)
def test_bad_arguments_are_named(options, key):
    with pytest.raises(ConfigError) as caught:
        LaplacianEncoder(**{"num_frequencies": K, "channels": C, **options})
    assert caught.value.key == key


def test_bad_encodings_are_named():
    encoder = LaplacianEncoder(K, C)
    for pe in (None, torch.zeros(9, K), torch.zeros(8, 2 * K)):
        with pytest.raises(ShapeError, match=r"pe: .*\[9, 8\]"):
            encoder(pe, GRAPH, 4)
    with pytest.raises(NumericalError, match="pe"):
        encoder(torch.full((9, 8), float("nan")), GRAPH, 4)
    assert repr(encoder).startswith("LaplacianEncoder(\n  4, 6, model='deepset'")
