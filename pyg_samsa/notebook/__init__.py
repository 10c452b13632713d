"""Predictions with pictures in notebooks."""

from pyg_samsa.notebook.predicted_molecules import PredictedMolecules, show_molecules

__all__ = ["PredictedMolecules", "show_molecules"]
