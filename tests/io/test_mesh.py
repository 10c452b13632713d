from pathlib import Path

import numpy as np
import pytest

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io.mesh import read_off

REAL = Path(__file__).parents[3] / "shared" / "data" / "modelnet_off"
BODY = "0 0 0\n1 0 0\n1 1 0\n0 1 1e-3\n"
PLAIN = f"OFF\n4 2 0\n{BODY}3 0 1 2\n3 0 2 3\n"


def read(tmp_path, text):
    path = tmp_path / "mesh.off"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_off(path)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("OFF\n", "OFF"),
        PLAIN.replace("OFF\n", "OFF "),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", " \n\n"),
        f"# made by hand\nOFF # here\n#\n{PLAIN[4:]}",
        PLAIN.rstrip(),
        f"OFF\n4 1 0\n{BODY}4 0 1 2 3\n",
        f"OFF\n4 1 0\n{BODY}4 0 1 2 3 255 0 0\n",
        f"OFF\n4 3 0\n{BODY}3 0 1 2 0.5 0.5\n2 0 1\n3 0 2 3\n",
        PLAIN.replace("1 0 0\n", "1 0 0 7 7\n")
        .replace("0 0 0\n", "0 0 0 7 7\n", 1)
        .replace("1 1 0\n", "1 1 0 7 7\n")
        .replace("1e-3", "0.001 7 7"),
        PLAIN + "3 1 2 3\n",
    ],
)
def test_variants_are_one_mesh(tmp_path, text):
    corners, faces = read(tmp_path, text)
    assert corners.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.001]]
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert (corners.dtype, faces.dtype) == (np.float64, np.int64)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        b"\x00\x01\xff\x80" * 50,
        "PLY\n",
        "OFF",
        "OFF\n4\n",
        "OFF\n0 0 0\n",
        "OFF\nx y z\n",
        f"OFF\n4 0 0\n{BODY}",
        PLAIN[: len(PLAIN) - 9],
        PLAIN[:30],
        PLAIN.replace("3 0 2 3", "3 0 2 4"),
        PLAIN.replace("3 0 2 3", "3 0 -2 3"),
        PLAIN.replace("3 0 2 3", "3 0 2"),
        PLAIN.replace("3 0 2 3", "3 0 2 a"),
        PLAIN.replace("3 0 2 3", "3 0 2 1.5"),
        PLAIN.replace("3 0 2 3", "x 0 2 1"),
        PLAIN.replace("3 0 2 3", "3 0 2 99999999999999999999999"),
        PLAIN.replace("1e-3", "nan"),
        PLAIN.replace("1e-3", ""),
        PLAIN.replace("1e-3", "x"),
        f"OFF\n4 1 0\n{BODY}2 0 1\n",
    ],
)
def test_what_is_no_whole_mesh_is_refused_with_its_name(tmp_path, text):
    with pytest.raises(DataIntegrityError, match=r"mesh\.off") as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"gone\.off"):
        read_off(tmp_path / "gone.off")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real meshes are not beside the project")
@pytest.mark.parametrize(
    ("name", "corners", "faces"),
    [("bathtub_0001", 3514, 3546), ("bathtub_0002", 700, 664), ("bathtub_0004", 2842, 3519)],
)
def test_real_meshes_with_and_without_modelnet_s_header_bug(tmp_path, name, corners, faces):
    found = read_off(REAL / f"{name}.off")
    assert (found[0].shape, found[1].shape) == ((corners, 3), (faces, 3))
    broken = read(tmp_path, (REAL / f"{name}.off").read_bytes().replace(b"OFF\n", b"OFF", 1))
    for first, second in zip(found, broken, strict=True):
        np.testing.assert_array_equal(first, second)
