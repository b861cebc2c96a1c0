"""Reads and their signals: the arrays, and the files they come from."""
