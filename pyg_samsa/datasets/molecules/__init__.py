"""Data sets of molecules."""
