"""The null: what is taken off a read's levels is its drift, never a modification elsewhere."""

import numpy as np
import pytest

from baleen.calling import null
from baleen.calling.channels import Table

N_POSITIONS, N_READS = 400, 200
IS_CONTROL = np.arange(N_READS) < 100
UNKNOWN_KMERS = np.full(N_POSITIONS, -1)
SPREAD_PA, SITE = 2.0, 200
FOOTPRINT = np.array([0.15, 0.4, 0.8, 1.0, 0.2])


def standardised(change_pa: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(90, SPREAD_PA, (N_POSITIONS, N_READS))
    level = (noise + change_pa).astype(np.float32)
    return null.standardise(Table(level, np.ones_like(level)), IS_CONTROL, UNKNOWN_KMERS).z


def test_a_read_with_a_trend_is_put_back_on_the_control():
    drift = np.zeros((N_POSITIONS, N_READS))
    drift[:, 150:] = 0.3 * SPREAD_PA
    assert standardised(drift)[:, 150:].mean() == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("shift", [2.0, 4.0, 8.0])
def test_a_modification_is_no_trend_of_its_surroundings(shift):
    """It pushed its reads' other positions the other way, and natives lay off control for 40 bases."""
    plain = np.zeros((N_POSITIONS, N_READS))
    modified = plain.copy()
    modified[SITE - 2 : SITE + 3, ~IS_CONTROL] = shift * SPREAD_PA * FOOTPRINT[:, None]
    moved = (standardised(modified) - standardised(plain))[:, ~IS_CONTROL].mean(axis=1)
    moved[SITE - 2 : SITE + 3] = 0
    assert np.abs(moved).max() < 0.05


def test_common_sites_are_no_trend_of_what_lies_between():
    """Each within the biweight's cut, together they moved the natives between them by a tenth."""
    plain = np.zeros((N_POSITIONS, N_READS))
    modified = plain.copy()
    sites = np.arange(140, 261, 20)
    for site in sites:
        modified[site - 2 : site + 3, ~IS_CONTROL] = 1.5 * SPREAD_PA * FOOTPRINT[:, None]
    moved = (standardised(modified) - standardised(plain))[:, ~IS_CONTROL].mean(axis=1)
    between = np.abs(np.arange(N_POSITIONS)[:, None] - sites).min(axis=1) > 2
    assert np.abs(moved[between]).max() < 0.03


def test_natives_off_control_everywhere_are_put_back_on_it():
    """What the labels differ by along a whole stretch is a trend, however many reads say so."""
    offset = np.zeros((N_POSITIONS, N_READS))
    offset[:, ~IS_CONTROL] = 0.5 * SPREAD_PA
    assert standardised(offset)[:, ~IS_CONTROL].mean() == pytest.approx(0, abs=0.15)


def test_levels_without_controls_are_absent():
    level = np.random.default_rng(1).normal(90, SPREAD_PA, (N_POSITIONS, N_READS)).astype(np.float32)
    weight = np.ones_like(level)
    few = {100: 0, 101: 1, 102: 2}
    for position, n in few.items():
        weight[position, n:100] = 0
    got = null.standardise(Table(level, weight), IS_CONTROL, UNKNOWN_KMERS)
    assert {position: int((got.weight[position] > 0).sum()) for position in few} == {100: 0, 101: 0, 102: 102}
    assert not got.z[[100, 101]].any()
