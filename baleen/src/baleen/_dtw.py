"""Thin door to the engine's dynamic time warping, for scripts that want it alone."""

from typing import Literal

from krill import devices, dtw_cross, dtw_distance, dtw_pairwise

__all__ = ["backend", "dtw_cross", "dtw_distance", "dtw_pairwise", "is_available"]


def is_available() -> bool:
    """Return whether a GPU can be used."""
    return any(device.name.startswith("cuda") for device in devices())


def backend() -> Literal["gpu", "cpu"]:
    """Return what computes: ``gpu`` if one can be used, otherwise ``cpu``."""
    return "gpu" if is_available() else "cpu"
