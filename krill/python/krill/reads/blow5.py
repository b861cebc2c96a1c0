"""Read BLOW5 signal files: the engine opens records, an index beside the file is read here.

The format is that of the SLOW5 specification 0.2.0 (Gamaarachchi et al. 2022).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from krill._krill import Blow5Records
from krill.errors import FormatError
from krill.pump import available_threads
from krill.reads.keys import read_keys, uuid_keys
from krill.reads.signal_file import IndexBlock, Places, SignalRecord

MAGIC = b"BLOW5\1"

_BLOCK_READS = 65536
_INDEX_HEADER_BYTES = 64
_INDEX_END = b"XDI5WOLS"
IndexRows = npt.NDArray[np.void]
_INDEX_ROW = np.dtype([("length", "<u2"), ("name", "S36"), ("offset", "<u8"), ("size", "<u8")])


class Blow5File:
    """A BLOW5 file, opened after checking header, compression and closing mark.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FormatError
        If the file is missing, cut short, damaged, or compressed in a way that is not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._records: Blow5Records | None = Blow5Records(path)
        except OSError as error:
            raise FormatError(path, f"cannot be read: {error.strerror}") from error

    @property
    def _open(self) -> Blow5Records:
        if self._records is None:
            message = f"{self.path}: is closed"
            raise ValueError(message)
        return self._records

    def attributes(self) -> list[dict[str, str]]:
        """Return the header's attributes of each read group."""
        text = self._open.header.decode("utf-8", "replace")
        groups: list[dict[str, str]] = [{} for _ in range(min(self._open.n_groups, len(text)))]
        for line in text.splitlines():
            if line.startswith("@"):
                name, *values = line[1:].split("\t")
                for group, value in zip(groups, values, strict=False):
                    group[name] = value
        return groups

    def index(self) -> Iterator[IndexBlock]:
        """Say where each read is: from the ``.idx`` beside the file if it fits, else by a scan."""
        beside = Path(f"{self.path}.idx")
        if beside.is_file() and self._tiles(_index_rows(beside)):
            return (_index_block(rows) for rows in _index_rows(beside))
        return self._scan()

    def _tiles(self, blocks: Iterator[IndexRows]) -> bool:
        """Say whether an index describes this very file, record after record, without a gap."""
        expected, end = self._open.extent
        for rows in blocks:
            ends = rows["offset"] + rows["size"]
            starts = np.concatenate([[np.uint64(expected)], ends[:-1]])
            if (rows["length"] != _INDEX_ROW["name"].itemsize).any() or (starts != rows["offset"]).any():
                return False
            if not uuid_keys(rows["name"])[1].all():
                return False
            expected = int(ends[-1])
        return bool(expected == end)

    def _scan(self) -> Iterator[IndexBlock]:
        start, end = self._open.extent
        while start < end:
            names, places = self._open.scan(start, _BLOCK_READS, available_threads())
            keys, hashed = read_keys([name.decode("utf-8", "surrogateescape") for name in names])
            place = np.array(places, np.uint64)
            yield IndexBlock(keys, place, hashed)
            start = int(place[-1].sum())

    def read(self, first: int, second: int) -> SignalRecord:
        """Return the record at byte ``first`` with ``second`` bytes."""
        (record,) = self.read_many(np.array([[first, second]], np.uint64))
        return record

    def read_many(self, places: Places) -> list[SignalRecord]:
        """Return the records at these places; the interpreter is free meanwhile."""
        try:
            names, lengths, signal, numbers = self._open.read(places)
        except OSError as error:
            raise FormatError(self.path, f"cannot be read: {error.strerror}") from error
        ends = np.cumsum(lengths).tolist()
        return [
            SignalRecord(name.decode("utf-8", "surrogateescape"), signal[start:end], *calibration)
            for name, start, end, calibration in zip(names, [0, *ends], ends, numbers, strict=False)
        ]

    def close(self) -> None:
        """Close the file."""
        self._records = None


def _index_rows(path: Path) -> Iterator[IndexRows]:
    """Return the rows of an index in blocks, or one impossible row if it cannot be used."""
    impossible = np.zeros(1, _INDEX_ROW)
    n_bytes = path.stat().st_size - _INDEX_HEADER_BYTES - len(_INDEX_END)
    with path.open("rb") as handle:
        handle.seek(_INDEX_HEADER_BYTES)
        if n_bytes < 0 or n_bytes % _INDEX_ROW.itemsize:
            yield impossible
            return
        while n_bytes:
            data = handle.read(min(n_bytes, _BLOCK_READS * _INDEX_ROW.itemsize))
            n_bytes -= len(data)
            yield np.frombuffer(data, _INDEX_ROW)
        if handle.read() != _INDEX_END:
            yield impossible


def _index_block(rows: IndexRows) -> IndexBlock:
    keys, _ = uuid_keys(rows["name"])
    place = np.column_stack([rows["offset"], rows["size"]])
    return IndexBlock(keys, place, {})
