"""Distances of each window reduced in the engine against the same from the full matrix."""

import itertools

import numpy as np
import pytest

import krill
from krill import DtwOptions, SignalWindows, WindowRoles


def windows_of(rng, n_per_position):
    """Windows of 4 to 40 samples that overlap their neighbours."""
    w = sum(n_per_position)
    start = rng.integers(0, 2000, w)
    end = start + rng.integers(4, 40, w)
    signal = rng.normal(90, 5, 2040).astype(np.float32)
    return SignalWindows(signal, start, end, np.concatenate([[0], np.cumsum(n_per_position)]))


def expected_rows(windows, roles, n_nearest, options):
    """Mean, median, count, nearest of every window, from the distances themselves."""
    rows = np.full((len(windows), 3 + n_nearest), np.nan)
    rows[:, 2] = 0
    for first, last in itertools.pairwise(windows.position_offsets):
        for i in range(first, last):
            if not roles.is_query[i]:
                continue
            others = [
                j for j in range(first, last) if roles.is_reference[j] and roles.fold[j] != roles.fold[i]
            ]
            cut = [windows.signal[windows.start[j] : windows.end[j]] for j in [i, *others]]
            distances = np.sort(krill.dtw_cross(cut[:1], cut[1:], options=options)[0])
            rows[i, 2] = len(distances)
            if len(distances):
                rows[i, :2] = distances.mean(dtype=np.float64), np.median(distances)
            rows[i, 3 : 3 + min(n_nearest, len(distances))] = distances[:n_nearest]
    return rows


def native_against_control(rng, w):
    is_control = rng.random(w) < 0.5
    return WindowRoles(~is_control, is_control, np.zeros(w, int) + is_control)


def all_against_control(rng, w):
    return WindowRoles(np.ones(w, bool), rng.random(w) < 0.5, rng.integers(0, 5, w))


def everything_leaving_itself_out(rng, w):
    return WindowRoles(np.ones(w, bool), np.ones(w, bool), np.arange(w))


def any_mixture(rng, w):
    return WindowRoles(rng.random(w) < 0.6, rng.random(w) < 0.6, rng.integers(0, 3, w))


@pytest.mark.parametrize("options", [DtwOptions(), DtwOptions(cost="absolute", normalised=True)])
@pytest.mark.parametrize(
    "choose",
    [
        native_against_control,
        all_against_control,
        everything_leaving_itself_out,
        any_mixture,
    ],
)
def test_summary_equals_that_of_the_full_matrix(choose, options):
    rng = np.random.default_rng(1)
    windows = windows_of(rng, [37, 0, 1, 2, 18])
    roles = choose(rng, len(windows))
    expected = expected_rows(windows, roles, 4, options)
    got = krill.dtw_summary(windows, roles, n_nearest=4, threads=2, options=options)
    np.testing.assert_array_equal(got.count, expected[:, 2])
    np.testing.assert_array_equal(got.nearest, expected[:, 3:].astype(np.float32))
    np.testing.assert_allclose(got.median, expected[:, 1], rtol=1e-6)
    np.testing.assert_allclose(got.mean, expected[:, 0], rtol=1e-6)


def test_order_of_windows_changes_no_bit():
    rng = np.random.default_rng(2)
    windows = windows_of(rng, [45])
    roles = any_mixture(rng, 45)
    order = rng.permutation(45)
    expected = krill.dtw_summary(windows, roles)
    permuted = SignalWindows(windows.signal, windows.start[order], windows.end[order], [0, 45])
    relabelled = WindowRoles(roles.is_query[order], roles.is_reference[order], roles.fold[order])
    got = krill.dtw_summary(permuted, relabelled)
    for name in ("mean", "median", "count", "nearest"):
        np.testing.assert_array_equal(getattr(expected, name)[order], getattr(got, name))


def test_labels_of_another_length_are_refused():
    windows = windows_of(np.random.default_rng(3), [4])
    roles = WindowRoles(np.ones(4, bool), np.ones(3, bool), np.arange(4))
    with pytest.raises(ValueError, match=r"is_reference has shape \(3,\); there are 4 windows"):
        krill.dtw_summary(windows, roles)
