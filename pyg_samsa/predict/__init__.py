"""Predictions with a saved model, in memory or for a table of any length."""

from pyg_samsa.predict.interface import MoleculeInputs, Predictions, Predictor
from pyg_samsa.predict.predictor import MoleculePredictor

__all__ = ["MoleculeInputs", "MoleculePredictor", "Predictions", "Predictor"]
