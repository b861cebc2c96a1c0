"""The error channel: basecall errors of native reads against those of controls."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from baleen.calling.channels import Frame
from baleen.data import F32, U8, Bool, ErrorPileup, check

NEIGHBOUR_WEIGHT = np.float32(0.25)
"""Weight of an error next to the base beside one at the base."""

MIN_READS = 3
"""Reads of either label below which the test says nothing."""

ABSENT = 255
"""Error code where a read does not cover a position."""


@dataclass(frozen=True)
class ErrorTable:
    """Errors of ``p`` positions of a frame, ``r`` reads.

    Parameters
    ----------
    errors
        Bits MISMATCH, DELETION, INSERTION, or ABSENT, uint8, shape ``(p, r)``.
    quality
        Phred of the called base, 255 = none, uint8, shape ``(p, r)``.
    """

    errors: U8
    quality: U8

    def __post_init__(self) -> None:
        check("errors", self.errors, np.uint8, self.quality.shape)

    @property
    def covered(self) -> Bool:
        """Whether a read covers a position."""
        return np.asarray(self.errors != ABSENT)


def tabulate(pileup: ErrorPileup, frame: Frame) -> ErrorTable:
    """Lay the errors of a contig out by position and read."""
    shape = (frame.n_positions, len(pileup.reads))
    errors, quality = np.full(shape, ABSENT, np.uint8), np.full(shape, 255, np.uint8)
    row = pileup.position - frame.first_position
    errors[row, pileup.read] = pileup.errors
    quality[row, pileup.read] = pileup.quality
    return ErrorTable(errors, quality)


@dataclass(frozen=True)
class ErrorTest:
    """The site test: normal score (NaN = not tested) and error shares, shape ``(p,)`` each."""

    z: F32
    native: F32
    control: F32


def error_scores(table: ErrorTable) -> F32:
    """Return what each read scores at each position, shape ``(p, r)``; 0 where it is absent.

    ``x = e + (e_before + e_after) / 4`` with ``e`` = any error at a base.
    """
    e = (table.covered & (table.errors > 0)).astype(np.float32)
    x = e.copy()
    x[1:] += NEIGHBOUR_WEIGHT * e[:-1]
    x[:-1] += NEIGHBOUR_WEIGHT * e[1:]
    return np.where(table.covered, x, np.float32(0))


def error_test(table: ErrorTable, is_native: Bool) -> ErrorTest:
    """Test every position by the permutation distribution of the native reads' errors.

    Notes
    -----
    A read scores as in `error_scores`. The sum over native reads has known mean, variance and
    skewness over relabellings of the reads; its tail is that of the Pearson III distribution with
    these moments. One read is one number, so reads with many errors do no harm, and nothing is
    trained, so nothing needs folds.
    """
    covered = table.covered
    e = (covered & (table.errors > 0)).astype(np.float32)
    x = error_scores(table)
    n_native = covered[:, is_native].sum(axis=1).astype(np.float64)
    n = covered.sum(axis=1).astype(np.float64)
    n_control = n - n_native
    mean = x.sum(axis=1) / np.maximum(n, 1)
    deviation = np.where(covered, x - mean[:, None], 0)
    z = _score(deviation, is_native, n_native, n_control)
    tested = (n_native >= MIN_READS) & (n_control >= MIN_READS)
    native = e[:, is_native].sum(axis=1) / np.maximum(n_native, 1)
    control = e[:, ~is_native].sum(axis=1) / np.maximum(n_control, 1)
    return ErrorTest(
        np.where(tested, z, np.nan).astype(np.float32),
        native.astype(np.float32),
        control.astype(np.float32),
    )


def _score(deviation: np.ndarray, is_native: Bool, n_native: np.ndarray, n_control: np.ndarray) -> np.ndarray:
    sums = deviation[:, is_native].sum(axis=1), (deviation**2).sum(axis=1), (deviation**3).sum(axis=1)
    return permutation_score(sums, n_native, n_control)


def permutation_score(
    sums: tuple[np.ndarray, np.ndarray, np.ndarray], n_first: np.ndarray, n_second: np.ndarray
) -> np.ndarray:
    """Return the normal score of a sum over the reads of one label, NaN where all reads are alike.

    Parameters
    ----------
    sums
        Of deviations from the mean of both labels: over the first label's reads; of their squares
        and of their cubes over all reads; shape ``(p,)`` each.
    n_first, n_second
        Reads of either label, shape ``(p,)``.
    """
    total, square, cube = sums
    n = n_first + n_second
    both = n_first * n_second
    variance = both * square / np.maximum(n * (n - 1), 1)
    alike = variance <= 1e-9
    variance = np.where(alike, 1, variance)
    z = total / np.sqrt(variance)
    third = both * (n_second - n_first) * cube / np.maximum(n * (n - 1) * (n - 2), 1)
    return np.where(alike, np.nan, normal_score(z, third / variance**1.5))


def normal_score(z: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """Turn standardised sums with a Pearson III distribution into normal scores."""
    flat = np.abs(skewness) < 1e-3
    shape = 4 / np.where(flat, 1, skewness) ** 2
    mirrored = np.sign(np.where(flat, 1, skewness)) * z
    x = np.maximum(shape + mirrored * np.sqrt(shape), 0)
    above, below = special.gammaincc(shape, x), special.gammainc(shape, x)
    # of either tail the smaller one, which keeps its digits
    score = np.where(above < below, -special.ndtri(above), special.ndtri(below))
    score = np.clip(score, -38, 38) * np.sign(np.where(flat, 1, skewness))
    return np.where(flat, z, score)
