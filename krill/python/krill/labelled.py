"""The evidence of tables under other labels of their reads, many labellings in one call."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from krill import _krill
from krill.grid import Grid, flat_grid
from krill.tables import Footprint, Moderation, Trend

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Method:
    """How values become evidence.

    Parameters
    ----------
    moderation, trend, footprint, grid
        As for `krill.tables.standardise`, `krill.tables.match_footprint`, `krill.grid.mixture_evidence`.
    least_controls
        A position with fewer controls in a table is absent from it.
    least_reads
        A position is scored where the first table has shifts of so many reads of either label.
    """

    moderation: Moderation
    trend: Trend
    footprint: Footprint
    grid: Grid
    least_controls: int
    least_reads: int


class Labelling(NamedTuple):
    """Some reads with labels, and which positions to score.

    Parameters
    ----------
    reads
        Columns of the tables, int64, shape ``(k,)``.
    is_first
        Label of each; the others are the controls, bool, shape ``(k,)``.
    rows
        Positions to score, in the order in which they are tried, int64.
    most
        So many of them at most are scored.
    """

    reads: I64
    is_first: Bool
    rows: I64
    most: int


class Scores(NamedTuple):
    """What ``t`` tables say under a labelling.

    Parameters
    ----------
    rows
        Scored positions, rising, int64, shape ``(n,)``.
    depth
        Reads of the rarer label there, int32, shape ``(n,)``.
    log_ratio
        As in `krill.grid.MixtureEvidence`, float64, shape ``(t, n)``.
    """

    rows: I64
    depth: I32
    log_ratio: npt.NDArray[np.float64]


def labelled_scores(
    tables: Sequence[tuple[F32, F32]],
    kind: I64,
    labellings: Sequence[Labelling],
    method: Method,
    *,
    threads: int = 1,
) -> list[Scores]:
    """Score the tables under each labelling.

    Parameters
    ----------
    tables
        Values and weights of each, float32, shape ``(p, r)``; weight 0 = absent.
    kind
        As for `krill.tables.standardise`, int64, shape ``(p,)``.
    labellings
        What to score.
    method
        Settings.
    threads
        Threads of this call.

    Raises
    ------
    ValueError
        If shapes disagree, a value is not finite or an index is out of range.

    Notes
    -----
    Per labelling and table: `krill.tables.standardise`, `krill.tables.match_footprint` with the spread
    of the first table, `krill.tables.control_center` and `krill.grid.mixture_evidence` at the chosen
    positions, bit by bit.
    """
    shape = (len(kind), np.shape(tables[0][0])[1])
    footprint = method.footprint
    settings = (
        astuple(method.moderation),
        astuple(method.trend),
        (list(footprint.shares), footprint.least_precision, footprint.prior),
        *flat_grid(method.grid),
        (method.least_controls, method.least_reads),
    )
    found = _krill.labelled_scores(
        [_flat(value, weight, shape) for value, weight in tables],
        shape[1],
        np.ascontiguousarray(kind, np.int64),
        [_labelling(*one) for one in labellings],
        settings,
        threads,
    )
    return [
        Scores(rows, depth, log_ratio.reshape(len(tables), len(rows))) for rows, depth, log_ratio in found
    ]


def _flat(value: F32, weight: F32, shape: tuple[int, int]) -> tuple[F32, F32]:
    value, weight = np.ascontiguousarray(value, np.float32), np.ascontiguousarray(weight, np.float32)
    if value.shape != shape or weight.shape != shape:
        msg = f"values {value.shape} and weights {weight.shape} must have shape {shape}"
        raise ValueError(msg)
    if not (np.isfinite(value).all() and np.isfinite(weight).all()):
        msg = "values and weights must be finite; absent ones have weight 0"
        raise ValueError(msg)
    return value.ravel(), weight.ravel()


def _labelling(reads: I64, is_first: Bool, rows: I64, most: int) -> tuple[I64, Bool, I64, int]:
    return (
        np.ascontiguousarray(reads, np.int64),
        np.ascontiguousarray(is_first, np.bool_),
        np.ascontiguousarray(rows, np.int64),
        most,
    )
