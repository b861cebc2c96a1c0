"""Learn the chain and its emissions from labels: the score that calls reads is the score that is fitted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from baleen.calling.evidence import Evidence
from baleen.calling.hmm import HmmParameters, smooth
from baleen.calling.model import RunModel
from baleen.calling.sites import pair_evidence
from baleen.config import CallingConfig
from baleen.data import F32, I32, I64, Bool

F64 = npt.NDArray[np.float64]

CONTEXT = 10
"""Positions on either side of a label that are kept: the chain remembers no farther."""

EVALUATIONS, FIRST_STEP = 80, 0.5
"""Evaluations of the likelihood per fit; size of the search's first steps."""


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of position and read around labels, of all contigs, and what is known of them.

    Parameters
    ----------
    position, read
        int32, shape ``(w,)``; reads are numbered over all contigs.
    log_ratio, share, site_probability
        What `read_probabilities` is made of, float64, shape ``(w,)``.
    label
        1 modified, 0 not, -1 unknown, int8, shape ``(w,)``.
    is_mixed
        Reads of sites labelled as modified: of the native ones some are modified; bool.
    is_native, odds
        Whether a read is native; control over native reads at the position, float64.
    fold
        Part of the cross-validation that the pair belongs to, int64.
    """

    position: I32
    read: I32
    log_ratio: F64
    share: F64
    site_probability: F64
    label: npt.NDArray[np.int8]
    is_mixed: Bool
    is_native: Bool
    odds: F64
    fold: I64

    @classmethod
    def concatenate(cls, parts: Sequence[Self], n_reads: Sequence[int]) -> Self:
        """Join contigs; ``n_reads`` numbers their reads on."""
        first = np.concatenate([[0], np.cumsum(n_reads)])
        numbered = [
            replace(part, read=(part.read + start).astype(np.int32))
            for part, start in zip(parts, first, strict=False)
        ]
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(part, name) for part in numbered]) for name in names})

    def given_event(self, parameters: HmmParameters) -> F32:
        """Return the probability that each read is modified, given that its position is."""
        return smooth(self.position, self.read, self.log_ratio, self.share, parameters)

    def probabilities(self, parameters: HmmParameters) -> F32:
        """Return the probability that each read is modified, as calls with these parameters have it."""
        return np.asarray(self.given_event(parameters) * self.site_probability, np.float32)

    def log_likelihood(self, parameters: HmmParameters) -> float:
        """Return that of the labels.

        Notes
        -----
        Of a site labelled as modified with the native share ``s`` it is not known which reads are
        modified, but natives are a mixture and controls are not. With ``r`` the likelihood ratio,
        a read there is native with the odds ``n_native (1 - s + s r) : n_control``, and
        ``1 - s + s r = (1 - s) / (1 - p)``: the likelihood is that of being native or control.
        """
        p = np.clip(self.given_event(parameters).astype(np.float64), 1e-4, 1 - 1e-4)
        log_odds = np.log1p(-self.share) - np.log1p(-p) - np.log(self.odds)
        by_origin = -np.logaddexp(0, np.where(self.is_native, -log_odds, log_odds))
        called = np.clip(p * self.site_probability, 1e-4, 1 - 1e-4)
        by_label = np.where(self.label == 1, np.log(called), np.log1p(-called))
        return float(by_origin[self.is_mixed].sum() + by_label[self.label >= 0].sum())


class Labels(NamedTuple):
    """Labels of one contig: of sites, or, where ``read_id`` is not empty, of single reads."""

    position: I64
    label: npt.NDArray[np.int8]
    read_id: tuple[str, ...]
    fold: I64


def label_pairs(
    evidence: Evidence, model: RunModel, config: CallingConfig, labels: Labels
) -> LabelledPairs | None:
    """Return the pairs around a contig's labels; None if no label meets a position with reads."""
    ratios, probability = pair_evidence(evidence, model, config)
    counts = np.diff(evidence.pair_offsets)
    position = np.repeat(evidence.position, counts)
    place = np.searchsorted(np.sort(labels.position), position)
    sites = np.sort(labels.position)
    distance = np.minimum(
        np.abs(sites[np.minimum(place, len(sites) - 1)] - position),
        np.abs(sites[np.maximum(place - 1, 0)] - position),
    )
    keep = np.flatnonzero(distance <= CONTEXT)
    known, mixed, fold = _known(evidence, position[keep], evidence.read[keep], labels)
    native = evidence.reads.is_native[evidence.read]
    n_native = np.bincount(np.repeat(np.arange(len(counts)), counts)[native], minlength=len(counts))
    odds = np.maximum(counts - n_native, 1) / np.maximum(n_native, 1)
    if not ((known >= 0) | mixed).any():
        return None
    return LabelledPairs(
        position=position[keep],
        read=evidence.read[keep],
        log_ratio=(ratios.signal + ratios.errors)[keep],
        share=ratios.share[keep],
        site_probability=np.repeat(probability, counts)[keep],
        label=known,
        is_mixed=mixed,
        is_native=native[keep],
        odds=np.repeat(odds, counts)[keep],
        fold=fold,
    )


def _known(
    evidence: Evidence, position: I32, read: I32, labels: Labels
) -> tuple[npt.NDArray[np.int8], Bool, I64]:
    """Return label, mixture flag and fold of each pair."""
    known = np.full(len(read), -1, np.int8)
    mixed, fold = np.zeros(len(read), np.bool_), np.zeros(len(read), np.int64)
    if labels.read_id:
        number = {read_id: i for i, read_id in enumerate(evidence.reads.read_ids)}
        key = {
            (place, number[read_id]): (label, part)
            for place, read_id, label, part in zip(
                labels.position.tolist(), labels.read_id, labels.label, labels.fold, strict=True
            )
            if read_id in number
        }
        for i, pair in enumerate(zip(position.tolist(), read.tolist(), strict=True)):
            if pair in key:
                known[i], fold[i] = key[pair]
        return known, mixed, fold
    order = np.argsort(labels.position)
    sites = labels.position[order]
    at = np.minimum(np.searchsorted(sites, position), len(sites) - 1)
    here = sites[at] == position
    label, fold = labels.label[order][at], np.where(here, labels.fold[order][at], 0)
    known[here & (label == 0)] = 0
    return known, here & (label == 1), fold


class Quality(NamedTuple):
    """How well probabilities go with labels: mean log loss (nats), AUROC; of labelled pairs.

    Where sites are labelled, not reads, the loss means nothing: their modified reads are unknown.
    """

    log_loss: float
    auroc: float

    @classmethod
    def of(cls, p: npt.NDArray[np.floating], label: npt.NDArray[np.integer]) -> Self:
        """Measure known labels."""
        known = label >= 0
        p, label = np.clip(p[known].astype(np.float64), 1e-4, 1 - 1e-4), label[known]
        loss = -np.where(label == 1, np.log(p), np.log1p(-p)).mean() if len(p) else np.nan
        ranks = stats.rankdata(p)
        n = int((label == 1).sum())
        rest = len(label) - n
        area = (ranks[label == 1].sum() - n * (n + 1) / 2) / (n * rest) if n and rest else np.nan
        return cls(float(loss), float(area))


def train(pairs: LabelledPairs, start: HmmParameters) -> HmmParameters:
    """Return the parameters under which labels are likeliest.

    Parameters
    ----------
    pairs
        Around labels.
    start
        Where the search begins; its number of states is kept.

    Notes
    -----
    The search is Nelder and Mead's, with a weak prior (one nat per unit) towards the start, in
    logit and log coordinates. Labels of sites train the emissions and leave the chain as it is:
    that neighbours of a read agree would be learned from reads being native as a whole.
    """
    origin = _pack(start)
    is_free = np.ones(len(origin), np.bool_)
    if pairs.is_mixed.any():
        is_free[: len(start.stationary)] = False

    def parameters(free: F64) -> HmmParameters:
        x = origin.copy()
        x[is_free] = free
        return _unpack(x, start)

    def loss(free: F64) -> float:
        return float(((free - first) ** 2).sum()) - pairs.log_likelihood(parameters(free))

    first = origin[is_free]
    simplex = first + np.concatenate([np.zeros((1, len(first))), FIRST_STEP * np.eye(len(first))])
    options = {"maxfev": EVALUATIONS, "initial_simplex": simplex}
    return parameters(optimize.minimize(loss, first, method="Nelder-Mead", options=options).x)


def _pack(parameters: HmmParameters) -> F64:
    """Return free coordinates."""
    stationary = np.array(parameters.stationary)
    shares = np.log(stationary[1:] / stationary[0])
    rest = [
        special.logit(np.clip(parameters.memory, 1e-3, 0.999)),
        np.log(parameters.scale),
        parameters.offset,
    ]
    if len(stationary) == 3:
        rest.append(special.logit(np.clip(parameters.flank, 1e-3, 0.999)))
    return np.array([*shares, *rest])


def _unpack(x: F64, like: HmmParameters) -> HmmParameters:
    n = len(like.stationary) - 1
    odds = np.exp(np.clip(np.concatenate([[0.0], x[:n]]), -9, 9))
    stationary = tuple(float(share) for share in odds / odds.sum())
    return HmmParameters(
        stationary=stationary,
        memory=float(min(special.expit(x[n]), 0.99)),
        flank=float(special.expit(x[n + 3])) if n == 2 else like.flank,
        scale=float(np.exp(np.clip(x[n + 1], -3, 3))),
        offset=float(np.clip(x[n + 2], -10, 10)),
    )


def cross_validate(pairs: LabelledPairs, start: HmmParameters) -> tuple[Quality, Quality]:
    """Return quality on labels that the fit has not seen: of ``start``, and of trained parameters.

    Native reads of sites labelled as modified count as modified here, and controls as not: the
    default and the trained parameters are held against the same labels.
    """
    label = np.where(pairs.is_mixed, pairs.is_native, pairs.label)
    held = np.full(len(label), np.nan, np.float32)
    for fold in _folds(pairs):
        others = pairs.fold != fold
        part = replace(
            pairs,
            label=np.where(others, pairs.label, -1).astype(np.int8),
            is_mixed=pairs.is_mixed & others,
        )
        held = np.where(others, held, pairs.probabilities(train(part, start)))
    return Quality.of(pairs.probabilities(start), label), Quality.of(held, label)


def _folds(pairs: LabelledPairs) -> Iterable[int]:
    used = (pairs.label >= 0) | pairs.is_mixed
    return [int(fold) for fold in np.unique(pairs.fold[used])]
