"""Predictions with a saved model, in memory or for a table of any length."""

from pyg_samsa.predict.predictor import MoleculePredictor, Predictions

__all__ = ["MoleculePredictor", "Predictions"]
