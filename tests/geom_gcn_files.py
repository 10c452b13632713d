"""Small stand-ins for the raw files of Geom-GCN, in the form of the official ones."""

import numpy as np

from pyg_samsa.datasets.nodes import geom_gcn

NODES, CHANNELS, CLASSES = 24, 7, 5


def nodes():
    """Features [N, F] of zeros and ones, and classes [N]."""
    rng = np.random.default_rng(0)
    x = (rng.random((NODES, CHANNELS)) < 0.4).astype(int)
    x[:, 0], x[0] = 1, 1  # every actor has a word, and every word an actor
    return x, np.arange(NODES) % CLASSES


def edges():
    """Directed edges without repetitions: a ring, and chords in one direction."""
    ring = [(node, (node + 1) % NODES) for node in range(NODES)]
    return ring + [(end, start) for start, end in ring] + [(node, (node + 7) % NODES) for node in range(0, NODES, 3)]


def masks(number):
    """Nodes of train, val and test of one of the ten splits."""
    order = np.random.default_rng(number).permutation(NODES)
    found = np.zeros((3, NODES))
    for row, part in enumerate(np.split(order, [12, 19])):
        found[row, part] = 1
    return found


def write(root, name):
    """Write the files of a data set below the folder of PyG, and return their folder."""
    about = geom_gcn.SETS[name]
    raw = root / about.folder / "raw"
    raw.mkdir(parents=True)
    x, y = nodes()
    lines = ["node_id\tfeature\tlabel"]
    # The lines of actors are in no order.
    for node in sorted(range(NODES), key=lambda node: (about.listed and node % 3, node)):
        values = np.flatnonzero(x[node]) if about.listed else x[node]
        lines.append(f"{node}\t{','.join(map(str, values))}\t{y[node]}")
    (raw / "out1_node_feature_label.txt").write_text("\n".join(lines) + "\n")
    told = ["node_id\tnode_id", *(f"{start}\t{end}" for start, end in [*edges(), edges()[0]])]
    (raw / "out1_graph_edges.txt").write_text("\n".join(told) + "\n")
    for number in range(10):
        parts = dict(zip(("train_mask", "val_mask", "test_mask"), masks(number), strict=True))
        np.savez(raw / f"{about.stem}_split_0.6_0.2_{number}.npz", **parts)
    return raw


def shrink(monkeypatch):
    """Let the stand-ins pass for the published data."""
    for name, about in geom_gcn.SETS.items():
        small = about._replace(nodes=NODES, edges=len(set(edges())), channels=CHANNELS)
        monkeypatch.setitem(geom_gcn.SETS, name, small)
