"""Predictions with a saved network: in memory, or streamed from a table of any length."""

from pyg_samsa.predict.predictor import MoleculePredictor, Predictions

__all__ = ["MoleculePredictor", "Predictions"]
