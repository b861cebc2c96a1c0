"""Rows of unequal length in one flat array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Ragged:
    """Rows of unequal length: row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    values
        All rows one after another, shape ``(m,)``, any dtype.
    offsets
        Where each row starts, int64, shape ``(n + 1,)``; starts at 0, ends at ``m``.

    Raises
    ------
    ValueError
        If the offsets do not describe the values.
    """

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        offsets = np.ascontiguousarray(self.offsets, dtype=np.int64)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "values", np.ascontiguousarray(self.values))
        if self.values.ndim != 1 or offsets.ndim != 1 or len(offsets) == 0:
            msg = "a ragged array needs 1-D values and n + 1 offsets"
            raise ValueError(msg)
        if offsets[0] != 0 or offsets[-1] != len(self.values) or (np.diff(offsets) < 0).any():
            msg = (
                f"offsets must rise from 0 to {len(self.values)}, the number of values; "
                f"they go from {offsets[0]} to {offsets[-1]}"
            )
            raise ValueError(msg)

    @classmethod
    def from_rows(cls, rows: Sequence[npt.ArrayLike], dtype: npt.DTypeLike) -> Self:
        """Join rows into one flat array of ``dtype``."""
        arrays = [np.asarray(row, dtype=dtype) for row in rows]
        offsets = np.zeros(len(arrays) + 1, np.int64)
        np.cumsum([len(a) for a in arrays], out=offsets[1:])
        values = np.concatenate(arrays) if arrays else np.zeros(0, dtype)
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> npt.NDArray[Any]:
        if not 0 <= i < len(self):
            msg = f"row {i} of {len(self)}"
            raise IndexError(msg)
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Length of each row, shape ``(n,)``."""
        return np.diff(self.offsets)
