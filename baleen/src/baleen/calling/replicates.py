"""Variance between samples of one condition: how much less a test is worth than its reads say."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling.counts import Axis, Counts
from baleen.calling.evidence import Evidence
from baleen.data import F32, I64, U8, Bool, ReadIndex

F64 = npt.NDArray[np.float64]

PRIOR_READS = 50.0
"""Reads that the stated noise is worth beside a sample's own scatter, as in the footprint's scale."""

MAX_FREEDOM = 30
"""Degrees of freedom between samples are counted up to this many when the run is learned from."""

ENDLESS = 1e4
"""Degrees of freedom from which Student's distribution is taken as normal."""

LOG_DISPERSION = Axis(low=-12.0, step=0.05, n_bins=482)
LOG_WEIGHT = Axis(low=-8.0, step=0.1, n_bins=202)
SPREAD_SHAPE = (MAX_FREEDOM + 1, LOG_DISPERSION.n_bins, LOG_WEIGHT.n_bins)

INFLATION, FREEDOM = Axis(low=0.0, step=0.05, n_bins=302), Axis(low=0.0, step=0.25, n_bins=42)
"""Coarse axes of ln inflation and ln degrees of freedom, for counts over the run."""

N_INFLATION_CODES = INFLATION.n_bins * FREEDOM.n_bins


class SampleMeans(NamedTuple):
    """Mean of each sample at each position and its precision by the reads alone.

    Both float32, shape ``(samples, p)``; precision 0 = absent.
    """

    mean: F32
    precision: F32


def shift_means(value: F32, precision: F32, reads: ReadIndex) -> SampleMeans:
    """Return the samples' mean shifts; the variance of each is shrunken to what its reads claim."""

    def one(columns: Bool) -> tuple[F32, F32]:
        y, h = value[:, columns], precision[:, columns]
        n, total = (h > 0).sum(axis=1), h.sum(axis=1)
        safe = np.maximum(total, np.float32(1e-12))
        mean = (h * y).sum(axis=1) / safe
        scatter = (h**2 * (y - mean[:, None]) ** 2).sum(axis=1) / safe**2 * n / np.maximum(n - 1, 1)
        variance = (PRIOR_READS / safe + n * scatter) / (PRIOR_READS + n)
        return mean, np.where(n >= 2, 1 / np.maximum(variance, 1e-12), 0)

    return _stack([one(reads.sample == i) for i in range(len(reads.sample_names))], len(value))


def error_means(x: F32, covered: Bool, reads: ReadIndex) -> SampleMeans:
    """Return the samples' mean error scores; the scatter within samples is shared by all of them."""
    groups = [reads.sample == i for i in range(len(reads.sample_names))]
    n = np.stack([covered[:, g].sum(axis=1) for g in groups]).astype(np.float64)
    total = np.stack([np.where(covered[:, g], x[:, g], 0).sum(axis=1) for g in groups])
    square = np.where(covered, x**2, 0).sum(axis=1)
    mean = total / np.maximum(n, 1)
    freedom = np.maximum(n.sum(axis=0) - (n > 0).sum(axis=0), 1)
    variance = (square - (n * mean**2).sum(axis=0)) / freedom
    known = (n >= 2) & (variance > 1e-6)
    return SampleMeans(
        mean.astype(np.float32), np.where(known, n / np.maximum(variance, 1e-6), 0).astype(np.float32)
    )


def _stack(parts: list[tuple[F32, F32]], p: int) -> SampleMeans:
    empty = np.zeros((0, p), np.float32)
    mean, precision = (np.stack(part) for part in zip(*parts, strict=True)) if parts else (empty, empty)
    return SampleMeans(mean.astype(np.float32), precision.astype(np.float32))


@dataclass(frozen=True)
class Spread:
    """How far samples of a condition lie apart, per position, float64, shape ``(p,)`` each.

    Parameters
    ----------
    freedom
        Degrees of freedom: samples minus conditions; 0 = no replicates there.
    dispersion
        Mean square between samples over that of their reads; 1 expected without a batch effect.
    weight
        What a unit of variance between samples adds to ``dispersion``.
    contrast_weight
        What it adds to the variance of native minus control, in units of that by the reads.
    """

    freedom: F64
    dispersion: F64
    weight: F64
    contrast_weight: F64

    @classmethod
    def of(cls, means: SampleMeans, condition: U8) -> Self:
        """Measure the samples of each condition against each other; condition 0 is the control.

        Notes
        -----
        With precisions ``w`` and means ``m`` of the samples of each condition, Cochran's
        ``Q = sum w (m - mean)^2`` has the expectation ``d + tau^2 K``, ``K = sum w - sum w^2 /
        sum w`` (DerSimonian and Laird 1986): the dispersion is ``Q / d``, its weight ``K / d``.
        """
        w, m = means.precision.astype(np.float64), means.mean.astype(np.float64)
        p = w.shape[1]
        q, k, d = np.zeros(p), np.zeros(p), np.zeros(p)
        for group in np.unique(condition):
            total, square, mean = _sums(w, m, condition == group)
            rows = condition == group
            q += (w[rows] * (m[rows] - mean) ** 2).sum(axis=0)
            k += total - square / np.maximum(total, 1e-30)
            d += np.maximum((w[rows] > 0).sum(axis=0) - 1, 0)
        between, by_reads = np.zeros(p), np.zeros(p)
        for side in (condition > 0, condition == 0):
            total, square, _ = _sums(w, m, side)
            between += square / np.maximum(total, 1e-30) ** 2
            by_reads += 1 / np.maximum(total, 1e-30)
        known = d > 0
        freedom = np.maximum(d, 1)
        return cls(d, np.where(known, q / freedom, np.nan), np.where(known, k / freedom, np.nan),
                   between / by_reads)  # fmt: skip

    def counts(self) -> Counts:
        """Return what the run needs to know of these positions."""
        known = self.freedom > 0
        return Counts.of(
            [
                np.minimum(self.freedom[known], MAX_FREEDOM).astype(np.int64),
                LOG_DISPERSION.index(np.log(np.maximum(self.dispersion[known], 1e-30))),
                LOG_WEIGHT.index(np.log(np.maximum(self.weight[known], 1e-30))),
            ],
            SPREAD_SHAPE,
        )


def _sums(w: F64, m: F64, rows: Bool) -> tuple[F64, F64, F64]:
    total = w[rows].sum(axis=0)
    return total, (w[rows] ** 2).sum(axis=0), (w[rows] * m[rows]).sum(axis=0) / np.maximum(total, 1e-30)


class Inflation(NamedTuple):
    """Factor on the variance of a difference, >= 1, and degrees of freedom behind it, shape ``(p,)``."""

    factor: F64
    freedom: F64

    @classmethod
    def none(cls, p: int) -> Self:
        """Return what holds where reads of a condition are exchangeable."""
        return cls(np.ones(p), np.full(p, np.inf))

    def codes(self) -> I64:
        """Return the coarse bin of each position."""
        factor = INFLATION.index(np.log(self.factor))
        freedom = FREEDOM.index(np.where(self.freedom >= ENDLESS, np.nan, np.log(self.freedom)))
        return factor * FREEDOM.n_bins + freedom

    @classmethod
    def of_codes(cls, codes: I64) -> Self:
        """Return the middle of coarse bins."""
        factor = np.exp(INFLATION.value(codes // FREEDOM.n_bins))
        freedom = np.exp(FREEDOM.value(codes % FREEDOM.n_bins))
        return cls(factor, np.where(np.isnan(freedom), np.inf, freedom))

    def temper(self, z: F64, *, two_sided: bool) -> F64:
        """Return normal scores worth what is left of them.

        Parameters
        ----------
        z
            Normal scores of the reads' test; NaN stays NaN.
        two_sided
            Whether a score is that of a p-value that counts differences of either sign.

        Notes
        -----
        ``p' = 2 T(-u / sqrt(factor))`` with ``2 Phi(-u) = p`` and Student's ``T``; exactly ``z``
        where the factor is 1.
        """
        endless = self.freedom >= ENDLESS
        is_whole = (self.factor <= 1) & endless
        if is_whole.all():  # as in every run without replicates
            return z.copy()
        size = -_normal_quantile(special.log_ndtr(-z) - np.log(2)) if two_sided else np.abs(z)
        reduced = size / np.sqrt(self.factor)
        freedom = np.where(endless, 1.0, self.freedom)
        tail = np.where(endless, special.ndtr(-reduced), special.stdtr(freedom, -reduced))
        tail = np.maximum(tail, 1e-300)
        score = -special.ndtri(np.minimum(2 * tail, 1)) if two_sided else np.sign(z) * -special.ndtri(tail)
        return np.where(is_whole, z, score)


def _normal_quantile(log_p: F64) -> F64:
    """Return the normal quantile of a probability given by its logarithm."""
    return np.asarray(special.ndtri_exp(log_p))


@dataclass(frozen=True)
class SpreadPrior:
    """What the run's positions say together of the variance between samples.

    Parameters
    ----------
    variance
        Between samples, in the unit of the means.
    scale
        Factor on the dispersion that `variance` predicts.
    freedom
        Degrees of freedom that this is worth at a position; inf = all positions are alike.
    """

    variance: float
    scale: float
    freedom: float

    @classmethod
    def of(cls, counts: Counts) -> Self | None:
        """Learn from counts over the run; None if there are no replicates.

        Notes
        -----
        The variance is DerSimonian and Laird's over all positions. ``scale`` and ``freedom`` are
        the moments of ln dispersion under a scaled F distribution, as Smyth (2004) moderates
        variances.
        """
        if counts.count.sum() == 0:
            return None
        d, dispersion, weight = counts.indices()
        n, d = counts.count.astype(np.float64), d.astype(np.float64)
        x, k = np.exp(LOG_DISPERSION.value(dispersion)), np.exp(LOG_WEIGHT.value(weight))
        variance = max(0.0, float((n * d * (x - 1)).sum() / (n * d * k).sum()))
        log = np.log(x / (1 + variance * k)) - special.digamma(d / 2) + np.log(d / 2)
        precision = n / special.polygamma(1, d / 2)
        mean = float((precision * log).sum() / precision.sum())
        excess = (log - mean) ** 2 - special.polygamma(1, d / 2)
        freedom = 2 * _inverse_trigamma(float((precision * excess).sum() / precision.sum()))
        correction = 0.0 if np.isinf(freedom) else special.digamma(freedom / 2) - np.log(freedom / 2)
        return cls(variance, float(np.exp(mean + correction)), freedom)

    def inflation(self, spread: Spread) -> Inflation:
        """Return the moderated inflation of each position.

        Notes
        -----
        The dispersion is ``(d0 prior + d Q/d) / (d0 + d)``, at least 1; its excess over 1 is
        carried over from the samples' deviations to the difference of the conditions. Only the
        excess is uncertain: the degrees of freedom are those of Satterthwaite.
        """
        d = spread.freedom
        known = d > 0
        prior = self.scale * (1 + self.variance * np.where(known, spread.weight, spread.contrast_weight))
        observed = np.where(known, spread.dispersion, 1)
        if np.isinf(self.freedom):
            moderated = prior
        else:
            moderated = (self.freedom * prior + d * observed) / (self.freedom + d)
        carried = np.where(known, spread.contrast_weight / np.where(known, spread.weight, 1), 1.0)
        excess = carried * np.maximum(moderated - 1, 0)
        factor = 1 + excess
        part = np.divide(factor, excess, out=np.full(len(d), np.inf), where=excess > 0)
        return Inflation(factor, (self.freedom + d) * part**2)

    def to_json(self) -> dict[str, Any]:
        """Return plain types; no limit to the degrees of freedom is None."""
        freedom = None if np.isinf(self.freedom) else self.freedom
        return {"variance": self.variance, "scale": self.scale, "freedom": freedom}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild from ``to_json``."""
        freedom = np.inf if data["freedom"] is None else data["freedom"]
        return cls(data["variance"], data["scale"], float(freedom))


Priors = tuple[SpreadPrior | None, ...]
"""One per candidate of the signal and one of the errors, last; empty = no replicates in the run."""


def spread_counts(evidence: Evidence) -> tuple[Counts, ...]:
    """Return what the run needs to know of a contig's samples, per channel."""
    return tuple(_spread(evidence, channel).counts() for channel in range(len(evidence.sample_mean)))


def fit_priors(contigs: Iterable[tuple[Counts, ...]]) -> Priors:
    """Learn the variance between samples over the run; empty where there are no replicates."""
    totals: list[Counts] = []
    for contig in contigs:
        before = totals or [Counts.total([], SPREAD_SHAPE)] * len(contig)
        totals = [Counts.total(pair, SPREAD_SHAPE) for pair in zip(before, contig, strict=True)]
    priors = tuple(SpreadPrior.of(total) for total in totals)
    return priors if any(priors) else ()


def channel_inflation(evidence: Evidence, priors: Priors, channel: int) -> Inflation:
    """Return the inflation of one channel (-1 = errors) at the positions of a contig."""
    prior = priors[channel] if priors else None
    if prior is None:
        return Inflation.none(len(evidence.position))
    return prior.inflation(_spread(evidence, channel))


def contrast_inflation(
    evidence: Evidence, priors: Priors, use: tuple[int, tuple[bool, bool]], pair: tuple[int, int]
) -> Inflation:
    """Return the inflation of one native condition against another: the larger one of the channels.

    Parameters
    ----------
    evidence, priors
        As for `channel_inflation`.
    use
        Candidate of the signal, and whether signal and errors are used.
    pair
        Numbers of the conditions.
    """
    candidate, used = use
    found = Inflation.none(len(evidence.position))
    condition = evidence.reads.condition()
    member = np.isin(condition, pair)
    for channel, is_used in zip((candidate, -1), used, strict=True):
        prior = priors[channel] if priors and is_used else None
        if prior is not None:
            mean, precision = evidence.sample_mean[channel], evidence.sample_precision[channel]
            sides = (condition[member] == pair[0]).astype(np.uint8)
            spread = Spread.of(SampleMeans(mean[member], precision[member]), sides)
            one = prior.inflation(spread)
            larger = one.factor > found.factor
            found = Inflation(*(np.where(larger, new, old) for new, old in zip(one, found, strict=True)))
    return found


def moderate_errors(evidence: Evidence, priors: Priors) -> Evidence:
    """Return the evidence with error scores that reckon with the variance between samples."""
    if not priors or priors[-1] is None:
        return evidence
    inflation = channel_inflation(evidence, priors, -1)
    z = inflation.temper(evidence.error_z.astype(np.float64), two_sided=False)
    return replace(evidence, error_z=z.astype(np.float32))


def _spread(evidence: Evidence, channel: int) -> Spread:
    means = SampleMeans(evidence.sample_mean[channel], evidence.sample_precision[channel])
    return Spread.of(means, evidence.reads.condition())


def _inverse_trigamma(y: float) -> float:
    """Return x with trigamma(x) = y; inf for y <= 0."""
    if y <= 1e-7:
        return float("inf")
    x = 0.5 + 1 / y
    for _ in range(50):
        trigamma = float(special.polygamma(1, x))
        step = trigamma * (1 - trigamma / y) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-9 * x:
            break
    return x
