"""Molecules: SMILES and peptide sequences in, graphs out; the only room that imports RDKit.

Names are loaded when first used, so that the worker processes that convert molecules never import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_samsa.chem.drawing import MoleculeDrawing, draw_importance
    from pyg_samsa.chem.features import ATOM_CARDINALITIES, BOND_CARDINALITIES, GraphTable, graph_arrays
    from pyg_samsa.chem.molecules import convert_smiles, sequence_to_data, smiles_to_data, smiles_to_data_list
    from pyg_samsa.chem.predictor import MoleculePredictor
    from pyg_samsa.chem.sequences import sequence_to_smiles

_WHERE = {
    "ATOM_CARDINALITIES": "features",
    "BOND_CARDINALITIES": "features",
    "GraphTable": "features",
    "MoleculeDrawing": "drawing",
    "MoleculePredictor": "predictor",
    "draw_importance": "drawing",
    "graph_arrays": "features",
    "convert_smiles": "molecules",
    "sequence_to_data": "molecules",
    "smiles_to_data": "molecules",
    "smiles_to_data_list": "molecules",
    "sequence_to_smiles": "sequences",
}

__all__ = [
    "ATOM_CARDINALITIES",
    "BOND_CARDINALITIES",
    "GraphTable",
    "MoleculeDrawing",
    "MoleculePredictor",
    "convert_smiles",
    "draw_importance",
    "graph_arrays",
    "sequence_to_data",
    "sequence_to_smiles",
    "smiles_to_data",
    "smiles_to_data_list",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
