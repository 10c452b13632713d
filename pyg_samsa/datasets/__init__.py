"""Data sets: real peptides that come with a package, the Long Range Graph Benchmark, ZINC and OGB's molecules."""

from pyg_samsa.datasets.base import SplitDataset, TaskInfo
from pyg_samsa.datasets.lrgb import LRGBPeptides
from pyg_samsa.datasets.ogb import OGBMolecules
from pyg_samsa.datasets.peptides import EmbeddedPeptides
from pyg_samsa.datasets.release import LRGBRelease
from pyg_samsa.datasets.zinc import ZINC

__all__ = ["ZINC", "EmbeddedPeptides", "LRGBPeptides", "LRGBRelease", "OGBMolecules", "SplitDataset", "TaskInfo"]
