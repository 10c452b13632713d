"""Experiments of many runs: sweeps, grids and the fingerprint baseline."""
