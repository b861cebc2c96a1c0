"""A modified base shifts several k-mers: one number of known precision per read and position."""

from dataclasses import dataclass

import numpy as np

from baleen.calling.null import Standardised
from baleen.data import F32, Bool

OFFSETS = (-2, -1, 0, 1, 2)
"""Position of a level minus position of the modified base."""

DEFAULT = (0.15, 0.4, 0.8, 1.0, 0.2)
"""Share of the largest shift at each offset: what a modification does to the pore's k-mers."""

MIN_PRECISION = 0.35
"""A read is left out where it keeps less than this share of the full footprint's precision."""

SITE_PRIOR_READS = 50.0
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


def filter_shifts(data: Standardised, is_control: Bool, footprint: tuple[float, ...]) -> Shifts:
    """Match the footprint to every read at every position.

    Notes
    -----
    ``u = sum w_j z_j / s_j``, ``h = sum (w_j / s_j)^2``, shift ``u / h`` with precision ``h``;
    each term weighs as its level does. ``h`` is then scaled so that control shifts have unit
    noise, over the contig and, with a prior, at each position: neighbours share noise.
    """
    total, precision, full = _match(data, footprint)
    keep = precision >= np.float32(MIN_PRECISION) * full[:, None]
    keep &= precision > 0
    precision = np.where(keep, precision, 0)
    value = np.divide(total, precision, out=np.zeros_like(total), where=keep)
    plain = precision * np.float32(_contig_scale(value, precision, is_control))
    site = _site_scale(value, plain, is_control)
    return Shifts(value, (plain * site[:, None]).astype(np.float32), plain.astype(np.float32))


def _match(data: Standardised, footprint: tuple[float, ...]) -> tuple[F32, F32, F32]:
    total, precision = np.zeros_like(data.z), np.zeros_like(data.z)
    full = np.zeros(len(data.z), np.float32)
    p = len(data.z)
    for offset, weight in zip(OFFSETS, footprint, strict=True):
        if weight == 0:
            continue
        here = slice(max(0, -offset), min(p, p - offset))
        there = slice(max(0, offset), min(p, p + offset))
        w = (np.float32(weight) / data.spread[there])[:, None]
        total[here] += w * data.weight[there] * data.z[there]
        precision[here] += w**2 * data.weight[there]
        full[here] += w[:, 0] ** 2
    return total, precision, full


def _contig_scale(value: F32, precision: F32, is_control: Bool) -> float:
    """1 / median over positions of the mean squared control shift."""
    squares, count = _control_squares(value, precision, is_control, limit=16)
    usable = count > 0
    noise = float(np.median(squares[usable])) if usable.any() else 1.0
    return 1 / noise if noise > 0 else 1.0


def _site_scale(value: F32, precision: F32, is_control: Bool) -> F32:
    """1 / noise of each position, shrunken to the contig's median."""
    control = precision[:, is_control]
    total = np.maximum(control.sum(axis=1), np.float32(1e-12))
    mean = (value[:, is_control] * control).sum(axis=1) / total
    squares, count = _control_squares(value - mean[:, None], precision, is_control, limit=9)
    usable = count > 0
    median = float(np.median(squares[usable])) if usable.any() else 1.0
    noise = (SITE_PRIOR_READS * median + count * squares) / (SITE_PRIOR_READS + count)
    return np.asarray(1 / np.maximum(noise, 1e-6), np.float32)


def _control_squares(
    value: F32, precision: F32, is_control: Bool, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    control = precision[:, is_control]
    squares = np.minimum(value[:, is_control] ** 2 * control, np.float32(limit))
    count = (control > 0).sum(axis=1)
    return np.where(control > 0, squares, 0).sum(axis=1) / np.maximum(count, 1), count


def control_center(shifts: Shifts, is_control: Bool) -> tuple[F32, F32]:
    """Return mean and standard error of the control shifts, one robust step at 2 deviations."""
    h = shifts.precision[:, is_control]
    y = shifts.value[:, is_control]
    first = (h * y).sum(axis=1) / np.maximum(h.sum(axis=1), np.float32(1e-12))
    u = np.abs(y - first[:, None]) * np.sqrt(h)
    weight = h * np.minimum(np.float32(1), 2 / np.maximum(u, np.float32(1e-6)))
    total = np.maximum(weight.sum(axis=1), np.float32(1e-12))
    center = (weight * y).sum(axis=1) / total
    deviation = np.sqrt(np.float32(1.1) / total)
    has_control = h.sum(axis=1) > 0
    return np.where(has_control, center, 0), np.where(has_control, deviation, 1)
