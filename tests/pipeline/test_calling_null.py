"""The null: what is taken off a read's levels is its drift, never a modification elsewhere."""

import numpy as np
import pytest

from baleen.calling import null

N_POSITIONS, N_READS = 400, 200
PRESENT = np.ones((N_POSITIONS, N_READS), bool)


def levels(seed=0):
    return np.random.default_rng(seed).normal(size=(N_POSITIONS, N_READS))


def test_a_trend_is_found():
    z = levels() + 0.3
    inner = slice(null.TREND_REACH, -null.TREND_REACH)
    assert null._trend(z, PRESENT)[inner].mean() == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("shift", [2.0, 4.0, 8.0])
def test_a_modification_is_no_trend_of_its_surroundings(shift):
    """It pushed its reads' other positions the other way, and natives lay off control for 30 bases."""
    plain = levels()
    modified = plain.copy()
    modified[198:203] += shift * np.array([0.15, 0.4, 0.8, 1.0, 0.2])[:, None]
    moved = (null._trend(modified, PRESENT) - null._trend(plain, PRESENT)).mean(axis=1)
    assert np.abs(moved).max() < 0.05


def test_a_read_with_a_trend_is_put_back_on_the_control():
    rng = np.random.default_rng(1)
    level = rng.normal(90, 2, (N_POSITIONS, N_READS)).astype(np.float32)
    is_control = np.arange(N_READS) < 100
    level[:, 150] += 1.0
    table = null.Table(level, np.ones_like(level))
    kmer = np.full(N_POSITIONS, -1)
    standard = null.standardise(table, is_control, kmer)
    assert abs(standard.z[:, 150].mean()) < 0.15
