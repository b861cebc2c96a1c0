"""Read BLOW5 signal files; every length is checked, so a damaged file ends in an error.

The format is that of the SLOW5 specification 0.2.0 (Gamaarachchi et al. 2022).
"""

import itertools
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from krill._krill import decode_svb_zd
from krill.errors import FormatError
from krill.reads.keys import read_keys, uuid_keys
from krill.reads.signal_file import IndexBlock, SignalRecord

MAGIC = b"BLOW5\1"
END = b"5WOLB"

_HEADER = struct.Struct("<6s3BBIB49sI")
_SIZE = struct.Struct("<Q")
_NAME = struct.Struct("<H")
_PRIMARY = struct.Struct("<I4dQ")  # read group, digitisation, offset, range, rate, signal length
_RECORD_METHODS = ("none", "zlib", "zstd")
_SIGNAL_METHODS = ("none", "svb-zd", "ex-zd")
_BLOCK_READS = 65536
_PREFIX_BYTES = 512  # holds the read name of nearly every compressed record
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
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise FormatError(path, f"cannot be read: {error.strerror}") from error
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        size = os.fstat(self._file.fileno()).st_size
        head = self._bytes(0, _HEADER.size)
        if not head.startswith(MAGIC):
            raise FormatError(self.path, "is not a BLOW5 file")
        if len(head) < _HEADER.size or self._bytes(size - len(END), len(END)) != END:
            self._fail("is cut short: the closing mark is missing")
        _, *version, record_method, self._n_groups, signal_method, _, n_text = _HEADER.unpack(head)
        self._record_method = self._method("records", record_method, _RECORD_METHODS)
        # Files older than 0.2.0 leave the byte 0 and store signals as they are.
        self._signal_method = self._method("signals", signal_method, _SIGNAL_METHODS)
        self._start, self._end = _HEADER.size + n_text, size - len(END)
        if self._start > self._end:
            self._fail("has a header that is longer than the file")
        if version[0] > 1:
            raise FormatError(self.path, f"has version {version[0]} of the format, which is not read")

    def _method(self, what: str, code: int, known: tuple[str, ...]) -> str:
        name = known[code] if code < len(known) else f"method {code}"
        if code >= len(known) or name == "ex-zd":
            problem = f"compresses its {what} with {name}, which is not read"
            hint = f"slow5tools view {self.path} -c zlib -s svb-zd -o {self.path.stem}.svb-zd.blow5"
            raise FormatError(self.path, problem, hint=hint)
        return name

    def _bytes(self, offset: int, n: int) -> bytes:
        return os.pread(self._file.fileno(), n, max(0, offset))

    def _fail(self, problem: str, cause: Exception | None = None) -> NoReturn:
        hint = f"copy the file again; slow5tools quickcheck {self.path}"
        raise FormatError(self.path, problem, hint=hint) from cause

    def attributes(self) -> list[dict[str, str]]:
        """Return the header's attributes of each read group."""
        text = self._bytes(_HEADER.size, self._start - _HEADER.size).decode("utf-8", "replace")
        groups: list[dict[str, str]] = [{} for _ in range(min(self._n_groups, len(text)))]
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
        expected = self._start
        for rows in blocks:
            ends = rows["offset"] + rows["size"]
            starts = np.concatenate([[np.uint64(expected)], ends[:-1]])
            if (rows["length"] != _INDEX_ROW["name"].itemsize).any() or (starts != rows["offset"]).any():
                return False
            if not uuid_keys(rows["name"])[1].all():
                return False
            expected = int(ends[-1])
        return bool(expected == self._end)

    def _scan(self) -> Iterator[IndexBlock]:
        places = self._places()
        while block := list(itertools.islice(places, _BLOCK_READS)):
            names = [self._name(offset, size) for offset, size in block]
            keys, hashed = read_keys(names)
            yield IndexBlock(keys, np.array(block, np.uint64).reshape(-1, 2), hashed)

    def _places(self) -> Iterator[tuple[int, int]]:
        offset = self._start
        while offset < self._end:
            (n,) = _SIZE.unpack(self._bytes(offset, _SIZE.size).ljust(_SIZE.size, b"\0"))
            size = n + _SIZE.size
            if n == 0 or offset + size > self._end:
                self._fail(f"is damaged: the record at byte {offset} is said to have {n} bytes")
            yield offset, size
            offset += size

    def _name(self, offset: int, size: int) -> str:
        if self._record_method == "zlib":
            prefix = self._bytes(offset + _SIZE.size, min(size - _SIZE.size, _PREFIX_BYTES))
            try:
                text = zlib.decompressobj().decompress(prefix, 2 * _PREFIX_BYTES)
            except zlib.error as error:
                self._fail(f"is damaged: the record at byte {offset} ({error})", error)
        else:
            text = self._record(offset, size)
        if len(text) < _NAME.size or len(text) < _NAME.size + _NAME.unpack_from(text)[0]:
            text = self._record(offset, size)
        return self._split_name(text, offset)[0]

    def _split_name(self, record: bytes, offset: int) -> tuple[str, int]:
        """Return the name at the start of a record and where it ends."""
        end = _NAME.size
        if len(record) >= end:
            end += _NAME.unpack_from(record)[0]
        if not _NAME.size < end <= len(record):
            self._fail(f"is damaged: the record at byte {offset} has no read name")
        return record[_NAME.size : end].decode("utf-8", "surrogateescape"), end

    def _record(self, offset: int, size: int) -> bytes:
        if not (self._start <= offset and _SIZE.size < size and offset + size <= self._end):
            self._fail(f"has no record of {size} bytes at byte {offset}")
        stored = self._bytes(offset, size)
        if _SIZE.unpack_from(stored)[0] != size - _SIZE.size:
            self._fail(f"has no record at byte {offset}")
        try:
            return _DECOMPRESS[self._record_method](stored[_SIZE.size :])
        except (zlib.error, OSError, ValueError) as error:
            self._fail(f"is damaged: the record at byte {offset} ({error})", error)

    def read(self, first: int, second: int) -> SignalRecord:
        """Return the record at byte ``first`` with ``second`` bytes."""
        record = self._record(first, second)
        name, end = self._split_name(record, first)
        if len(record) < end + _PRIMARY.size:
            self._fail(f"is damaged: read {name} is incomplete")
        _, digitisation, offset, pa_range, rate, n = _PRIMARY.unpack_from(record, end)
        start = end + _PRIMARY.size
        n_bytes = n if self._signal_method == "svb-zd" else 2 * n
        if start + n_bytes > len(record):
            self._fail(f"is damaged: read {name} is said to have {n_bytes} bytes of signal")
        stored = record[start : start + n_bytes]
        if not (all(map(math.isfinite, (offset, pa_range))) and digitisation > 0 and rate > 0):
            self._fail(f"is damaged: read {name} has no usable calibration")
        try:
            signal = (
                decode_svb_zd(stored) if self._signal_method == "svb-zd" else np.frombuffer(stored, "<i2")
            )
        except ValueError as error:
            self._fail(f"is damaged: read {name}: {error}", error)
        return SignalRecord(name, signal, offset, pa_range / digitisation, rate)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _zstd(data: bytes) -> bytes:
    import pyarrow as pa  # takes a quarter of a second to load; few files need it

    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        return bytes(stream.read())


_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "zlib": zlib.decompress,
    "zstd": _zstd,
}


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
