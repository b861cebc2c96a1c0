"""Native conditions against each other, net of the control: which shares differ, by how much."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling.basecalls import permutation_score
from baleen.calling.events import CANDIDATE_P
from baleen.calling.evidence import Evidence
from baleen.calling.model import RunModel
from baleen.calling.replicates import Inflation, contrast_inflation
from baleen.calling.sample_calls import share_of_groups
from baleen.calling.sites import ContigCalls
from baleen.columns import CONTRAST_COLUMNS

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

MIN_READS = 4
"""Reads of either condition that a contrast needs."""


class _Reads(NamedTuple):
    """Native reads at the positions to compare: row of the position, condition, log-likelihood ratio."""

    row: I64
    condition: npt.NDArray[np.uint8]
    log_ratio: F64


def call_contrasts(
    evidence: Evidence, calls: ContigCalls, model: RunModel, conditions: tuple[str, ...]
) -> Mapping[str, npt.NDArray[Any]]:
    """Return the columns of the table of contrasts; ``padj`` follows over the run.

    Parameters
    ----------
    evidence, calls
        Of all native reads of one contig together against the control.
    model
        Of the run.
    conditions
        Names of the native conditions, in order of name.

    Notes
    -----
    The modified and the unmodified reads of a position are told apart by all natives together, so
    that no condition's label has entered: reads of two conditions are exchangeable if their shares
    are equal. The test is that of the sum of ``P(read modified)`` over relabellings. For the same
    reason positions may be chosen by natives together differing from the control.
    """
    chosen = np.flatnonzero(np.nan_to_num(calls.sites["pvalue"], nan=1.0) < CANDIDATE_P)
    row = np.repeat(np.arange(len(evidence.position)), np.diff(evidence.pair_offsets))
    condition = evidence.reads.condition()[evidence.reads.sample[evidence.read]]
    use = (condition > 0) & np.isin(row, chosen)
    ratio = calls.reads.signal_llr.astype(np.float64) + calls.reads.error_llr * model.used[1]
    reads = _Reads(np.searchsorted(chosen, row[use]), condition[use], ratio[use])
    parts = list(_pairs(evidence, calls, model, conditions, (chosen, reads)))
    return {column.name: np.concatenate([part[column.name] for part in parts]) for column in CONTRAST_COLUMNS}


def _pairs(
    evidence: Evidence,
    calls: ContigCalls,
    model: RunModel,
    conditions: tuple[str, ...],
    found: tuple[I64, _Reads],
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    chosen, reads = found
    share = calls.sites["mod_ratio"][chosen]
    for a, b in combinations(range(1, len(conditions) + 1), 2):
        inflation = contrast_inflation(evidence, model.priors, (model.candidate, model.used), (a, b))
        at = Inflation(inflation.factor[chosen], inflation.freedom[chosen])
        yield {
            "contig": np.full(len(chosen), evidence.contig),
            "position": evidence.position[chosen],
            "condition_a": np.full(len(chosen), conditions[a - 1]),
            "condition_b": np.full(len(chosen), conditions[b - 1]),
            **_compare(reads, share, (a, b), at),
            "padj": np.full(len(chosen), np.nan),
        }


def _compare(
    reads: _Reads, share: npt.NDArray[np.float32], pair: tuple[int, int], inflation: Inflation
) -> dict[str, npt.NDArray[Any]]:
    """Compare two conditions at every position."""
    size = len(share)
    n, shares, variance = [], [], []
    for condition in pair:
        here = reads.condition == condition
        key, ratio = reads.row[here], reads.log_ratio[here]
        n.append(np.bincount(key, minlength=size))
        shares.append(share_of_groups(key, ratio, n[-1], share))
        variance.append(_share_variance(key, ratio, shares[-1].astype(np.float64)))
    tested = (n[0] >= MIN_READS) & (n[1] >= MIN_READS)
    z = inflation.temper(_score(reads, share, pair), two_sided=False)
    difference = shares[0] - shares[1]
    quantile = special.stdtrit(np.minimum(inflation.freedom, 1e6), 0.975)
    reach = quantile * np.sqrt(inflation.factor * (variance[0] + variance[1]))

    def known(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        return np.where(tested, values, np.nan).astype(np.float32)

    return {
        "n_a": n[0].astype(np.int32),
        "n_b": n[1].astype(np.int32),
        "mod_ratio_a": known(shares[0]),
        "mod_ratio_b": known(shares[1]),
        "difference": known(difference),
        "ci_low": known(np.maximum(difference - reach, -1)),
        "ci_high": known(np.minimum(difference + reach, 1)),
        "pvalue": np.where(tested, 2 * special.ndtr(-np.abs(z)), np.nan),
    }


def _share_variance(key: I64, log_ratio: F64, share: F64) -> F64:
    """Return 1 / information of the mixture's share, the prior pseudo-read included."""
    clipped = np.clip(share, 0.02, 0.98)
    member = special.expit(log_ratio + special.logit(clipped)[key])
    slope = member / clipped[key] - (1 - member) / (1 - clipped[key])
    return np.asarray(1 / (np.bincount(key, slope**2, len(share)) + 1))


def _score(reads: _Reads, share: npt.NDArray[np.float32], pair: tuple[int, int]) -> F64:
    """Return the normal score of the sum of memberships of the first condition's reads."""
    size = len(share)
    here = np.isin(reads.condition, pair)
    key, is_first = reads.row[here], reads.condition[here] == pair[0]
    known = np.clip(np.nan_to_num(share, nan=0.5).astype(np.float64), 1e-3, 1 - 1e-3)
    member = special.expit(reads.log_ratio[here] + special.logit(known)[key])
    n = np.bincount(key, minlength=size).astype(np.float64)
    deviation = member - (np.bincount(key, member, size) / np.maximum(n, 1))[key]
    n_first = np.bincount(key[is_first], minlength=size).astype(np.float64)
    total, square, cube = (
        np.bincount(rows, values, size)
        for rows, values in (
            (key[is_first], deviation[is_first]),
            (key, deviation**2),
            (key, deviation**3),
        )
    )
    return np.asarray(np.nan_to_num(permutation_score((total, square, cube), n_first, n - n_first)))
