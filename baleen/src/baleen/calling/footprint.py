"""A modified base shifts several k-mers: one number of known precision per read and position."""

from dataclasses import dataclass

from baleen.calling.null import Standardised
from baleen.data import F32, Bool
from krill import tables

OFFSETS = (-2, -1, 0, 1, 2)
"""Position of a level minus position of the modified base."""

DEFAULT = (0.15, 0.4, 0.8, 1.0, 0.2)
"""Share of the largest shift at each offset: what a modification does to the pore's k-mers."""

MIN_PRECISION = 0.35
"""A read is left out where it keeps less than this share of the full footprint's precision."""

PRIOR_READS = 50.0
"""Reads that the contig's noise is worth beside the position's own controls."""


@dataclass(frozen=True)
class Shifts:
    """The shift of each read, if it were modified at each position.

    Parameters
    ----------
    value
        Unit of the channel at the footprint's peak, float32, shape ``(p, r)``; 0 where absent.
    precision
        1 / variance, float32, shape ``(p, r)``; 0 = absent.
    plain_precision
        The same before correction by each position's own noise, so that neighbours compare.
    """

    value: F32
    precision: F32
    plain_precision: F32


def settings(shares: tuple[float, ...]) -> tables.Footprint:
    """Return a footprint of these shares as the engine takes it."""
    return tables.Footprint(shares=shares, least_precision=MIN_PRECISION, prior=PRIOR_READS)


def filter_shifts(data: Standardised, is_control: Bool, footprint: tuple[float, ...]) -> Shifts:
    """Match the footprint to every read at every position: `krill.tables.match_footprint`."""
    return Shifts(*tables.match_footprint(data.z, data.weight, data.spread, is_control, settings(footprint)))


def control_center(shifts: Shifts, is_control: Bool) -> tuple[F32, F32]:
    """Return mean and standard error of the control shifts, one robust step at 2 deviations."""
    return tables.control_center(shifts.value, shifts.precision, is_control)
