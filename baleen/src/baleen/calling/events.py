"""What the whole run decides: adjusted p-values, and which positions are events.

An event is one modified base; its evidence spreads over several positions. A false discovery
rate over positions says little of events, because a strong event brings many true positions into
the count: so the rate of events is held on its own, over one candidate position per event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from baleen.calling.neighbours import LEAST_EVIDENCE, SMEAR
from baleen.calling.splits import EmpiricalRate, count_p_values, total_counts
from baleen.data import Bool, SiteCalls

SIGNIFICANT = 0.05
"""False discovery rate, of positions (``padj``) and of events (``event_padj``)."""

CANDIDATE_P = 0.05
"""Positions above it are never events."""

LEAST_POSTERIOR = 0.2
"""Below it a position is the shoulder of an event nearby."""


def finish_sites(
    sites: Sequence[SiteCalls], split_p: Sequence[npt.NDArray[np.float64]] = ()
) -> list[SiteCalls]:
    """Adjust p-values over the run and mark the events; contigs in, contigs out, in order.

    ``split_p`` are the p-values of split controls, for ``empirical_q``.
    """
    p = np.concatenate([np.zeros(0), *(one["pvalue"] for one in sites)])
    adjusted = benjamini_hochberg(p)
    candidate_p = np.concatenate([np.zeros(0), *(one["pvalue"][candidates(one)] for one in sites)])
    of_events = EventRate.of(candidate_p, int(np.sum(~np.isnan(p))))
    ends = np.cumsum([len(one) for one in sites])
    parts = np.split(adjusted, ends[:-1]) if len(sites) else []
    rate = EmpiricalRate.of(count_p_values(p), total_counts(map(count_p_values, split_p)))
    return [
        finish_contig(one, padj, rate(one["pvalue"]), of_events)
        for one, padj in zip(sites, parts, strict=True)
    ]


def finish_contig(
    sites: SiteCalls,
    padj: npt.NDArray[np.float64],
    empirical_q: npt.NDArray[np.float64],
    of_events: "EventRate",
) -> SiteCalls:
    """Add to a contig's sites what the whole run decides.

    Parameters
    ----------
    sites
        Sites of one contig.
    padj
        Adjusted p-values, float64, one per site.
    empirical_q
        Its q-values by the run's split controls, likewise.
    of_events
        Adjusts the p-values of its candidates.
    """
    is_candidate = candidates(sites)
    event_padj = np.where(is_candidate, of_events(sites["pvalue"]), np.nan)
    is_peak = np.nan_to_num(event_padj, nan=1.0) < SIGNIFICANT
    return sites.replace(padj=padj, empirical_q=empirical_q, event_padj=event_padj, is_peak=is_peak)


def benjamini_hochberg(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return adjusted p-values; NaN (not tested) does not count and stays NaN."""
    # in place as far as possible: the p-values of a whole run are here
    order = np.argsort(p, kind="stable")  # NaN last
    n = len(p) - int(np.isnan(p).sum())
    ratio = p[order[:n]]
    ratio *= n
    ratio /= np.arange(1, n + 1)
    np.minimum.accumulate(ratio[::-1], out=ratio[::-1])
    np.minimum(ratio, 1, out=ratio)
    adjusted = np.full(len(p), np.nan)
    adjusted[order[:n]] = ratio
    return adjusted


@dataclass(frozen=True)
class EventRate:
    """The false discovery rate of the run's events, by their candidates' p-values.

    Parameters
    ----------
    p, rate
        p-values of all candidates of the run, rising, and the rate of events up to each, float64,
        shape ``(n,)``.
    """

    p: npt.NDArray[np.float64]
    rate: npt.NDArray[np.float64]

    @classmethod
    def of(cls, candidate_p: npt.NDArray[np.float64], n_tested: int) -> Self:
        """Adjust the p-values of all candidates of the run, where ``n_tested`` positions were tested.

        At most ``n_tested * p`` positions lie below ``p`` by chance, and no more candidates than
        that: Benjamini-Hochberg over candidates, with the positions as the number of tests.
        """
        p = np.sort(candidate_p)
        rate = np.minimum(p * n_tested / np.arange(1, len(p) + 1), 1)
        return cls(p, np.minimum.accumulate(rate[::-1])[::-1])

    def __call__(self, p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the rate of events up to each p-value: of the least candidate at or above it; else 1."""
        at = np.searchsorted(self.p, p, side="left")  # NaN lies beyond all
        return np.append(self.rate, 1.0)[at]


def candidates(sites: SiteCalls) -> Bool:
    """Mark one position per possible event: the best score first, its neighbours are absorbed.

    An event absorbs what lies up to `SMEAR` away: true sites are often 3 apart. Beyond, evidence of
    the level that another event explains is that event's shoulder.
    """
    position, is_candidate = sites["position"], np.zeros(len(sites), np.bool_)
    p = np.nan_to_num(sites["pvalue"], nan=1.0)
    is_shoulder = (sites["level_statistic"] >= LEAST_EVIDENCE) & (sites["own_statistic"] < LEAST_EVIDENCE)
    is_placed = sites["position_posterior"] >= LEAST_POSTERIOR
    possible = np.flatnonzero((p < CANDIDATE_P) & is_placed & ~is_shoulder)
    order = possible[np.argsort(-sites["score"][possible], kind="stable")]
    free = np.ones(len(sites), np.bool_)
    for i in order:
        if not free[i]:
            continue
        near = slice(*np.searchsorted(position, [position[i] - SMEAR, position[i] + SMEAR + 1]))
        free[near] = False
        is_candidate[i] = True
    return is_candidate
