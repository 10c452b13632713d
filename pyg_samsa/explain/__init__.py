"""Explanations: the importance of nodes and edges for a prediction."""

from pyg_samsa.explain.importance import METHODS, TokenImportance, token_importance
from pyg_samsa.explain.sampling_explainer import SamplingExplainer

__all__ = ["METHODS", "SamplingExplainer", "TokenImportance", "token_importance"]
