"""Fusion: channels without information get no weight, p-values stay uniform."""

import numpy as np
import pytest
from scipy import stats

from baleen.calling.fusion import choose_channels, fit

CAPPED = (True, False)


def scores(n=4000, n_sites=80, means=(3.0, 3.0), seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    z[:n_sites] += means
    return z, np.ones(n)


def test_a_channel_of_noise_is_dropped():
    z, weight = scores(means=(0.0, 4.0))
    assert choose_channels(z, weight, CAPPED)[0] == (False, True)
    z, weight = scores(means=(4.0, 0.0))
    assert choose_channels(z, weight, CAPPED)[0] == (True, False)


def test_two_informative_channels_stay():
    assert choose_channels(*scores(), CAPPED)[0] == (True, True)


@pytest.mark.parametrize("seed", range(3))
def test_without_any_site_the_first_channel_speaks_alone(seed):
    assert choose_channels(*scores(n_sites=0, seed=seed), CAPPED)[0] == (True, False)


def test_fused_p_values_are_uniform_under_the_null():
    fused = fit(*scores(), CAPPED, (True, True))
    z = np.random.default_rng(9).normal(size=(20_000, 2))
    p = fused.p_value(z)
    for cut in (0.05, 0.01, 0.001):
        expected = stats.binom.interval(0.9999, len(p), cut)
        assert expected[0] <= (p < cut).sum() <= expected[1]


def test_fusion_finds_more_than_either_channel():
    z, weight = scores(means=(3.0, 3.0))
    fused = fit(z, weight, CAPPED, (True, True))
    found = (fused.p_value(z)[:80] < 1e-4).sum()
    assert found > 1.3 * max((stats.norm.sf(z[:80, k]) < 1e-4).sum() for k in range(2))


def test_a_missing_channel_leaves_the_other_ones_p_value():
    fused = fit(*scores(), CAPPED, (True, True))
    z = np.array([[2.0, np.nan], [np.nan, 3.0], [np.nan, np.nan]])
    expected = [stats.norm.sf(2.0), stats.norm.sf(3.0), np.nan]
    np.testing.assert_allclose(fused.p_value(z), expected, rtol=1e-9)


def test_log_bayes_factors_never_fall():
    fused = fit(*scores(), CAPPED, (True, True))
    z = np.linspace(-12, 40, 2001)
    for channel in fused.channels:
        assert (np.diff(channel.log_bayes_factor(z)) >= -1e-12).all()
