"""Per-group slices: the arrays of a few contigs in one ``.npz``, complete or absent, never pickled.

Slices are named by number, so no contig name ever becomes part of a path.
"""

import io
import json
import mmap
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from baleen.files import complete_file

SLICE_VERSION = 1

Arrays = Mapping[str, npt.NDArray[Any]]

_OWN = "own"
"""In place of a table's name, where arrays are of the slice as a whole."""

_LOCAL_BYTES, _LOCAL_LENGTHS = 30, (26, 28)
"""A member's header in the zip file, and where it says how long the name and the rest after it are."""

_NPY_START_BYTES = 10
_LAYOUT = re.compile(
    rb"\{'descr': '(?P<dtype>[^'O]+)', 'fortran_order': (?P<order>True|False), "
    rb"'shape': \((?P<shape>[0-9, ]*)\), \}\s*"
)


def slice_path(folder: Path, index: int, kind: str) -> Path:
    """Return the path of slice ``index``; ``kind`` is its suffix."""
    return folder / f"{index:06d}.{kind}"


def write_slice(
    path: Path,
    tables: Mapping[str, Arrays],
    meta: Mapping[str, Any],
    own: Arrays | None = None,
    *,
    is_scratch: bool = False,
) -> None:
    """Write named tables of arrays and a JSON header.

    Parameters
    ----------
    path
        File to write.
    tables
        ``name -> {column -> array}``; names and columns must not hold a slash.
    meta
        JSON-able facts about the slice.
    own
        Arrays of the slice as a whole, beside its tables; names as those of columns.
    is_scratch
        As for `complete_file`.
    """
    header = json.dumps({"slice_version": SLICE_VERSION, **meta}, sort_keys=True)
    flat: dict[str, npt.NDArray[Any]] = {
        f"{table}/{column}": array for table, columns in tables.items() for column, array in columns.items()
    }
    flat.update({f"{_OWN}/{name}": array for name, array in (own or {}).items()})
    flat["header"] = np.frombuffer(header.encode(), np.uint8)
    with (
        complete_file(path, is_scratch=is_scratch) as part,
        part.open("wb", buffering=_BUFFER_BYTES) as handle,
    ):
        np.savez(_Stream(handle), allow_pickle=False, **flat)


_BUFFER_BYTES = 1 << 18


class _Stream(io.RawIOBase):
    """A file to write that cannot go back: `zipfile` would for every array, and empty its buffer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # whatever has bytes
        return self._file.write(data)

    def flush(self) -> None:
        """Leave it to the file."""


class Slice:
    """A slice opened for reading; arrays are loaded one table at a time.

    Reads what ``numpy.load`` would, many times faster: slices hold thousands of small arrays.

    Raises
    ------
    ValueError
        If the file is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.meta: dict[str, Any] = json.loads(self._array(members.pop("header")).tobytes().decode())
        if self.meta["slice_version"] != SLICE_VERSION:
            self.close()
            message = f"{path} is a slice of version {self.meta['slice_version']}, not {SLICE_VERSION}"
            raise ValueError(message)
        self._tables: dict[str, dict[str, ZipInfo]] = {}
        for name, info in members.items():
            table, _, column = name.partition("/")
            self._tables.setdefault(table, {})[column] = info

    def table(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a table."""
        return {column: self._array(info) for column, info in self._tables.get(name, {}).items()}

    def tables(self) -> list[str]:
        """Return the names of the tables, as written."""
        return [name for name in self._tables if name != _OWN]

    def own(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of the slice as a whole."""
        return self.table(_OWN)

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()

    def _array(self, info: ZipInfo) -> npt.NDArray[Any]:
        """Read an array: `write_slice` stores them uncompressed, each with a header of plain types."""
        # copies of slices of the map: whoever keeps an array keeps no file
        local = self._bytes[info.header_offset : info.header_offset + _LOCAL_BYTES]
        names = sum(int.from_bytes(local[i : i + 2], "little") for i in _LOCAL_LENGTHS)
        at = info.header_offset + _LOCAL_BYTES + names
        start = self._bytes[at : at + _NPY_START_BYTES]
        header_end = at + _NPY_START_BYTES + int.from_bytes(start[8:], "little")
        header = self._bytes[at + _NPY_START_BYTES : header_end]
        layout = _LAYOUT.fullmatch(header)
        if info.compress_type or not start.startswith(b"\x93NUMPY\x01") or layout is None:
            message = f"{self.path}: {info.filename} is not as a slice's arrays are"
            raise ValueError(message)
        shape = tuple(map(int, layout["shape"].rstrip(b",").split(b","))) if layout["shape"] else ()
        dtype, order = np.dtype(layout["dtype"].decode()), layout["order"]
        array = np.empty(shape, dtype, "F" if order == b"True" else "C")
        data = array.reshape(-1, order="A").view(np.uint8).data
        data[:] = memoryview(self._bytes)[header_end : header_end + len(data)]
        if zlib.crc32(data, zlib.crc32(header, zlib.crc32(start))) != info.CRC:
            message = f"{self.path}: {info.filename} is damaged"
            raise BadZipFile(message)
        return array


def slice_tables(paths: Sequence[Path]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Go through the tables of slices, one in memory and one file open at a time."""
    for path in paths:
        with closing(Slice(path)) as piece:
            yield from map(piece.table, piece.tables())
