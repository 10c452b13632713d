"""Small stand-ins for the files of MalNet-Tiny, in the form of the official ones."""

import numpy as np

from pyg_samsa.datasets.molecules import malnet

SIZES = {"train": 10, "val": 3, "test": 2}
CLASSES = ("addisplay", "adware", "benign", "downloader", "trojan")
NAMES = [f"{CLASSES[number % 5]}/family{number % 3}/{number:06X}" for number in range(sum(SIZES.values()))]
HEADER = "# Directed graph (each unordered pair of nodes is saved once)\n# a\n# b\n# c\n# FromNodeId\tToNodeId\n"


def edges(number):
    """Directed edges of a graph; some nodes have none, or only a loop."""
    rng = np.random.default_rng(number)
    nodes = 6 + number
    found = {(node, int(rng.integers(nodes))) for node in range(0, nodes, 2)}
    found |= {(1, 1), (0, 2), (2, 4)}
    return sorted(found)


def splits():
    order = np.random.default_rng(5).permutation(len(NAMES)).tolist()
    return {"train": order[:10], "val": order[10:13], "test": order[13:]}


def write(root):
    """Write the unpacked files of PyG below ``root``, and return their folder."""
    raw = root / "MalNetTiny/raw"
    for number, name in enumerate(NAMES):
        path = raw / "malnet-graphs-tiny" / f"{name}.edgelist"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + "".join(f"{start} {end}\n" for start, end in edges(number)))
    (raw / "split_info_tiny/type").mkdir(parents=True)
    for split, rows in splits().items():
        text = "".join(f"{NAMES[row]}\n" for row in rows)
        (raw / f"split_info_tiny/type/{split}.txt").write_text(text)
    return raw


def shrink(monkeypatch):
    """Let the stand-ins pass for the published data."""
    monkeypatch.setattr(malnet, "SIZES", SIZES)
