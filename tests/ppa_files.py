"""A small stand-in for the files of ogbg-ppa, in the form of the official ones."""

import gzip

import numpy as np

SPLIT = {"train": [6, 0, 1, 8, 3, 9], "valid": [4, 2], "test": [7, 5]}
SIZES = (4, 6, 1, 5, 3, 7, 2, 6, 4, 5)


def labels():
    return [(7 * number) % 37 for number in range(len(SIZES))]


def tables():
    """Rings with one direction of each edge, and numbers with three digits; the third graph has no edges."""
    rng = np.random.default_rng(0)
    graphs = [[(node, (node + 1) % size) for node in range(size)] if size > 1 else [] for size in SIZES]
    edges = [edge for graph in graphs for edge in graph]
    return {
        "num-node-list": [[size] for size in SIZES],
        "num-edge-list": [[len(graph)] for graph in graphs],
        "edge": edges,
        "edge-feat": (rng.integers(0, 1001, (len(edges), 7)) / 1000).tolist(),
        "graph-label": [[label] for label in labels()],
    }


def write(root):
    """Write the tables below ``root/ogbg_ppa``, and return that folder."""
    folder = root / "ogbg_ppa"
    files = {f"raw/{name}": rows for name, rows in tables().items()}
    files |= {f"split/species/{name}": [[row] for row in rows] for name, rows in SPLIT.items()}
    for name, rows in files.items():
        path = folder / f"{name}.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt") as file:
            file.writelines(",".join(map(str, row)) + "\n" for row in rows)
    return folder
