"""Data sets: real peptides that come with a package, the Long Range Graph Benchmark, ZINC, OGB's molecules, point clouds and sequences."""

from pyg_samsa.datasets.aan import AANRetrieval
from pyg_samsa.datasets.base import SplitDataset, TaskInfo
from pyg_samsa.datasets.cifar import CIFAR10Gray, Digits
from pyg_samsa.datasets.csv_molecules import CSVMolecules
from pyg_samsa.datasets.imdb import IMDB
from pyg_samsa.datasets.listops import ListOps
from pyg_samsa.datasets.lrgb import LRGBPeptides
from pyg_samsa.datasets.modelnet import ModelNet
from pyg_samsa.datasets.news_pairs import NewsPairs
from pyg_samsa.datasets.ogb import OGBMolecules
from pyg_samsa.datasets.pathfinder import Pathfinder
from pyg_samsa.datasets.peptides import EmbeddedPeptides
from pyg_samsa.datasets.release import LRGBRelease
from pyg_samsa.datasets.sequences import SequenceDataset
from pyg_samsa.datasets.shapenet_part import ShapeNetPart
from pyg_samsa.datasets.shapes import Shapes
from pyg_samsa.datasets.zinc import ZINC

__all__ = [
    "IMDB",
    "ZINC",
    "AANRetrieval",
    "CIFAR10Gray",
    "CSVMolecules",
    "Digits",
    "EmbeddedPeptides",
    "LRGBPeptides",
    "LRGBRelease",
    "ListOps",
    "ModelNet",
    "NewsPairs",
    "OGBMolecules",
    "Pathfinder",
    "SequenceDataset",
    "ShapeNetPart",
    "Shapes",
    "SplitDataset",
    "TaskInfo",
]
