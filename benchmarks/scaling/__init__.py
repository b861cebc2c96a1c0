"""Measurements behind docs/concepts/scaling.md."""
