"""Figures and tables of runs: learning curves, scores per class, point clouds, and the HTML report."""

from pyg_samsa.viz.learning_curves import plot_learning_curves
from pyg_samsa.viz.part_clouds import plot_parts
from pyg_samsa.viz.per_class import plot_per_class
from pyg_samsa.viz.tables import metrics_table, per_class_table

__all__ = ["metrics_table", "per_class_table", "plot_learning_curves", "plot_parts", "plot_per_class"]
