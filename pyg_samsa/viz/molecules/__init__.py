"""Pictures of molecules: atoms and bonds coloured by their importance."""

from pyg_samsa.viz.molecules.drawing import MoleculeDrawing, draw_importance

__all__ = ["MoleculeDrawing", "draw_importance"]
