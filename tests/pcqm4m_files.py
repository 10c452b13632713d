"""A small stand-in for the files of PCQM4Mv2, in the form of the official ones."""

import gzip

import numpy as np
import torch

from pyg_samsa.datasets.molecules import pcqm4m

SMILES = [f"{'C' * (1 + row % 7)}{'O' * (row % 2)}{'N' * (row % 3 == 0)}" for row in range(40)]
SPLIT = {
    "train": np.array([row for row in range(40) if row % 6 < 4 or row > 33][:30]),
    "valid": np.array([4, 5, 10, 11, 16, 17]),
}


def gap(row):
    return 3.0 + row / 7


def write(root):
    """Write the files below ``root``, and return their folder; the gaps of other rows are secret."""
    folder = root / "pcqm4m-v2"
    (folder / "raw").mkdir(parents=True)
    known = set(np.concatenate(list(SPLIT.values())).tolist())
    secret = [row for row in range(len(SMILES)) if row not in known]
    with gzip.open(folder / "raw/data.csv.gz", "wt") as file:
        file.write("idx,smiles,homolumogap\n")
        for row, smiles in enumerate(SMILES):
            file.write(f"{row},{smiles},{'' if row in secret else gap(row)}\n")
    torch.save({**SPLIT, "test-dev": np.array(secret[:2]), "test-challenge": np.array(secret[2:])},
               folder / "split_dict.pt")  # fmt: skip
    return folder


def shrink(monkeypatch):
    """Let the stand-in pass for the published data."""
    monkeypatch.setattr(pcqm4m, "SIZES", {"train": 30, "valid": 6})
    monkeypatch.setattr(pcqm4m, "HELD_OUT", 5)
    monkeypatch.setattr(pcqm4m, "HELD_OUT_OF_SUBSET", 3)
    monkeypatch.setattr(pcqm4m, "SUBSET", 0.2)
