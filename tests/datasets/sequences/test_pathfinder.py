import hashlib
from collections import deque

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pyg_samsa.datasets.sequences import curves as _curves
from pyg_samsa.datasets.sequences import pathfinder
from pyg_samsa.datasets.sequences.curves import sample_pictures
from pyg_samsa.datasets.sequences.pathfinder import Pathfinder
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError

SMALL = {"difficulty": "easy", "num_train": 20, "num_val": 4, "num_test": 6, "progress": False}


def blobs(mask):
    """Lists of the pixels of each 8-connected component."""
    left, found = {tuple(pixel) for pixel in np.argwhere(mask)}, []
    while left:
        queue, part = deque([left.pop()]), []
        while queue:
            row, column = queue.popleft()
            part.append((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            queue.extend(near)
        found.append(part)
    return found


@pytest.fixture(scope="module")
def drawn():
    """Pictures of the difficulty intermediate, with the curves and discs that they were drawn from."""
    kept = []
    draw = _curves._draw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_curves, "_draw", lambda curves, discs: kept.append((curves, discs)) or draw(curves, discs))
        pictures = sample_pictures(600, 9, np.random.default_rng(0))
    return pictures, kept


def test_two_discs_can_be_seen(drawn):
    pictures, _ = drawn
    assert pictures.dtype == np.uint8
    for picture in pictures[:100]:
        discs = blobs(picture > 200)
        assert len(discs) == 2
        assert all(4 <= len(disc) <= 8 for disc in discs)
    # Dashes are darker than discs and brighter than nothing.
    assert all(((picture > 60) & (picture <= 200)).sum() > 20 for picture in pictures)


def test_curves_never_touch_and_discs_keep_clear(drawn):
    for curves, discs in drawn[1]:
        first, second = (curve.dashes.reshape(len(discs), -1, 2) for curve in curves[:2])
        between = np.sqrt(((first[:, :, None] - second[:, None]) ** 2).sum(-1))
        assert between.min() > 2.0
        for curve, other in ((curves[0], second), (curves[1], first)):
            apart = np.sqrt(((curve.ends[:, :, None] - other[:, None]) ** 2).sum(-1))
            assert apart.min() > 3.9
        for distractor in curves[2:]:
            points = distractor.dashes[distractor.complete].reshape(-1, distractor.dashes.shape[1] * 3, 2)
            for long in (first, second):
                assert np.sqrt(((points[:, :, None] - long[distractor.complete][:, None]) ** 2).sum(-1)).min() > 2.0


def test_curves_are_smooth_and_dashes_follow_each_other(drawn):
    for curves, _ in drawn[1]:
        for curve in curves[:2]:
            assert curve.complete.all()
            steps = curve.dashes[:, 1:, 0] - curve.dashes[:, :-1, 2]
            assert np.allclose(np.sqrt((steps**2).sum(-1)), _curves._GAP, atol=1e-4)
            along = curve.dashes[:, :, 2] - curve.dashes[:, :, 0]
            cosine = (along[:, 1:] * along[:, :-1]).sum(-1) / _curves._DASH**2
            assert cosine.min() > np.cos(_curves._SHARPEST) - 1e-4
            assert curve.dashes.min() >= _curves._MARGIN - 1e-4
            assert curve.dashes.max() <= 32 - _curves._MARGIN + 1e-4


def test_labels_say_whether_one_curve_joins_the_discs():
    """Whether a walk over bright pixels connects the discs, in pictures of curves without gaps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_curves, "_GAP", 0.0)
        patch.setattr(_curves, "_DASH", 2.5)
        pictures = sample_pictures(100, 6, np.random.default_rng(1))
    right = 0
    for number, picture in enumerate(pictures):
        first, second = blobs(picture > 200)
        joined = any(first[0] in part and second[0] in part for part in map(set, blobs(picture > 50)))
        right += joined == (number % 2 == 0)
    assert right == 100


@pytest.mark.slow
@pytest.mark.parametrize("length", [6, 14])
def test_nothing_simple_gives_the_label_away(length):
    pictures = sample_pictures(2000, length, np.random.default_rng(2))
    labels = 1 - np.arange(len(pictures)) % 2
    pixels = pictures.reshape(len(pictures), -1) / 255
    train, test = slice(0, 1200), slice(1200, None)
    discs = [[np.mean(part, axis=0) for part in blobs(picture > 200)] for picture in pictures]
    first, second = np.array([pair[0] for pair in discs]), np.array([pair[1] for pair in discs])
    middle, apart = (first + second) / 2 - 15.5, np.hypot(*(first - second).T)
    simple = {
        "pixels": pixels,
        "brightness": np.stack([pixels.mean(1), pixels.std(1), (pixels > 0.2).mean(1), (pixels > 0.6).mean(1)], axis=1),
        "discs": np.stack([apart, apart**2, np.hypot(*middle.T), (middle**2).sum(1)], axis=1),
    }
    for name, features in simple.items():
        scaled = (features - features.mean(0)) / (features.std(0) + 1e-9)
        model = LogisticRegression(C=0.01, max_iter=500).fit(scaled[train], labels[train])
        area = roc_auc_score(labels[test], model.decision_function(scaled[test]))
        assert abs(area - 0.5) < 0.06, (name, area)  # three standard errors of a model that knows nothing
    assert abs(apart[::2].mean() - apart[1::2].mean()) < 0.1


@pytest.fixture
def few_scenes(monkeypatch):
    """Small data sets are drawn from fewer scenes at once, in less time."""
    monkeypatch.setattr(_curves, "_SCENES", 200)


def test_dataset(tmp_path, few_scenes):
    dataset = Pathfinder(tmp_path, **SMALL)
    assert {split: len(index) for split, index in dataset.split_idx.items()} == {"train": 20, "val": 4, "test": 6}
    assert (dataset.task.kind, dataset.task.num_targets, dataset.features.in_channels) == ("multiclass", 2, [256])
    for index in dataset.split_idx.values():
        assert dataset._data.y[index].float().mean() == 0.5
    data = dataset[3]
    assert tuple(data.x.shape) == (1024, 1)
    assert tuple(data.edge_index.shape) == (2, 1023)
    assert int(data.x.max()) == 255


def test_lit_pixels_are_points(tmp_path, few_scenes):
    pixels, points = (Pathfinder(tmp_path, **SMALL, lit=lit) for lit in (False, True))
    assert points.features.in_channels == 15
    assert points.count_tokens(edges=True).tolist() == [int((pixels[row].x > 0).sum()) for row in range(30)]
    assert points[4:6].count_tokens().tolist() == points.count_tokens()[4:6].tolist()
    for row in (0, 17):
        data, picture = points[row], pixels[row].x.view(32, 32)
        place = ((data.pos + 1) * 15.5).round().long()
        assert torch.equal((data.x[:, -1] * 255).round().long(), picture[place[:, 0], place[:, 1]])
        assert len(place.unique(dim=0)) == data.num_nodes == int((picture > 0).sum())
        assert torch.equal(data.x[:, :2], data.pos)
        assert data.num_edges == 0
        assert torch.equal(data.y, pixels[row].y)


def test_short_paths_are_told_by_the_distance_of_the_discs():
    pictures = sample_pictures(400, 4, np.random.default_rng(3), matched=False)
    discs = [[np.mean(part, axis=0) for part in blobs(picture > 200)] for picture in pictures]
    apart = np.array([np.hypot(*(first - second)) for first, second in discs])
    assert apart[::2].max() < 12  # the length of a straight curve
    assert 0.85 < np.mean((apart < 10.5) == (np.arange(400) % 2 == 0)) < 0.98
    with pytest.raises(ConfigError, match="difficulty"):
        Pathfinder(source="official", difficulty="short")


def digest(dataset):
    return hashlib.sha256(dataset._data.x.numpy().tobytes() + dataset._data.y.numpy().tobytes()).hexdigest()


def test_the_same_bytes_every_time(tmp_path, monkeypatch, few_scenes):
    first, second = (Pathfinder(tmp_path / name, **SMALL) for name in ("a", "b"))
    assert digest(first) == digest(second)
    assert digest(Pathfinder(tmp_path, **SMALL, seed=1)) != digest(first)
    longer = Pathfinder(tmp_path, **(SMALL | {"num_val": 8}))
    assert torch.equal(longer[longer.split_idx["test"]][2].x, first[first.split_idx["test"]][2].x)
    monkeypatch.setattr(pathfinder, "_generate", None)
    assert digest(Pathfinder(tmp_path / "a", **SMALL)) == digest(first)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"difficulty": "harder"}, "difficulty"),
        ({"num_val": 3}, "num_val"),
        ({"num_train": 0}, "num_train"),
        ({"source": "x"}, "source"),
    ],
)
def test_bad_options(tmp_path, options, match):
    with pytest.raises(ConfigError, match=match):
        Pathfinder(tmp_path, **(SMALL | options))


@pytest.fixture
def official(tmp_path):
    """Ten batches of ten pictures each, in the layout of the release."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pathfinder32" / "curv_contour_length_14"
    (folder / "metadata").mkdir(parents=True)
    pictures = rng.integers(0, 256, (10, 10, 32, 32), dtype=np.uint8)
    for batch in range(10):
        (folder / "imgs" / str(batch)).mkdir(parents=True)
        lines = []
        for number in range(10):
            Image.fromarray(pictures[batch, number]).save(folder / "imgs" / str(batch) / f"sample_{number}.png")
            lines.append(f"imgs/{batch} sample_{number}.png {number} {number % 2} 1.0 14 0 0")
        (folder / "metadata" / f"{batch}.npy").write_text("\n".join(lines) + "\n")
    return folder, pictures.reshape(100, 1024)


def read(tmp_path, folder, **options):
    return Pathfinder(tmp_path / "root", source="official", folder=folder.parent, progress=False, **options)


def test_official_files(official, tmp_path):
    folder, pictures = official
    dataset = read(tmp_path, folder)
    assert np.array_equal(dataset._data.x.numpy().reshape(100, 1024), pictures)
    assert dataset._data.y.tolist() == [number % 2 for number in range(100)]
    assert {split: len(index) for split, index in dataset.split_idx.items()} == {"train": 80, "val": 10, "test": 10}
    assert torch.equal(torch.cat(list(dataset.split_idx.values())).sort().values, torch.arange(100))
    assert all(dataset._data.y[index].float().mean() == 0.5 for index in dataset.split_idx.values())
    assert not torch.equal(read(tmp_path, folder, seed=1).split_idx["test"], dataset.split_idx["test"])
    assert torch.equal(read(tmp_path, folder).split_idx["test"], dataset.split_idx["test"])


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("imgs/3/sample_4.png", lambda content: b""),
        ("imgs/3/sample_4.png", lambda content: content[: len(content) // 2]),
        ("imgs/3/sample_4.png", lambda content: b"GIF89a" + content),
        ("imgs/3/sample_4.png", lambda content: None),
        ("imgs/3/sample_4.png", lambda content: content[:300] + bytes(50) + content[350:]),
        ("metadata/5.npy", lambda content: b""),
        ("metadata/5.npy", lambda content: content[: content.rindex(b"png") - 2]),
        ("metadata/5.npy", lambda content: content.replace(b"sample_1.png 1 1", b"sample_1.png 1 2")),
        ("metadata/5.npy", lambda content: content.replace(b"imgs/5 ", b"../../x ")),
        ("metadata/5.npy", lambda content: content.replace(b"sample_1.png", b"../sample_1.png")),
        ("metadata/5.npy", lambda content: b"\x93NUMPY\x01\x00v\x00{}"),
    ],
)
def test_damaged_official_files_are_named(official, tmp_path, file, damage):
    path = official[0] / file
    content = damage(path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataIntegrityError, match=path.name.replace(".", r"\.")):
        read(tmp_path, official[0])
    assert not list((tmp_path / "root" / "pathfinder").glob("*.pt"))


def test_pictures_of_another_size_are_refused(official, tmp_path):
    Image.new("L", (64, 64)).save(official[0] / "imgs" / "0" / "sample_0.png")
    with pytest.raises(DataIntegrityError, match=r"sample_0\.png.*64 x 64"):
        read(tmp_path, official[0])


def test_pictures_listed_twice_are_refused(official, tmp_path):
    path = official[0] / "metadata" / "9.npy"
    path.write_text(path.read_text() + "imgs/0 sample_0.png 0 0\n")
    with pytest.raises(DataIntegrityError, match="listed twice"):
        read(tmp_path, official[0])


def test_the_known_empty_file_is_left_out(official, tmp_path):
    easy = official[0].with_name("curv_baseline")
    official[0].rename(easy)
    (easy / "imgs" / "0" / "sample_172.png").touch()
    path = easy / "metadata" / "0.npy"
    path.write_text(path.read_text() + "imgs/0 sample_172.png 172 1\n")
    assert len(read(tmp_path, easy, difficulty="easy")) == 100


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(DataNotFoundError, match="metadata"):
        read(tmp_path, tmp_path / "pathfinder32" / "x")
    (tmp_path / "pathfinder32" / "curv_contour_length_14" / "metadata").mkdir(parents=True)
    (tmp_path / "pathfinder32" / "curv_contour_length_14" / "imgs").mkdir()
    with pytest.raises(DataNotFoundError, match=r"1\.npy"):
        read(tmp_path, tmp_path / "pathfinder32" / "x")
