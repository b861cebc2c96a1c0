"""What is learned over the whole run: the pooled null, the error scale, the fusion of channels."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling import fusion, pooled
from baleen.calling.counts import Counts
from baleen.calling.fusion import Fusion
from baleen.calling.replicates import Inflation, Priors, SpreadPrior
from baleen.calling.summary import (
    COARSE_SCORE,
    COARSE_STATISTIC,
    ERROR_SCORE,
    JOINT_SHAPE,
    N_HALVES,
    NULL_SHAPE,
    Summary,
)
from baleen.config import CallingConfig
from baleen.data import F32, I64

VERSION = 3

MIN_UNMASKED = 200
"""Unmasked positions needed to tell a difference between libraries."""

MAX_QUIET_CENTER = 0.25
"""Error scores centered farther from 0 mean that the samples' basecalls differ."""


@dataclass(frozen=True)
class ErrorScale:
    """Center and spread of error scores where nothing is modified; (0, 1) = libraries agree."""

    center: float = 0.0
    sd: float = 1.0

    @property
    def basecalls_differ(self) -> bool:
        """Whether the two samples seem to be basecalled differently."""
        return self.center != 0

    @classmethod
    def of(cls, scores: Counts) -> Self:
        """Return the masked empirical null of signed scores."""
        n = int(scores.count.sum())
        if n < MIN_UNMASKED:
            return cls()
        cumulative = (np.cumsum(scores.count) - scores.count / 2) / n
        quantiles = np.interp([0.025, 0.16, 0.5, 0.84, 0.975], cumulative, ERROR_SCORE.value(scores.code))
        narrow, wide = (quantiles[3] - quantiles[1]) / 2, (quantiles[4] - quantiles[0]) / 3.92
        if abs(quantiles[2]) <= MAX_QUIET_CENTER:
            return cls(0.0, float(max(1.0, wide)))
        return cls(float(quantiles[2]), float(max(1.0, narrow, wide)))

    def apply(self, z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return scores whose null is N(0, 1)."""
        return (z - self.center) / self.sd


@dataclass(frozen=True)
class RunModel:
    """What the run taught; enough to call any contig's evidence.

    Parameters
    ----------
    candidate
        Signal statistic in use: 0 = level, 1 = level and shape. Shape must raise the likelihood
        of the run's scores by more than the gate, or it is left out.
    pools
        Null of the signal statistic per depth bin.
    error_scale
        Scale of the error scores.
    fusions
        Per half of the run, fitted on the other half.
    everything
        Fitted on the whole run; enters no test.
    used
        Channels that passed the gate: (signal, errors).
    priors
        Variance between samples per candidate and of the errors; empty without replicates.
    """

    candidate: int
    pools: tuple[pooled.Pool, ...]
    error_scale: ErrorScale
    fusions: tuple[Fusion, ...]
    everything: Fusion
    used: tuple[bool, bool]
    priors: Priors = ()

    def warnings(self) -> tuple[str, ...]:
        """Return what the user must be told."""
        if not self.error_scale.basecalls_differ:
            return ()
        return (
            "native and control differ in basecall errors at unmodified positions "
            f"(mean score {self.error_scale.center:+.2f}); error scores were rescaled. "
            "Were both samples basecalled with the same model?",
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "version": VERSION,
            "candidate": self.candidate,
            "pools": [one.to_json() for one in self.pools],
            "error_scale": {"center": self.error_scale.center, "sd": self.error_scale.sd},
            "fusions": [one.to_json() for one in self.fusions],
            "everything": self.everything.to_json(),
            "used": list(self.used),
            "priors": [one and one.to_json() for one in self.priors],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild from ``to_json``.

        Raises
        ------
        ValueError
            If the model is of another version.
        """
        if data.get("version") != VERSION:
            msg = f"run model of version {data.get('version')}, this program reads version {VERSION}"
            raise ValueError(msg)
        return cls(
            candidate=int(data["candidate"]),
            pools=tuple(pooled.Pool.from_json(one) for one in data["pools"]),
            error_scale=ErrorScale(**data["error_scale"]),
            fusions=tuple(Fusion.from_json(one) for one in data["fusions"]),
            everything=Fusion.from_json(data["everything"]),
            used=(bool(data["used"][0]), bool(data["used"][1])),
            priors=tuple(one and SpreadPrior.from_json(one) for one in data["priors"]),
        )


def fit_run(summaries: Iterable[Summary], config: CallingConfig, priors: Priors = ()) -> RunModel:
    """Learn from all contigs of a run; their order does not matter.

    Parameters
    ----------
    summaries
        Of the contigs, made with the same ``priors``.
    config
        Settings.
    priors
        Variance between samples, from `fit_priors`.
    """
    run = Summary.total(summaries)
    fits = [_fit_candidate(run, config, candidate) for candidate in range(max(1, len(run.joint)))]
    best = fits[0]
    for other in fits[1:]:
        if other.everything.log_likelihood > best.everything.log_likelihood + fusion.GATE:
            best = other
    return replace(best, priors=priors)


def _fit_candidate(run: Summary, config: CallingConfig, candidate: int) -> RunModel:
    """Fit everything for one candidate of the signal statistic."""
    none = Counts.total([], NULL_SHAPE), Counts.total([], JOINT_SHAPE)
    null = run.null[candidate] if run.null else none[0]
    joint = run.joint[candidate] if run.joint else none[1]
    scale = ErrorScale.of(run.error_scores)
    pools = pooled.pool(null)
    of_half, depth, statistic, error, inflation = joint.indices()
    signal_z = score_signal(pools, COARSE_STATISTIC.value(statistic), depth)
    signal_z = Inflation.of_codes(inflation).temper(signal_z, two_sided=True)
    z = np.column_stack([signal_z, score_errors(scale, COARSE_SCORE.value(error), config)])
    weight = joint.count.astype(np.float64)
    used, everything = fusion.choose_channels(z, weight, _CAPPED)
    fusions = []
    for this in range(N_HALVES):
        other = of_half != this
        fusions.append(fusion.fit(z[other], weight[other], _CAPPED, used))
    return RunModel(candidate, pools, scale, tuple(fusions), everything, (used[0], used[1]))


_CAPPED = (True, False)
"""Signal is capped: a strong level shift smears over its neighbours, an error does less."""


LEAST_P, ROUNDED_P = 1e-300, 1e-6
"""P-values of 0 and 1 are taken as these from 0 and 1, so that normal scores are numbers."""


def score_signal(
    pools: tuple[pooled.Pool, ...], statistic: npt.NDArray[np.float64], depth_bin: I64
) -> npt.NDArray[np.float64]:
    """Return the normal score of each signal statistic; NaN stays NaN."""
    p = np.full(len(statistic), np.nan)
    for i in np.unique(depth_bin):  # few of the bins, and a small contig is a few hundred values
        here = depth_bin == i
        p[here] = pools[i].p_value(statistic[here])
    return np.asarray(-special.ndtri(np.clip(p, LEAST_P, 1 - ROUNDED_P)))


def score_errors(
    scale: ErrorScale, z: npt.NDArray[np.floating] | F32, config: CallingConfig
) -> npt.NDArray[np.float64]:
    """Return the normal score of the error channel, in the direction that is looked for."""
    scaled = scale.apply(np.asarray(z, np.float64))
    if config.error_direction == "more":
        return scaled
    return np.asarray(-special.ndtri(np.minimum(1, 2 * special.ndtr(-np.abs(scaled)))))
