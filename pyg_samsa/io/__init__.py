"""Files: atomic writes, hashes, locks, verified downloads and unpickling that cannot run code."""
