"""Predictions with saved networks, trees and blends of them, in memory or for a table of any length."""

from pyg_samsa.predict.blend_predictor import BlendPredictor
from pyg_samsa.predict.blend_weights import choose_weights
from pyg_samsa.predict.boosted_trees import BoostedTrees, BoostingOptions
from pyg_samsa.predict.interface import MoleculeInputs, Predictions, Predictor
from pyg_samsa.predict.predictor import MoleculePredictor
from pyg_samsa.predict.predictor_folder import load_predictor, save_predictor
from pyg_samsa.predict.trees_predictor import TreesPredictor

__all__ = [
    "BlendPredictor",
    "BoostedTrees",
    "BoostingOptions",
    "MoleculeInputs",
    "MoleculePredictor",
    "Predictions",
    "Predictor",
    "TreesPredictor",
    "choose_weights",
    "load_predictor",
    "save_predictor",
]
