"""Two components anchored on the control: evidence for a site, its share, its reads."""

import numpy as np

from baleen.calling.footprint import Shifts, control_center
from baleen.data import F32, Bool
from krill.grid import Grid, MixtureEvidence, Starts, mixture_evidence, mixture_gain

_SHIFT_SIZES_PA = (1.7, 2.5, 3.5, 4.5, 6.0, 8.0, 10.0)

GRID = Grid(
    shifts=_SHIFT_SIZES_PA + tuple(-size for size in _SHIFT_SIZES_PA),
    shares=(0, 0.03, 0.06, 0.1, 0.17, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97),
    # native: any share; control: most likely none, with a tail for k-mers of two levels
    first_prior=(0, 0.6, 0.9, 1, 1, 1, 1, 1, 1, 1, 1, 1.5),
    second_prior=(0.80, 0.06, 0.05, 0.03, 0.02, 0.01, 0.01, 0.005, 0.005, 0.005, 0.0025, 0.0025),
    shifted_variance=1.0,
    # misplaced boundaries mix a base's level with its neighbours': a read shows part of the shift
    shift_spread=0.3,
)
"""Where the likelihood is summed: flat over shifts, a rival with one shared share."""


def site_evidence(
    shifts: Shifts, is_native: Bool, rows: np.ndarray, *, details: bool = False
) -> MixtureEvidence:
    """Compare free shares of native and control with one shared share, at the given rows.

    The shared share as rival is what removes false sites at k-mers with two levels in both.
    """
    here = Shifts(shifts.value[rows], shifts.precision[rows], shifts.plain_precision[rows])
    center = control_center(here, ~is_native)
    return mixture_evidence(here.value, here.precision, is_native, center, GRID, details=details)


def site_gain(shifts: Shifts, is_native: Bool, rows: np.ndarray) -> F32:
    """Return the log likelihood gained by shifted natives, comparable between neighbours.

    Precisions are without each position's own noise factor, so that neighbours, which share
    samples, are held against the same null.
    """
    gain = mixture_gain(shifts.value[rows], shifts.plain_precision[rows], is_native, STARTS)
    return np.asarray(gain, np.float32)


STARTS = Starts()


def shift_mean(posterior: F32) -> F32:
    """Return the mean of a posterior over the grid's shifts, shape ``(n,)``."""
    return (posterior @ np.asarray(GRID.shifts, np.float32)).astype(np.float32)


def share_mean(posterior: F32) -> F32:
    """Return the mean of a posterior over the grid's shares, shape ``(n,)``."""
    return (posterior @ np.asarray(GRID.shares, np.float32)).astype(np.float32)


def share_interval(posterior: F32, level: float = 0.95) -> tuple[F32, F32]:
    """Return the central interval of a posterior over the grid's shares.

    Each grid share stands for the shares nearer to it than to its neighbours; within such a
    cell the mass is spread evenly. A posterior that leans on 0 or 1 (its density there is above
    a flat one's) has the interval up to that end: a central one could never hold it.
    """
    shares = np.asarray(GRID.shares)
    edges = np.concatenate([[0.0], (shares[1:] + shares[:-1]) / 2, [1.0]])
    cumulative = np.concatenate([np.zeros((len(posterior), 1)), np.cumsum(posterior, axis=1)], 1)
    total = cumulative[:, -1:]
    cumulative /= total
    # the share 0 has no prior: the first cell with mass is the second
    bottom = posterior[:, 1] / total[:, 0] / edges[2]
    top = posterior[:, -1] / total[:, 0] / (1 - edges[-2])
    to_top, to_bottom = (top > 1) & (top >= bottom), (bottom > 1) & (bottom > top)
    tail = 1 - level
    low = _quantile(cumulative, edges, np.where(to_top, tail, tail / 2))
    high = _quantile(cumulative, edges, 1 - np.where(to_bottom, tail, tail / 2))
    return np.where(to_bottom, np.float32(0), low), np.where(to_top, np.float32(1), high)


def _quantile(cumulative: np.ndarray, edges: np.ndarray, tail: np.ndarray) -> F32:
    cell = np.clip((cumulative < tail[:, None]).sum(axis=1) - 1, 0, len(edges) - 2)
    rows = np.arange(len(cumulative))
    below, above = cumulative[rows, cell], cumulative[rows, cell + 1]
    part = (tail - below) / np.maximum(above - below, 1e-12)
    return np.asarray(edges[cell] + part * (edges[cell + 1] - edges[cell]), np.float32)
