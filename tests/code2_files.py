"""A small stand-in for the files of ogbg-code2, in the form of the official ones."""

import gzip

import numpy as np

# Words of the names, and the split: names of the training functions come in the order of the split.
NAMES = ["get name", "set name", "get id of the last item here", "null", "get name again", "unseen words", "run"]
SPLIT = {"train": [4, 0, 1, 2], "valid": [3], "test": [6, 5]}


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in rows)


def write(root, sizes=(3, 5, 1, 4, 7, 2, 6)):
    """Random trees, parents before children, below ``root/ogbg_code2``; returns that folder."""
    rng, folder = np.random.default_rng(0), root / "ogbg_code2"
    trees = [[(int(rng.integers(0, child)), child) for child in range(1, size)] for size in sizes]
    total = sum(sizes)
    tables = {
        "num-node-list": [[size] for size in sizes],
        "num-edge-list": [[len(tree)] for tree in trees],
        "edge": [edge for tree in trees for edge in tree],
        "node-feat": np.stack([rng.integers(0, 98, total), rng.integers(0, 10030, total)], 1),
        "node_is_attributed": rng.integers(0, 2, (total, 1)),
        "node_dfs_order": [[place] for size in sizes for place in range(size)],
        "node_depth": rng.integers(0, 30, (total, 1)),
        "graph-label": [[name] for name in NAMES],
    }
    for name, rows in tables.items():
        write_table(folder / f"raw/{name}.csv.gz", rows)
    for name, rows in SPLIT.items():
        write_table(folder / f"split/project/{name}.csv.gz", [[row] for row in rows])
    return folder
