"""Data sets of points."""
