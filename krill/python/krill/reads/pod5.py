"""Read POD5 signal files through the library of their makers; the engine decodes the signal."""

import math
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pod5
import pyarrow as pa

from krill._krill import decode_vbz
from krill.errors import FormatError
from krill.reads.keys import KEY
from krill.reads.signal_file import IndexBlock, Places, SignalRecord

SIGNATURE = b"\x8bPOD\r\n\x1a\n"


_MAX_SIGNAL_BATCHES = 8
"""Batches of the signal table whose places are kept; the signal itself stays in the file."""


@dataclass(frozen=True)
class _Reads:
    """A batch of the read table. ``n`` reads: ids (16 bytes each), calibration, rows of their signal."""

    ids: list[bytes]
    chunks: list[list[int]]
    n_samples: npt.NDArray[np.float64]
    offset_adc: npt.NDArray[np.float64]
    scale_pa: npt.NDArray[np.float64]
    rate_hz: npt.NDArray[np.float64]

    @classmethod
    def of(cls, batch: "pod5.reader.ReadRecordBatch", rates: Mapping[str, float]) -> Self:
        columns = batch.columns
        return cls(
            ids=columns.read_id.to_pylist(),
            chunks=columns.signal.to_pylist(),
            n_samples=np.array(columns.num_samples.to_pylist(), np.float64),
            offset_adc=np.array(columns.calibration_offset.to_pylist(), np.float64),
            scale_pa=np.array(columns.calibration_scale.to_pylist(), np.float64),
            rate_hz=np.array([rates[run] for run in columns.run_info.to_pylist()], np.float64),
        )

    def name(self, row: int) -> str:
        return str(uuid.UUID(bytes=self.ids[row]))


@dataclass(frozen=True)
class _Signals:
    """A batch of the signal table: where each row's stored signal lies in ``data``, and its samples."""

    data: memoryview
    bounds: npt.NDArray[np.int64]
    n_samples: list[int]

    @classmethod
    def of(cls, batch: pa.RecordBatch, *, is_vbz: bool) -> Self:
        column = batch.column("signal")
        stored = column.storage if isinstance(column, pa.ExtensionArray) else column
        _, offsets, *rest = stored.buffers()
        width = 1 if is_vbz else np.dtype(np.int16).itemsize
        bounds = np.frombuffer(offsets, np.int64)[stored.offset : stored.offset + len(stored) + 1]
        data = memoryview(rest[-1]) if rest[-1] is not None else memoryview(b"")
        return cls(data, bounds * width, batch.column("samples").to_pylist())

    def chunk(self, row: int) -> tuple[bytes, int]:
        # Copied, so that the engine can read it while the interpreter goes on.
        return self.data[self.bounds[row] : self.bounds[row + 1]].tobytes(), self.n_samples[row]


class Pod5File:
    """A POD5 file, opened after checking the signature at both ends.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FormatError
        If the file is missing, cut short or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._check_ends()
        with self._damage():
            self._reader = pod5.Reader(path)
            self._rates = {
                row["acquisition_id"]: float(row["sample_rate"])
                for row in self._reader.run_info_table.read_all().to_pylist()
            }
        self._read_cache: dict[int, _Reads] = {}
        self._signal_cache: dict[int, _Signals] = {}

    def _check_ends(self) -> None:
        try:
            with self.path.open("rb") as handle:
                start = handle.read(len(SIGNATURE))
                handle.seek(max(0, handle.seek(0, 2) - len(SIGNATURE)))
                end = handle.read()
        except OSError as error:
            raise FormatError(self.path, f"cannot be read: {error.strerror}") from error
        if start != SIGNATURE:
            raise FormatError(self.path, "is not a POD5 file")
        if end != SIGNATURE:
            problem = "is cut short: the closing signature is missing"
            raise FormatError(self.path, problem, hint=f"copy the file again, or: pod5 recover {self.path}")

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the library meets damaged bytes with any kind
            problem = f"is damaged: {error}"
            raise FormatError(self.path, problem, hint=f"pod5 inspect debug {self.path}") from error

    def attributes(self) -> list[dict[str, str]]:
        """Return what the file says of each run."""
        with self._damage():
            table = self._reader.run_info_table.read_all()
            table.validate(full=True)
            rows = table.to_pylist()
        return [
            {
                **{str(k): str(v) for k, v in (*row["context_tags"], *row["tracking_id"])},
                "sequencing_kit": row["sequencing_kit"],
                "flow_cell_product_code": row["flow_cell_product_code"],
                "sample_frequency": str(row["sample_rate"]),
            }
            for row in rows
        ]

    def index(self) -> Iterator[IndexBlock]:
        """Say where each read is: its batch and its row in the batch."""
        with self._damage():
            n_batches = self._reader.batch_count
            if n_batches == 0 and self._reader.signal_table.num_record_batches > 0:
                msg = "its table of reads is empty, that of signals is not"
                raise ValueError(msg)
            for number in range(n_batches):
                keys = np.array(self._read_batch(number).read_id_column.to_pylist(), KEY)
                rows = np.arange(len(keys), dtype=np.uint64)
                yield IndexBlock(keys, np.column_stack([np.full_like(rows, number), rows]), {})

    def _read_batch(self, number: int) -> "pod5.reader.ReadRecordBatch":
        # Unchecked offsets would end the whole process inside the library.
        self._reader.read_table.get_batch(number).validate(full=True)
        return self._reader.get_batch(number)

    def _reads(self, number: int) -> _Reads:
        """Return a batch of the read table."""
        if number not in self._read_cache:
            self._read_cache.clear()
            self._read_cache[number] = _Reads.of(self._read_batch(number), self._rates)
        return self._read_cache[number]

    def _signals(self, number: int) -> _Signals:
        """Return a batch of the signal table."""
        if number not in self._signal_cache:
            if len(self._signal_cache) >= _MAX_SIGNAL_BATCHES:
                del self._signal_cache[next(iter(self._signal_cache))]
            batch = self._reader.signal_table.get_batch(number)
            batch.validate(full=True)
            self._signal_cache[number] = _Signals.of(batch, is_vbz=self._reader.is_vbz_compressed)
        return self._signal_cache[number]

    def read(self, first: int, second: int) -> SignalRecord:
        """Return the read in batch ``first``, row ``second``."""
        (record,) = self.read_many(np.array([[first, second]], np.uint64))
        return record

    def read_many(self, places: Places) -> list[SignalRecord]:
        """Return the reads at these places (batch, row); the interpreter is free while they are decoded."""
        with self._damage():
            found = [(self._reads(first), second) for first, second in places.tolist()]
            chunks = [self._chunks(reads.chunks[second]) for reads, second in found]
            if self._reader.is_vbz_compressed:
                signal = decode_vbz([chunk for of_read in chunks for chunk in of_read])
            else:
                stored = [np.frombuffer(part, "<i2", n) for of_read in chunks for part, n in of_read]
                signal = np.concatenate([np.zeros(0, np.int16), *stored])
        records = []
        end = 0
        for (reads, row), of_read in zip(found, chunks, strict=True):
            start, end = end, end + sum(n for _, n in of_read)
            self._check(reads, row, end - start)
            numbers = float(reads.offset_adc[row]), float(reads.scale_pa[row]), float(reads.rate_hz[row])
            records.append(SignalRecord(reads.name(row), signal[start:end], *numbers))
        return records

    def _chunks(self, rows: list[int]) -> list[tuple[bytes, int]]:
        """Return the stored signal in these rows of the signal table, each with its number of samples."""
        found = []
        for row in rows:
            number, place = divmod(row, self._reader.signal_batch_row_count)
            found.append(self._signals(number).chunk(place))
        return found

    def _check(self, reads: _Reads, row: int, n_samples: int) -> None:
        if n_samples != reads.n_samples[row]:
            problem = (
                f"is damaged: read {reads.name(row)} has {n_samples} of {reads.n_samples[row]:.0f} samples"
            )
            raise FormatError(self.path, problem)
        is_finite = math.isfinite(reads.offset_adc[row]) and math.isfinite(reads.scale_pa[row])
        if not (is_finite and reads.rate_hz[row] > 0):
            raise FormatError(self.path, f"is damaged: read {reads.name(row)} has no usable calibration")

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
