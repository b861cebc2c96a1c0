"""Measurements: speed, accuracy, scaling, and the acceptance figures. Never part of the tests."""
