from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import ModuleList

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn import CoordinateFree, SAMSABlock


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def ball(count: int) -> Tensor:
    """Points in the unit ball."""
    direction = torch.nn.functional.normalize(torch.randn(count, 3, dtype=torch.float64), dim=1)
    return direction * torch.rand(count, 1, dtype=torch.float64)


def orthogonal(mirrored: bool) -> Tensor:
    q = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    return q * torch.where((torch.linalg.det(q) < 0) == mirrored, 1.0, -1.0)


@pytest.mark.parametrize("encoding", ["dist", "dist_normal", "field"])
@pytest.mark.parametrize("sampler", ["samsa", "paired"])
@pytest.mark.parametrize(
    ("dtype", "bound", "radius"),
    [(torch.float64, 1e-10, False), (torch.float32, 1e-5, False), (torch.float64, 1e-10, True)],
)
def test_a_stack_does_not_see_rotations(encoding, sampler, dtype, bound, radius):
    tokens = CoordinateFree(32, centroid_distance=radius).to(dtype).eval()
    blocks = (
        ModuleList(
            [SAMSABlock(32, conv="sft", heads=4, num_samples=8, encoding=encoding, sampler=sampler) for _ in range(3)]
        )
        .to(dtype)
        .eval()
    )
    for block in blocks:
        torch.nn.init.constant_(block.alpha, 0.3)
    batch = torch.tensor([0] * 50 + [1] * 64 + [2])
    pos, normal = ball(115), torch.nn.functional.normalize(torch.randn(115, 3, dtype=torch.float64), dim=1)

    @torch.no_grad()
    def run(pos: Tensor, normal: Tensor) -> Tensor:
        x = tokens(pos.to(dtype), batch)
        for block in blocks:
            x = block(x, batch=batch, pos=pos.to(dtype), normal=normal.to(dtype))
        return x

    expected = run(pos, normal)
    assert 0.1 < float(expected.std()) < 10
    for trial in range(4):
        turn, shift = orthogonal(mirrored=trial % 2 == 1), torch.rand(3, 3, dtype=torch.float64)[batch] - 0.5
        assert float((run(pos @ turn + shift, normal @ turn) - expected).abs().max()) <= bound
    assert float((run(pos * 1.3, normal) - expected).abs().max()) > 1e-3


@pytest.mark.parametrize("radius", [False, True])
def test_evaluation_is_deterministic_and_knows_no_batch_mates(radius):
    encoder = CoordinateFree(16, centroid_distance=radius).double().eval()
    pos, batch = ball(30), torch.arange(30) % 3
    out = encoder(pos, batch)
    assert torch.equal(out, encoder(pos, batch))
    for graph in range(3):
        torch.testing.assert_close(encoder(pos[batch == graph]), out[batch == graph], rtol=0, atol=1e-12)
    perm = torch.randperm(30)
    torch.testing.assert_close(encoder(pos[perm], batch[perm]), out[perm], rtol=0, atol=1e-12)
    ptr = torch.tensor([0, 10, 10, 30])
    sorted_batch = torch.tensor([0] * 10 + [2] * 20)
    assert torch.equal(encoder(pos, ptr=ptr), encoder(pos, sorted_batch))
    assert encoder(pos[:0], batch[:0], batch_size=2).shape == (0, 16)


def test_codes_are_standard_and_draws_differ():
    encoder = CoordinateFree(2000)
    radius = torch.linspace(0, 1, 40, dtype=torch.float64)
    codes = encoder.eval_codes(radius)
    # Each row has 2000 numbers: mean 0 and variance 1 to about 1 / sqrt(2000).
    assert float(codes.mean(1).abs().max()) < 0.1
    assert float((codes.var(1) - 1).abs().max()) < 0.1
    other = encoder.eval_codes(radius, draw=1)
    assert float((codes * other).mean(1).abs().max()) < 0.1
    # exp(-(30 d)^2 / 2): neighbours at a distance of 1/39 resemble each other, others do not.
    correlation = codes @ codes.t() / 2000
    assert float(correlation.diagonal(1).mean()) == pytest.approx(0.744, abs=0.05)
    assert float(correlation.triu(6).abs().max()) < 0.1


def test_training_codes_are_fresh_noise_that_ignores_positions():
    encoder = CoordinateFree(16).train()
    pos, other = ball(10).float(), ball(10).float()
    assert not torch.equal(encoder(pos), encoder(pos))
    torch.manual_seed(3)
    first = encoder(pos)
    torch.manual_seed(3)
    assert torch.equal(first, encoder(other))
    encoder(pos).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("kwargs", "key"),
    [({"channels": 0}, "channels"), ({"sigma": 0.0}, "sigma"), ({"frequency": float("inf")}, "frequency")],
)
def test_bad_arguments_are_named(kwargs, key):
    with pytest.raises(ConfigError) as error:
        CoordinateFree(**{"channels": 8, **kwargs})
    assert str(error.value).startswith(f"{key}:")


def test_bad_positions_are_named():
    with pytest.raises(ShapeError, match="pos"):
        CoordinateFree(8)(torch.zeros(3, 3, dtype=torch.long))


def test_radius_is_seen_in_training_too():
    encoder = CoordinateFree(16, sigma=1e-9, centroid_distance=True).double()
    pos = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 0.5, 0], [0, -0.5, 0]], dtype=torch.float64)
    out = encoder(pos)
    torch.testing.assert_close(out[0], out[1], atol=1e-6, rtol=0)
    assert float((out[0] - out[2]).detach().abs().max()) > 1e-3
    out.sum().backward()
    assert float(encoder.distance_encoder.weight.grad.abs().sum()) > 0


def test_a_device_without_float64_has_the_codes_of_the_cpu(float32_device):
    encoder = CoordinateFree(16, centroid_distance=True).eval()
    pos = ball(10).float()
    expected = encoder(pos)
    found = encoder.to(float32_device)(pos.to(float32_device), torch.zeros(10, dtype=torch.long, device=float32_device))
    assert found.device == float32_device
    torch.testing.assert_close(torch.tensor(found.tolist()), expected)


def test_distances_are_encoded_as_waves():
    encoder, seen = CoordinateFree(16, centroid_distance=True).double().eval(), []
    encoder.distance_encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(torch.tensor([[0.0, 0.0], [2.0, 0.0]], dtype=torch.float64))  # both are 1 away from their mean
    count = seen[0].size(1) // 2
    angles = torch.pi / 2 * torch.arange(1, count + 1, dtype=torch.float64)
    torch.testing.assert_close(seen[0], torch.cat([angles.sin(), angles.cos()]).expand(2, -1), rtol=0, atol=1e-5)


def test_defaults(defaults):
    expected = {
        "sigma": 1.0,
        "frequency": 30.0,
        "centroid_distance": False,
    }
    assert expected.items() <= defaults(CoordinateFree).items()
