"""Load a benchmark set: BAM + BLOW5 -> one ``ReadBatch`` per contig, and the simulated truth."""

import csv
import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pysam
import pyslow5

from krill.ragged import Ragged
from krill.reads.batch import ReadBatch

TESTED_BASE = 2
"""Bases 3' of the one that a simulated basecaller reports when a k-mer enters: any will do."""


@dataclass(frozen=True)
class Truth:
    """Simulated placement of one read: ``boundary[i]`` = first sample of entry ``i``."""

    contig: str
    ref_start: int
    ref_end: int
    boundary: npt.NDArray[np.int64]
    """Signal order, one more than there are k-mers; k-mer ``i`` starts at ``ref_end - k - i``."""


def load_reference(path: Path) -> dict[str, npt.NDArray[np.uint8]]:
    """Return every contig as upper-case ASCII."""
    with pysam.FastaFile(str(path)) as fasta:
        return {
            name: np.frombuffer(fasta.fetch(name).upper().encode(), np.uint8) for name in fasta.references
        }


def load_batches(bam: Path, blow5: Path) -> dict[str, ReadBatch]:
    """Return the primary alignments of every contig with their signal."""
    signals = _signals(blow5)
    rows: dict[str, list[dict[str, Any]]] = {}
    with pysam.AlignmentFile(str(bam), check_sq=False) as file:
        for record in file:
            if record.is_unmapped or record.is_secondary or record.is_supplementary:
                continue
            tags = dict(record.get_tags())
            signal = signals.get(tags.get("pi", record.query_name))
            if signal is not None:
                rows.setdefault(record.reference_name, []).append(_row(record, tags, signal))
    return {contig: _batch(contig, reads) for contig, reads in rows.items()}


def _signals(path: Path) -> dict[str, dict[str, Any]]:
    file = pyslow5.Open(str(path), "r")
    return {read["read_id"]: dict(read) for read in file.seq_reads()}


def _row(record: pysam.AlignedSegment, tags: dict[str, Any], signal: dict[str, Any]) -> dict[str, Any]:
    moves = np.asarray(tags.get("mv", []), np.uint8)
    begin = int(tags.get("sp", 0)) if "pi" in tags else 0
    samples = signal["signal"][begin : begin + int(tags["ns"])] if "pi" in tags else signal["signal"]
    trimmed = tags.get("ts", -1)
    return {
        "read_ids": record.query_name,
        "ref_start": record.reference_start,
        "ref_end": record.reference_end,
        "is_reverse": record.is_reverse,
        "mapq": record.mapping_quality,
        "cigar": [length << 4 | op for op, length in record.cigartuples],
        "sequence": np.frombuffer(record.query_sequence.encode(), np.uint8),
        "quality": np.frombuffer(record.query_qualities or b"", np.uint8),
        "moves": moves[1:],
        "move_stride": int(moves[0]) if len(moves) else 0,
        "signal": samples,
        "signal_start": begin,
        "trimmed_samples": int(trimmed) if isinstance(trimmed, int) else -1,
        "offset_adc": signal["offset"],
        "scale_pa": signal["range"] / signal["digitisation"],
        "rate": signal["sampling_rate"],
    }


def _batch(contig: str, reads: list[dict[str, Any]]) -> ReadBatch:
    def column(name: str, dtype: type) -> npt.NDArray[Any]:
        return np.array([read[name] for read in reads], dtype)

    def ragged(name: str, dtype: type) -> Ragged:
        return Ragged.from_rows([read[name] for read in reads], dtype)

    return ReadBatch(
        contig=contig,
        read_ids=tuple(read["read_ids"] for read in reads),
        ref_start=column("ref_start", np.int32),
        ref_end=column("ref_end", np.int32),
        is_reverse=column("is_reverse", np.bool_),
        mapq=column("mapq", np.uint8),
        cigar=ragged("cigar", np.uint32),
        sequence=ragged("sequence", np.uint8),
        quality=ragged("quality", np.uint8),
        moves=ragged("moves", np.uint8),
        move_stride=column("move_stride", np.int32),
        signal=ragged("signal", np.int16),
        signal_start=column("signal_start", np.int64),
        trimmed_samples=column("trimmed_samples", np.int32),
        offset_adc=column("offset_adc", np.float32),
        scale_pa=column("scale_pa", np.float32),
        sampling_rate_hz=float(reads[0]["rate"]),
    )


def load_truth(path: Path) -> dict[str, Truth]:
    """Return the simulated placement of every read of ``truth_align.tsv.gz``."""
    truth = {}
    with gzip.open(path, "rt") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            samples = np.array(row["ss_3to5"].rstrip(",").split(","), np.int64)
            boundary = int(row["sig_start"]) + np.concatenate([[0], np.cumsum(samples)])
            truth[row["read_id"]] = Truth(
                row["contig"], int(row["ref_start0"]), int(row["ref_end0"]), boundary
            )
    return truth


def with_jittered_moves(batch: ReadBatch, truths: dict[str, Truth], rng: np.random.Generator) -> ReadBatch:
    """Return the batch with move tables made from the true boundaries.

    Stride 5; the move of each base is displaced by a normal error of 0.7 strides. Called bases that
    the alignment does not place (insertions, clips) move between their neighbours.
    """
    stride, rows, trimmed = 5, [], []
    for i, read_id in enumerate(batch.read_ids):
        truth = truths[read_id]
        n = len(batch.sequence[i])
        reference = reference_of_bases(int(batch.ref_start[i]), batch.cigar[i])
        entry = truth.ref_end - 1 - TESTED_BASE - reference
        known = (reference >= 0) & (entry >= 0) & (entry < len(truth.boundary) - 1)
        begin = truth.boundary[np.clip(entry, 0, len(truth.boundary) - 1)] / stride
        begin = begin + rng.normal(0, 0.7, n)
        begin = np.interp(np.arange(n), np.flatnonzero(known), begin[known])[::-1]
        first = int(truth.boundary[0]) // stride
        strides = len(batch.signal[i]) // stride - first
        at = np.maximum.accumulate(np.round(begin).astype(np.int64) - first - np.arange(n)) + np.arange(n)
        at = np.clip(at, np.arange(n), strides - n + np.arange(n))
        moves = np.zeros(strides, np.uint8)
        moves[at] = 1
        rows.append(moves)
        trimmed.append(first * stride)
    return replace(
        batch,
        moves=Ragged.from_rows(rows, np.uint8),
        move_stride=np.full(len(batch), stride, np.int32),
        trimmed_samples=np.array(trimmed, np.int32),
    )


def reference_of_bases(ref_start: int, cigar: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Return the reference index of every called base, -1 where it has none."""
    parts, at = [], ref_start
    for length, operation in zip(cigar >> 4, cigar & 15, strict=True):
        if operation in (0, 7, 8):
            parts.append(np.arange(at, at + length))
            at += int(length)
        elif operation in (1, 4):
            parts.append(np.full(length, -1))
        elif operation in (2, 3):
            at += int(length)
    return np.concatenate(parts).astype(np.int64)
