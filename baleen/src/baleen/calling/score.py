"""Score one contig: the evidence of signal and basecalls, position by position, read by read."""

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from baleen.calling.channels import Frame
from baleen.calling.error_scores import ErrorScores, score_errors
from baleen.calling.evidence import Evidence, kmers, pairs
from baleen.calling.replicates import SampleMeans
from baleen.calling.signal import SignalScores, score_signal
from baleen.calling.splits import Dealt, Split, SplitScores, split_controls
from baleen.config import CallingConfig
from baleen.crew import Each
from baleen.data import F32, Distances, ErrorPileup, SignalPileup
from baleen.errors import UsageError

MOST_CELLS = 1_000_000_000
"""Positions times reads of a contig: 600 reads of a transcript of 1.6 million bases."""


def score_contig(
    pileup: SignalPileup | None,
    distances: Distances | None,
    errors: ErrorPileup | None,
    config: CallingConfig,
    seed: int,
    each: Each = map,
) -> Evidence:
    """Return the evidence of one contig: the same for the same arguments on every machine.

    Parameters
    ----------
    pileup, distances
        Signal windows and their time-warping coordinates; None without signal.
    errors
        Basecall errors, on the same reads; may be None beside signal.
    config
        Channels to use of those given, and number of relabellings.
    seed
        Of the relabellings; the contig's name is mixed in, so that contigs differ.
    each
        Carries out the relabellings.

    Raises
    ------
    ValueError
        If there is neither signal nor errors, or if their reads differ.
    """
    if pileup is not None and not set(config.channels) - {"errors"}:
        pileup = None
    if pileup is not None and "errors" not in config.channels:
        errors = None
    source = pileup if pileup is not None else errors
    if source is None:
        msg = "a contig needs signal or basecall errors to be scored"
        raise ValueError(msg)
    if pileup is not None and errors is not None and pileup.reads.read_ids != errors.reads.read_ids:
        msg = f"{pileup.contig}: signal and basecall errors must have the same reads"
        raise ValueError(msg)
    frame = Frame.around(*(part.position for part in (pileup, errors) if part is not None))
    _check_size(frame, len(source.reads))
    rng = np.random.default_rng([seed, zlib.crc32(source.contig.encode())])
    deals = np.random.default_rng([seed, zlib.crc32(source.contig.encode()), _SPLITS])
    splits = split_controls(source.reads.is_native, frame.n_positions, deals)
    signal = called = None
    if pileup is not None:
        *relabellings, thinned = rng.spawn(config.permutations + 1)
        dealt = Dealt(tuple(relabellings), thinned, splits)
        signal = score_signal(pileup, distances, frame, config, dealt, each)
    if errors is not None:
        called = score_errors(errors, frame, config, splits)
    return _join(source, frame, signal, called, splits)


_SPLITS = 1
"""The stream of random numbers that controls are dealt from."""


def _check_size(frame: Frame, n_reads: int) -> None:
    """Raise ``UsageError`` where tables of positions and reads would not fit into memory."""
    if frame.n_positions * n_reads > MOST_CELLS:
        message = f"{n_reads} reads over {frame.n_positions} positions are more than memory can hold"
        raise UsageError(message, hint="align to transcripts, not to a genome; or lower --subsample-n")


def _join(
    source: SignalPileup | ErrorPileup,
    frame: Frame,
    signal: SignalScores | None,
    called: ErrorScores | None,
    splits: Sequence[Split],
) -> Evidence:
    """Keep the positions that any read covers, and the pairs where a tested channel has a say."""
    shape = (frame.n_positions, len(source.reads))
    split = _join_splits(frame, signal, called, splits)
    samples = _sample_means(signal, called, (len(source.reads.sample_names), frame.n_positions))
    signal = signal or SignalScores.absent(shape)
    called = called or ErrorScores.absent(shape)
    # the reads that are counted are those of the signal wherever there is any
    by_signal = signal.tested | ~called.tested
    n_native = np.where(by_signal, signal.n_native, called.n_native)
    n_control = np.where(by_signal, signal.n_control, called.n_control)
    rows = np.flatnonzero(n_native + n_control > 0)
    is_called = called.covered & called.tested[:, None]
    has_say = (np.isfinite(signal.p_mod) & signal.tested[:, None]) | is_called
    offsets, read = pairs(has_say[rows])
    at = np.repeat(rows, np.diff(offsets)), read

    def of(values: F32) -> F32:
        return values[rows].astype(np.float32)

    return Evidence(
        contig=source.contig,
        kmer=kmers(source.sequence, frame.position[rows]),
        position=frame.position[rows],
        n_native=n_native[rows].astype(np.int32),
        n_control=n_control[rows].astype(np.int32),
        candidates=np.array(signal.candidates, np.str_),
        statistic=signal.statistic[:, rows],
        null_statistic=signal.null_statistic,
        null_depth=signal.null_depth,
        share=of(signal.share),
        share_low=of(signal.share_low),
        share_high=of(signal.share_high),
        shift_pa=of(signal.shift_pa),
        level_difference=of(signal.level_difference),
        own_statistic=of(signal.own_statistic),
        gain=of(signal.gain),
        error_z=of(called.z),
        error_native=of(called.native),
        error_control=of(called.control),
        error_share=of(called.share),
        pair_offsets=offsets,
        read=read,
        p_signal=signal.p_mod[at].astype(np.float32),
        error_llr=called.llr[at].astype(np.float32),
        is_called=is_called[at],
        sample_mean=samples.mean[:, :, rows],
        sample_precision=samples.precision[:, :, rows],
        split_position=split.position,
        split_depth=split.depth,
        split_statistic=split.statistic,
        split_error_z=split.error_z,
        reads=source.reads,
    )


def _join_splits(
    frame: Frame, signal: SignalScores | None, called: ErrorScores | None, splits: Sequence[Split]
) -> SplitScores:
    """Put the tests of the splits one after the other."""
    n_candidates = len(signal.candidates) if signal else 0
    parts = [SplitScores.untested(np.zeros(0, np.int32), n_candidates)]
    for number, split in enumerate(splits):
        part = SplitScores.untested(frame.position[split.rows], n_candidates)
        if signal:
            statistic, depth = signal.splits[number]
            part = replace(part, statistic=statistic, depth=depth)
        parts.append(replace(part, error_z=called.splits[number]) if called else part)
    return SplitScores.joined(parts)


def _sample_means(
    signal: SignalScores | None, called: ErrorScores | None, shape: tuple[int, int]
) -> SampleMeans:
    """Stack the samples' means: of each candidate of the signal, then of the errors."""
    absent = SampleMeans(np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    parts = [*(signal.samples if signal else ()), called.samples if called and called.samples else absent]
    return SampleMeans(np.stack([part.mean for part in parts]), np.stack([part.precision for part in parts]))
