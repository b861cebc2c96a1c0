"""Fusion of channels: empirical-Bayes log Bayes factors, learned over the positions of a run."""

import dataclasses
import threading
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.data import I64, Bool

FLOOR, CEILING = -1.0, 8.0
"""Scores below the floor are censored: sparse counts give arbitrarily low ones. Beyond the ceiling
the Bayes factor grows in a straight line."""

GATE = 15.0
"""Log likelihood that a channel must be worth over the run, or it is dropped."""

SOFT_CAP = 3.0
"""Log Bayes factors of capped channels grow like a logarithm from here: their tails are heavy."""

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChannelFit:
    """Distribution N(mean, sd) of a channel's normal scores at modified positions.

    Without information it is N(0, 1), as at unmodified ones, and the Bayes factor is 1.
    """

    mean: float
    sd: float
    capped: bool

    def log_bayes_factor(self, z: F64) -> F64:
        """Return the log Bayes factor of each score: never falling in z; 0 where missing (NaN)."""
        slope = self.mean / self.sd**2 + CEILING * (1 - 1 / self.sd**2)
        turn = max(FLOOR, -self.mean / (self.sd**2 - 1)) if self.sd > 1 else FLOOR
        inner = np.clip(z, turn, CEILING)
        b = -np.log(self.sd) - (inner - self.mean) ** 2 / (2 * self.sd**2) + inner**2 / 2
        b = b + slope * np.maximum(z - CEILING, 0)
        if self.capped:
            b = np.where(b > SOFT_CAP, SOFT_CAP * (1 + np.log(np.maximum(b, SOFT_CAP) / SOFT_CAP)), b)
        return np.where(np.isnan(z), 0.0, b)


@dataclass(frozen=True)
class Fusion:
    """Fitted channels and the share of modified positions.

    Parameters
    ----------
    channels
        One fit per channel.
    share
        Share of modified positions.
    log_likelihood
        Of the scores it was fitted to, relative to nothing being modified.
    """

    channels: tuple[ChannelFit, ...]
    share: float
    log_likelihood: float

    def statistic(self, z: F64) -> F64:
        """Return the fused log Bayes factor of scores ``(n, channels)``; NaN = missing."""
        return sum((fit.log_bayes_factor(z[:, k]) for k, fit in enumerate(self.channels)), np.zeros(len(z)))

    def p_value(self, z: F64) -> F64:
        """Return the chance of a larger statistic under N(0, 1) scores; NaN where all are missing.

        A position is held against the distribution of the channels that it has.
        """
        p = np.full(len(z), np.nan)
        pattern = ~np.isnan(z) @ (1 << np.arange(z.shape[1]))  # a bit per channel
        for present in np.flatnonzero(np.bincount(pattern)).tolist():
            rows = pattern == present
            known = [k for k in range(z.shape[1]) if present >> k & 1]
            if len(known) == 1:
                p[rows] = special.ndtr(-z[rows, known[0]])
            elif len(known) > 1:
                fits = tuple(self.channels[k] for k in known)
                p[rows] = _exceedance(fits, self.statistic(z[rows]))
        return p

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild from ``to_json``."""
        channels = tuple(ChannelFit(**fit) for fit in data["channels"])
        return cls(channels, data["share"], data["log_likelihood"])


def fit(z: F64, weight: F64, capped: tuple[bool, ...], used: tuple[bool, ...]) -> Fusion:
    """Fit ``(1 - share) prod N(0, 1) + share prod N(mean, sd)`` to scores by EM.

    Parameters
    ----------
    z
        Normal scores, shape ``(n, channels)``; NaN = missing.
    weight
        Positions that have these scores, shape ``(n,)``.
    capped
        Channels whose Bayes factors are capped.
    used
        Channels to fit; the others stay without information.

    Notes
    -----
    ``mean >= 0`` and ``sd >= 1``, with ten pseudo-positions at N(0, 1): a channel that tells
    modified positions apart from nothing is left at N(0, 1).
    """
    z = np.clip(z, FLOOR, CEILING)
    mean, sd = np.where(used, 3.0, 0.0), np.where(used, 1.5, 1.0)
    scores = {int(k): _Scores.of(z[:, k]) for k in np.flatnonzero(used)}
    share, previous = 0.02, -np.inf
    for _ in range(500):
        log_sd = np.log(sd)
        log_ratio = np.zeros(len(z))
        for k, one in scores.items():
            log_ratio += one.log_ratio(mean[k], sd[k], log_sd[k])
        responsibility = special.expit(log_ratio + special.logit(share))
        likelihood = float(weight @ np.logaddexp(np.log1p(-share), np.log(share) + log_ratio))
        if abs(likelihood - previous) < 1e-6:
            break
        previous = likelihood
        w = weight * responsibility
        share = float(np.clip((w.sum() + 1) / (weight.sum() + 50), 1e-4, 0.3))
        for k, one in scores.items():
            mean[k], sd[k] = one.update(w, mean[k], sd[k])
    fits = tuple(ChannelFit(float(m), float(s), c) for m, s, c in zip(mean, sd, capped, strict=True))
    return Fusion(fits, share, likelihood)


def choose_channels(z: F64, weight: F64, capped: tuple[bool, ...]) -> tuple[tuple[bool, ...], Fusion]:
    """Drop channels without information, least informative first; return those left and their fit.

    Where none has any, the first one stays: such a run has that channel's plain p-values.
    """

    @cache
    def fit_of(*used: bool) -> Fusion:
        return fit(z, weight, capped, used)

    used = np.array([bool((~np.isnan(z[:, k])).any()) for k in range(z.shape[1])])
    while used.sum() > 1:
        full = fit_of(*used).log_likelihood
        losses = {}
        for k in np.flatnonzero(used):
            rest = used.copy()
            rest[k] = False
            losses[k] = full - fit_of(*rest).log_likelihood
        weakest = min(losses, key=lambda k: losses[k])
        if losses[weakest] >= GATE:
            break
        used[weakest] = False
    if used.any() and fit_of(*used).log_likelihood < GATE:
        used[:] = False
        used[np.flatnonzero(~np.isnan(z).all(axis=0))[0]] = True
    return tuple(bool(u) for u in used), fit_of(*used)


class _Scores(NamedTuple):
    """Clipped scores of one channel, and what stays the same of them from step to step.

    Parameters
    ----------
    z, half_square
        The scores, and half their squares; shape ``(n,)``.
    is_missing, is_censored
        Which are NaN, and which at the floor.
    known
        Rows that are not missing.
    known_z, known_is_censored
        Of those.
    """

    z: F64
    half_square: F64
    is_missing: Bool
    is_censored: Bool
    known: I64
    known_z: F64
    known_is_censored: Bool

    @classmethod
    def of(cls, z: F64) -> Self:
        z = np.ascontiguousarray(z)
        censored, known = z <= FLOOR, np.flatnonzero(~np.isnan(z))
        return cls(z, z**2 / 2, np.isnan(z), censored, known, z[known], censored[known])

    def log_ratio(self, mean: float, sd: float, log_sd: float) -> F64:
        """Log density ratio of every score; below the floor that of the masses below it."""
        ratio = -log_sd - (self.z - mean) ** 2 / (2 * sd**2) + self.half_square
        ratio[self.is_censored] = special.log_ndtr((FLOOR - mean) / sd) - special.log_ndtr(FLOOR)
        ratio[self.is_missing] = 0.0
        return ratio

    def update(self, w: F64, mean: float, sd: float) -> tuple[float, float]:
        """One EM step of the channel; censored scores enter by their truncated-normal moments."""
        w = w[self.known]
        alpha = (FLOOR - mean) / sd
        hazard = np.exp(-(alpha**2) / 2 - special.log_ndtr(alpha)) / np.sqrt(2 * np.pi)
        first = np.where(self.known_is_censored, mean - sd * hazard, self.known_z)
        total = w.sum() + 10
        new_mean = max(0.0, float(w @ first) / total)
        spread = np.where(self.known_is_censored, sd**2 * (1 - alpha * hazard - hazard**2), 0.0)
        second = spread + (first - new_mean) ** 2
        return new_mean, float(np.sqrt(max(1.0, (float(w @ second) + 10) / total)))


_NODES = np.concatenate([[FLOOR], np.arange(FLOOR, 10, 0.01) + 0.01, np.arange(10.05, 38, 0.05)])
_FINE_REACH = 40.0
_TAIL_LOCK = threading.Lock()


def _exceedance(fits: tuple[ChannelFit, ...], statistic: F64) -> F64:
    """P(sum of log Bayes factors >= statistic) for independent N(0, 1) scores."""
    with _TAIL_LOCK:  # contigs side by side ask for the same one
        values, log_p = _tail(fits)
    return np.where(statistic <= values[0] + 1e-9, 1.0, np.exp(np.interp(statistic, values, log_p)))


@lru_cache(maxsize=16)
def _tail(fits: tuple[ChannelFit, ...]) -> tuple[F64, F64]:
    """Values of the sum of log Bayes factors, rising, and the log chance of reaching them.

    Channel by channel: the score's axis is cut into cells, and a cell counts with its mass and
    its middle. Nothing is drawn, so the same numbers come out everywhere and tails have digits.
    """
    bottom, top = (
        sum(float(fit.log_bayes_factor(np.array([end]))[0]) for fit in fits) for end in (FLOOR, _NODES[-1])
    )
    near = min(top, bottom + _FINE_REACH)
    table = np.concatenate([np.linspace(bottom, near, 4000), np.linspace(near, top, 1000)[1:]])
    z = np.maximum(_NODES, FLOOR)
    tail = _tail_of(fits[0], z)
    for one in fits[1:]:
        tail = _add(tail, one, z, table)
    return tail


def _tail_of(one: ChannelFit, z: F64) -> tuple[F64, F64]:
    """Values of one channel's log Bayes factor, rising, and the log chance of reaching them."""
    return one.log_bayes_factor(z), special.log_ndtr(-z) * (z > FLOOR)


def _add(tail: tuple[F64, F64], one: ChannelFit, z: F64, table: F64) -> tuple[F64, F64]:
    """Tail of the sum with another channel, at the values of ``table``."""
    values, log_p = tail
    edges = np.concatenate([z[1:], [np.inf]])
    mass = special.ndtr(-z) - special.ndtr(-edges)
    mass[0] = special.ndtr(z[1])
    middle = np.concatenate([[FLOOR], (z[1:-1] + z[2:]) / 2, [z[-1]]])
    b = one.log_bayes_factor(middle)
    keep = mass > 0
    b, mass = b[keep], mass[keep]
    out = np.empty(len(table))
    for start in range(0, len(table), 256):
        need = table[start : start + 256, None] - b
        reach = np.interp(need, values, log_p, right=-np.inf)  # beyond it is 1e-316: exp is slow there
        reach[need <= values[0]] = 0.0
        np.exp(reach, out=reach)
        reach *= mass
        out[start : start + 256] = np.log(np.maximum(reach.sum(axis=1), 1e-300))
    return table, out
