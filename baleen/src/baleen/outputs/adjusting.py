"""P-values adjusted over a whole run with little memory: they wait in a file, in sorted runs."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from baleen.files import as_output_error

F64 = npt.NDArray[np.float64]

RUN_VALUES = 1 << 16
"""P-values in memory together."""


class Adjustment(NamedTuple):
    """Benjamini-Hochberg as a rising step function of the p-value.

    Parameters
    ----------
    upto, adjusted
        P-values up to ``upto[i]`` and above ``upto[i - 1]`` become ``adjusted[i]``, float64, shape
        ``(steps,)``; those above all become 1.
    n_tested
        P-values behind it.
    """

    upto: F64
    adjusted: F64
    n_tested: int

    @classmethod
    def over(cls, parts: Iterable[F64], folder: Path) -> Self:
        """Learn it from all p-values of a run; NaN (not tested) does not count.

        Parameters
        ----------
        parts
            The p-values, contig by contig.
        folder
            Where they wait on disk.
        """
        with _SortedRuns(folder) as runs:
            for part in parts:
                runs.add(part[~np.isnan(part)])
            return cls._of(runs)

    @classmethod
    def _of(cls, runs: "_SortedRuns") -> Self:
        rank, least = runs.n, 1.0
        upto, adjusted = [np.zeros(0)], [np.zeros(0)]
        for p in runs.falling():
            ratio = p * runs.n / np.arange(rank, rank - len(p), -1)
            lowest = np.minimum(np.minimum.accumulate(ratio), least)
            is_step = lowest < np.concatenate([[least], lowest[:-1]])
            upto.append(p[is_step])
            adjusted.append(lowest[is_step])
            rank, least = rank - len(p), float(lowest[-1])
        return cls(np.concatenate(upto)[::-1], np.concatenate(adjusted)[::-1], runs.n)

    def __call__(self, p: F64) -> F64:
        """Return adjusted p-values; NaN stays NaN."""
        step = np.searchsorted(self.upto, p)  # NaN is beyond all
        return np.where(np.isnan(p), np.nan, np.append(self.adjusted, 1.0)[step])


class _SortedRuns:
    """Values in a file without a name: each run rises."""

    def __init__(self, folder: Path) -> None:
        self.n = 0
        self._folder = folder
        self._waiting: list[F64] = []
        self._n_waiting = 0
        self._runs: list[tuple[int, int]] = []
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, values: F64) -> None:
        """Add values, in any order."""
        self._waiting.append(values)
        self._n_waiting += len(values)
        self.n += len(values)
        if self._n_waiting >= RUN_VALUES:
            self._write_run()

    def _write_run(self) -> None:
        run = np.sort(np.concatenate(self._waiting))
        self._waiting, self._n_waiting = [], 0
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.write(run.data)
            self._file.flush()
        except OSError as error:
            raise as_output_error(self._folder, error) from error
        self._runs.append((self.n - len(run), self.n))

    def falling(self) -> Iterator[F64]:
        """Go through all values, the largest first, in pieces."""
        if self._n_waiting:
            self._write_run()
        starts, ends = (list(bound) for bound in zip(*self._runs, strict=True)) if self._runs else ([], [])
        at_once = max(1, RUN_VALUES // max(1, len(starts)))
        heads = [np.zeros(0)] * len(starts)  # of each run, values that are read and not yet returned
        while True:
            for i, head in enumerate(heads):
                if len(head) == 0 and starts[i] < ends[i]:
                    first = max(starts[i], ends[i] - at_once)
                    heads[i], ends[i] = self._read(first, ends[i]), first
            # what is not read yet of a run is not above the least that is
            bound = max((h[0] for h, a, b in zip(heads, starts, ends, strict=True) if a < b), default=-np.inf)
            cuts = [int(np.searchsorted(head, bound)) for head in heads]
            piece = np.concatenate([np.zeros(0), *(h[cut:] for h, cut in zip(heads, cuts, strict=True))])
            if len(piece) == 0:
                return
            heads = [head[:cut] for head, cut in zip(heads, cuts, strict=True)]
            yield np.sort(piece)[::-1]

    def _read(self, first: int, end: int) -> F64:
        size = np.dtype(np.float64).itemsize
        self._file.seek(first * size)
        return np.frombuffer(self._file.read((end - first) * size), np.float64)
