"""Rows of event tables to levels per read and position."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from baleen.data import I64, U8, Bool, ReadLevels
from baleen.errors import MismatchError
from krill import PoreModel, Ragged, ReadBatch, ReadStatus

if TYPE_CHECKING:  # its libraries take a tenth of a second to load, which runs on signal save
    from baleen.event_rows import EventRows

F64 = npt.NDArray[np.float64]

FEWEST_POSITIONS = 16
"""As in event alignment: a read with fewer cannot be scaled."""

LEAST_R = 0.6
"""Least correlation of a read's levels with the model's: the program that made the table has looked
at its reads before, so this sorts out what cannot be scaled."""

_SAME_MODEL_PA = 0.02
"""Levels that differ by more than rounding are not those of the same model."""

_HUBER, _ITERATIONS, _MAD_TO_SD = 1.5, 5, 1.4826

NOMINAL_RATE_HZ = {"rna002": 3012.0, "rna004": 4000.0}

_KMER_CENTER = {("rna004", 5): 3}
"""Base under test in k-mers that are not the shipped model's: f5c's RNA004 5-mers are bases 1 to 5
of the 9-mers (their tables correlate best so)."""


@dataclass(frozen=True)
class EventBatch(ReadBatch):
    """Reads without signal, and the rows that an event table has of them.

    Parameters
    ----------
    events
        Text of each read's rows, uint8.
    columns
        Columns of the table.
    table
        Its path, for messages.
    """

    events: Ragged
    columns: tuple[str, ...]
    table: str


def kmer_center(kmer_size: int | None, model: PoreModel, chemistry: str) -> int | None:
    """Return the index of the base under test in a table's k-mers, None if it is not known."""
    if kmer_size is None or kmer_size == model.kmer_size:
        return model.center
    return _KMER_CENTER.get((chemistry, kmer_size))


def read_levels(batch: EventBatch, reference: U8, model: PoreModel, chemistry: str) -> ReadLevels:
    """Return the level of each read at each position, on the scale of the pore model.

    Parameters
    ----------
    batch
        Reads of one contig with their rows.
    reference
        The whole contig, upper-case ASCII, uint8.
    model
        Levels to scale to; need not be the table's.
    chemistry
        ``rna002`` or ``rna004``: its sampling rate turns seconds into samples where the table has
        no sample indices.

    Raises
    ------
    RowError, MismatchError
        If a row is malformed, or its k-mer is not that of the reference.

    Notes
    -----
    Events of a read at one position are taken together: mean weighted by length, deviation pooled,
    lengths summed. Events marked as noise and those outside the read's alignment are left out.

    A line ``level = scale * model + shift`` is taken back from each read. f5c and nanopolish put
    the line that they estimated into ``model_mean``: as the model's own level with
    ``--scale-events``, else scaled to the read; so it is read off there. Where a table has no such
    column, or one of another model, the line is fitted to the levels: least squares with Huber's
    weights, k = 1.5 robust standard deviations. Either way the scaling of the table does not matter.
    """
    from baleen.event_rows import parse_rows

    rows = parse_rows(batch.events.values.tobytes(), batch.columns)
    ends = np.flatnonzero(batch.events.values == ord("\n"))
    read = np.searchsorted(batch.events.offsets[1:], ends, side="right").astype(np.int32)
    _check_kmers(batch, rows, reference)
    center = kmer_center(rows.kmer_size, model, chemistry)
    if center is None:
        message = f"{batch.table}: k-mers of unknown register"
        raise ValueError(message)
    position = rows.position + center
    inside = (position >= batch.ref_start[read]) & (position < batch.ref_end[read])
    dwell = np.where(np.isnan(rows.samples), rows.seconds * NOMINAL_RATE_HZ[chemistry], rows.samples)
    merged = _merge(read, position, rows, dwell, inside & rows.fits_model)
    codes = np.append(model.kmer_codes(reference), -1)  # -1: no k-mer begins there
    code = codes[np.clip(merged.position - model.center, -1, len(codes) - 1)]
    expected = np.where(code >= 0, model.level_mean[code], np.nan).astype(np.float64)
    return _scale(merged, len(batch), expected)


def _check_kmers(batch: EventBatch, rows: "EventRows", reference: U8) -> None:
    if rows.kmer is None:
        return
    differs = kmers_differ(rows.position, rows.kmer, reference)
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        raise MismatchError(
            batch.table,
            f"{batch.contig} position {rows.position[row]}: k-mer {rows.kmer[row].tobytes().decode()} "
            "is not that of the reference",
            hint="give the FASTA that the table was made with",
        )


def kmers_differ(position: I64, kmer: U8, reference: U8) -> Bool:
    """Say of each k-mer whether the reference has another one there; N in either fits anything."""
    size = kmer.shape[1]
    inside = position + size <= len(reference)
    if len(reference) < size:
        return np.ones(len(position), np.bool_)
    there = np.lib.stride_tricks.sliding_window_view(reference, size)[np.where(inside, position, 0)]
    same = (kmer == there) | (kmer == ord("N")) | (there == ord("N"))
    return np.asarray(~(same.all(axis=1) & inside), np.bool_)


class _Merged(NamedTuple):
    """One row per read and position, by read and rising position."""

    read: npt.NDArray[np.int32]
    position: I64
    level_pa: F64
    stdv_pa: F64
    samples: F64
    model_pa: F64


def _merge(read: npt.NDArray[np.int32], position: I64, rows: "EventRows", dwell: F64, used: Bool) -> _Merged:
    order = np.flatnonzero(used)[np.lexsort((position[used], read[used]))]
    read, position, weight = read[order], position[order], dwell[order]
    level, stdv = rows.level_pa[order], rows.stdv_pa[order]
    is_first = np.ones(len(read), np.bool_)
    is_first[1:] = (read[1:] != read[:-1]) | (position[1:] != position[:-1])
    first = np.flatnonzero(is_first)

    def total(values: F64) -> F64:
        return np.add.reduceat(values, first) if len(first) else np.zeros(0)

    n = total(weight)
    mean = total(weight * level) / n
    deviation = level - mean[np.cumsum(is_first) - 1]  # small numbers, so that squares stay exact
    variance = total(weight * (stdv**2 + deviation**2)) / n
    return _Merged(read[first], position[first], mean, np.sqrt(variance), n, rows.model_pa[order][first])


def _scale(merged: _Merged, n_reads: int, expected: F64) -> ReadLevels:
    """Bring every read to the scale of the model; reads that cannot be are dropped."""
    bounds = np.searchsorted(merged.read, np.arange(n_reads + 1))
    status = np.full(n_reads, ReadStatus.OK, np.uint8)
    level, stdv = merged.level_pa.copy(), merged.stdv_pa.copy()
    for i in range(n_reads):
        rows = slice(bounds[i], bounds[i + 1])
        x, y = expected[rows], level[rows]
        known = np.isfinite(x)
        if np.count_nonzero(known) < FEWEST_POSITIONS:
            status[i] = ReadStatus.TOO_SHORT
            continue
        scale, shift = _read_line(x, merged.model_pa[rows]) or _line(x[known], y[known])
        if not scale > 0 or not _correlation(x[known], y[known]) >= LEAST_R:
            status[i] = ReadStatus.POOR_FIT
            continue
        level[rows] = (y - shift) / scale
        stdv[rows] /= scale
    kept = status[merged.read] == ReadStatus.OK
    return ReadLevels(
        read=merged.read[kept],
        position=merged.position[kept].astype(np.int32),
        level_pa=level[kept].astype(np.float32),
        level_stdv_pa=stdv[kept].astype(np.float32),
        dwell_samples=np.maximum(1, np.rint(merged.samples[kept])).astype(np.int32),
        status=status,
    )


def _read_line(x: F64, model_pa: F64) -> tuple[float, float] | None:
    """Return slope and intercept of the table's own model over ours, None if it is not a line."""
    told = np.isfinite(x) & np.isfinite(model_pa)
    if np.count_nonzero(told) < FEWEST_POSITIONS or np.ptp(x[told]) == 0:
        return None
    scale, shift = np.polyfit(x[told], model_pa[told], 1)
    is_line = np.abs(model_pa[told] - shift - scale * x[told]).max() <= _SAME_MODEL_PA
    return (float(scale), float(shift)) if is_line else None


def _line(x: F64, y: F64) -> tuple[float, float]:
    """Return slope and intercept by iterated least squares with Huber's weights."""
    weight: F64 = np.ones(len(x))
    scale = shift = 0.0
    for _ in range(_ITERATIONS):
        center = np.average(x, weights=weight)
        middle = np.average(y, weights=weight)
        spread = np.average((x - center) ** 2, weights=weight)
        scale = float(np.average((x - center) * (y - middle), weights=weight) / spread) if spread else 0.0
        shift = float(middle - scale * center)
        residual = np.abs(y - shift - scale * x)
        limit = _HUBER * _MAD_TO_SD * np.median(residual)
        weight = np.minimum(1.0, limit / np.maximum(residual, 1e-12)) if limit > 0 else np.ones(len(x))
    return scale, shift


def _correlation(x: F64, y: F64) -> float:
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm > 0 else 0.0
