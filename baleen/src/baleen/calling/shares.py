"""How many molecules of a site are modified, and which: shares with intervals, read probabilities."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling.evidence import Evidence
from baleen.calling.hmm import HmmParameters, smooth
from baleen.data import F32

TEMPER = 0.3
"""Exponent of the error channel's likelihood in intervals: profiles fitted to the reads themselves
make the reads look more certain than they are."""

_GRID = np.linspace(0.005, 0.995, 100)


def site_shares(evidence: Evidence, *, uses_errors: bool) -> tuple[F32, F32, F32]:
    """Return the share of modified native molecules and its 95 % interval; NaN = not known.

    The signal's share is its posterior mean; where there is no signal, the error channel's.
    """
    by_signal = ~np.isnan(evidence.share)
    low, high = evidence.share_low.copy(), evidence.share_high.copy()
    by_errors = np.full_like(evidence.error_share, np.nan)
    if uses_errors:
        by_errors = evidence.error_share
    rows = np.flatnonzero(~by_signal & ~np.isnan(by_errors))
    for row in rows:
        pairs = slice(evidence.pair_offsets[row], evidence.pair_offsets[row + 1])
        native = evidence.reads.is_native[evidence.read[pairs]]
        low[row], high[row] = _interval(evidence.error_llr[pairs][native].astype(np.float64))
    return np.where(by_signal, evidence.share, by_errors), low, high


def _interval(llr: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the share that mixes reads of these log-likelihood ratios."""
    log_odds = special.logit(_GRID)
    gains = np.logaddexp(0, llr[:, None] + log_odds).sum(axis=0) + len(llr) * np.log1p(-_GRID)
    posterior = np.exp(TEMPER * (gains - gains.max()))
    cumulative = np.cumsum(posterior) / posterior.sum()
    low, high = np.interp([0.025, 0.975], cumulative, _GRID)
    return float(low), float(high)


class PairRatios(NamedTuple):
    """Log-likelihood ratio modified against unmodified of each pair, and the share it goes with."""

    signal: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]


def pair_ratios(evidence: Evidence, share: F32, *, uses_errors: bool) -> PairRatios:
    """Return what each kind of evidence says of each pair; 0 where it says nothing or is not used."""
    counts = np.diff(evidence.pair_offsets)
    known = np.clip(np.nan_to_num(np.repeat(share, counts).astype(np.float64)), 1e-4, 1 - 1e-4)
    logit = special.logit(np.clip(evidence.p_signal.astype(np.float64), 1e-6, 1 - 1e-6))
    signal = np.where(np.isnan(logit), 0, logit - special.logit(known))
    errors = evidence.error_llr.astype(np.float64) * uses_errors
    return PairRatios(signal, errors, known)


def read_probabilities(
    evidence: Evidence,
    ratios: PairRatios,
    site_probability: npt.NDArray[np.float64],
    hmm: HmmParameters | None,
) -> F32:
    """Return the probability that each read is modified; ``hmm`` smooths it along the read.

    Notes
    -----
    P(read modified) = P(there is an event) P(read modified | event). The second factor is the
    signal's posterior mean, moved by the errors' log-likelihood ratio; the first keeps reads at
    positions without an event from adding up to a share that is not there.
    """
    total = ratios.signal + ratios.errors
    if hmm is None:
        p = special.expit(special.logit(ratios.share) + total)
    else:
        position = np.repeat(evidence.position, np.diff(evidence.pair_offsets))
        p = smooth(position, evidence.read, total, ratios.share, hmm)
    return np.asarray(p * np.repeat(site_probability, np.diff(evidence.pair_offsets)), np.float32)
