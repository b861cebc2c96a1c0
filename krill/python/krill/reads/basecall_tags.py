"""What a basecaller's BAM tags say of a read's signal: its part of a parent, its move table."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pysam

_HARD_CLIP = 5
_NO_MOVES = np.zeros(0, np.uint8)


class MoveTable(NamedTuple):
    """Moves of a read, in signal order; ``stride`` 0 = none. ``trimmed`` -1 = unknown."""

    stride: int
    moves: npt.NDArray[np.uint8]
    trimmed: int


def parent_read(record: pysam.AlignedSegment) -> str | None:
    """Return the name of the read that this one was split from."""
    return str(record.get_tag("pi")) if record.has_tag("pi") else None


def signal_span(record: pysam.AlignedSegment, n_samples: int) -> tuple[int, int]:
    """Return the half-open part of the stored signal that belongs to the read.

    Notes
    -----
    ``sp`` is where a split read starts in its parent's signal, ``ns`` its number of samples. Other
    reads own their whole signal.
    """
    if parent_read(record) is None or not record.has_tag("sp"):
        return 0, n_samples
    start = min(max(0, int(record.get_tag("sp"))), n_samples)
    length = int(record.get_tag("ns")) if record.has_tag("ns") else n_samples
    return start, min(start + max(0, length), n_samples)


def move_table(record: pysam.AlignedSegment, n_samples: int) -> MoveTable:
    """Return the move table, without it where it cannot fit the read's ``n_samples``.

    Notes
    -----
    The first entry of ``mv`` is the stride. Early RNA versions of dorado wrote a ``ts`` that is too
    large; a table that only fits without it is taken to start at the first sample. The moves of a
    hard-clipped record belong to bases that it does not hold, so they are left out.
    """
    trimmed = _trimmed_samples(record)
    if not record.has_tag("mv"):
        return MoveTable(0, _NO_MOVES, trimmed)
    values = np.asarray(record.get_tag("mv"))
    stride, moves = (int(values[0]), values[1:]) if len(values) else (0, values)
    clipped = any(operation == _HARD_CLIP for operation, _ in record.cigartuples or ())
    n_bases = record.query_length
    if stride <= 0 or clipped or not np.isin(moves, (0, 1)).all() or int(moves.sum()) != n_bases:
        return MoveTable(0, _NO_MOVES, trimmed)
    spanned = len(moves) * stride
    if max(trimmed, 0) + spanned > n_samples + stride:
        if spanned > n_samples + stride:
            return MoveTable(0, _NO_MOVES, trimmed)
        trimmed = 0
    return MoveTable(stride, moves.astype(np.uint8), trimmed)


def _trimmed_samples(record: pysam.AlignedSegment) -> int:
    """Return the integer ``ts``; minimap2 uses the same name for a letter (``ts:A``)."""
    if not record.has_tag("ts"):
        return -1
    value = record.get_tag("ts")
    if isinstance(value, int):
        return value
    values = [item for name, item in record.get_tags() if name == "ts" and isinstance(item, int)]
    return values[0] if values else -1
