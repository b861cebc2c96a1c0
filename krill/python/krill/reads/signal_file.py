"""What signal files of any format have in common."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from krill.reads.keys import Keys

Places = npt.NDArray[np.uint64]
"""Two numbers per read that say where it is in its file, shape ``(n, 2)``."""


@dataclass(frozen=True)
class SignalRecord:
    """The stored signal of one read.

    Parameters
    ----------
    read_id
        Name of the read.
    signal
        Current as stored, int16, in time order.
    offset_adc, scale_pa
        Calibration: picoampere = (signal + offset_adc) * scale_pa.
    sampling_rate_hz
        Samples per second.
    """

    read_id: str
    signal: npt.NDArray[np.int16]
    offset_adc: float
    scale_pa: float
    sampling_rate_hz: float


@dataclass(frozen=True)
class IndexBlock:
    """Where some reads of a signal file lie. ``n`` reads.

    Parameters
    ----------
    keys
        Keys of the read names, S16, shape ``(n,)``.
    place
        Two numbers that say where each read is, as ``SignalFile.read`` takes them, uint64, shape
        ``(n, 2)``. BLOW5: offset and size of the record in bytes; POD5: batch and row.
    names
        Names of those reads whose key is a hash, by key.
    """

    keys: Keys
    place: Places
    names: dict[bytes, str]


class SignalFile(Protocol):
    """A file with the signals of many reads."""

    path: Path

    def attributes(self) -> list[dict[str, str]]:
        """Return what the file says of each run: kit, flow cell, sampling rate, ..."""

    def index(self) -> Iterator[IndexBlock]:
        """Say where each read is, in blocks of bounded size."""

    def read(self, first: int, second: int) -> SignalRecord:
        """Return the read at a place that the index gave."""

    def read_many(self, places: Places) -> list[SignalRecord]:
        """Return the reads at places that the index gave; decoded without the interpreter's lock."""

    def close(self) -> None:
        """Close the file."""
