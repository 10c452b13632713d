"""Sampling self-attention (SAMSA) for PyTorch Geometric."""

from pyg_samsa._version import __version__

__all__ = ["__version__"]
