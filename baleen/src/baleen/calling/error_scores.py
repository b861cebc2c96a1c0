"""Score the basecall errors of one contig."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from baleen.calling.basecalls import MIN_READS, ErrorTable, error_scores, error_test, tabulate
from baleen.calling.channels import Frame
from baleen.calling.read_errors import REACH, read_ratios
from baleen.calling.replicates import SampleMeans, error_means
from baleen.calling.splits import Split
from baleen.config import CallingConfig
from baleen.data import F32, I32, Bool, ErrorPileup

SUPPORT = 1.645
"""Error score from which reads are told apart: elsewhere a share of modified reads has no meaning."""


@dataclass(frozen=True)
class ErrorScores:
    """Error evidence on the ``p`` positions of a frame, ``r`` reads.

    ``llr`` has shape ``(p, r)``, 0 where it says nothing; ``splits`` has an entry per split of the
    controls, the scores of its rows; the other fields are as in ``Evidence``.
    """

    tested: Bool
    n_native: I32
    n_control: I32
    z: F32
    native: F32
    control: F32
    share: F32
    llr: F32
    covered: Bool
    samples: SampleMeans | None = None
    splits: tuple[F32, ...] = ()

    @classmethod
    def absent(cls, shape: tuple[int, int]) -> Self:
        """Return what there is without basecall errors."""
        missing = np.full(shape[0], np.nan, np.float32)
        none = np.zeros(shape[0], np.int32)
        return cls(
            tested=np.zeros(shape[0], np.bool_),
            n_native=none,
            n_control=none,
            z=missing,
            native=missing,
            control=missing,
            share=missing,
            llr=np.zeros(shape, np.float32),
            covered=np.zeros(shape, np.bool_),
        )


def score_errors(
    pileup: ErrorPileup, frame: Frame, config: CallingConfig, splits: Sequence[Split] = ()
) -> ErrorScores:
    """Return the error evidence of one contig; that of the reads where the site test found something."""
    table = tabulate(pileup, frame)
    is_native = pileup.reads.is_native
    covered = table.covered
    test = error_test(table, is_native)
    n_native, n_control = covered[:, is_native].sum(axis=1), covered[:, ~is_native].sum(axis=1)
    tested = (n_native >= MIN_READS) & (n_control >= MIN_READS)
    found = _supported(test.z if config.error_direction == "more" else np.abs(test.z))
    rows = np.flatnonzero(found & tested)
    share, llr = np.full(len(found), np.nan, np.float32), np.zeros(covered.shape, np.float32)
    share[rows], llr[rows] = read_ratios(table, is_native, rows)
    return ErrorScores(
        tested=tested,
        n_native=n_native.astype(np.int32),
        n_control=n_control.astype(np.int32),
        z=test.z,
        native=test.native,
        control=test.control,
        share=share,
        llr=llr,
        covered=covered,
        samples=error_means(error_scores(table), covered, pileup.reads),
        splits=tuple(_split_scores(table, one) for one in splits),
    )


def _split_scores(table: ErrorTable, split: Split) -> F32:
    """Return the error test of a split's rows."""
    halves = ErrorTable(table.errors[:, split.reads], table.quality[:, split.reads])
    return error_test(halves, split.is_first).z[split.rows]


def _supported(z: F32) -> Bool:
    """Return the positions whose surroundings hold a difference: the base itself may show none."""
    high = np.nan_to_num(z) > SUPPORT
    padded = np.pad(high, REACH)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1).any(axis=1))
