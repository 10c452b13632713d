"""Saved networks: write, read and describe them."""
