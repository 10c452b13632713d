"""Explanations: what each node and edge counted for in a prediction."""

from pyg_samsa.explain.importance import METHODS, TokenImportance, token_importance
from pyg_samsa.explain.sampling_explainer import SamplingExplainer

__all__ = ["METHODS", "SamplingExplainer", "TokenImportance", "token_importance"]
