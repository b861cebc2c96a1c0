"""Turn aligned reads into signal windows per position."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from baleen.data import F32, I32, I64, U8, Bool, Distances, ReadIndex, ReadLevels, SignalPileup
from krill import Alignments, ReadBatch, ReadStatus

N_FOLDS = 5


def read_fold(read_id: str, seed: int) -> int:
    """Return the read's fold: the same for natives and controls, whatever else is in the run."""
    digest = hashlib.blake2b(f"{seed}:{read_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % N_FOLDS


def index_reads(
    batches: Sequence[tuple[Sequence[str], int, bool]], sample_names: tuple[str, ...], seed: int
) -> ReadIndex:
    """Build the read index of a contig from ``(read ids, sample, is_native)`` per batch, in order."""
    read_ids = tuple(read_id for ids, _, _ in batches for read_id in ids)
    sizes = [len(ids) for ids, _, _ in batches]
    return ReadIndex(
        read_ids=read_ids,
        is_native=np.repeat([native for _, _, native in batches], sizes).astype(np.bool_),
        sample=np.repeat([sample for _, sample, _ in batches], sizes).astype(np.uint8),
        fold=np.array([read_fold(read_id, seed) for read_id in read_ids], np.uint8),
        sample_names=sample_names,
    )


@dataclass(frozen=True)
class PlacedReads:
    """What the pileup keeps of one batch: scaled signal and where its bases lie in it.

    Parameters
    ----------
    signal
        Scaled current of the placed part of each read, one after another, float32.
    read
        Row in the batch, int32, shape ``(m,)``, one per placed base.
    position, dwell_samples
        int32, shape ``(m,)``.
    base_start, base_end, window_start, window_end
        Intervals of ``signal``, int64, shape ``(m,)``.
    level_pa, level_stdv_pa, confidence
        float32, shape ``(m,)``.
    """

    signal: F32
    read: I32
    position: I32
    dwell_samples: I32
    base_start: I64
    base_end: I64
    window_start: I64
    window_end: I64
    level_pa: F32
    level_stdv_pa: F32
    confidence: F32


def place_batch(batch: ReadBatch, alignments: Alignments, padding: int) -> PlacedReads:
    """Scale the signal of each placed read and find its windows.

    Parameters
    ----------
    batch, alignments
        The same reads, in the same order.
    padding
        Bases on either side of the tested base in a padded window. A window ends early at the
        end of the read's placed part and at a gap of the alignment.
    """
    n = len(alignments)
    rows_per_read = np.diff(alignments.read_offsets)
    read = np.repeat(np.arange(n, dtype=np.int32), rows_per_read)
    shift = np.zeros(n, np.int64)  # from an index in the read's signal row to one in `signal`
    parts: list[F32] = []
    used = 0
    for i in np.flatnonzero(rows_per_read):
        rows = slice(alignments.read_offsets[i], alignments.read_offsets[i + 1])
        first = int(alignments.sample_start[rows].min())
        last = int(alignments.sample_end[rows].max())
        parts.append(_scale(batch, alignments, int(i), first, last))
        shift[i] = used - first
        used += last - first
    base_start = alignments.sample_start + shift[read]
    base_end = alignments.sample_end + shift[read]
    window_start, window_end = _pad(read, alignments.position, base_start, base_end, padding)
    return PlacedReads(
        signal=np.concatenate(parts) if parts else np.zeros(0, np.float32),
        read=read,
        position=alignments.position,
        dwell_samples=(base_end - base_start).astype(np.int32),
        base_start=base_start,
        base_end=base_end,
        window_start=window_start,
        window_end=window_end,
        level_pa=alignments.level_mean,
        level_stdv_pa=alignments.level_stdv,
        confidence=alignments.confidence,
    )


def join_placed(parts: Sequence[PlacedReads], statuses: Sequence[U8]) -> tuple[PlacedReads, U8]:
    """Return batches one after another, and the status of every read; ``statuses`` one per batch."""
    first_read = np.cumsum([0, *map(len, statuses)])
    first_sample = np.cumsum([0, *(len(part.signal) for part in parts)])
    shift = {"read": first_read, **dict.fromkeys(_INTERVALS, first_sample)}
    columns = {}
    for item in fields(PlacedReads):
        pieces = [getattr(part, item.name) for part in parts]
        if item.name in shift:
            pieces = [piece + shift[item.name][i] for i, piece in enumerate(pieces)]
        dtype = _DTYPES.get(item.name, np.float32)
        columns[item.name] = np.concatenate([np.zeros(0, dtype), *pieces]).astype(dtype)
    status = np.concatenate([np.zeros(0, np.uint8), *statuses]).astype(np.uint8)
    return PlacedReads(**columns), status


def choose_placed(placed: PlacedReads, chosen: I64) -> PlacedReads:
    """Return some reads of a batch, in this order, as if they had been placed as a batch.

    Parameters
    ----------
    placed
        Rows by read, as `place_batch` makes them.
    chosen
        Rows of reads, int64.
    """
    start, end = (np.searchsorted(placed.read, chosen, side=side) for side in ("left", "right"))
    counts = end - start
    rows = np.repeat(start - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    signal, shift = [np.zeros(0, np.float32)], np.zeros(len(chosen), np.int64)
    used = 0
    for i in np.flatnonzero(counts):
        of_read = slice(start[i], end[i])
        first, last = int(placed.base_start[of_read].min()), int(placed.base_end[of_read].max())
        signal.append(placed.signal[first:last])
        shift[i] = used - first
        used += last - first
    moved = np.repeat(shift, counts)
    names = [item.name for item in fields(PlacedReads) if item.name not in {"signal", "read"}]
    columns = {name: getattr(placed, name)[rows] for name in names}
    columns.update({name: columns[name] + moved for name in _INTERVALS})
    read = np.repeat(np.arange(len(chosen), dtype=np.int32), counts)
    return PlacedReads(signal=np.concatenate(signal), read=read, **columns)


_INTERVALS = ("base_start", "base_end", "window_start", "window_end")
_DTYPES = {
    **dict.fromkeys(("read", "position", "dwell_samples"), np.int32),
    **dict.fromkeys(_INTERVALS, np.int64),
}


def place_levels(levels: ReadLevels) -> PlacedReads:
    """Place reads of which there are levels alone: windows are empty, confidence is NaN."""
    nothing = np.zeros(len(levels.read), np.int64)
    return PlacedReads(
        signal=np.zeros(0, np.float32),
        read=levels.read,
        position=levels.position,
        dwell_samples=levels.dwell_samples,
        base_start=nothing,
        base_end=nothing,
        window_start=nothing,
        window_end=nothing,
        level_pa=levels.level_pa,
        level_stdv_pa=levels.level_stdv_pa,
        confidence=np.full(len(levels.read), np.nan, np.float32),
    )


def _scale(batch: ReadBatch, alignments: Alignments, i: int, first: int, last: int) -> F32:
    """Return samples ``first:last`` of read ``i`` on the scale of the pore model (see Alignments)."""
    raw = batch.signal[i]
    pa: F32 = (raw[first:last].astype(np.float32) + batch.offset_adc[i]) * batch.scale_pa[i]
    time = np.arange(first, last, dtype=np.float32) / np.float32(len(raw)) - np.float32(0.5)
    pa -= alignments.shift_pa[i] + alignments.drift_pa[i] * time
    pa /= alignments.scale[i]
    return pa


def _pad(read: I32, position: I32, start: I64, end: I64, padding: int) -> tuple[I64, I64]:
    """Return windows with up to ``padding`` neighbours. Signal runs 3' to 5': position falls in time."""
    window_start, window_end = start.copy(), end.copy()
    m = len(read)
    for step in range(1, min(padding, m - 1) + 1):
        follows = (read[step:] == read[:-step]) & (position[step:] == position[:-step] + step)
        here, there = np.arange(m - step), np.arange(step, m)
        here, there = here[follows], there[follows]
        window_start[here] = np.minimum(window_start[here], start[there])
        window_end[there] = np.maximum(window_end[there], end[here])
    return window_start, window_end


def build_pileup(
    contig: str, sequence: U8, placed: Iterable[PlacedReads], reads: ReadIndex, batch_sizes: Sequence[int]
) -> SignalPileup:
    """Gather the placed batches of a contig by position; within a position by read.

    Parameters
    ----------
    contig, sequence
        Name and reference bases.
    placed
        One entry per batch, in the order of ``reads``.
    reads
        The reads of all batches.
    batch_sizes
        Reads per batch, failed ones included.
    """
    parts = list(placed)
    first_read = np.cumsum([0, *batch_sizes])
    first_sample = np.cumsum([0, *(len(p.signal) for p in parts)])

    def joined(name: str, dtype: type, add: Sequence[int] | None = None) -> np.ndarray:
        columns = [getattr(p, name) + (add[i] if add is not None else 0) for i, p in enumerate(parts)]
        return np.concatenate([np.zeros(0, dtype), *columns]).astype(dtype, copy=False)

    position, read = joined("position", np.int32), joined("read", np.int32, first_read.tolist())
    order = np.lexsort((read, position))
    positions, counts = np.unique(position, return_counts=True)
    sample_shift = first_sample.tolist()
    return SignalPileup(
        contig=contig,
        sequence=sequence,
        position=positions.astype(np.int32),
        window_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        read=read[order],
        level_pa=joined("level_pa", np.float32)[order],
        level_stdv_pa=joined("level_stdv_pa", np.float32)[order],
        confidence=joined("confidence", np.float32)[order],
        dwell_samples=joined("dwell_samples", np.int32)[order],
        signal=joined("signal", np.float32),
        base_start=joined("base_start", np.int64, sample_shift)[order],
        base_end=joined("base_end", np.int64, sample_shift)[order],
        window_start=joined("window_start", np.int64, sample_shift)[order],
        window_end=joined("window_end", np.int64, sample_shift)[order],
        reads=reads,
    )


def keep_reads(
    pileup: SignalPileup, measured: Distances | None, keep: Bool
) -> tuple[SignalPileup, Distances | None]:
    """Return the windows of some reads alone, with their distances; ``keep`` has an entry per read.

    The index of reads stays whole: the others are there without a window.
    """
    rows = keep[pileup.read]
    kept = np.concatenate([[0], np.cumsum(rows)])[pileup.window_offsets]
    names = (
        *("read", "level_pa", "level_stdv_pa", "confidence", "dwell_samples"),
        *("base_start", "base_end", "window_start", "window_end"),
    )
    columns = {name: getattr(pileup, name)[rows] for name in names}
    scores = {name: values[rows] for name, values in pileup.scores.items()}
    some = replace(pileup, window_offsets=kept.astype(np.int64), scores=scores, **columns)
    if measured is None:
        return some, None
    return some, Distances(measured.base_coordinate[rows], measured.window_coordinate[rows])


def status_counts(statuses: Iterable[U8]) -> dict[str, int]:
    """Count reads per status, by its lower-case name."""
    total = np.zeros(len(ReadStatus), np.int64)
    for status in statuses:
        total += np.bincount(status, minlength=len(ReadStatus))
    return {ReadStatus(i).name.lower(): int(n) for i, n in enumerate(total) if n}


def total_status(before: Mapping[str, int], placed: Mapping[str, int]) -> dict[str, int]:
    """Count every read once: as the inputs left it, or, if it was placed, as the placing left it."""
    total = Counter(before)
    total["ok"] -= sum(placed.values())
    total.update(placed)
    names = [status.name.lower() for status in ReadStatus]
    return {name: total[name] for name in names if total[name]}
