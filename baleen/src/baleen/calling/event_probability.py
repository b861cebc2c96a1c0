"""The probability that an event lies within reach of a position: what calls of reads are worth there.

Not a test: all of the run may speak.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import special

from baleen.calling import pooled
from baleen.calling.evidence import Evidence
from baleen.calling.fusion import F64, ChannelFit
from baleen.calling.model import RunModel, score_signal
from baleen.calling.neighbours import REACH, SMEAR
from baleen.calling.replicates import channel_inflation
from baleen.calling.summary import by_channel, smaller_depth, statistic_of
from baleen.data import I32

MIN_SHARE = 0.005
"""Least share of positions near events that is reckoned with."""

ERROR_SPREAD = (0.59, 0.52, 0.26, 0.22)
"""Error scores 1, 2, 3, 4 bases from a modified one over its own: means over 15 peaks of E. coli rRNA."""

ERRORS_PLACED = 13 / 15
"""How often the highest error score lies within reach of the modified base: the same peaks."""


def event_probability(evidence: Evidence, model: RunModel, error_z: F64) -> F64:
    """Return the probability that there is an event within reach (2 bases) of each position.

    Parameters
    ----------
    evidence
        Of a contig, ``n`` positions.
    model
        What the run taught.
    error_z
        Normal scores of the errors, shape ``(n,)``; NaN = not tested.

    Notes
    -----
    Held against each other: an event within reach, one beyond whose errors reach here, both, none.
    """
    prior = special.logit(_share_near(model))
    near = prior + _by_signal(evidence, model)
    if not model.used[1]:
        return np.asarray(special.expit(near))
    errors = _by_errors(evidence.position, error_z, model.everything.channels[1], is_placed=model.used[0])
    placed, misplaced = np.log(ERRORS_PLACED), np.log1p(-ERRORS_PLACED)
    here = near + np.logaddexp(placed + errors.near, misplaced + errors.beyond)
    beyond = prior + np.logaddexp(placed + errors.beyond, misplaced + errors.near)
    both = near + errors.left_near + prior + np.logaddexp(placed + errors.beyond, misplaced)
    return np.asarray(special.expit(np.logaddexp(here, both) - np.logaddexp(beyond, 0)))


def _share_near(model: RunModel) -> float:
    """Return the share of positions within reach of an event.

    The fit counts all positions where an event raises scores: by signal those whose footprint overlaps
    its own; by errors as many as their squares are worth.
    """
    share = model.everything.share
    raised = 2 * REACH + 1 if model.used[0] else 1 + 2 * sum(spread**2 for spread in ERROR_SPREAD)
    return max(share * (2 * SMEAR + 1) / raised, MIN_SHARE)


def _by_signal(evidence: Evidence, model: RunModel) -> F64:
    """Return the log Bayes factor of the signal, of what other events leave of it.

    By itself or by what its null makes of it, whichever is less: where reads are few chance alone
    brings large evidence.
    """
    if not model.used[0]:
        return np.zeros(len(evidence.position))
    inflation = channel_inflation(evidence, model.priors, model.candidate)
    statistic, level = statistic_of(evidence, model.candidate), by_channel(evidence, "level")
    own = statistic - np.maximum(np.nan_to_num(level - evidence.own_statistic), 0)
    z = score_signal(model.pools, own, pooled.depth_bin(smaller_depth(evidence)))
    fit = replace(model.everything.channels[0], capped=False)
    by_null = fit.log_bayes_factor(inflation.temper(z, two_sided=True))
    own = np.where(own > 0, own / inflation.factor, own)
    return np.asarray(np.minimum(np.nan_to_num(own), by_null))


class _ByErrors(NamedTuple):
    """Log Bayes factors by errors, of an event within reach of each position, and of one beyond.

    ``left_near`` is the first by what no stronger score nearby explains.
    """

    near: F64
    beyond: F64
    left_near: F64


def _by_errors(position: I32, z: F64, fit: ChannelFit, *, is_placed: bool) -> _ByErrors:
    """Return what the errors say of every place within reach together, and of those beyond.

    Basecallers spread one base's errors over its neighbours, so errors near an event are no event yet.
    All places are as likely; where the signal tells the place (``is_placed``), the best one counts.
    """
    known, explained = np.nan_to_num(z, nan=-np.inf), np.zeros(len(z))
    for distance, spread in enumerate(ERROR_SPREAD, 1):
        for there in _around(position, known, (-distance, distance)):
            explained = np.where(there > known, np.maximum(explained, spread * there), explained)
    factor, left = fit.log_bayes_factor(z), fit.log_bayes_factor(z - explained)
    within = range(-SMEAR, SMEAR + 1)
    farthest = SMEAR + len(ERROR_SPREAD) - 1
    beyond = [offset for offset in range(-farthest, farthest + 1) if offset not in within]

    def mean(values: F64, offsets: Sequence[int]) -> F64:
        there = _around(position, values, offsets)
        n = np.maximum(np.sum(there > -np.inf, axis=0), 1)
        return np.asarray(np.logaddexp.reduce(there, axis=0) - np.log(n))

    def near(values: F64) -> F64:
        return _around(position, values, within).max(axis=0) if is_placed else mean(values, within)

    return _ByErrors(near(factor), mean(factor, beyond), near(left))


def _around(position: I32, values: F64, offsets: Sequence[int]) -> F64:
    """Return the values so far away, shape ``(len(offsets), n)``, minus infinity where there is none."""
    if not len(position):
        return np.zeros((len(offsets), 0))
    farthest = max(map(abs, offsets))
    row = position - position[0] + farthest
    dense = np.full(row[-1] + farthest + 1, -np.inf)
    dense[row] = values
    return np.asarray(dense[row + np.array(offsets)[:, None]])
