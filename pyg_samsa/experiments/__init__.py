"""Experiments: runs of a config, sweeps over grids, and the fingerprint baseline."""
