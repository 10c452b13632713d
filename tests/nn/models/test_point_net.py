import itertools

import pytest
import torch

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.nn import num_parameters
from pyg_samsa.nn.models.point_net import PointNet


def count(widths):
    """Weights and biases of linear layers and of the normalisations after all but the last."""
    layers = list(itertools.pairwise(widths))
    return sum(before * after + after for before, after in layers) + sum(2 * after for _, after in layers)


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_the_paper_s_widths(width):
    def scaled(*channels):
        return [int(width * each) for each in channels]

    shared = count([6, *scaled(64, 64, 64, 128, 1024)])
    graph = num_parameters(PointNet(6, 40, width=width))
    assert graph == shared + count(scaled(1024, 512, 256)) + int(256 * width) * 40 + 40
    node = num_parameters(PointNet(6, 50, level="node", width=width, num_categories=16))
    assert node == shared + count([int(1088 * width) + 16, *scaled(512, 256, 128)]) + int(128 * width) * 50 + 50


@pytest.mark.parametrize("level", ["graph", "node"])
def test_clouds_do_not_see_each_other_and_the_order_does_not_matter(level):
    torch.manual_seed(0)
    model = PointNet(3, 4, level=level, width=0.25).eval()
    clouds = [torch.randn(size, 3) for size in (5, 1, 9)]
    x, batch = torch.cat(clouds), torch.tensor([0] * 5 + [1] + [2] * 9)
    out = model(x, batch=batch)
    alone = torch.cat([model(cloud) for cloud in clouds])
    torch.testing.assert_close(out, alone)
    perm = torch.randperm(15)
    shuffled = model(x[perm], batch=batch[perm])
    torch.testing.assert_close(shuffled, out if level == "graph" else out[perm])


def test_the_largest_features_decide():
    model = PointNet(3, 4, width=0.25).eval()
    x = torch.randn(6, 3)
    twice = torch.cat([x, x[:4]])
    torch.testing.assert_close(model(x), model(twice))
    assert not torch.allclose(model(x), model(x[:3]))


def test_category_is_told():
    model = PointNet(3, 4, level="node", width=0.25, num_categories=3).eval()
    x, batch = torch.randn(1, 3).expand(4, 3), torch.tensor([0, 0, 1, 1])
    out = model(x, batch=batch, category=torch.tensor([0, 2]))
    torch.testing.assert_close(out[0], out[1])
    assert not torch.allclose(out[0], out[2])
    for category in (None, torch.tensor([0]), torch.tensor([0, 3]), torch.tensor([0.0, 1.0])):
        with pytest.raises(ShapeError, match="category"):
            model(x, batch=batch, category=category)


def test_empty_clouds_and_batches_of_one_in_training():
    model = PointNet(3, 4, width=0.25)
    assert model(torch.randn(7, 3)).shape == (1, 4)
    assert model(torch.randn(1, 3)).isfinite().all()
    out = model(torch.randn(7, 3), batch=torch.tensor([1] * 7), batch_size=4)
    assert out.shape == (4, 4)
    assert out.isfinite().all()


@pytest.mark.parametrize("level", ["graph", "node"])
def test_learns(level):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    # Rods against balls: told apart by extent along one axis.
    kind = torch.arange(32) % 2
    x = torch.randn(32, 20, 3, generator=generator)
    x[kind == 1, :, 0] *= 4
    x, batch = x.reshape(-1, 3), torch.arange(32).repeat_interleave(20)
    y = kind if level == "graph" else kind[batch]
    model = PointNet(3, 2, level=level, width=0.25)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x, batch=batch), y).backward()
        optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    assert (model.eval()(x, batch=batch).argmax(1) == y).float().mean() > 0.9


def test_reset_parameters():
    model = PointNet(3, 2, width=0.25)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(torch.randn(9, 3) + 4, batch=torch.arange(9) // 3)
    model.reset_parameters()
    after = model.state_dict()
    assert torch.equal(after["local.1.running_mean"], torch.zeros(16))
    assert not torch.equal(after["local.0.weight"], before["local.0.weight"])
    assert str(model) == "PointNet(3, 2, level='graph', width=0.25)"


@pytest.mark.parametrize(
    "options",
    [
        {"level": "edge"},
        {"width": 0},
        {"width": float("nan")},
        {"num_categories": 3},
        {"num_categories": -1, "level": "node"},
        {"dropout": 1.5},
    ],
)
def test_bad_options(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        PointNet(3, 2, **options)


def test_bad_channels():
    for channels in ((0, 2), (3, 0), (True, 2)):
        with pytest.raises(ConfigError, match="channels"):
            PointNet(*channels)


def test_bad_inputs():
    model = PointNet(3, 2, width=0.25)
    for x in (torch.ones(2, 4), torch.ones(3), torch.ones(2, 3, dtype=torch.long)):
        with pytest.raises(ShapeError, match="x"):
            model(x)
    with pytest.raises(NumericalError):
        model(torch.full((2, 3), float("nan")))
    with pytest.raises(ShapeError, match="batch"):
        model(torch.ones(2, 3), batch=torch.zeros(3, dtype=torch.long))


def test_defaults(defaults):
    expected = {
        "level": "graph",
        "width": 1.0,
        "dropout": 0.3,
        "num_categories": 0,
    }
    assert expected.items() <= defaults(PointNet).items()
