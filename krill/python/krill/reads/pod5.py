"""Read POD5 signal files through the library of their makers."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pod5

from krill.errors import FormatError
from krill.reads.keys import KEY
from krill.reads.signal_file import IndexBlock, SignalRecord

SIGNATURE = b"\x8bPOD\r\n\x1a\n"


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
        self._batch_number = -1
        self._checked_signal: set[int] = set()

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
        if number != self._batch_number:
            # Unchecked offsets would end the whole process inside the library.
            self._reader.read_table.get_batch(number).validate(full=True)
            self._batch, self._batch_number = self._reader.get_batch(number), number
        return self._batch

    def _check_signal(self, rows: list[int]) -> None:
        """Check the batches of the signal table that hold these rows, each once."""
        for number in {row // self._reader.signal_batch_row_count for row in rows} - self._checked_signal:
            self._reader.signal_table.get_batch(number).validate(full=True)
            self._checked_signal.add(number)

    def read(self, first: int, second: int) -> SignalRecord:
        """Return the read in batch ``first``, row ``second``."""
        with self._damage():
            batch = self._read_batch(first)
            self._check_signal(batch.columns.signal[second].as_py())
            record = batch.get_read(second)
            signal = np.ascontiguousarray(record.signal, dtype=np.int16)
            name, rate = str(record.read_id), float(record.run_info.sample_rate)
            offset, scale = float(record.calibration.offset), float(record.calibration.scale)
        if len(signal) != record.num_samples:
            problem = f"is damaged: read {name} has {len(signal)} of {record.num_samples} samples"
            raise FormatError(self.path, problem)
        if not (math.isfinite(offset) and math.isfinite(scale) and rate > 0):
            raise FormatError(self.path, f"is damaged: read {name} has no usable calibration")
        return SignalRecord(name, signal, offset, scale, rate)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
