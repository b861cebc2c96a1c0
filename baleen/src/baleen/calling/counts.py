"""Counts of quantised values: what a contig tells the run, small and without an order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from baleen.data import I64


@dataclass(frozen=True)
class Axis:
    """Even bins: value ``v`` falls into bin ``round((v - low) / step)``, ends included; NaN = last bin."""

    low: float
    step: float
    n_bins: int

    def index(self, values: npt.NDArray[np.floating]) -> I64:
        """Return the bin of every value."""
        missing = np.isnan(values)
        nearest = np.rint((np.where(missing, self.low, values) - self.low) / self.step)
        return np.where(missing, self.n_bins - 1, np.clip(nearest, 0, self.n_bins - 2)).astype(np.int64)

    def value(self, index: I64) -> npt.NDArray[np.float64]:
        """Return the middle of every bin, NaN for the last."""
        return np.where(index == self.n_bins - 1, np.nan, self.low + self.step * index)


@dataclass(frozen=True)
class Counts:
    """How often each combination of bins occurs.

    Parameters
    ----------
    code
        Combinations that occur, rising; row-major index into ``shape``, int64, shape ``(n,)``.
    count
        int64, shape ``(n,)``.
    shape
        Bins per axis.
    """

    code: I64
    count: I64
    shape: tuple[int, ...]

    @classmethod
    def of(cls, indices: Sequence[I64], shape: tuple[int, ...]) -> Self:
        """Count combinations; one index array per axis."""
        code, count = np.unique(np.ravel_multi_index(tuple(indices), shape), return_counts=True)
        return cls(code.astype(np.int64), count.astype(np.int64), shape)

    @classmethod
    def total(cls, parts: Iterable["Counts"], shape: tuple[int, ...]) -> Self:
        """Add counts up; their order does not matter."""
        listed = list(parts)
        none = np.zeros(0, np.int64)
        codes = np.concatenate([none, *(part.code for part in listed)])
        counts = np.concatenate([none, *(part.count for part in listed)])
        code, inverse = np.unique(codes, return_inverse=True)
        total = np.zeros(len(code), np.int64)
        np.add.at(total, inverse, counts)
        return cls(code, total, shape)

    def indices(self) -> tuple[I64, ...]:
        """Return the bin on every axis of every combination."""
        return tuple(index.astype(np.int64) for index in np.unravel_index(self.code, self.shape))

    def where(self, axis: int, index: int) -> "Counts":
        """Return the counts with the given bin on one axis, without that axis."""
        indices = self.indices()
        keep = indices[axis] == index
        rest = [kept[keep] for i, kept in enumerate(indices) if i != axis]
        shape = tuple(n for i, n in enumerate(self.shape) if i != axis)
        return Counts(np.ravel_multi_index(tuple(rest), shape).astype(np.int64), self.count[keep], shape)
