"""Data sets of one graph whose nodes are split."""
