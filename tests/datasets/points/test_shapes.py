import hashlib

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch_geometric.loader import DataLoader

from pyg_samsa.datasets.points import shapes
from pyg_samsa.datasets.points.shape_families import FAMILIES
from pyg_samsa.datasets.points.shapes import PART_TARGETS, Shapes, generate_shape
from pyg_samsa.errors import ConfigError
from pyg_samsa.metrics.part_iou import PartIoU
from tests import fresh_process

SMALL = {"per_family": 10, "num_points": 64, "progress": False}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="module")
def families(root):
    return Shapes(root, **SMALL)


@pytest.fixture(scope="module")
def parts(root):
    return Shapes(root, parts=True, **SMALL)


def test_what_a_cloud_is(families):
    assert (
        families.task.kind,
        families.task.level,
        families.features.in_channels,
        families.features.edge_channels,
    ) == (
        "multiclass",
        "graph",
        6,
        None,
    )
    assert families.task.num_targets == len(families.task.names) == len(FAMILIES) == 18
    assert len(families) == 180
    data = families[13]
    assert (data.x.shape, data.pos.shape, data.normal.shape, data.edge_index.shape, data.y.shape) == (
        (64, 6),
        (64, 3),
        (64, 3),
        (2, 0),
        (1,),
    )
    assert torch.equal(data.x, torch.cat([data.pos, data.normal], 1))
    assert data.x.dtype == torch.float
    assert data.y.dtype == data.edge_index.dtype == torch.long
    assert (data.name, families.task.names[int(data.y)]) == ("cylinder-0003", "cylinder")
    assert Shapes(families.root, normals=False, **SMALL).features.in_channels == 3


def test_clouds_are_normalised(families):
    pos = families._data.pos.view(180, 64, 3)
    assert pos.mean(1).abs().max() < 1e-6
    torch.testing.assert_close(pos.norm(dim=2).amax(1), torch.ones(180))
    torch.testing.assert_close(families._data.normal.norm(dim=1), torch.ones(180 * 64))


@pytest.mark.parametrize("which", ["families", "parts"])
def test_split_is_whole_disjoint_and_stratified(which, request):
    dataset = request.getfixturevalue(which)
    assert torch.equal(torch.cat(list(dataset.split_idx.values())).sort().values, torch.arange(len(dataset)))
    assert abs(len(dataset.split_idx["train"]) - 0.7 * len(dataset)) <= 1
    labels = dataset._data.y if which == "families" else dataset._data.category
    counts = torch.bincount(labels[dataset.split_idx["train"]])
    assert counts.min() >= 6
    assert counts.max() <= 8


def test_parts(parts):
    assert (parts.task.kind, parts.task.level, parts.task.num_targets, len(parts)) == ("multiclass", "node", 31, 130)
    assert list(parts.task.names) == PART_TARGETS
    batch = next(iter(DataLoader(parts, batch_size=130)))
    assert batch.y.shape == (130 * 64,)
    assert batch.category.shape == (130,)
    # The parts of a cloud are those of its category, so the metric takes them, and right answers score 1.
    metric = PartIoU(parts.task.parts, parts.task.num_targets)
    metric.update(torch.nn.functional.one_hot(batch.y, 31).float(), batch.y, batch.category, batch.batch)
    assert metric.compute() == 1
    assert parts.category_names[int(parts[-1].category)] == "rocket"
    assert len(batch.y.unique()) == 31
    assert sorted(number for owned in parts.task.parts for number in owned) == list(range(31))


def test_parts_lie_where_they_should():
    for number in range(5):
        cloud, owners = generate_shape("table", number, 400)
        height = {part: cloud[[owner == part for owner in owners], 2].mean() for part in ("top", "leg")}
        assert height["leg"] < height["top"]


def test_the_same_numbers_in_another_process(families):
    code = (
        "import hashlib, sys, tempfile; from pyg_samsa.datasets.points.shapes import Shapes;"
        "d = Shapes(tempfile.mkdtemp(), per_family=10, num_points=64, progress=False);"
        "print(hashlib.sha256(d._data.x.numpy().tobytes() + d.split_idx['test'].numpy().tobytes()).hexdigest())"
    )
    expected = hashlib.sha256(
        families._data.x.numpy().tobytes() + families.split_idx["test"].numpy().tobytes()
    ).hexdigest()
    assert fresh_process.run(code).stdout.split() == [expected]


def test_a_shape_does_not_depend_on_the_others(families, root):
    cloud, _ = generate_shape("mug", 3, 64)
    position = [families[number].name for number in range(len(families))].index("mug-0003")
    assert torch.equal(families[position].x, torch.from_numpy(cloud))
    other = Shapes(root, seed=1, **SMALL)
    assert not torch.equal(other._data.x, families._data.x)
    assert not torch.equal(other.split_idx["test"], families.split_idx["test"])


def test_prepared_once(root, families, parts, monkeypatch):
    monkeypatch.setattr(shapes, "_generate", None)
    assert torch.equal(Shapes(root, **SMALL)._data.x, families._data.x)
    assert torch.equal(Shapes(root, parts=True, **SMALL)._data.y, parts._data.y)


@pytest.mark.parametrize(("key", "value"), [("per_family", 2), ("num_points", 0), ("seed", -1), ("num_points", 2.5)])
def test_bad_options(tmp_path, key, value):
    with pytest.raises(ConfigError, match=key):
        Shapes(tmp_path, **SMALL | {key: value})
    assert not list(tmp_path.iterdir())


def test_unknown_family():
    with pytest.raises(ConfigError, match="family") as caught:
        generate_shape("tabel", 0, 10)
    assert "table" in caught.value.hint


def moments(pos):
    """Mean, covariance, third moments and bounding box of clouds [G, n, 3]."""
    mean = pos.mean(1, keepdim=True)
    centred = pos - mean
    second = torch.einsum("gni,gnj->gij", centred, centred).flatten(1) / pos.size(1)
    third = torch.einsum("gni,gnj,gnk->gijk", centred, centred, centred).flatten(1) / pos.size(1)
    return torch.cat([mean.squeeze(1), second, third, pos.amin(1), pos.amax(1)], dim=1).numpy()


@pytest.mark.slow
def test_global_moments_do_not_tell_the_families(tmp_path):
    dataset = Shapes(tmp_path, per_family=60, num_points=256, progress=False)
    features, labels = moments(dataset._data.pos.double().view(len(dataset), -1, 3)), dataset._data.y.numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    train, test = dataset.split_idx["train"].numpy(), dataset.split_idx["test"].numpy()
    accuracy = model.fit(features[train], labels[train]).score(features[test], labels[test])
    assert 0.4 < accuracy < 0.85
