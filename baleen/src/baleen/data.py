"""The tables that travel between the stages: frozen arrays with stated shapes and units.

Positions and sample indices are 0-based, intervals half-open. ``position`` is the reference index
of the base under test. Row order never carries meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from baleen.columns import SITE_COLUMNS

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

MISMATCH, DELETION, INSERTION = 1, 2, 4
"""Bits of ``ReadPileup.errors``; INSERTION = directly before or after the base."""


def check(name: str, array: npt.NDArray[np.generic], dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless the array has this dtype and shape."""
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        message = f"{name} must be {np.dtype(dtype)} of shape {shape}, not {array.dtype} of {array.shape}"
        raise ValueError(message)


@dataclass(frozen=True)
class ReadIndex:
    """Everything that is per read, once. ``r`` reads of one contig, natives and controls.

    Parameters
    ----------
    read_ids
        UUIDs as text.
    is_native
        bool, shape ``(r,)``; the others are controls.
    sample
        Index into ``sample_names``, uint8, shape ``(r,)``.
    fold
        hash(seed, read id) modulo the number of folds, uint8, shape ``(r,)``.
    sample_names
        Names of the sequenced libraries.
    sample_groups
        Condition of each library, ``control`` or the name of a native one; empty = native and
        control.
    """

    read_ids: tuple[str, ...]
    is_native: Bool
    sample: U8
    fold: U8
    sample_names: tuple[str, ...]
    sample_groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        r = (len(self.read_ids),)
        check("is_native", self.is_native, np.bool_, r)
        check("sample", self.sample, np.uint8, r)
        check("fold", self.fold, np.uint8, r)

    def __len__(self) -> int:
        return len(self.read_ids)

    def condition(self) -> U8:
        """Return the condition of each sample, uint8: 0 = control, natives from 1 in order of name."""
        if self.sample_groups:
            natives = sorted({*self.sample_groups} - {"control"})
            number = {"control": 0, **{name: i for i, name in enumerate(natives, start=1)}}
            return np.array([number[name] for name in self.sample_groups], np.uint8)
        found = np.zeros(len(self.sample_names), np.uint8)
        found[self.sample[self.is_native]] = 1
        return found


@dataclass(frozen=True)
class SignalPileup:
    """Signal windows of one contig: window = one read at one position.

    ``p`` positions, ``w`` windows. Windows of position ``i`` are rows
    ``window_offsets[i]:window_offsets[i + 1]``, natives and controls in any order.

    Parameters
    ----------
    contig, sequence
        Name; reference bases, ASCII, uint8, shape ``(contig length,)``.
    position
        Rising, int32, shape ``(p,)``.
    window_offsets
        int64, shape ``(p + 1,)``.
    read
        Row of ``reads``, int32, shape ``(w,)``.
    level_pa, level_stdv_pa
        Mean and standard deviation of the base's samples, scaled to the pore model, float32.
    confidence
        Of the placement, float32 in [0, 1].
    dwell_samples
        Samples on the tested base, int32.
    signal
        Scaled current of all reads one after another, picoampere, float32, shape ``(s,)``;
        windows are intervals of it, so no sample is stored twice.
    base_start, base_end
        The tested base's interval of ``signal``, int64, shape ``(w,)``.
    window_start, window_end
        The same with ``padding`` bases on either side, int64, shape ``(w,)``.
    reads
        The reads.
    scores
        Values of scorers from outside by name, float32, shape ``(w,)`` each; NaN = nothing to say.
    """

    contig: str
    sequence: U8
    position: I32
    window_offsets: I64
    read: I32
    level_pa: F32
    level_stdv_pa: F32
    confidence: F32
    dwell_samples: I32
    signal: F32
    base_start: I64
    base_end: I64
    window_start: I64
    window_end: I64
    reads: ReadIndex
    scores: Mapping[str, F32] = field(default_factory=dict)

    def __post_init__(self) -> None:
        p, w = len(self.position), len(self.read)
        check("position", self.position, np.int32, (p,))
        check("window_offsets", self.window_offsets, np.int64, (p + 1,))
        for name in ("read", "dwell_samples"):
            check(name, getattr(self, name), np.int32, (w,))
        for name in ("level_pa", "level_stdv_pa", "confidence"):
            check(name, getattr(self, name), np.float32, (w,))
        for name, values in self.scores.items():
            check(f"scores of {name}", values, np.float32, (w,))
        for name in ("base_start", "base_end", "window_start", "window_end"):
            check(name, getattr(self, name), np.int64, (w,))
        if self.window_offsets[0] != 0 or self.window_offsets[-1] != w:
            message = f"window_offsets must go from 0 to {w}, the number of windows"
            raise ValueError(message)


@dataclass(frozen=True)
class ReadLevels:
    """Levels of a batch of reads without their signal: ``m`` rows, ``n`` reads.

    Parameters
    ----------
    read
        Row in the batch, int32, shape ``(m,)``; rising, and within a read positions rise.
    position, dwell_samples
        Reference index; samples on the base; int32, shape ``(m,)``.
    level_pa, level_stdv_pa
        Mean and standard deviation (NaN = unknown), scaled to the pore model, float32, shape ``(m,)``.
    status
        ``ReadStatus`` per read, uint8, shape ``(n,)``; a read that failed has no rows.
    """

    read: I32
    position: I32
    dwell_samples: I32
    level_pa: F32
    level_stdv_pa: F32
    status: U8

    def __post_init__(self) -> None:
        m = (len(self.read),)
        for name in ("read", "position", "dwell_samples"):
            check(name, getattr(self, name), np.int32, m)
        for name in ("level_pa", "level_stdv_pa"):
            check(name, getattr(self, name), np.float32, m)
        check("status", self.status, np.uint8, (len(self.status),))


@dataclass(frozen=True)
class ErrorPileup:
    """Basecall errors of one contig, from the alignments alone. ``e`` = one read at one position.

    Parameters
    ----------
    contig, sequence
        Name; reference bases, ASCII, uint8, shape ``(contig length,)``.
    position, read
        int32, shape ``(e,)``: every position a read's alignment spans, deletions included.
    errors
        Bits MISMATCH, DELETION, INSERTION, uint8, shape ``(e,)``.
    quality
        Phred of the called base, 255 where there is none (deletion, no qualities), uint8.
    reads
        The reads (of the same contig; the same index as the signal pileup where there is one).
    """

    contig: str
    sequence: U8
    position: I32
    read: I32
    errors: U8
    quality: U8
    reads: ReadIndex

    def __post_init__(self) -> None:
        e = (len(self.position),)
        check("position", self.position, np.int32, e)
        check("read", self.read, np.int32, e)
        check("errors", self.errors, np.uint8, e)
        check("quality", self.quality, np.uint8, e)


@dataclass(frozen=True)
class Distances:
    """What the scorer asked of dynamic time warping, one value per window of the pileup.

    Parameters
    ----------
    base_coordinate, window_coordinate
        First coordinate of the embedding of the windows' distances (tested base alone; padded
        window): signed, label-free, float32, shape ``(w,)``; NaN where a position has too few
        windows.
    """

    base_coordinate: F32
    window_coordinate: F32


@dataclass(frozen=True)
class BasecallerMods:
    """Modification probabilities that the basecaller gave: one row per read, position, modification.

    Parameters
    ----------
    codes
        Modification codes.
    position, read, code
        Reference index, row of the read index, number of the code; int32, shape ``(n,)``.
    probability
        float32, shape ``(n,)``.
    """

    codes: tuple[str, ...]
    position: I32
    read: I32
    code: I32
    probability: F32

    def __post_init__(self) -> None:
        n = (len(self.position),)
        for name in ("position", "read", "code"):
            check(name, getattr(self, name), np.int32, n)
        check("probability", self.probability, np.float32, n)


@dataclass(frozen=True)
class SiteCalls:
    """Rows of the site table: one array per column of ``SITE_COLUMNS``.

    Numbers that are missing are NaN here and empty in files.
    """

    columns: Mapping[str, npt.NDArray[Any]]

    def __post_init__(self) -> None:
        names = [column.name for column in SITE_COLUMNS]
        if list(self.columns) != names:
            message = f"columns must be {names}, in this order, not {list(self.columns)}"
            raise ValueError(message)
        n = (len(self),)
        for column in SITE_COLUMNS:
            array = self.columns[column.name]
            if column.dtype == "str":
                check(column.name, array, array.dtype if array.dtype.kind == "U" else np.str_, n)
            else:
                check(column.name, array, column.dtype, n)

    def __len__(self) -> int:
        return len(self.columns["position"])

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.columns[name]

    def replace(self, **columns: npt.NDArray[Any]) -> "SiteCalls":
        """Return a copy with some columns exchanged."""
        return SiteCalls({**self.columns, **columns})


@dataclass(frozen=True)
class ReadCalls:
    """Calls of single reads: one row per position and read, natives and controls.

    Parameters
    ----------
    position, read
        Reference index; row of ``reads``; int32, shape ``(n,)``.
    p_mod
        Probability that this read is modified here, float32.
    signal_llr, error_llr
        Log-likelihood ratio modified against unmodified by either kind of evidence, float32;
        0 where it says nothing.
    reads
        The reads.
    """

    position: I32
    read: I32
    p_mod: F32
    signal_llr: F32
    error_llr: F32
    reads: ReadIndex

    def __post_init__(self) -> None:
        n = (len(self.position),)
        check("position", self.position, np.int32, n)
        check("read", self.read, np.int32, n)
        for name in ("p_mod", "signal_llr", "error_llr"):
            check(name, getattr(self, name), np.float32, n)
