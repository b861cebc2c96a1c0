"""Smooth read probabilities along each read: a hidden Markov model that knows gaps."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.data import F32, I32

F64 = npt.NDArray[np.float64]

VERSION = 2


@dataclass(frozen=True)
class HmmParameters:
    """Parameters of the chain; states are (unmodified, modified) or (unmodified, flank, modified).

    Parameters
    ----------
    stationary
        Share of each state far from any evidence, sums to 1.
    memory
        Correlation of neighbouring positions of a read; it decays by this factor per base.
    flank
        Part of the evidence that a flank state answers to, in [0, 1]; used with three states.
    scale, offset
        Emissions: log-likelihood ratios are multiplied and moved by these, where they say anything.
    """

    stationary: tuple[float, ...] = (0.95, 0.05)
    memory: float = 0.3
    flank: float = field(default=0.5)
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        total = sum(self.stationary)
        if len(self.stationary) not in {2, 3} or abs(total - 1) > 1e-6 or min(self.stationary) <= 0:
            msg = f"stationary must be 2 or 3 shares above 0 that sum to 1, not {self.stationary}"
            raise ValueError(msg)
        if not 0 <= self.memory < 1:
            msg = f"memory must lie in [0, 1), not {self.memory}"
            raise ValueError(msg)
        if not (0 < self.scale < np.inf and np.isfinite(self.offset) and 0 <= self.flank <= 1):
            msg = f"scale must be above 0 and flank in [0, 1], not {self.scale} and {self.flank}"
            raise ValueError(msg)

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "version": VERSION,
            "stationary": list(self.stationary),
            "memory": self.memory,
            "flank": self.flank,
            "scale": self.scale,
            "offset": self.offset,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild from ``to_json``; what else stands there is not looked at.

        Raises
        ------
        ValueError
            If the version or a value is not understood.
        """
        if data.get("version") != VERSION:
            msg = f"HMM parameters of version {data.get('version')}, this program reads version {VERSION}"
            raise ValueError(msg)
        names = ("memory", "flank", "scale", "offset")
        return cls(tuple(data["stationary"]), **{name: float(data[name]) for name in names})


DEFAULT_HMM = HmmParameters()
"""Small share, short memory: neighbours of a read share samples already through the footprint."""


def smooth(position: I32, read: I32, llr: F64, prior: F64, parameters: HmmParameters) -> F32:
    """Return smoothed probabilities of pairs of position and read, all reads at once.

    Parameters
    ----------
    position, read
        Of each pair, shape ``(w,)``, in any order, each pair once.
    llr
        Log-likelihood ratio modified against unmodified of each pair.
    prior
        Share of modified molecules at the pair's position.
    parameters
        The chain.

    Notes
    -----
    Emissions are likelihood ratios, never posteriors: the prior enters once, as each position's
    own share in place of the modified state's. Over a gap of ``g`` bases the chain relaxes to
    its stationary shares: ``P(stay in k) = pi_k + (1 - pi_k) memory^g``, so a long gap forgets.
    """
    order = np.lexsort((position, read))
    scaled = np.where(llr == 0, 0, parameters.scale * llr + parameters.offset)
    emission = _emissions(scaled[order], prior[order], parameters)
    starts = np.flatnonzero(np.diff(read[order], prepend=-1))
    lengths = np.diff(np.append(starts, len(order)))
    gaps = np.diff(position[order], prepend=0)
    correlation = np.power(parameters.memory, np.maximum(gaps, 1).astype(np.float64))
    stationary = np.asarray(parameters.stationary)
    forward = _pass(emission, correlation, stationary, (starts, lengths))
    backward = _pass_back(emission, correlation, stationary, (starts, lengths))
    posterior = forward * backward
    posterior /= posterior.sum(axis=1, keepdims=True)
    out = np.empty(len(order), np.float32)
    out[order] = posterior[:, -1]
    return out


def _emissions(llr: F64, prior: F64, parameters: HmmParameters) -> F64:
    """Return likelihoods of the states, the largest of each row 1.

    The position's own share replaces the stationary one: its odds against the chain's multiply
    the modified state's likelihood.
    """
    share = parameters.stationary[-1]
    odds = special.logit(np.clip(prior, 1e-4, 1 - 1e-4)) - special.logit(share)
    log = np.zeros((len(llr), len(parameters.stationary)))
    log[:, -1] = llr + odds
    if log.shape[1] == 3:
        log[:, 1] = parameters.flank * llr
    return np.asarray(np.exp(log - log.max(axis=1, keepdims=True)))


def _pass(emission: F64, correlation: F64, stationary: F64, reads: tuple[npt.NDArray[np.int64], ...]) -> F64:
    """Forward probabilities, normalised at every pair; step ``t`` runs in all reads together."""
    starts, lengths = reads
    out = np.empty_like(emission)
    state = np.zeros((len(starts), len(stationary)))
    for t in range(int(lengths.max(initial=0))):
        live = lengths > t
        row = starts[live] + t
        before = stationary if t == 0 else _step(state[live], correlation[row], stationary)
        now = before * emission[row]
        now /= now.sum(axis=1, keepdims=True)
        state[live] = now
        out[row] = now
    return out


def _pass_back(
    emission: F64, correlation: F64, stationary: F64, reads: tuple[npt.NDArray[np.int64], ...]
) -> F64:
    """Backward likelihoods of what follows each pair in its read, normalised."""
    starts, lengths = reads
    out = np.ones_like(emission)
    for t in range(int(lengths.max(initial=0)) - 2, -1, -1):
        live = lengths > t + 1
        row = starts[live] + t
        ahead = emission[row + 1] * out[row + 1]
        c = correlation[row + 1][:, None]
        # P(next = j | now = i) = c [i = j] + (1 - c) stationary_j
        now = c * ahead + (1 - c) * (ahead @ stationary)[:, None]
        out[row] = now / now.sum(axis=1, keepdims=True)
    return out


def _step(state: F64, correlation: F64, stationary: F64) -> F64:
    c = correlation[:, None]
    return np.asarray(c * state + (1 - c) * stationary)
