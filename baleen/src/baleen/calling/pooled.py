"""P-values of the signal statistic from the null values of the whole run."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from baleen.calling.counts import Axis, Counts
from baleen.data import I64

DEPTH_EDGES = (4, 6, 9, 13, 19, 28, 40, 60, 90, 135, 200, 300, 450, 700, 1000)
"""Null values are pooled between positions whose smaller number of reads lies between these: with
more reads the evidence for nothing falls."""

MIN_NULL_VALUES = 300
"""Depth bins with fewer values are joined with the next deeper one."""

TAIL_QUANTILE, TAIL_VALUES = 0.99, 30
"""Beyond this quantile of the null the tail is exponential; in small runs it starts earlier, so that
it rests on this many values, but never below the 90 % quantile."""

PRIOR_EXCESS, PRIOR_EXCESS_VALUES = 1.0, 5.0
"""Log evidence falls off like exp(-S) under a null; the tail starts from that."""

VALUES_PER_DRAW = 3.0
"""Neighbouring positions see the same levels: so many null values know as much as an independent one."""

STATISTIC = Axis(low=-20.0, step=0.01, n_bins=32_002)
"""How finely null values are kept."""


def depth_bin(depth: npt.NDArray[np.integer]) -> I64:
    """Return the pool of each smaller number of reads."""
    return np.searchsorted(DEPTH_EDGES, depth, side="right").astype(np.int64)


N_DEPTH_BINS = len(DEPTH_EDGES) + 1


@dataclass(frozen=True)
class Pool:
    """Null values of one depth bin: rising values, their counts, and the tail.

    Parameters
    ----------
    value, count
        float64 and int64, shape ``(n,)``.
    threshold, tail_share, excess, draws
        Where the exponential tail starts, the share of values beyond, their mean excess, and how
        many independent values know it.
    """

    value: npt.NDArray[np.float64]
    count: I64
    threshold: float
    tail_share: float
    excess: float
    draws: float

    @classmethod
    def of(cls, value: npt.NDArray[np.float64], count: I64) -> Self:
        """Find the tail of counted values, which rise."""
        n = int(count.sum())
        if n == 0:
            return cls(value, count, np.inf, 1.0, PRIOR_EXCESS, PRIOR_EXCESS_VALUES)
        quantile = min(TAIL_QUANTILE, max(0.9, 1 - TAIL_VALUES / n))
        threshold = float(value[np.searchsorted(np.cumsum(count), quantile * n)])
        beyond = value > threshold
        n_beyond = int(count[beyond].sum())
        total = float(((value[beyond] - threshold) * count[beyond]).sum())
        draws = n_beyond / VALUES_PER_DRAW + PRIOR_EXCESS_VALUES
        excess = (total / VALUES_PER_DRAW + PRIOR_EXCESS * PRIOR_EXCESS_VALUES) / draws
        return cls(value, count, threshold, (1 + n_beyond) / (1 + n), excess, draws)

    def p_value(self, statistic: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the share of null values at least as large; NaN stays NaN.

        Within a bin of the kept values the count is interpolated, so that p-values are spread
        as evenly as the values were. In the tail the mean excess is known from a few values only:
        ``(1 + x / (draws excess))^-draws`` is the exponential tail averaged over its posterior.
        """
        total = int(self.count.sum())
        edges = self.value + STATISTIC.step / 2
        below = np.interp(statistic, edges, np.cumsum(self.count), left=0.0) if total else 0.0
        p = (1 + total - below) / (1 + total)
        beyond = np.maximum(statistic - self.threshold, 0) / (self.draws * self.excess)
        tail = self.tail_share * (1 + beyond) ** -self.draws
        p = np.where(statistic > self.threshold, tail, np.clip(p, self.tail_share, 1))
        return np.where(np.isnan(statistic), np.nan, p)

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {"bin": STATISTIC.index(self.value).tolist(), "count": self.count.tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild from ``to_json``."""
        return cls.of(STATISTIC.value(np.array(data["bin"], np.int64)), np.array(data["count"], np.int64))


def pool(null: Counts) -> tuple[Pool, ...]:
    """Return one pool per depth bin from counts over (depth bin, statistic).

    A bin with too few values takes those of the next deeper ones in, or of the shallower ones
    where there is none deeper.
    """
    depth, index = null.indices()
    sizes = np.bincount(depth, weights=null.count, minlength=N_DEPTH_BINS)
    pools = []
    for first in range(N_DEPTH_BINS):
        low = high = first
        while sizes[low : high + 1].sum() < MIN_NULL_VALUES and (high + 1 < N_DEPTH_BINS or low > 0):
            if high + 1 < N_DEPTH_BINS:
                high += 1
            else:
                low -= 1
        inside = (depth >= low) & (depth <= high)
        size = (STATISTIC.n_bins,)
        counts = Counts.total([Counts(index[inside], null.count[inside], size)], size)
        pools.append(Pool.of(STATISTIC.value(counts.code), counts.count))
    return tuple(pools)


def p_values(
    pools: tuple[Pool, ...], statistic: npt.NDArray[np.float64], depth: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Return the p-value of each statistic against the pool of its depth."""
    p = np.full(len(statistic), np.nan)
    bins = depth_bin(depth)
    for i in np.unique(bins):
        p[bins == i] = pools[i].p_value(statistic[bins == i])
    return p
