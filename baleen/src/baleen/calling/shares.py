"""How many molecules of a site are modified, and which: shares with intervals, read probabilities."""

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling.evidence import Evidence
from baleen.data import F32

TEMPER = 0.3
"""Exponent of the error channel's likelihood in intervals: profiles fitted to the reads themselves
make the reads look more certain than they are."""

_GRID = np.linspace(0.005, 0.995, 100)


def site_shares(evidence: Evidence) -> tuple[F32, F32, F32]:
    """Return the share of modified native molecules and its 95 % interval; NaN = not known.

    The signal's share is its posterior mean; where there is no signal, the error channel's.
    """
    by_signal = ~np.isnan(evidence.share)
    low, high = evidence.share_low.copy(), evidence.share_high.copy()
    rows = np.flatnonzero(~by_signal & ~np.isnan(evidence.error_share))
    for row in rows:
        pairs = slice(evidence.pair_offsets[row], evidence.pair_offsets[row + 1])
        native = evidence.reads.is_native[evidence.read[pairs]]
        low[row], high[row] = _interval(evidence.error_llr[pairs][native].astype(np.float64))
    return np.where(by_signal, evidence.share, evidence.error_share), low, high


def _interval(llr: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the share that mixes reads of these log-likelihood ratios."""
    log_odds = special.logit(_GRID)
    gains = np.logaddexp(0, llr[:, None] + log_odds).sum(axis=0) + len(llr) * np.log1p(-_GRID)
    posterior = np.exp(TEMPER * (gains - gains.max()))
    cumulative = np.cumsum(posterior) / posterior.sum()
    low, high = np.interp([0.025, 0.975], cumulative, _GRID)
    return float(low), float(high)


def read_probabilities(
    evidence: Evidence, share: F32, site_probability: npt.NDArray[np.float64]
) -> tuple[F32, F32]:
    """Return the probability that each read is modified, and its log-likelihood ratio by signal.

    Notes
    -----
    P(read modified) = P(there is an event) P(read modified | event). The second factor is the
    signal's posterior mean, moved by the errors' log-likelihood ratio; the first keeps reads at
    positions without an event from adding up to a share that is not there.
    """
    counts = np.diff(evidence.pair_offsets)
    pair_share = np.repeat(share, counts).astype(np.float64)
    prior = special.logit(np.clip(np.nan_to_num(pair_share), 1e-4, 1 - 1e-4))
    logit = special.logit(np.clip(evidence.p_signal.astype(np.float64), 1e-6, 1 - 1e-6))
    has_signal = ~np.isnan(logit)
    llr = np.where(has_signal, logit - prior, 0)
    p = special.expit(np.where(has_signal, logit, prior) + evidence.error_llr)
    p *= np.repeat(site_probability, counts)
    return p.astype(np.float32), llr.astype(np.float32)
