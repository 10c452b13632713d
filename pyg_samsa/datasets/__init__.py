"""Data sets of molecules, point clouds, sequences and nodes of one graph, and the catalogue of all of them."""

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.molecule_descriptors import add_descriptors
from pyg_samsa.datasets.molecules.code2 import OGBCode2
from pyg_samsa.datasets.molecules.csv_molecules import CSVMolecules
from pyg_samsa.datasets.molecules.gnn_benchmark import GNNBenchmark
from pyg_samsa.datasets.molecules.lrgb import LRGBPeptides
from pyg_samsa.datasets.molecules.lrgb_release import LRGBRelease
from pyg_samsa.datasets.molecules.malnet import MalNetTiny
from pyg_samsa.datasets.molecules.ogb import OGBMolecules
from pyg_samsa.datasets.molecules.pcqm4m import PCQM4Mv2
from pyg_samsa.datasets.molecules.peptides import EmbeddedPeptides
from pyg_samsa.datasets.molecules.ppa import OGBPPA
from pyg_samsa.datasets.molecules.zinc import ZINC
from pyg_samsa.datasets.nodes.coauthor import CoauthorAmazon
from pyg_samsa.datasets.nodes.geom_gcn import GeomGCN
from pyg_samsa.datasets.nodes.node_dataset import NodeDataset
from pyg_samsa.datasets.points.modelnet import ModelNet
from pyg_samsa.datasets.points.shapenet_part import ShapeNetPart
from pyg_samsa.datasets.points.shapes import Shapes
from pyg_samsa.datasets.sequences.aan import AANRetrieval
from pyg_samsa.datasets.sequences.cifar import CIFAR10Gray, Digits
from pyg_samsa.datasets.sequences.folded_paths import FoldedPaths
from pyg_samsa.datasets.sequences.imdb import IMDB
from pyg_samsa.datasets.sequences.listops import ListOps
from pyg_samsa.datasets.sequences.news_pairs import NewsPairs
from pyg_samsa.datasets.sequences.pathfinder import Pathfinder
from pyg_samsa.datasets.sequences.sequence_dataset import SequenceDataset

__all__ = [
    "IMDB",
    "OGBPPA",
    "ZINC",
    "AANRetrieval",
    "CIFAR10Gray",
    "CSVMolecules",
    "CoauthorAmazon",
    "Digits",
    "EmbeddedPeptides",
    "Features",
    "FoldedPaths",
    "GNNBenchmark",
    "GeomGCN",
    "LRGBPeptides",
    "LRGBRelease",
    "ListOps",
    "MalNetTiny",
    "ModelNet",
    "NewsPairs",
    "NodeDataset",
    "OGBCode2",
    "OGBMolecules",
    "PCQM4Mv2",
    "Pathfinder",
    "SequenceDataset",
    "ShapeNetPart",
    "Shapes",
    "SplitDataset",
    "add_descriptors",
]
