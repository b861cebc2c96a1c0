"""The arrays that reads and their alignments travel in."""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from krill.ragged import Ragged


class ReadStatus(IntEnum):
    """Where a read's way ended. Every read ends in exactly one; ``OK`` is the only success."""

    OK = 0
    UNMAPPED = 1
    NOT_PRIMARY = 2
    REVERSE_STRAND = 3
    LOW_MAPQ = 4
    NOT_IN_FASTQ = 5
    NO_SIGNAL = 6
    NOT_TARGET = 7
    CONTIG_SKIPPED = 8
    NOT_SAMPLED = 9
    TOO_SHORT = 10
    TOO_FEW_SAMPLES = 11
    BAD_SIGNAL = 12
    BAND_EXCEEDED = 13
    POOR_FIT = 14
    NO_SEQUENCE = 15


@dataclass(frozen=True)
class ReadBatch:
    """Reads of one contig of one sample. ``n`` reads; row order carries no meaning.

    Parameters
    ----------
    contig
        Name of the reference sequence.
    read_ids
        UUIDs as text, ``n`` of them.
    ref_start, ref_end
        Aligned reference interval, 0-based and half-open, int32, shape ``(n,)``.
    is_reverse
        Whether the read maps to the reverse strand.
    mapq
        Mapping quality, uint8.
    cigar
        BAM encoding ``length << 4 | operation``, uint32.
    sequence, quality
        As the BAM holds them (reference orientation): ASCII bases; Phred values, 255 = absent.
    moves
        Basecaller's move table without its stride: one 0/1 per stride, in signal order
        (3' to 5'), uint8; rows are empty for reads without one.
    move_stride
        Samples per move, int32, 0 = no moves.
    signal
        Current as stored, int16, in time order: the part of the stored signal that belongs
        to this read (a read that was split from a parent holds its own part only).
    signal_start
        Index of ``signal``'s first sample in the stored signal, int64.
    trimmed_samples
        Samples at the start of ``signal`` that the basecaller cut off (adapter), int32,
        -1 = unknown. The move table starts after them.
    offset_adc, scale_pa
        Calibration, float32: picoampere = (signal + offset_adc) * scale_pa.
    sampling_rate_hz
        Samples per second.
    """

    contig: str
    read_ids: tuple[str, ...]
    ref_start: npt.NDArray[np.int32]
    ref_end: npt.NDArray[np.int32]
    is_reverse: npt.NDArray[np.bool_]
    mapq: npt.NDArray[np.uint8]
    cigar: Ragged
    sequence: Ragged
    quality: Ragged
    moves: Ragged
    move_stride: npt.NDArray[np.int32]
    signal: Ragged
    signal_start: npt.NDArray[np.int64]
    trimmed_samples: npt.NDArray[np.int32]
    offset_adc: npt.NDArray[np.float32]
    scale_pa: npt.NDArray[np.float32]
    sampling_rate_hz: float

    _DTYPES: ClassVar[dict[str, type]] = {
        "ref_start": np.int32,
        "ref_end": np.int32,
        "is_reverse": np.bool_,
        "mapq": np.uint8,
        "move_stride": np.int32,
        "signal_start": np.int64,
        "trimmed_samples": np.int32,
        "offset_adc": np.float32,
        "scale_pa": np.float32,
    }
    _ROW_DTYPES: ClassVar[dict[str, type]] = {
        "cigar": np.uint32,
        "sequence": np.uint8,
        "quality": np.uint8,
        "moves": np.uint8,
        "signal": np.int16,
    }

    def __post_init__(self) -> None:
        n = len(self.read_ids)
        for name, dtype in self._DTYPES.items():
            _check_column(name, getattr(self, name), dtype, n)
        for name, dtype in self._ROW_DTYPES.items():
            rows: Ragged = getattr(self, name)
            _check_column(name, rows.values, dtype, len(rows.values))
            if len(rows) != n:
                msg = f"{name} has {len(rows)} rows for {n} reads"
                raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.read_ids)


@dataclass(frozen=True)
class Alignments:
    """Where the samples of each read lie on the reference. ``n`` reads, ``m`` placed positions.

    Parameters
    ----------
    read_offsets
        int64, shape ``(n + 1,)``: rows ``read_offsets[i]:read_offsets[i + 1]`` are read ``i``'s,
        by rising position. A read that failed has none.
    position
        Reference index of the base under test, 0-based, int32, shape ``(m,)``.
    sample_start, sample_end
        Half-open interval in the read's ``signal`` row, int32, shape ``(m,)``. RNA passes the
        pore 3' to 5', so intervals fall while positions rise.
    level_mean, level_stdv
        Mean and standard deviation of the samples, scaled to the pore model, picoampere,
        float32, shape ``(m,)``.
    confidence
        Mean posterior probability that the samples belong here, float32 in [0, 1], shape ``(m,)``.
    status
        ``ReadStatus`` per read, uint8, shape ``(n,)``.
    scale, shift_pa, drift_pa
        Per read, float32: model level = (pA - shift_pa - drift_pa * (t / T - .5)) / scale, where
        t is the sample index and T the number of samples of the ``signal`` row.
    fit_r
        Correlation of level means with the model, float32, shape ``(n,)``; NaN for a failed read.
    """

    read_offsets: npt.NDArray[np.int64]
    position: npt.NDArray[np.int32]
    sample_start: npt.NDArray[np.int32]
    sample_end: npt.NDArray[np.int32]
    level_mean: npt.NDArray[np.float32]
    level_stdv: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    status: npt.NDArray[np.uint8]
    scale: npt.NDArray[np.float32]
    shift_pa: npt.NDArray[np.float32]
    drift_pa: npt.NDArray[np.float32]
    fit_r: npt.NDArray[np.float32]

    _ROW_DTYPES: ClassVar[dict[str, type]] = {
        "position": np.int32,
        "sample_start": np.int32,
        "sample_end": np.int32,
        "level_mean": np.float32,
        "level_stdv": np.float32,
        "confidence": np.float32,
    }
    _READ_DTYPES: ClassVar[dict[str, type]] = {
        "status": np.uint8,
        "scale": np.float32,
        "shift_pa": np.float32,
        "drift_pa": np.float32,
        "fit_r": np.float32,
    }

    def __post_init__(self) -> None:
        m = len(self.position)
        Ragged(self.position, self.read_offsets)
        for name, dtype in self._ROW_DTYPES.items():
            _check_column(name, getattr(self, name), dtype, m)
        for name, dtype in self._READ_DTYPES.items():
            _check_column(name, getattr(self, name), dtype, len(self))

    def __len__(self) -> int:
        return len(self.read_offsets) - 1


def _check_column(name: str, column: npt.NDArray[np.generic], dtype: type, n: int) -> None:
    if column.dtype != dtype or column.shape != (n,):
        msg = f"{name} must be {np.dtype(dtype)} of shape ({n},), not {column.dtype} of {column.shape}"
        raise ValueError(msg)
