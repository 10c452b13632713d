import numpy as np
import pytest
import torch

from pyg_samsa.datasets.points import modelnet_files
from pyg_samsa.datasets.points.modelnet import RELEASES
from pyg_samsa.datasets.points.modelnet_files import check_sizes, find_layout, read_release
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError

TEN = RELEASES["modelnet10"]
FORTY = RELEASES["modelnet40"]
OPTIONS = {"incomplete": True, "workers": 1, "progress": False}
TETRAHEDRON = "OFF\n4 4 0\n0 0 0\n2 0 0\n0 3 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


def write_off(folder, name, split, number):
    path = folder / name / split / f"{name}_{number:04d}.off"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TETRAHEDRON)
    return path


def write_npz(path, names=("chair_0001", "bed_0003")):
    points = np.random.default_rng(0).integers(-30000, 30000, (len(names), 20, 3)).astype(np.int16)
    label = np.array([TEN.classes.index(name.rpartition("_")[0]) for name in names])
    is_test = np.arange(len(names)) == len(names) - 1
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, points_q=points, label=label, is_test=is_test, name=np.array(names), classes=np.array(TEN.classes))
    return points


def empty(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("place", modelnet_files._FOLDERS)
@pytest.mark.parametrize(
    ("release", "layout", "files"),
    [
        (TEN, "off", ["bed/test/bed_0001.off"]),
        (FORTY, "text", ["modelnet40_train.txt", "bed/bed_0001.txt"]),
        (FORTY, "hdf5", ["train_files.txt"]),
    ],
    ids=["off", "text", "hdf5"],
)
def test_every_form_is_found_in_every_known_folder(release, layout, files, place, tmp_path):
    empty(tmp_path / place, *files)
    assert find_layout(release, tmp_path) == (layout, tmp_path / place)


def test_an_archive_is_found_by_its_name_or_in_its_folder(tmp_path):
    empty(tmp_path, "raw/modelnet10.npz")
    path = tmp_path / "raw" / "modelnet10.npz"
    for place in (path, path.parent, tmp_path):
        assert find_layout(TEN, place) == ("npz", path)


@pytest.mark.parametrize("files", [[], ["notes.txt"], ["bed/readme.txt"], ["modelnet10_train.txt"]])
def test_other_files_are_no_release(files, tmp_path):
    empty(tmp_path, *files)
    assert find_layout(TEN, tmp_path) is None
    assert find_layout(TEN, tmp_path / "nowhere") is None


def test_every_form_has_a_reader():
    assert set(modelnet_files.LISTERS) == {"off", "text", "hdf5", "npz"}


@pytest.mark.parametrize("name", RELEASES)
def test_sizes_are_the_published_ones(name, tmp_path):
    release = RELEASES[name]
    assert release.sizes == {"modelnet10": (3991, 908), "modelnet40": (9843, 2468)}[name]
    assert len(release.classes) == int(name.removeprefix("modelnet"))
    assert release.classes == sorted(release.classes)
    check_sizes(release, *release.sizes, tmp_path, incomplete=False)
    check_sizes(release, 1, 0, tmp_path, incomplete=True)
    with pytest.raises(DataIntegrityError, match=r"3,990|9,842"):
        check_sizes(release, release.sizes[0] - 1, release.sizes[1], tmp_path, incomplete=False)


def test_meshes_become_points_of_their_faces(tmp_path):
    write_off(tmp_path, "bed", "train", 1)
    write_off(tmp_path, "sofa", "test", 2)
    prepared = read_release(TEN, "off", tmp_path, 40, **OPTIONS)
    assert prepared.extra["layout"] == "off"
    assert {split: rows.tolist() for split, rows in prepared.split_idx.items()} == {"train": [0], "test": [1]}
    assert prepared.data["y"].tolist() == [TEN.classes.index("bed"), TEN.classes.index("sofa")]


def test_integers_of_an_archive_are_coordinates_between_minus_one_and_one(tmp_path):
    points = write_npz(tmp_path / "x.npz")
    listed = modelnet_files.LISTERS["npz"](TEN, tmp_path / "x.npz", True)
    cloud, where = next(iter(listed.jobs))
    np.testing.assert_allclose(cloud, points[0] / 32767)
    assert where == f"{tmp_path / 'x.npz'}, chair_0001"
    assert (listed.names, listed.is_test) == (["chair_0001", "bed_0003"], [False, True])


def test_a_shape_with_a_name_of_another_is_named(tmp_path):
    write_npz(tmp_path / "x.npz", ("chair_0001", "bed_0003", "chair_0001"))
    with pytest.raises(DataIntegrityError, match="chair_0001 twice"):
        read_release(TEN, "npz", tmp_path / "x.npz", 10, **OPTIONS)


def test_a_release_without_shapes_is_refused(tmp_path):
    (tmp_path / "bed" / "train").mkdir(parents=True)
    with pytest.raises(DataIntegrityError, match="shapes of modelnet10"):
        read_release(TEN, "off", tmp_path, 10, **OPTIONS)


def test_folders_of_the_larger_release_are_not_those_of_the_smaller(tmp_path):
    write_off(tmp_path, "bed", "train", 1)
    write_off(tmp_path, "guitar", "train", 1)
    with pytest.raises(DataIntegrityError, match="the folder 'guitar'"):
        read_release(TEN, "off", tmp_path, 10, **OPTIONS)


def test_two_archives_are_refused(tmp_path):
    empty(tmp_path, "a.npz", "b.npz")
    with pytest.raises(ConfigError, match=r"b\.npz") as caught:
        find_layout(TEN, tmp_path)
    assert caught.value.hint == "Pass the path of the file instead of the folder."


@pytest.mark.parametrize(("content", "error"), [(None, DataNotFoundError), ("\n \n", DataIntegrityError)])
def test_a_list_of_names_must_be_there_and_hold_names(content, error, tmp_path):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=r"list\.txt"):
        modelnet_files._lines(path)
    path.write_text(" bed \n\nchair\n")
    assert modelnet_files._lines(path) == ["bed", "chair"]


def test_the_same_mesh_gives_the_same_points(tmp_path):
    path = write_off(tmp_path, "bed", "train", 1)
    first, again = (modelnet_files._from_off(path, 16)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (modelnet_files.OVERSAMPLING * 16, 6)
    # Points of the face z = 0 point down, as its corners go round the other way.
    below = first[np.abs(first[:, 2]) < 1e-7]
    assert len(below)
    np.testing.assert_allclose(below[:, 3:], np.tile([0.0, 0.0, -1.0], (len(below), 1)), atol=1e-6)
    torch.testing.assert_close(torch.from_numpy(first[:, 3:]).norm(dim=1), torch.ones(64).double())
