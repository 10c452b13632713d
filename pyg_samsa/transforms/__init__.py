"""Transforms of PyG data: path graphs of sequences, sampling of surfaces and clouds."""

from pyg_samsa.transforms.normalize_cloud import NormalizeCloud
from pyg_samsa.transforms.path_graph import PathGraph
from pyg_samsa.transforms.sample_farthest import SampleFarthest
from pyg_samsa.transforms.sample_surface import SampleSurface

__all__ = ["NormalizeCloud", "PathGraph", "SampleFarthest", "SampleSurface"]
