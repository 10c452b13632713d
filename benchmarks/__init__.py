"""Benchmarks of attention on ragged batches: ``python -m benchmarks.run --help``."""
