"""Score the signal of one contig: once as labelled, and under relabelled reads."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from baleen.calling import channels, footprint, mixture, neighbours, null
from baleen.calling.channels import Frame, Table
from baleen.calling.replicates import SampleMeans, shift_means
from baleen.calling.splits import Dealt, Split
from baleen.config import CallingConfig
from baleen.crew import Each
from baleen.data import F32, I32, I64, Bool, Distances, SignalPileup
from krill.labelled import Labelling, Method, Scores, labelled_scores

MAX_NULL_VALUES = 4000
"""Null values of a contig: relabellings of long contigs score a random part of the positions."""

MIN_READS = 2
"""Reads of either label that a position needs to be tested: a k-mer's other positions know its
spread, and the null of shallow positions is their own."""


@dataclass(frozen=True)
class SignalScores:
    """Signal evidence on the ``p`` positions of a frame, ``r`` reads.

    Rows that are not ``tested`` hold NaN, as does ``p_mod`` (shape ``(p, r)``) where a read has
    no signal. ``samples`` has an entry per statistic, ``splits`` one per split of the controls:
    statistics and smaller depths of its rows. The other fields are as in ``Evidence``.
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
    own_statistic: F32
    gain: F32
    p_mod: F32
    samples: tuple[SampleMeans, ...] = ()
    candidates: tuple[str, ...] = ()
    splits: tuple[tuple[F32, I32], ...] = ()

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
            own_statistic=missing,
            gain=np.full((shape[0], len(neighbours.PLACES)), np.nan, np.float32),
            p_mod=np.full(shape, np.nan, np.float32),
        )


def score_signal(
    pileup: SignalPileup,
    distances: Distances | None,
    frame: Frame,
    config: CallingConfig,
    dealt: Dealt,
    each: Each = map,
) -> SignalScores:
    """Return the signal evidence of one contig.

    Under a relabelling everything is run again, the control-based null included: only then do
    the null statistics have the distribution of the observed one where nothing is modified.
    """
    kmer = channels.kmer_codes(pileup.sequence, frame)
    tables = [channels.level(pileup, frame)]
    names = ["level"]
    if distances is not None and "shape" in config.channels:
        tables.append(channels.level_and_shape(pileup, distances, frame))
        names.append("level+shape")
    if "dwell" in config.channels:
        tables += channels.level_and_dwell(pileup, frame)
        names += ["level+dwell", "dwell"]
    for name, values in pileup.scores.items():
        if name in config.channels:
            tables += channels.level_and_score(pileup, values, frame)
            names += [f"level+{name}", name]
    is_native = pileup.reads.is_native
    placed: Bool = np.asarray((tables[0].weight > 0).any(axis=0))
    deal = partial(_relabelling, is_native, placed, frame, MAX_NULL_VALUES // config.permutations)
    everyone = np.arange(len(is_native))
    nulls = [deal(everyone, rng) for rng in dealt.relabellings]
    nulls.append(deal(_thinned(is_native, dealt.thinned), dealt.thinned))
    splits = [Labelling(split.reads, split.is_first, split.rows, len(split.rows)) for split in dealt.splits]
    under_labels = _under_labels(tables, kmer, [*nulls, *splits], each)
    level, *others = (null.standardise(table, ~is_native, kmer) for table in tables)
    shifts = _shifts(level, level, is_native)
    rows, _ = _tested_rows(shifts, is_native)
    observed = mixture.site_evidence(shifts, is_native, rows, details=True)
    gain = mixture.site_gain(shifts, is_native, rows)
    further = [_shifts(one, level, is_native) for one in others]
    statistic = np.stack([observed.log_ratio, *(_statistic(one, is_native, rows) for one in further)])
    samples = tuple(shift_means(one.value, one.precision, pileup.reads) for one in (shifts, *further))
    untangled = neighbours.untangle(
        level, shifts, footprint.DEFAULT, is_native, neighbours.Scored(rows, observed, gain)
    )
    counts = _counts(shifts, tables[0], is_native)
    relabelled = list(under_labels)
    scores = _Scores(rows, untangled, statistic, relabelled[: len(nulls)], samples, counts)
    signal = _assemble(shifts, _difference(level, is_native), is_native, scores)
    split_values = map(_split_values, dealt.splits, relabelled[len(nulls) :])
    return replace(signal, candidates=tuple(names), splits=tuple(split_values))


class _Scores(NamedTuple):
    """What was computed of the tested rows; what each relabelling gave; reads per label."""

    rows: npt.NDArray[np.int64]
    observed: neighbours.Untangled
    statistic: npt.NDArray[np.float64]
    nulls: list[Scores]
    samples: tuple[SampleMeans, ...]
    counts: tuple[I32, I32]


def _counts(shifts: footprint.Shifts, level: Table, is_native: Bool) -> tuple[I32, I32]:
    """Return how many natives and controls have a shift; by their levels where no read has one."""
    present = shifts.precision > 0
    present = np.where(present.any(axis=1, keepdims=True), present, level.weight > 0)
    return tuple(present[:, label].sum(axis=1).astype(np.int32) for label in (is_native, ~is_native))


def _shifts(one: null.Standardised, level: null.Standardised, is_native: Bool) -> footprint.Shifts:
    """Match the footprint; whatever joined the level is counted in the level's picoampere."""
    return footprint.filter_shifts(replace(one, spread=level.spread), ~is_native, footprint.DEFAULT)


def _statistic(
    shifts: footprint.Shifts, is_native: Bool, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    return mixture.site_evidence(shifts, is_native, rows).log_ratio


METHOD = Method(
    moderation=null.MODERATION,
    trend=null.TREND,
    footprint=footprint.settings(footprint.DEFAULT),
    grid=mixture.GRID,
    least_controls=null.MIN_CONTROLS,
    least_reads=MIN_READS,
)

PORTION_CELLS = 200_000
"""Positions times reads of all labellings that are scored as one piece of work: a tenth of a second."""


def _under_labels(
    tables: list[Table], kmer: I64, labellings: list[Labelling], each: Each
) -> Iterator[Scores]:
    """Run everything again under each labelling, the control-based null included."""
    arrays = [(table.value, table.weight) for table in tables]
    at_once = max(1, PORTION_CELLS // max(1, tables[0].value.size * len(tables)))
    portions = [labellings[i : i + at_once] for i in range(0, len(labellings), at_once)]

    def score(portion: list[Labelling]) -> list[Scores]:
        return labelled_scores(arrays, kmer, portion, METHOD)

    return chain.from_iterable(each(score, portions))


def _relabelling(
    is_native: Bool, placed: Bool, frame: Frame, most: int, reads: I64, rng: np.random.Generator
) -> Labelling:
    """Deal the labels of some reads anew; of more positions than ``most``, a random part is scored."""
    # reads without a level take no part: dealt labels, they would unbalance the others
    labels, takes_part = is_native[reads], placed[reads]
    labels[takes_part] = rng.permutation(labels[takes_part])
    n = frame.n_positions
    return Labelling(reads, labels, rng.permutation(n) if n > most else np.arange(n), most)


def _thinned(is_native: Bool, rng: np.random.Generator) -> I64:
    """Return a random half of the reads of either label."""
    half = [rng.permutation(np.flatnonzero(label))[: label.sum() // 2] for label in (is_native, ~is_native)]
    return np.sort(np.concatenate(half))


def _split_values(split: Split, scores: Scores) -> tuple[F32, I32]:
    """Return statistics and smaller depths of a split's rows; NaN where either half has too few reads."""
    found = np.searchsorted(split.rows, scores.rows)
    depth = np.zeros(len(split.rows), np.int32)
    depth[found] = scores.depth
    statistics = np.full((len(scores.log_ratio), len(split.rows)), np.nan, np.float32)
    statistics[:, found] = scores.log_ratio
    return statistics, depth


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


def _assemble(shifts: footprint.Shifts, difference: F32, is_native: Bool, scores: _Scores) -> SignalScores:
    rows, observed = scores.rows, scores.observed.evidence
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

    statistic = np.full((len(scores.statistic), p), np.nan)
    statistic[:, rows] = scores.statistic
    return SignalScores(
        tested=tested,
        n_native=scores.counts[0],
        n_control=scores.counts[1],
        statistic=statistic,
        null_statistic=np.concatenate([one.log_ratio for one in scores.nulls], axis=1).astype(np.float32),
        null_depth=np.concatenate([one.depth for one in scores.nulls]),
        share=spread(mixture.share_mean(observed.share)),
        share_low=spread(low),
        share_high=spread(high),
        shift_pa=spread(mixture.shift_mean(observed.shift)),
        level_difference=spread(difference[rows]),
        own_statistic=spread(scores.observed.own),
        gain=scores.observed.gain,
        p_mod=members,
        samples=scores.samples,
    )
