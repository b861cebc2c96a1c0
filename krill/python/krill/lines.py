"""Columns of arrays as lines of text, cells apart by tabs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from krill import _krill

Cells = npt.NDArray[Any]

_N_ASCII = 128


def table_lines(columns: Sequence[Cells]) -> bytes:
    """Return a line per element of the columns, which are alike in length.

    Numbers have six significant digits, missing ones (NaN) are empty, truth is 0 and 1, text is UTF-8.

    Parameters
    ----------
    columns
        Of floats, whole numbers, bools, bytes or text, shape ``(n,)`` each.

    Raises
    ------
    ValueError
        If the columns differ in length, or hold something else.
    """
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        message = f"columns of {sorted(lengths)} elements make no table"
        raise ValueError(message)
    return _krill.table_lines([_cells(column) for column in columns], max(lengths, default=0))


def _cells(column: Cells) -> Cells:
    """Return the column as the engine takes it."""
    kind = column.dtype.kind
    if kind == "U":
        width = column.dtype.itemsize // 4
        letters = np.ascontiguousarray(column).view(np.uint32).reshape(len(column), width)
        if letters.max(initial=0) < _N_ASCII:  # many times faster than to encode
            return letters.astype(np.uint8)
        column, kind = np.char.encode(column, "utf-8"), "S"
    if kind == "S":
        return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), column.dtype.itemsize)
    if kind not in "fiub":
        message = f"a column of {column.dtype} has no text"
        raise ValueError(message)
    return np.ascontiguousarray(column, np.float64 if kind == "f" else np.int64)
