import numpy as np
import pytest
import torch

from pyg_samsa.datasets.points.point_dataset import (
    clouds_to_prepared,
    hold_out_validation,
    map_clouds,
    number_of,
    random_rotations,
    read_points,
    thin_out,
    with_columns,
)
from pyg_samsa.datasets.points.shapes import Shapes
from pyg_samsa.errors import ConfigError, DataIntegrityError


def square(jobs):
    return [np.full((job, 3), job * job, dtype=np.float32) for job in jobs]


@pytest.mark.parametrize("text", ["1,2,3\n4,5,6\n", "1 2 3\r\n4 5 6", " 1.0\t2 3e0\n\n4 5 6\n"])
def test_read_points(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    assert read_points(tmp_path / "a.txt", 3).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "text", ["", " \n", "1,2,3\n4,5\n", "1,2\n4,5\n", "1,2,nan\n", "1,2,x\n", "1,,3\n4,5\n", "# 1\n1,2,3\n", "\x00\x01"]
)
def test_damaged_text_is_named(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataIntegrityError, match=r"a\.txt") as caught:
        read_points(tmp_path / "a.txt", 3)
    assert "\n" not in str(caught.value)


def test_thin_out():
    points = np.random.default_rng(0).normal(size=(300, 6)) * 7 + 3
    points[5, 3:] = 0
    (cloud,) = thin_out([points], 100, ["cloud"])
    assert cloud.shape == (100, 6)
    assert cloud.dtype == np.float32
    assert abs(cloud[:, :3].mean(0)).max() < 1e-6
    assert np.linalg.norm(cloud[:, :3], axis=1).max() == pytest.approx(1)
    (whole,) = thin_out([points], 300, ["cloud"])
    lengths = np.linalg.norm(whole[:, 3:], axis=1)
    np.testing.assert_allclose(np.delete(lengths, 5), 1, atol=1e-6)
    assert lengths[5] == 0
    # All points in their order: the same shape, moved and scaled.
    np.testing.assert_allclose(np.corrcoef(whole[:, 0], points[:, 0])[0, 1], 1, atol=1e-6)
    with pytest.raises(DataIntegrityError, match="cloud: got 300, expected at least num_points = 301"):
        thin_out([points], 301, ["cloud"])
    # Alone or together with clouds of other sizes: the same.
    together = thin_out([points[:200], points, points[:100]], 100, "abc")
    np.testing.assert_array_equal(together[1], cloud)
    np.testing.assert_array_equal(together[2], thin_out([points[:100]], 100, "c")[0])


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_map_clouds_keeps_the_order(workers):
    clouds = map_clouds(square, iter(range(1, 151)), 150, workers=workers, progress=False, description="squares")
    assert [(len(cloud), float(cloud[0, 0])) for cloud in clouds] == [(job, job * job) for job in range(1, 151)]


def test_bad_number_of_workers():
    with pytest.raises(ConfigError, match="workers"):
        map_clouds(square, [1], 1, workers=0, progress=False, description="")


def test_number_of_is_the_same_everywhere():
    assert number_of("chair_0001") == 46309968162305427


def test_columns():
    prepared = clouds_to_prepared(
        [torch.ones(2, 6), torch.zeros(3, 6)], {"train": torch.arange(2)}, ["a", "b"], y=torch.tensor([0, 1])
    )
    both, channels = with_columns(prepared, None)
    assert (channels, both.data["normal"].shape, both.slices["normal"].tolist()) == (6, (5, 3), [0, 2, 5])
    assert both.data["pos"].data_ptr() == both.data["x"].data_ptr()
    alone, channels = with_columns(prepared, False)
    assert (channels, "normal" in alone.data, alone.data["x"].shape) == (3, False, (5, 3))
    with pytest.raises(ConfigError, match="normals"):
        with_columns(alone, True)
    with pytest.raises(ConfigError, match="clouds"):
        clouds_to_prepared([], {}, [])


def test_held_out_validation_is_stratified_and_seeded():
    names = [f"shape-{number}" for number in range(200)]
    labels = torch.arange(200) % 4
    prepared = clouds_to_prepared(
        [torch.zeros(1, 3)] * 200, {"train": torch.arange(160), "test": torch.arange(160, 200)}, names, y=labels
    )
    split = hold_out_validation(prepared, labels, 0.1, 0)
    assert {name: len(positions) for name, positions in split.items()} == {"train": 144, "val": 16, "test": 40}
    assert torch.bincount(labels[split["val"]]).tolist() == [4, 4, 4, 4]
    assert torch.equal(torch.cat(list(split.values())).sort().values, torch.arange(200))
    assert torch.equal(split["test"], torch.arange(160, 200))
    assert torch.equal(hold_out_validation(prepared, labels, 0.1, 0)["val"], split["val"])
    assert not torch.equal(hold_out_validation(prepared, labels, 0.1, 1)["val"], split["val"])


def test_rotated_clouds_keep_their_distances_and_the_other_splits(tmp_path):
    options = {"per_family": 4, "num_points": 32, "progress": False}
    plain, test, everything = (Shapes(tmp_path, rotated=rotated, **options) for rotated in ("none", "test", "all"))
    for number in (int(plain.split_idx["train"][0]), int(plain.split_idx["test"][0])):
        before, after = plain[number], everything[number]
        torch.testing.assert_close(torch.pdist(before.pos), torch.pdist(after.pos), atol=1e-5, rtol=0)
        # One rotation for points and normals: the angle between a point and its normal stays, and no cloud is mirrored.
        torch.testing.assert_close(
            (before.pos * before.normal).sum(1), (after.pos * after.normal).sum(1), atol=1e-5, rtol=0
        )
        turn = torch.linalg.lstsq(before.pos, after.pos).solution
        assert torch.linalg.det(turn) == pytest.approx(1, abs=1e-3)
        assert (before.pos - after.pos).abs().max() > 0.05
    number = int(plain.split_idx["train"][0])
    assert torch.equal(test[number].x, plain[number].x)
    number = int(plain.split_idx["test"][0])
    assert torch.equal(test[number].x, everything[number].x)
    with pytest.raises(ConfigError, match="rotated"):
        Shapes(tmp_path, rotated="some", **options)


def test_rotations_are_uniform():
    turns = random_rotations(20000)
    torch.testing.assert_close(turns.mean(0), torch.zeros(3, 3), atol=0.02, rtol=0)
    torch.testing.assert_close((turns**2).mean(0), torch.full((3, 3), 1 / 3), atol=0.02, rtol=0)
