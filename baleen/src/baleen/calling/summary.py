"""What one contig tells the run: counts alone, so that contigs add up in any order."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling import pooled
from baleen.calling.counts import Axis, Counts
from baleen.calling.evidence import Evidence
from baleen.calling.replicates import N_INFLATION_CODES, Priors, channel_inflation, moderate_errors
from baleen.data import F32, I64, Bool

N_HALVES, BLOCK_BP = 2, 200
"""The fusion of one half of the run (alternate blocks of the contigs) is fitted on the other."""

ERROR_SCORE = Axis(low=-40.0, step=0.02, n_bins=4002)
COARSE_SCORE = Axis(low=-9.0, step=0.1, n_bins=182)
COARSE_STATISTIC = Axis(low=-20.0, step=0.1, n_bins=3202)

MIN_SCALE_DEPTH = 15
"""Shallower positions say nothing about the error scale: one read with an error, rarely two, so that
the median score follows the ratio of the depths."""

ADDED_AT_ONCE = 64
"""Contigs whose counts are in memory together."""

MASK_P, MASK_REACH = 1e-4, 6
"""Positions this near to a strong error difference say nothing about the error scale."""


@dataclass(frozen=True)
class Summary:
    """What one contig, or many, tell the run: counts alone, so that contigs add up in any order.

    Parameters
    ----------
    null
        Of each candidate signal statistic: over (depth bin, statistic) of relabelled reads.
    error_scores
        Of signed error scores away from strong differences.
    joint
        Of each candidate: over (half, depth bin, statistic, error score, inflation), coarse.
    """

    null: tuple[Counts, ...]
    error_scores: Counts
    joint: tuple[Counts, ...]

    def to_arrays(self) -> dict[str, I64]:
        """Return plain arrays."""
        named = {"error_scores": self.error_scores}
        named |= {f"null{i}": one for i, one in enumerate(self.null)}
        named |= {f"joint{i}": one for i, one in enumerate(self.joint)}
        return {
            f"{name}_{part}": values
            for name, one in named.items()
            for part, values in (("code", one.code), ("count", one.count))
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, I64]) -> "Summary":
        """Rebuild from ``to_arrays``."""

        def counts(name: str, shape: tuple[int, ...]) -> Counts:
            return Counts(arrays[f"{name}_code"], arrays[f"{name}_count"], shape)

        def candidates(name: str, shape: tuple[int, ...]) -> tuple[Counts, ...]:
            n = sum(one.startswith(name) and one.endswith("_code") for one in arrays)
            return tuple(counts(f"{name}{i}", shape) for i in range(n))

        return cls(
            null=candidates("null", NULL_SHAPE),
            error_scores=counts("error_scores", (ERROR_SCORE.n_bins,)),
            joint=candidates("joint", JOINT_SHAPE),
        )

    @classmethod
    def total(cls, parts: Iterable["Summary"]) -> "Summary":
        """Add contigs up, a few at a time: memory does not grow with their number."""
        rest = iter(parts)
        total = cls._sum(list(islice(rest, ADDED_AT_ONCE)))
        while more := list(islice(rest, ADDED_AT_ONCE)):
            total = cls._sum([total, *more])
        return total

    @classmethod
    def _sum(cls, parts: Sequence["Summary"]) -> "Summary":
        return cls(
            null=_sums([part.null for part in parts], NULL_SHAPE),
            error_scores=Counts.total([part.error_scores for part in parts], (ERROR_SCORE.n_bins,)),
            joint=_sums([part.joint for part in parts], JOINT_SHAPE),
        )


def _sums(parts: Sequence[tuple[Counts, ...]], shape: tuple[int, ...]) -> tuple[Counts, ...]:
    """Add up candidate by candidate; a contig that lacks one counts as nothing there."""
    n = max(map(len, parts), default=0)
    return tuple(Counts.total([one[i] for one in parts if len(one) > i], shape) for i in range(n))


NULL_SHAPE = (pooled.N_DEPTH_BINS, pooled.STATISTIC.n_bins)
JOINT_SHAPE = (
    N_HALVES, pooled.N_DEPTH_BINS, COARSE_STATISTIC.n_bins, COARSE_SCORE.n_bins, N_INFLATION_CODES,
)  # fmt: skip


def summarise(evidence: Evidence, priors: Priors = ()) -> Summary:
    """Return what the run needs to know of a contig.

    Parameters
    ----------
    evidence
        The contig's.
    priors
        Variance between samples, from `fit_priors`; empty without replicates.
    """
    evidence = moderate_errors(evidence, priors)
    z = evidence.error_z.astype(np.float64)
    unmasked = ~_near_strong(evidence.position, z) & ~np.isnan(z)
    unmasked &= smaller_depth(evidence) >= MIN_SCALE_DEPTH
    null_bins = pooled.depth_bin(evidence.null_depth)
    null, joint = [], []
    for candidate, null_values in enumerate(evidence.null_statistic):
        bins = pooled.STATISTIC.index(null_values.astype(np.float64))
        null.append(Counts.of([null_bins, bins], NULL_SHAPE))
        joint.append(_joint(evidence, candidate, priors))
    if not joint:
        joint.append(_joint(evidence, None, priors))
    return Summary(
        null=tuple(null),
        error_scores=Counts.of([ERROR_SCORE.index(z[unmasked])], (ERROR_SCORE.n_bins,)),
        joint=tuple(joint),
    )


def _joint(evidence: Evidence, candidate: int | None, priors: Priors) -> Counts:
    z = evidence.error_z.astype(np.float64)
    statistic = statistic_of(evidence, candidate or 0)
    no_signal = () if candidate is None else priors
    tested = ~(np.isnan(z) & np.isnan(statistic))
    indices = (
        half(evidence.contig, evidence.position),
        pooled.depth_bin(smaller_depth(evidence)),
        COARSE_STATISTIC.index(statistic),
        COARSE_SCORE.index(z),
        channel_inflation(evidence, no_signal, candidate or 0).codes(),
    )
    return Counts.of([index[tested] for index in indices], JOINT_SHAPE)


def statistic_of(evidence: Evidence, candidate: int) -> npt.NDArray[np.float64]:
    """Return a candidate signal statistic, NaN where not tested."""
    if candidate >= len(evidence.statistic):
        return np.full(len(evidence.position), np.nan)
    return np.asarray(evidence.statistic[candidate])


def by_channel(evidence: Evidence, name: str) -> F32:
    """Return the signal statistic of the named channels, NaN where it was not computed."""
    found = np.flatnonzero(evidence.candidates == name)
    candidate = int(found[0]) if len(found) else len(evidence.candidates)
    return statistic_of(evidence, candidate).astype(np.float32)


def smaller_depth(evidence: Evidence) -> npt.NDArray[np.int32]:
    """Return the smaller number of reads of the two conditions."""
    return np.minimum(evidence.n_native, evidence.n_control)


def half(contig: str, position: npt.NDArray[np.integer]) -> I64:
    """Return the half of the run that each position belongs to."""
    block = zlib.crc32(contig.encode()) + position.astype(np.int64) // BLOCK_BP
    return block % N_HALVES


def _near_strong(position: npt.NDArray[np.int32], z: npt.NDArray[np.float64]) -> Bool:
    strong = position[np.nan_to_num(z) > -special.ndtri(MASK_P)]
    if len(strong) == 0:
        return np.zeros(len(position), np.bool_)
    after = np.minimum(np.searchsorted(strong, position), len(strong) - 1)
    before = np.maximum(after - 1, 0)
    distance = np.minimum(np.abs(strong[after] - position), np.abs(strong[before] - position))
    return np.asarray(distance <= MASK_REACH)
