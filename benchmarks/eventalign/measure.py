"""Compare placements with the simulated truth: the same figures for every tool."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.eventalign.data import Truth
from krill.reads.batch import Alignments, ReadBatch, ReadStatus

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

DERAILED_BELOW = 0.5


@dataclass(frozen=True)
class Placed:
    """One read's placement: k-mer start, first sample, end, level; by rising k-mer start."""

    kmer: I64
    start: I64
    end: I64
    level: F64
    confidence: F64


@dataclass(frozen=True)
class Score:
    """Figures of one tool on one set."""

    n_reads: int
    failed: float
    derailed: float
    samples_right: float
    placed: float
    mean_error: float
    p90_error: float
    within_5: float

    def __str__(self) -> str:
        return (
            f"right {self.samples_right:.3f}  placed {self.placed:.3f}  error {self.mean_error:.2f} "
            f"p90 {self.p90_error:.1f}  <=5 {self.within_5:.3f}  "
            f"derailed {self.derailed:.3f}  failed {self.failed:.3f}"
        )


def from_krill(batch: ReadBatch, found: Alignments, center: int) -> Iterator[tuple[str, Placed | None]]:
    """Yield read id and placement; None for a read that failed."""
    for i, read_id in enumerate(batch.read_ids):
        rows = slice(found.read_offsets[i], found.read_offsets[i + 1])
        if found.status[i] != ReadStatus.OK:
            yield read_id, None
            continue
        yield (
            read_id,
            Placed(
                found.position[rows].astype(np.int64) - center,
                found.sample_start[rows].astype(np.int64),
                found.sample_end[rows].astype(np.int64),
                found.level_mean[rows].astype(np.float64),
                found.confidence[rows].astype(np.float64),
            ),
        )


def from_f5c(path: Path) -> dict[str, Placed]:
    """Return the events of an f5c table, one row per k-mer: first to last sample, mean by length."""
    rows: dict[str, list[tuple[int, float, int, int]]] = {}
    with gzip.open(path, "rt") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            event = (
                int(row["position"]),
                float(row["event_level_mean"]),
                int(row["start_idx"]),
                int(row["end_idx"]),
            )
            rows.setdefault(row["read_name"], []).append(event)
    return {read_id: _collapse(np.array(events)) for read_id, events in rows.items()}


def _collapse(events: F64) -> Placed:
    kmer, inverse = np.unique(events[:, 0].astype(np.int64), return_inverse=True)
    n = len(kmer)
    start, end = np.full(n, np.iinfo(np.int64).max), np.zeros(n, np.int64)
    np.minimum.at(start, inverse, events[:, 2].astype(np.int64))
    np.maximum.at(end, inverse, events[:, 3].astype(np.int64))
    length = events[:, 3] - events[:, 2]
    weight = np.bincount(inverse, length)
    level = np.bincount(inverse, events[:, 1] * length) / weight
    return Placed(kmer, start, end, level, np.ones(n))


def true_intervals(truth: Truth, kmer_size: int) -> tuple[I64, I64, I64]:
    """Return k-mer start, first sample and end of the truth, by rising k-mer start."""
    n = len(truth.boundary) - 1
    kmer = truth.ref_end - kmer_size - np.arange(n)
    return kmer[::-1], truth.boundary[:-1][::-1], truth.boundary[1:][::-1]


def score(
    reads: list[tuple[str, tuple[int, int], Placed | None]], truths: dict[str, Truth], kmer_size: int
) -> Score:
    """Score placements ``(read id, aligned reference interval, placement)`` against the truth."""
    right, placed, error, p90, within, failed = [], [], [], [], [], 0
    for read_id, (ref_start, ref_end), found in reads:
        if found is None:
            failed += 1
            continue
        kmer, start, end = true_intervals(truths[read_id], kmer_size)
        inside = (kmer >= ref_start) & (kmer + kmer_size <= ref_end)
        kmer, start, end = kmer[inside], start[inside], end[inside]
        _, mine, his = np.intersect1d(found.kmer, kmer, return_indices=True)
        overlap = np.minimum(found.end[mine], end[his]) - np.maximum(found.start[mine], start[his])
        difference = np.abs(found.start[mine] - start[his])
        right.append(np.maximum(overlap, 0).sum() / (end - start).sum())
        placed.append(len(his) / len(kmer))
        error.append(difference.mean())
        p90.append(np.quantile(difference, 0.9))
        within.append(np.mean(difference <= 5))
    shares = np.array(right)
    return Score(
        n_reads=len(reads),
        failed=failed / len(reads),
        derailed=float(np.sum(shares < DERAILED_BELOW)) / len(reads),
        samples_right=float(np.mean(shares)),
        placed=float(np.mean(placed)),
        mean_error=float(np.mean(error)),
        p90_error=float(np.mean(p90)),
        within_5=float(np.mean(within)),
    )
