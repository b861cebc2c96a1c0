"""Controls against controls: what a run calls where nothing can be modified."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from baleen.calling.counts import Axis
from baleen.data import F32, I32, I64, Bool

N_SPLITS = 2
"""Times that the controls of a contig are split in two."""

MAX_VALUES = 4000
"""Positions of a contig that are tested, over all splits; long contigs test a random part."""

MIN_READS = 2
"""Reads that either group needs."""

LOG_P = Axis(low=0.0, step=0.05, n_bins=14_002)
"""How finely -ln p is counted."""

LEAST_P = 1e-300
"""Smaller p-values are taken as this, so that their logarithm is a number."""


@dataclass(frozen=True)
class Split:
    """Controls dealt to two groups: half as many as there are natives, and half of the controls.

    Parameters
    ----------
    reads
        Those that were dealt, rising, int64, shape ``(k,)``.
    is_first
        Those that are taken for natives, bool, shape ``(k,)``.
    rows
        Rows of the frame to test, rising, int64, shape ``(m,)``.
    """

    reads: I64
    is_first: Bool
    rows: I64


@dataclass(frozen=True)
class SplitScores:
    """What the splits of a contig score, ``m`` tests, ``c`` signal statistics.

    Parameters
    ----------
    position, depth
        Reference index; reads of the smaller group there; int32, shape ``(m,)``.
    statistic
        As in ``Evidence``, of each candidate, float32, shape ``(c, m)``; NaN = not tested.
    error_z
        Normal score of the error test, float32, shape ``(m,)``; NaN = not tested.
    """

    position: I32
    depth: I32
    statistic: F32
    error_z: F32

    @classmethod
    def untested(cls, position: I32, n_candidates: int) -> Self:
        """Return what there is before anything was scored."""
        m = len(position)
        missing = np.full((n_candidates, m), np.nan, np.float32)
        return cls(position, np.zeros(m, np.int32), missing, np.full(m, np.nan, np.float32))

    @classmethod
    def joined(cls, parts: Sequence["SplitScores"]) -> Self:
        """Put tests one after the other."""
        return cls(
            np.concatenate([one.position for one in parts]),
            np.concatenate([one.depth for one in parts]),
            np.concatenate([one.statistic for one in parts], axis=1),
            np.concatenate([one.error_z for one in parts]),
        )


class Dealt(NamedTuple):
    """What chance decides of a contig: generators of the relabellings, and the controls' splits.

    ``thinned`` is of a relabelling of half the reads: the null of the splits' depth.
    """

    relabellings: tuple[np.random.Generator, ...]
    thinned: np.random.Generator
    splits: tuple[Split, ...]


def split_controls(is_native: Bool, n_positions: int, rng: np.random.Generator) -> tuple[Split, ...]:
    """Deal the controls of a contig; nothing where there are too few."""
    controls = np.flatnonzero(~is_native)
    second = len(controls) // 2
    first = min(second, int(is_native.sum()) // 2)
    if first < MIN_READS:
        return ()
    n_rows = min(n_positions, MAX_VALUES // N_SPLITS)
    return tuple(_split(controls, (first, second), n_positions, n_rows, one) for one in rng.spawn(N_SPLITS))


def _split(
    controls: I64, sizes: tuple[int, int], n_positions: int, n_rows: int, rng: np.random.Generator
) -> Split:
    first, second = sizes
    dealt = rng.permutation(controls)[: first + second]
    reads = np.sort(dealt)
    return Split(
        reads, np.isin(reads, dealt[:first]), np.sort(rng.choice(n_positions, n_rows, replace=False))
    )


def count_p_values(p: npt.NDArray[np.float64]) -> I64:
    """Return how many p-values lie in each bin of `LOG_P`; NaN (not tested) does not count."""
    known = np.maximum(p[~np.isnan(p)], LEAST_P)
    return np.bincount(LOG_P.index(-np.log(known)), minlength=LOG_P.n_bins)


def total_counts(parts: Iterable[I64]) -> I64:
    """Add counts of p-values up, one after the other."""
    total = np.zeros(LOG_P.n_bins, np.int64)
    for part in parts:
        total += part
    return total


@dataclass(frozen=True)
class EmpiricalRate:
    """The false discovery rate of a run as its split controls show it, by the size of p.

    Parameters
    ----------
    rate
        Of p-values in each bin of `LOG_P` or smaller ones, float64, shape ``(n_bins,)``; NaN where
        no controls were split.
    """

    rate: npt.NDArray[np.float64]

    @classmethod
    def of(cls, observed: I64, split: I64) -> Self:
        """Hold the p-values of a run against those of its split controls.

        Notes
        -----
        Up to a p-value, the share of the splits' tests (one more is reckoned with: what was not
        seen is not impossible) over the share of the run's; as a q-value it is the least rate of
        all larger p-values (Storey and Tibshirani 2003), with the share of nulls taken as 1.
        """
        n_split, n_observed = int(split.sum()), int(observed.sum())
        if n_split == 0 or n_observed == 0:
            return cls(np.full(LOG_P.n_bins, np.nan))
        expected = (1 + _at_least(split)) / (1 + n_split)
        seen = np.maximum(_at_least(observed), 1) / n_observed
        return cls(np.minimum(np.minimum.accumulate(expected / seen), 1))

    def __call__(self, p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the q-value of each p-value; NaN stays NaN."""
        known = np.maximum(np.where(np.isnan(p), 1.0, p), LEAST_P)
        return np.where(np.isnan(p), np.nan, self.rate[LOG_P.index(-np.log(known))])


def _at_least(counts: I64) -> I64:
    """Return how many values lie in each bin or above it."""
    return np.cumsum(counts[::-1])[::-1]
