"""What the control looks like: center and spread of every position, shrunken to its like."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baleen.calling.channels import MAD_TO_SD, Table, masked_median
from baleen.data import F32, Bool

PRIOR_READS = 10.0
"""Reads that the variance of a position's like is worth beside the position's own controls."""

PRIOR_KMER_READS = 15.0
"""Reads that the contig's variance is worth beside the other positions of the same k-mer."""

TREND_REACH, TREND_GAP, TREND_PRIOR = 40, 10, 8.0
"""The local trend of a read is taken over positions up to REACH away, farther than GAP."""

TREND_CUT, TREND_SLOPE = 3.0, 0.515
"""Tukey's biweight: what deviates more than the cut is no trend but a modification elsewhere, and
must not be taken off here. The slope is the mean response to a small trend of N(0, 1) values."""

CLIP = 4.0
"""Standardised values are clipped here: the tails of squeezed events carry nothing."""


@dataclass(frozen=True)
class Standardised:
    """Deviations from the control in units of its spread.

    Parameters
    ----------
    z
        float32, shape ``(p, r)``; 0 where absent.
    weight
        float32, shape ``(p, r)``; 0 = absent.
    spread
        Standard deviation of the control, shrunken, float32, shape ``(p,)``.
    """

    z: F32
    weight: F32
    spread: F32


def standardise(table: Table, is_control: Bool, kmer: npt.NDArray[np.int64]) -> Standardised:
    """Return control-centred, variance-moderated values without the reads' local trends.

    Parameters
    ----------
    table
        Values of one channel.
    is_control
        Reads that define the null, shape ``(r,)``; under relabelling, those dealt the label.
    kmer
        Code of each position's k-mer, -1 = unknown, shape ``(p,)``.

    Notes
    -----
    Center: median of the controls. Variance: mean of squares clipped at 3 robust standard
    deviations, shrunken to the positions of the same k-mer, those to the contig's median.
    """
    control = table.weight[:, is_control] > 0
    values = table.value[:, is_control]
    n = control.sum(axis=1)
    center = masked_median(values, control)
    deviation = np.abs(values - center[:, None])
    robust = np.float32(MAD_TO_SD) * masked_median(deviation, control)
    clipped = np.minimum(deviation, 3 * robust[:, None])
    variance = (clipped**2 * control).sum(axis=1) / np.maximum(n, 1)
    spread = np.sqrt(_shrink(variance, robust, n, kmer))
    present = table.weight > 0
    z = np.where(present, (table.value - center[:, None]) / spread[:, None], 0)
    z = np.where(present, z - _trend(z, present), 0)
    z = np.clip(z, -CLIP, CLIP).astype(np.float32)
    mean = (z[:, is_control] * control).sum(axis=1) / np.maximum(n, 1)
    z = np.where(present, z - mean[:, None].astype(np.float32), 0)
    return Standardised(z.astype(np.float32), table.weight, spread.astype(np.float32))


def _shrink(variance: F32, robust: F32, n: np.ndarray, kmer: np.ndarray) -> np.ndarray:
    """Shrink each position's variance to its k-mer's, and that to the contig's."""
    usable = (n >= 2) & (robust > 0)
    typical = robust[usable] ** 2 * n[usable] / (n[usable] - 1)
    contig = float(np.median(typical)) if usable.any() else 1.0
    freedom = np.maximum(n - 1, 0).astype(np.float64)
    known = (kmer >= 0) & (n >= 2)
    size = int(kmer.max(initial=-1)) + 1
    sums = np.bincount(kmer[known], (freedom * variance)[known], minlength=size)
    counts = np.bincount(kmer[known], freedom[known], minlength=size)
    index = np.where(known, kmer, 0)
    if size:
        other = np.where(known, sums[index] - freedom * variance, 0)
        other_n = np.where(known, counts[index] - freedom, 0)
    else:
        other = other_n = np.zeros(len(n))
    like = (other + PRIOR_KMER_READS * contig) / (other_n + PRIOR_KMER_READS)
    shrunken = (freedom * variance + PRIOR_READS * like) / (freedom + PRIOR_READS)
    floor = 1e-6 * max(contig, 1e-6)
    return np.asarray(np.maximum(shrunken, floor))


def _trend(z: np.ndarray, present: Bool) -> F32:
    """Return how far each read lies off around each position, without the position's own signal."""
    inner = np.maximum(1 - (z / TREND_CUT) ** 2, 0)
    counted = np.where(present, z * inner**2 / TREND_SLOPE, 0).astype(np.float32)
    total = _around(counted, TREND_REACH) - _around(counted, TREND_GAP)
    count = _around(present.astype(np.float32), TREND_REACH)
    count -= _around(present.astype(np.float32), TREND_GAP)
    return (total / (count + np.float32(TREND_PRIOR))).astype(np.float32)


def _around(values: F32, reach: int) -> F32:
    """Return sums over the positions up to ``reach`` away, by running sums along the contig."""
    p = len(values)
    running = np.zeros((p + 1, values.shape[1]), np.float64)
    np.cumsum(values, axis=0, out=running[1:])
    rows = np.arange(p)
    upper, lower = np.minimum(rows + reach + 1, p), np.maximum(rows - reach, 0)
    return (running[upper] - running[lower]).astype(np.float32)
