"""Converts SMILES and peptide sequences to graphs; the only package that imports RDKit for chemistry.

Names are loaded when first used, so that the worker processes that convert molecules never import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyg_samsa.chem.descriptors import DESCRIPTORS, compute_descriptors, descriptor_labels, register_descriptor
    from pyg_samsa.chem.graph_table import GraphTable
    from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES, graph_arrays
    from pyg_samsa.chem.peptide_sequences import sequence_to_smiles
    from pyg_samsa.chem.smiles import convert_smiles, sequence_to_data, smiles_to_data, smiles_to_data_list
    from pyg_samsa.chem.standardize import Standardizer

_WHERE = {
    "ATOM_CARDINALITIES": "ogb_features",
    "BOND_CARDINALITIES": "ogb_features",
    "DESCRIPTORS": "descriptors",
    "GraphTable": "graph_table",
    "Standardizer": "standardize",
    "graph_arrays": "ogb_features",
    "register_descriptor": "descriptors",
    "compute_descriptors": "descriptors",
    "convert_smiles": "smiles",
    "descriptor_labels": "descriptors",
    "sequence_to_data": "smiles",
    "smiles_to_data": "smiles",
    "smiles_to_data_list": "smiles",
    "sequence_to_smiles": "peptide_sequences",
}

__all__ = [
    "ATOM_CARDINALITIES",
    "BOND_CARDINALITIES",
    "DESCRIPTORS",
    "GraphTable",
    "Standardizer",
    "compute_descriptors",
    "convert_smiles",
    "descriptor_labels",
    "graph_arrays",
    "register_descriptor",
    "sequence_to_data",
    "sequence_to_smiles",
    "smiles_to_data",
    "smiles_to_data_list",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
