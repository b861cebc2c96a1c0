"""Score the signal of one contig: once as labelled, and under relabelled reads."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from baleen.calling import channels, footprint, mixture, null
from baleen.calling.channels import Frame, Table
from baleen.config import CallingConfig
from baleen.data import F32, I32, Bool, Distances, SignalPileup
from krill.grid import MixtureEvidence

MIN_READS = 4
"""Reads of either label that a position needs to be tested."""


@dataclass(frozen=True)
class SignalScores:
    """Signal evidence on the ``p`` positions of a frame, ``r`` reads.

    Rows that are not ``tested`` hold NaN, as does ``p_mod`` (shape ``(p, r)``) where a read has
    no signal. The other fields are as in ``Evidence``.
    """

    tested: Bool
    n_native: I32
    n_control: I32
    statistic: npt.NDArray[np.float64]
    null_statistic: F32
    null_depth: I32
    share: F32
    share_low: F32
    share_high: F32
    shift_pa: F32
    level_difference: F32
    gain: F32
    p_mod: F32

    @classmethod
    def absent(cls, shape: tuple[int, int]) -> Self:
        """Return what there is without signal."""
        missing = np.full(shape[0], np.nan, np.float32)
        none = np.zeros(shape[0], np.int32)
        return cls(
            tested=np.zeros(shape[0], np.bool_),
            n_native=none,
            n_control=none,
            statistic=np.zeros((0, shape[0])),
            null_statistic=np.zeros((0, 0), np.float32),
            null_depth=np.zeros(0, np.int32),
            share=missing,
            share_low=missing,
            share_high=missing,
            shift_pa=missing,
            level_difference=missing,
            gain=missing,
            p_mod=np.full(shape, np.nan, np.float32),
        )


def score_signal(
    pileup: SignalPileup,
    distances: Distances | None,
    frame: Frame,
    config: CallingConfig,
    rng: np.random.Generator,
) -> SignalScores:
    """Return the signal evidence of one contig.

    Under a relabelling everything is run again, the control-based null included: only then do
    the null statistics have the distribution of the observed one where nothing is modified.
    """
    level = channels.level(pileup, frame)
    kmer = channels.kmer_codes(pileup.sequence, frame)
    is_native = pileup.reads.is_native
    shifts, difference = _shifts(level, is_native, kmer)
    rows, _ = _tested_rows(shifts, is_native)
    observed = mixture.site_evidence(shifts, is_native, rows, details=True)
    gain = mixture.site_gain(shifts, is_native, rows)
    nulls = [_relabelled(level, rng.permutation(is_native), kmer) for _ in range(config.permutations)]
    return _assemble(shifts, difference, rows, (observed, gain), is_native, nulls)


def _shifts(level: Table, is_native: Bool, kmer: npt.NDArray[np.int64]) -> tuple[footprint.Shifts, F32]:
    """Return the shift of every read and the plain level difference of every position."""
    standard = null.standardise(level, ~is_native, kmer)
    shifts = footprint.filter_shifts(standard, ~is_native, footprint.DEFAULT)
    return shifts, _difference(standard, is_native)


def _difference(standard: null.Standardised, is_native: Bool) -> F32:
    """Mean native minus mean control, in control standard deviations."""
    means = []
    for group in (is_native, ~is_native):
        weight = standard.weight[:, group]
        total = (standard.z[:, group] * weight).sum(axis=1)
        means.append(total / np.maximum(weight.sum(axis=1), np.float32(1e-6)))
    return np.asarray(means[0] - means[1], np.float32)


def _tested_rows(shifts: footprint.Shifts, is_native: Bool) -> tuple[npt.NDArray[np.int64], I32]:
    """Return the rows with enough reads, and the smaller number of reads of each."""
    present = shifts.precision > 0
    n_native, n_control = present[:, is_native].sum(axis=1), present[:, ~is_native].sum(axis=1)
    smaller = np.minimum(n_native, n_control)
    rows = np.flatnonzero(smaller >= MIN_READS)
    return rows, smaller[rows].astype(np.int32)


def _relabelled(
    level: Table, is_native: Bool, kmer: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], I32]:
    """Return statistic and depth of the tested rows, with these labels."""
    shifts, _ = _shifts(level, is_native, kmer)
    rows, depth = _tested_rows(shifts, is_native)
    return mixture.site_evidence(shifts, is_native, rows).log_ratio, depth


def _assemble(
    shifts: footprint.Shifts,
    difference: F32,
    rows: npt.NDArray[np.int64],
    scores: tuple[MixtureEvidence, F32],
    is_native: Bool,
    nulls: list[tuple[npt.NDArray[np.float64], I32]],
) -> SignalScores:
    observed, gain = scores
    p = len(shifts.value)
    present = shifts.precision > 0
    tested = np.zeros(p, np.bool_)
    tested[rows] = True
    low, high = mixture.share_interval(observed.share_tempered)
    members = np.full(shifts.value.shape, np.nan, np.float32)
    members[rows] = np.where(present[rows], observed.members, np.nan)

    def spread(values: npt.NDArray[np.floating]) -> F32:
        out = np.full(p, np.nan, np.float32)
        out[rows] = values
        return out

    statistic = np.full((1, p), np.nan)
    statistic[0, rows] = observed.log_ratio
    return SignalScores(
        tested=tested,
        n_native=present[:, is_native].sum(axis=1).astype(np.int32),
        n_control=present[:, ~is_native].sum(axis=1).astype(np.int32),
        statistic=statistic,
        null_statistic=np.concatenate([n[0] for n in nulls]).astype(np.float32)[None],
        null_depth=np.concatenate([n[1] for n in nulls]).astype(np.int32),
        share=spread(mixture.share_mean(observed.share)),
        share_low=spread(low),
        share_high=spread(high),
        shift_pa=spread(observed.shift @ np.asarray(mixture.GRID.shifts, np.float32)),
        level_difference=spread(difference[rows]),
        gain=spread(gain),
        p_mod=members,
    )
