"""Triangle meshes in OFF files.

`torch_geometric.io.read_off` is not used: it fails on comments and blank lines, reads colours as corners, drops
polygons of more than four corners, and accepts truncated files.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError


def read_off(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    r"""Read a mesh in the Object File Format; polygons become fans of triangles.

    Also reads ModelNet's files whose first line lacks its end (``OFF1234 5678 0``), comments, blank lines, and colours
    behind a corner or a face. Polygons of fewer than three corners have no surface and are left out; what follows the
    last announced face is not read.

    Args:
        path: Text file that begins with ``OFF``.

    Returns:
        Corners float64 [V, 3] and triangles int64 [F, 3].

    Raises:
        DataNotFoundError: The file is not there.
        DataIntegrityError: It is empty, truncated, no OFF file, or a face has a corner that is not there.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "square.off"
        >>> _ = path.write_text("OFF4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n")
        >>> read_off(path)[1].tolist()
        [[0, 1, 2], [0, 2, 3]]

    Cost: linear in the size of the file; a mesh of triangles alone is read fastest.
    """
    if not Path(path).is_file():
        raise DataNotFoundError(f"{path}: no such file", hint="Check the path.")
    text = Path(path).read_bytes().decode("latin-1")
    lines = [line for line in (raw.split("#", 1)[0].strip() for raw in text.splitlines()) if line]
    if not lines or not lines[0].startswith("OFF"):
        raise DataIntegrityError(
            path, "a file that begins with OFF", "an empty file" if not lines else repr(lines[0][:40])
        )
    head = lines[0].removeprefix("OFF").split()
    counts, body = (head, lines[1:]) if head else ((lines[1].split() if len(lines) > 1 else []), lines[2:])
    try:
        num_corners, num_faces = int(counts[0]), int(counts[1])
    except (IndexError, ValueError):
        raise DataIntegrityError(path, "the numbers of corners, faces and edges", repr(" ".join(counts)[:40])) from None
    if num_corners < 1 or num_faces < 1 or len(body) < num_corners + num_faces:
        raise DataIntegrityError(
            path,
            f"{num_corners} corners and {num_faces} faces",
            f"{len(body)} lines for both, a truncated or empty mesh",
        )
    corners = _corners(path, body[:num_corners])
    faces = _triangles(path, body[num_corners : num_corners + num_faces])
    if not len(faces) or faces.min() < 0 or faces.max() >= num_corners:
        found = f"corners {faces.min()} to {faces.max()}" if len(faces) else "none with three corners"
        raise DataIntegrityError(path, f"faces with corners from 0 to {num_corners - 1}", found)
    return corners, faces


def _corners(path: str | os.PathLike[str], lines: list[str]) -> np.ndarray:
    numbers = _numbers(path, " ".join(lines).split(), np.float64)
    width, rest = divmod(len(numbers), len(lines))
    if rest or width < 3 or not np.isfinite(numbers).all():
        raise DataIntegrityError(
            path, "three finite coordinates per corner", f"{len(numbers)} numbers for {len(lines)} corners"
        )
    return numbers.reshape(-1, width)[:, :3]


def _triangles(path: str | os.PathLike[str], lines: list[str]) -> np.ndarray:
    words = " ".join(lines).split()
    if len(words) == 4 * len(lines) and all(word == "3" for word in words[::4]):
        return _numbers(path, words, np.int64).reshape(-1, 4)[:, 1:]
    triangles = []
    for line in lines:
        words = line.split()
        size = int(words[0]) if words[0].isdecimal() else -1
        if size < 0 or len(words) < 1 + size:
            raise DataIntegrityError(path, "a face: the number of its corners, then the corners", repr(line[:40]))
        corners = _numbers(path, words[1 : 1 + size], np.int64).tolist()
        triangles += [(corners[0], corners[place], corners[place + 1]) for place in range(1, size - 1)]
    return np.array(triangles, dtype=np.int64).reshape(-1, 3)


def _numbers(path: str | os.PathLike[str], words: list[str], dtype: type) -> np.ndarray:
    try:
        return np.array(words, dtype=dtype)
    except (ValueError, OverflowError) as error:
        raise DataIntegrityError(path, "numbers", f"something else ({str(error)[:60]})") from None
