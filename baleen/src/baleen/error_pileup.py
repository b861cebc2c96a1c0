"""Turn alignments into basecall errors per read and position."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from baleen.data import DELETION, I32, I64, INSERTION, MISMATCH, U8, Bool, ErrorPileup, ReadIndex
from krill import ReadBatch

NO_QUALITY = 255

# Per CIGAR operation MIDNSHP=X: does it use up read bases, reference bases, is it reported?
_ON_READ = np.array([1, 1, 0, 0, 1, 0, 0, 1, 1] + [0] * 7, bool)
_ON_REFERENCE = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1] + [0] * 7, bool)
_REPORTED = np.array([1, 0, 1, 0, 0, 0, 0, 1, 1] + [0] * 7, bool)
_I, _D = 1, 2


def error_pileup(batches: Sequence[ReadBatch], reference: U8, reads: ReadIndex) -> ErrorPileup:
    """Return the errors of every read at every reference position that its alignment spans.

    Parameters
    ----------
    batches
        Reads of one contig.
    reference
        The contig's bases, upper-case ASCII, uint8. Where it is ambiguous (N) nothing mismatches.
    reads
        Index whose rows are the reads of ``batches`` in order.

    Returns
    -------
    Entries by batch, read and rising position; a base next to an insertion carries its bit too.
    """
    parts = []
    first = 0
    for batch in batches:
        parts.append(_errors(batch, reference, first))
        first += len(batch)
    if first != len(reads):
        message = f"the index has {len(reads)} reads, the batches {first}"
        raise ValueError(message)
    position, read, errors, quality = zip(_nothing(), *parts, strict=True)
    return ErrorPileup(
        contig=batches[0].contig if batches else "",
        sequence=reference,
        position=np.concatenate(position),
        read=np.concatenate(read),
        errors=np.concatenate(errors),
        quality=np.concatenate(quality),
        reads=reads,
    )


def keep_errors(pileup: ErrorPileup, keep: Bool) -> ErrorPileup:
    """Return the entries of some reads alone; ``keep`` has an entry per read of the index."""
    rows = keep[pileup.read]
    columns = {name: getattr(pileup, name)[rows] for name in ("position", "read", "errors", "quality")}
    return replace(pileup, **columns)


def _nothing() -> tuple[I32, I32, U8, U8]:
    return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.uint8), np.zeros(0, np.uint8)


def _errors(batch: ReadBatch, reference: U8, first: int) -> tuple[I32, I32, U8, U8]:
    """Return position, read (counted from ``first``), errors and quality of one batch."""
    operation = batch.cigar.values & 15
    length = (batch.cigar.values >> 4).astype(np.int64)
    of_read = np.repeat(np.arange(len(batch)), batch.cigar.lengths)
    on_read = _starts(length * _ON_READ[operation], of_read, batch.cigar.offsets, batch.sequence.offsets[:-1])
    on_reference = _starts(
        length * _ON_REFERENCE[operation], of_read, batch.cigar.offsets, batch.ref_start.astype(np.int64)
    )
    reported = np.where(_REPORTED[operation], length, 0)
    op = np.repeat(np.arange(len(operation)), reported)
    entry = np.cumsum(reported) - reported  # first entry of each operation
    step = np.arange(len(op)) - entry[op]
    position, read = on_reference[op] + step, of_read[op]
    is_deleted = operation[op] == _D
    called = np.flatnonzero(~is_deleted)
    base = on_read[op[called]] + step[called]
    expected = reference[position[called]]
    errors = np.where(is_deleted, DELETION, 0).astype(np.uint8)
    differs = (batch.sequence.values[base] != expected) & (expected != ord("N"))
    errors[called[differs]] |= MISMATCH
    inserted = np.flatnonzero(operation == _I)
    for neighbour in (entry[inserted] - 1, entry[inserted]):
        inside = (neighbour >= 0) & (neighbour < len(op))
        inside[inside] = read[neighbour[inside]] == of_read[inserted[inside]]
        errors[neighbour[inside]] |= INSERTION
    quality = np.full(len(op), NO_QUALITY, np.uint8)
    quality[called] = batch.quality.values[base]
    return position.astype(np.int32), (read + first).astype(np.int32), errors, quality


def _starts(used: I64, of_read: I64, offsets: I64, start: I64) -> I64:
    """Return where each operation starts, given what each uses up and where its read starts."""
    before = np.cumsum(used) - used
    of_row = np.append(before, 0)[offsets[:-1]] if len(offsets) > 1 else before
    return before - of_row[of_read] + start[of_read]
