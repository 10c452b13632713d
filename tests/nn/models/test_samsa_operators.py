"""`SAMSA` with each operator."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn import SAMSA

CASES = [
    ("samsa", {}),
    ("samsa", {"shared_sets": True}),
    ("sft", {}),
    ("sft", {"encoding": "dist"}),
    ("sft", {"encoding": "dist_normal", "sampler": "paired"}),
    ("flt", {"num_dims": 3}),
    ("flt", {"encoding": "none"}),
    ("full", {}),
    ("performer", {}),
]


def network(attention: str, options: dict, **kwargs) -> SAMSA:
    torch.manual_seed(0)
    sampled = {"num_samples": 4} if attention in ("samsa", "sft") else {}
    settings = {"channels": 16, "num_layers": 2, "heads": 4, **sampled, **kwargs}
    model = SAMSA.from_options(5, 2, attention=attention, attention_options=options, **settings).double().eval()
    for name, weight in model.named_parameters():
        if name.endswith("alpha"):
            weight.data.fill_(0.5)
    return model


def graphs():
    torch.manual_seed(1)
    sizes = [4, 1, 9]
    batch = torch.repeat_interleave(torch.tensor([0, 1, 3]), torch.tensor(sizes))
    edge_index = torch.tensor([[0, 1, 2, 5, 6, 7], [1, 2, 3, 6, 7, 5]])
    return (
        torch.randn(14, 5).double(),
        edge_index,
        batch,
        torch.randn(14, 3).double(),
        torch.nn.functional.normalize(torch.randn(14, 3).double(), dim=1),
    )


@pytest.mark.parametrize("bridge", [True, False])
@pytest.mark.parametrize(("attention", "options"), CASES, ids=str)
def test_batch_mates_and_order_do_not_matter(attention, options, bridge):
    model = network(attention, options, bridge=bridge)
    x, edge_index, batch, pos, normal = graphs()
    out = model(x, edge_index, None, batch, batch_size=4, pos=pos, normal=normal)
    alone = model(x[5:], edge_index[:, 3:] - 5, None, pos=pos[5:], normal=normal[5:])
    torch.testing.assert_close(out[3:], alone, rtol=0, atol=1e-9)
    perm = torch.randperm(14)
    place = torch.empty_like(perm).scatter_(0, perm, torch.arange(14))
    shuffled = model(x[perm], place[edge_index], None, batch[perm], batch_size=4, pos=pos[perm], normal=normal[perm])
    torch.testing.assert_close(shuffled, out, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("attention", "options"), CASES, ids=str)
def test_every_weight_learns(attention, options):
    model = network(attention, options).train()
    x, edge_index, batch, pos, normal = graphs()
    model(x, edge_index, None, batch, batch_size=4, pos=pos, normal=normal).square().sum().backward()
    silent = [
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and (weight.grad is None or not weight.grad.any())
    ]
    silent = [
        name for name in silent if name != "readout.pool.gate_nn.bias"
    ]  # a softmax does not see what is added to all
    assert not silent, silent


def test_edges_stand_between_their_nodes():
    model = network("sft", {"encoding": "dist"})
    x, edge_index, batch, pos, _ = graphs()
    seen = {}
    model.encoder.blocks[0].register_forward_pre_hook(
        lambda module, args, kwargs: seen.update(kwargs), with_kwargs=True
    )
    tokens = model.encode(x, edge_index, None, batch, batch_size=4, pos=pos)
    torch.testing.assert_close(seen["pos"][tokens.node_rows], pos)
    torch.testing.assert_close(seen["pos"][tokens.edge_rows], (pos[edge_index[0]] + pos[edge_index[1]]) / 2)


def test_places_of_a_sequence_are_positions():
    model = network("flt", {}, bridge=False, positions="sinusoidal")
    seen = {}
    model.encoder.blocks[0].register_forward_pre_hook(
        lambda module, args, kwargs: seen.update(kwargs), with_kwargs=True
    )
    x, _, batch, _, _ = graphs()
    model(x, None, None, batch, batch_size=4)
    assert seen["pos"].flatten().tolist() == [0, 1, 2, 3, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_coordinate_free_networks_do_not_see_the_frame():
    model = network("sft", {"encoding": "dist"}, bridge=False, coordinate_free=True)
    x, _, batch, pos, _ = graphs()
    turn = torch.linalg.qr(torch.randn(3, 3).double())[0]
    out = model(x, batch=batch, batch_size=4, pos=pos)
    torch.testing.assert_close(model(x + 1, batch=batch, batch_size=4, pos=pos @ turn.T + 3), out, rtol=0, atol=1e-9)
    assert (model(x, batch=batch, batch_size=4, pos=pos * 1.3)[0] - out[0]).abs().max() > 1e-6


def test_positional_encodings_of_nodes():
    model = network("full", {}, pe_channels=3, flip_signs=True)
    x, edge_index, batch, pos, _ = graphs()
    out = model(x, edge_index, None, batch, batch_size=4, pe=pos)
    assert not torch.allclose(out, model(x, edge_index, None, batch, batch_size=4, pe=-pos))
    with pytest.raises(ShapeError, match="pe"):
        model(x, edge_index, None, batch, batch_size=4)
    encoder = model.tokenizer.pe_encoder.train()
    flips = {
        tuple((encoder(torch.eye(3).double(), torch.zeros(3, dtype=torch.long), 1) > 0).flatten().tolist())
        for _ in range(30)
    }
    assert len(flips) > 1


def test_bad_arguments_are_named():
    with pytest.raises(ConfigError, match="coordinate_free"):
        network("samsa", {}, bridge=False, coordinate_free=True)
    with pytest.raises(ConfigError, match="coordinate_free"):
        network("sft", {"encoding": "dist"}, coordinate_free=True)
    with pytest.raises(ConfigError, match="centroid_distance"):
        network("sft", {"encoding": "dist"}, bridge=False, centroid_distance=True)
    with pytest.raises(ShapeError, match="pos"):
        network("sft", {"encoding": "dist"}, bridge=False, coordinate_free=True)(torch.randn(3, 5).double())
    with pytest.raises(ShapeError, match="pos"):
        network("flt", {"num_dims": 3})(graphs()[0])
