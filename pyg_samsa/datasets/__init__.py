"""Data sets: real peptides that come with a package, the Long Range Graph Benchmark, ZINC and OGB's molecules."""

from pyg_samsa.datasets.base import SplitDataset

__all__ = ["SplitDataset"]
