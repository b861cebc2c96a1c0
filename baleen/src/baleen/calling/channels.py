"""What is measured per read: tables of one value and one weight per position and read."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from baleen.data import F32, I32, I64, U8, Bool, Distances, SignalPileup, check

FULL_DWELL_SAMPLES = 12
"""Levels of shorter events are noisy and weigh ``dwell / FULL_DWELL_SAMPLES``. They are not
dropped: squeezed events are the modified ones more often than not. Nor does the placement's
confidence mask anything, for the same reason: modified bases fit the pore model less well."""


BASE_WEIGHT, WINDOW_WEIGHT = 0.5, 0.3
"""Weights of the time-warping coordinates beside the level: of the tested base, of the window."""

SCORE_WEIGHT = 0.5
"""Weight of a scorer's values beside the level."""

MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Frame:
    """The rows that all tables of a contig share: consecutive positions.

    Parameters
    ----------
    first_position
        Reference index of row 0.
    n_positions
        Number of rows.
    """

    first_position: int
    n_positions: int

    @classmethod
    def around(cls, *positions: I32) -> Self:
        """Return the frame that holds all the given positions."""
        covered = [p for p in positions if len(p)]
        if not covered:
            return cls(0, 0)
        first = min(int(p.min()) for p in covered)
        return cls(first, max(int(p.max()) for p in covered) - first + 1)

    @property
    def position(self) -> I32:
        """Reference index of every row, int32."""
        return (self.first_position + np.arange(self.n_positions)).astype(np.int32)


@dataclass(frozen=True)
class Table:
    """Values of one channel, ``p`` positions of a frame, ``r`` reads.

    Parameters
    ----------
    value
        float32, shape ``(p, r)``; 0 where absent.
    weight
        float32 in [0, 1], shape ``(p, r)``; 0 = absent.
    """

    value: F32
    weight: F32

    def __post_init__(self) -> None:
        check("value", self.value, np.float32, self.weight.shape)
        check("weight", self.weight, np.float32, self.value.shape)


def level(pileup: SignalPileup, frame: Frame) -> Table:
    """Return the mean current of the tested base, picoampere."""
    return _tabulate(pileup, pileup.level_pa, frame)


def level_and_score(pileup: SignalPileup, scores: F32, frame: Frame) -> tuple[Table, Table]:
    """Return the level joined by a scorer's values, and these alone, in units of their spread.

    As with `level_and_shape` no label enters; weights are the level's where the scorer says
    something.
    """
    reference, table = level(pileup, frame), _tabulate(pileup, scores, frame)
    both = table.weight * reference.weight
    covariance = _centred(table.value, both) * _centred(reference.value, both) * both
    sign = np.where(covariance.sum(axis=1, keepdims=True) < 0, np.float32(-1), np.float32(1))
    joined = _unit(reference) + np.float32(SCORE_WEIGHT) * sign * _unit(table)
    return Table(joined, reference.weight), Table(_unit(table), table.weight)


def level_and_dwell(pileup: SignalPileup, frame: Frame) -> tuple[Table, Table]:
    """Return the level joined by the logarithm of the dwell, and that alone."""
    dwell = np.log(np.maximum(pileup.dwell_samples, 1).astype(np.float32))
    return level_and_score(pileup, dwell, frame)


def level_and_shape(pileup: SignalPileup, distances: Distances, frame: Frame) -> Table:
    """Return the level joined by the signed coordinates of time-warping distances.

    Each is brought to unit robust spread at every position, over all reads, and the coordinates
    are turned to rise with the level: no label enters.
    """
    reference = level(pileup, frame)
    value = _unit(reference)
    parts = ((BASE_WEIGHT, distances.base_coordinate), (WINDOW_WEIGHT, distances.window_coordinate))
    for weight, coordinate in parts:
        table = _tabulate(pileup, coordinate, frame)
        both = table.weight * reference.weight
        covariance = _centred(table.value, both) * _centred(reference.value, both) * both
        sign = np.where(covariance.sum(axis=1, keepdims=True) < 0, np.float32(-1), np.float32(1))
        value = value + np.float32(weight) * sign * _unit(table)
    return Table(value, reference.weight)


def _unit(table: Table) -> F32:
    """Return values with median 0 and robust standard deviation 1 in every row, clipped at 6."""
    present = table.weight > 0
    deviation = table.value - masked_median(table.value, present)[:, None]
    spread = masked_median(np.abs(deviation), present)[:, None] * np.float32(MAD_TO_SD)
    scaled = np.divide(deviation, spread, out=np.zeros_like(deviation), where=spread > 0)
    return np.where(present, np.clip(scaled, -6, 6), 0).astype(np.float32)


def masked_median(values: F32, present: Bool) -> F32:
    """Return the median of the present values of every row, 0 for a row without any."""
    if values.shape[1] == 0:
        return np.zeros(len(values), np.float32)
    ordered = np.sort(np.where(present, values, np.inf), axis=1)
    n = present.sum(axis=1)
    rows = np.arange(len(values))
    low = ordered[rows, np.maximum((n - 1) // 2, 0)]
    high = ordered[rows, np.minimum(n // 2, values.shape[1] - 1)]
    with np.errstate(invalid="ignore"):
        middle = (low + high) / 2
    return np.where(n > 0, middle, 0).astype(np.float32)


def _centred(value: F32, weight: F32) -> F32:
    total = np.maximum(weight.sum(axis=1, keepdims=True), np.float32(1e-6))
    mean: F32 = (value * weight).sum(axis=1, keepdims=True) / total
    return value - mean


def _tabulate(pileup: SignalPileup, values: F32, frame: Frame) -> Table:
    row = np.repeat(pileup.position - frame.first_position, np.diff(pileup.window_offsets))
    shape = (frame.n_positions, len(pileup.reads))
    value, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    trust = np.minimum(np.float32(1), pileup.dwell_samples / np.float32(FULL_DWELL_SAMPLES))
    usable = np.isfinite(values) & (trust > 0)
    value[row[usable], pileup.read[usable]] = values[usable]
    weight[row[usable], pileup.read[usable]] = trust[usable]
    return Table(value, weight)


def kmer_codes(sequence: U8, frame: Frame, size: int = 5) -> I64:
    """Return the code of the k-mer centred on each position, -1 at ends and ambiguous bases."""
    digit = np.full(256, -1, np.int64)
    for code, bases in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
        digit[list(bases)] = code
    half = size // 2
    padded = np.concatenate([np.full(half, -1), digit[sequence], np.full(half, -1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)
    codes = windows @ (4 ** np.arange(size - 1, -1, -1))
    codes[(windows < 0).any(axis=1)] = -1
    return codes[frame.position].astype(np.int64)
