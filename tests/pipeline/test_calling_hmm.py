"""Smoothing along reads: against the sums over all paths, over gaps, and at ends."""

import itertools

import numpy as np
import pytest
from scipy.special import expit, logit

from baleen.calling.hmm import HmmParameters, smooth


def smoothed(position, llr, prior, parameters, read=None):
    read = np.zeros(len(position), np.int32) if read is None else np.asarray(read, np.int32)
    return smooth(
        np.asarray(position, np.int32), read, np.asarray(llr, float), np.asarray(prior, float), parameters
    )


def by_enumeration(position, llr, prior, parameters):
    """P(modified) at every position, from the weights of all paths."""
    pi = np.asarray(parameters.stationary)
    k = len(pi)
    odds = logit(np.asarray(prior)) - logit(pi[-1])
    total, modified = 0.0, np.zeros(len(position))
    for path in itertools.product(range(k), repeat=len(position)):
        weight = pi[path[0]]
        for t, state in enumerate(path):
            if t:
                c = parameters.memory ** (position[t] - position[t - 1])
                weight *= c * (state == path[t - 1]) + (1 - c) * pi[state]
            if state == k - 1:
                weight *= np.exp(llr[t] + odds[t])
            elif state == 1:
                weight *= np.exp(parameters.flank * llr[t])
        total += weight
        modified += weight * (np.array(path) == k - 1)
    return modified / total


@pytest.mark.parametrize("stationary", [(0.9, 0.1), (0.8, 0.1, 0.1)])
def test_smoothing_is_the_sum_over_all_paths(stationary):
    parameters = HmmParameters(stationary, 0.5, 0.5)
    position, llr = [3, 4, 6, 20, 21], [1.0, -0.5, 3.0, -2.0, 0.4]
    prior = [0.1, 0.2, 0.3, 0.4, 0.05]
    expected = by_enumeration(position, llr, prior, parameters)
    np.testing.assert_allclose(smoothed(position, llr, prior, parameters), expected, rtol=1e-5)


def test_a_long_gap_forgets():
    parameters = HmmParameters(memory=0.9)
    expected = expit(logit(np.array([0.05, 0.05])) + np.array([8.0, 0.0]))
    got = smoothed([0, 4000], [8.0, 0.0], [0.05, 0.05], parameters)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_without_memory_every_position_stands_alone():
    expected = expit(logit(np.array([0.2, 0.5, 0.7])) + np.array([1.0, -2.0, 0.5]))
    got = smoothed([5, 6, 7], [1.0, -2.0, 0.5], [0.2, 0.5, 0.7], HmmParameters(memory=0.0))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_reads_do_not_touch_and_rows_may_come_in_any_order():
    parameters = HmmParameters(memory=0.6)
    alone = [smoothed([1, 2], llr, [0.3, 0.3], parameters) for llr in ([2.0, 0.0], [-3.0, 1.0])]
    got = smoothed([2, 1, 2, 1], [1.0, 2.0, 0.0, -3.0], [0.3] * 4, parameters, read=[1, 0, 0, 1])
    np.testing.assert_allclose(got, [alone[1][1], alone[0][0], alone[0][1], alone[1][0]], rtol=1e-5)


def test_no_pairs_are_no_error():
    assert len(smoothed([], [], [], HmmParameters())) == 0


def test_extreme_ratios_stay_probabilities():
    got = smoothed(range(50), [500.0, -500.0] * 25, [0.5] * 50, HmmParameters(memory=0.9))
    assert np.isfinite(got).all()
    assert ((got >= 0) & (got <= 1)).all()


def test_parameters_survive_json():
    parameters = HmmParameters((0.8, 0.15, 0.05), 0.4, 0.3)
    assert HmmParameters.from_json(parameters.to_json()) == parameters
    with pytest.raises(ValueError, match="version"):
        HmmParameters.from_json({"version": 0})
