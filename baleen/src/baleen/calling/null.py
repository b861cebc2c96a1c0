"""What the control looks like: center and spread of every position, shrunken to its like."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from baleen.calling.channels import Table
from baleen.data import F32, Bool
from krill import tables

MODERATION = tables.Moderation(prior=10.0, kind_prior=15.0, clip=4.0)
"""The variance of a position's k-mer is worth 10 reads beside its own controls, that of the contig 15
beside the other positions of the same k-mer. Beyond 4 the tails of squeezed events carry nothing."""

TREND = tables.Trend(reach=40, gap=10, prior=8.0, cut=3.0, slope=0.515, difference=4.0)
"""What deviates more than the cut is no trend but a modification elsewhere, and must not be taken off
here; nor what lies so near that one modification may show in both, nor what the natives share."""

MIN_CONTROLS = 2
"""A center of fewer controls says nothing of the position: its levels do not count."""


@dataclass(frozen=True)
class Standardised:
    """Deviations from the control in units of its spread.

    Parameters
    ----------
    z
        float32, shape ``(p, r)``; 0 where absent.
    weight
        float32, shape ``(p, r)``; 0 = absent.
    spread
        Standard deviation of the control, shrunken, float32, shape ``(p,)``.
    """

    z: F32
    weight: F32
    spread: F32


def standardise(table: Table, is_control: Bool, kmer: npt.NDArray[np.int64]) -> Standardised:
    """Return control-centred, variance-moderated values without the reads' local trends.

    Parameters
    ----------
    table
        Values of one channel.
    is_control
        Reads that define the null, shape ``(r,)``; under relabelling, those dealt the label.
    kmer
        Code of each position's k-mer, -1 = unknown, shape ``(p,)``.

    Notes
    -----
    Formulas: `krill.tables.standardise`; positions of one k-mer are alike. Positions with fewer
    controls than `MIN_CONTROLS` are absent.
    """
    weight = table.weight
    is_known = np.count_nonzero(weight[:, is_control] > 0, axis=1) >= MIN_CONTROLS
    if not is_known.all():
        weight = np.where(is_known[:, None], weight, np.float32(0))
    z, spread = tables.standardise(table.value, weight, is_control, kmer, MODERATION, TREND)
    return Standardised(z, weight, spread)
