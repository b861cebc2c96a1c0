"""Per-group slices: the arrays of a few contigs in one ``.npz``, complete or absent, never pickled.

Slices are named by number, so no contig name ever becomes part of a path.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from baleen.files import complete_file

SLICE_VERSION = 1

Arrays = Mapping[str, npt.NDArray[Any]]


def slice_path(folder: Path, index: int, kind: str) -> Path:
    """Return the path of slice ``index``; ``kind`` is its suffix."""
    return folder / f"{index:06d}.{kind}"


def write_slice(path: Path, tables: Mapping[str, Arrays], meta: Mapping[str, Any]) -> None:
    """Write named tables of arrays and a JSON header.

    Parameters
    ----------
    path
        File to write.
    tables
        ``name -> {column -> array}``; names and columns must not hold a slash.
    meta
        JSON-able facts about the slice.
    """
    header = json.dumps({"slice_version": SLICE_VERSION, **meta}, sort_keys=True)
    flat: dict[str, npt.NDArray[Any]] = {
        f"{table}/{column}": array for table, columns in tables.items() for column, array in columns.items()
    }
    flat["header"] = np.frombuffer(header.encode(), np.uint8)
    with complete_file(path) as part, part.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **flat)


class Slice:
    """A slice opened for reading; arrays are loaded one table at a time.

    Raises
    ------
    ValueError
        If the file is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = np.load(path, allow_pickle=False)
        self.meta: dict[str, Any] = json.loads(self._file["header"].tobytes().decode())
        if self.meta["slice_version"] != SLICE_VERSION:
            message = f"{path} is a slice of version {self.meta['slice_version']}, not {SLICE_VERSION}"
            raise ValueError(message)

    def table(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a table."""
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): self._file[key] for key in self._file.files if key.startswith(prefix)
        }

    def tables(self) -> list[str]:
        """Return the names of the tables, as written."""
        return list(dict.fromkeys(key.partition("/")[0] for key in self._file.files if "/" in key))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
