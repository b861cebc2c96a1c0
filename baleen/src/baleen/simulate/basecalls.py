"""What a basecaller would say: bases with errors, qualities, the true alignment, a move table."""

from dataclasses import dataclass

import numpy as np

from baleen.data import I32, I64, U8, Bool
from baleen.simulate.current import Bases, count_up, footprint_rows
from baleen.simulate.molecules import Molecules, Sites
from baleen.simulate.settings import SimulationConfig
from krill import Ragged

_BASES = np.frombuffer(b"ACGT", np.uint8)
_MISMATCHES, _DELETIONS = 0.45, 0.4  # share of the errors; the rest are insertions
_CLEAN_END_BP = 3  # an aligner clips a read's ends up to this many right bases in a row
_MATCH, _INSERTION, _DELETION, _CLIP = 0, 1, 2, 4  # operations of a CIGAR


@dataclass(frozen=True)
class Calls:
    """Called bases of all reads, each read 5' to 3'. ``c`` calls of ``m`` true bases.

    Parameters
    ----------
    source
        Row of ``Bases`` each call came from, int64, shape ``(c,)``.
    is_inserted
        Whether the call has no true base of its own, bool, shape ``(c,)``.
    letter, quality
        ASCII base and Phred value, uint8, shape ``(c,)``.
    is_deleted
        True bases that were not called, bool, shape ``(m,)``.
    is_clean
        True bases called right and without an insertion, bool, shape ``(m,)``.
    offsets
        int64, shape ``(n + 1,)``.
    """

    source: I64
    is_inserted: Bool
    letter: U8
    quality: U8
    is_deleted: Bool
    is_clean: Bool
    offsets: I64


@dataclass(frozen=True)
class TrueAlignment:
    """Where the calls lie on the reference; ends without right bases and the tail are clipped."""

    ref_start: I32
    ref_end: I32
    cigar: Ragged


def call_bases(
    bases: Bases,
    molecules: Molecules,
    sites: Sites,
    sequence: U8,
    config: SimulationConfig,
    rng: np.random.Generator,
) -> Calls:
    """Read the bases with errors, more of them at modified bases if so set."""
    letters = np.concatenate((sequence, np.full(int(molecules.tail_bp.max(initial=0)), ord("A"), np.uint8)))
    truth = np.searchsorted(_BASES, letters[bases.position])
    chance = np.full(len(truth), _error_rate(config))
    row, _ = footprint_rows(bases, molecules, sites, 0)
    chance[row] += (1 - chance[row]) * config.mod_error_rate

    is_error = rng.random(len(truth)) < chance
    kind = rng.random(len(truth))
    is_wrong = is_error & (kind < _MISMATCHES)
    is_deleted = is_error & ~is_wrong & (kind < _MISMATCHES + _DELETIONS)
    has_insertion = is_error & ~is_wrong & ~is_deleted

    n_calls = 1 - is_deleted.astype(np.int64) + has_insertion
    source = np.repeat(np.arange(len(truth)), n_calls)
    is_inserted = count_up(n_calls) == 1
    called = truth[source]
    other = rng.integers(1, 4, len(source))
    called = np.where(is_wrong[source] & ~is_inserted, (called + other) % 4, called)
    called = np.where(is_inserted, rng.integers(0, 4, len(source)), called)
    quality = np.where(is_error[source], 6, config.chemistry.quality) + rng.normal(0, 3, len(source))
    return Calls(
        source=source,
        is_inserted=is_inserted,
        letter=_BASES[called],
        quality=np.clip(np.round(quality), 1, 40).astype(np.uint8),
        is_deleted=is_deleted,
        is_clean=~is_error,
        offsets=np.concatenate(([0], np.cumsum(n_calls)))[bases.offsets],
    )


def align_calls(bases: Bases, calls: Calls, length_bp: int) -> TrueAlignment:
    """Write down the alignment that is true by construction.

    Raises
    ------
    ValueError
        If a read has no three right bases in a row, so that no aligner would place it.
    """
    n = len(bases.offsets) - 1
    first, last = _clean_span(bases, calls.is_clean & (bases.position < length_bp))
    row = np.arange(len(bases.read))
    is_placed = (row >= first[bases.read]) & (row < last[bases.read])

    # one token per call or deleted base, in the order of the read
    call_place, gap_place = calls.source, np.flatnonzero(calls.is_deleted & is_placed)
    place = np.concatenate((call_place, gap_place))
    operation = np.concatenate(
        (np.where(calls.is_inserted, _INSERTION, _MATCH), np.full(len(gap_place), _DELETION))
    )
    operation[~is_placed[place]] = _CLIP
    order = np.lexsort((np.concatenate((calls.is_inserted, np.zeros(len(gap_place), bool))), place))
    read, operation = bases.read[place[order]], operation[order]
    is_run_start = np.ones(len(read), np.bool_)
    is_run_start[1:] = (read[1:] != read[:-1]) | (operation[1:] != operation[:-1])
    starts = np.flatnonzero(is_run_start)
    runs = np.diff(np.append(starts, len(read)))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(read[starts], minlength=n))))
    return TrueAlignment(
        ref_start=bases.position[first].astype(np.int32),
        ref_end=(bases.position[last - 1] + 1).astype(np.int32),
        cigar=Ragged((runs << 4 | operation[starts]).astype(np.uint32), offsets),
    )


def move_table(
    bases: Bases, calls: Calls, n_samples: I64, config: SimulationConfig, rng: np.random.Generator
) -> Ragged:
    """Return one 0/1 per stride behind the adapter, in signal order (3' to 5').

    A base's move stands where its signal starts, wrong by ``move_jitter`` strides; the bases of an
    insertion share their base's signal.
    """
    stride = config.chemistry.move_stride
    counts = np.diff(calls.offsets)
    # rows of calls in time order: each read backwards
    read = np.repeat(np.arange(len(counts)), counts)
    local = count_up(counts)
    call = calls.offsets[1:][read] - 1 - local
    source = calls.source[call]
    has_insertion = np.bincount(calls.source[calls.is_inserted], minlength=len(bases.read)) > 0
    # the inserted base is the 3' one, so it comes first and its base in the middle of the signal
    late = has_insertion[source] & ~calls.is_inserted[call]
    start = bases.sample_start[source] + np.where(late, bases.dwell_samples[source] // 2, 0)
    block = (start - bases.adapter_end[read]) / stride + config.move_jitter * rng.standard_normal(len(read))

    n_blocks = (n_samples - bases.adapter_end) // stride
    return _one_per_block(np.floor(block).astype(np.int64), read, local, counts, n_blocks)


def _error_rate(config: SimulationConfig) -> float:
    return config.chemistry.error_rate if config.error_rate is None else config.error_rate


def _clean_span(bases: Bases, is_clean: Bool) -> tuple[I64, I64]:
    """Return, per read, the first row of its first and the end of its last run of right bases."""
    n = len(bases.offsets) - 1
    is_run = np.zeros(len(is_clean), np.bool_)
    width = _CLEAN_END_BP
    windows = np.logical_and.reduce(np.lib.stride_tricks.sliding_window_view(is_clean, width), axis=1)
    windows &= bases.read[: len(windows)] == bases.read[width - 1 :]
    is_run[: len(windows)] = windows
    rows = np.flatnonzero(is_run)
    reads, first = np.unique(bases.read[rows], return_index=True)
    if len(reads) < n:
        message = f"{n - len(reads)} reads hold no {width} right bases in a row; lower the error rate"
        raise ValueError(message)
    last = np.append(first[1:], len(rows)) - 1
    return rows[first], rows[last] + width


def _one_per_block(block: I64, read: I64, local: I64, counts: I64, n_blocks: I64) -> Ragged:
    """Push moves apart so that no two of a read share a block; the first takes block 0."""
    if (n_blocks < counts).any():
        message = "a read has more called bases than strides; raise the samples per base"
        raise ValueError(message)
    block = np.where(local == 0, 0, np.maximum(block, 0))
    # rising strictly = rising once the rank is taken off; a step per read keeps reads apart
    step = read * (int(n_blocks.max(initial=0)) + 1)
    slack = np.maximum.accumulate(block - local + step) - step
    block = np.minimum(slack, (n_blocks - counts)[read]) + local
    offsets = np.concatenate(([0], np.cumsum(n_blocks)))
    moves = np.zeros(offsets[-1], np.uint8)
    moves[offsets[read] + block] = 1
    return Ragged(moves, offsets)
