"""Predictions with saved networks, models on descriptors and blends of them, in memory or for a table of any length."""

from pyg_samsa.predict.blend_predictor import BlendPredictor
from pyg_samsa.predict.blend_weights import choose_weights
from pyg_samsa.predict.boosted_trees import BoostedTrees, BoostingOptions
from pyg_samsa.predict.descriptor_models import descriptor_models
from pyg_samsa.predict.descriptor_predictor import DescriptorPredictor
from pyg_samsa.predict.embedder import MoleculeEmbedder
from pyg_samsa.predict.gaussian_process import GaussianProcess, GaussianProcessOptions
from pyg_samsa.predict.interface import MoleculeInputs, Predictions, Predictor
from pyg_samsa.predict.predictor import MoleculePredictor
from pyg_samsa.predict.predictor_folder import load_predictor, save_predictor

__all__ = [
    "BlendPredictor",
    "BoostedTrees",
    "BoostingOptions",
    "DescriptorPredictor",
    "GaussianProcess",
    "GaussianProcessOptions",
    "MoleculeEmbedder",
    "MoleculeInputs",
    "MoleculePredictor",
    "Predictions",
    "Predictor",
    "choose_weights",
    "descriptor_models",
    "load_predictor",
    "save_predictor",
]
