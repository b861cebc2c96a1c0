"""The coordinate of windows along the main direction of their distances."""

import itertools

import numpy as np
import pytest

import krill
from krill import DtwOptions, SignalWindows

INSTRUCTION_SETS = krill.devices()[0].instruction_sets


def shifted_windows(rng, n_per_position, shift=8.0):
    """Positions whose first windows lie `shift` above the others."""
    lengths = rng.integers(8, 40, sum(n_per_position))
    end = np.cumsum(lengths)
    start = end - lengths
    signal = rng.normal(90, 2, end[-1]).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(n_per_position)])
    is_shifted = np.zeros(len(lengths), bool)
    for first, last in itertools.pairwise(offsets):
        is_shifted[first : first + (last - first) // 3] = True
    for i in np.flatnonzero(is_shifted):
        signal[start[i] : end[i]] += shift
    return signal, start, end, offsets, is_shifted


def classical_scaling(signal, start, end):
    """First coordinate by a full eigendecomposition, rising with the windows' means."""
    windows = [signal[s:e] for s, e in zip(start, end, strict=True)]
    n = len(windows)
    squared = np.zeros((n, n))
    squared[np.triu_indices(n, 1)] = (
        krill.dtw_pairwise(windows, options=DtwOptions(normalised=True)).astype(float) ** 2
    )
    squared += squared.T
    centring = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centring @ squared @ centring)
    coordinate = np.sqrt(values[-1]) * vectors[:, -1]
    return coordinate * np.sign(np.cov(coordinate, [w.mean() for w in windows])[0, 1])


def test_coordinate_equals_classical_scaling():
    signal, start, end, _, _ = shifted_windows(np.random.default_rng(1), [40])
    expected = classical_scaling(signal, start, end)
    got = krill.dtw_coordinate(SignalWindows(signal, start, end, [0, 40]), np.ones(40, bool))
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_landmark_projected_as_another_window_keeps_its_place():
    signal, start, end, _, _ = shifted_windows(np.random.default_rng(2), [30])
    twice = np.arange(30).repeat(2)
    is_landmark = np.tile([True, False], 30)
    got = krill.dtw_coordinate(SignalWindows(signal, start[twice], end[twice], [0, 60]), is_landmark)
    np.testing.assert_allclose(got[1::2], got[::2], atol=1e-3)


def test_coordinate_separates_shifted_windows_and_rises_with_the_level():
    rng = np.random.default_rng(3)
    signal, start, end, offsets, is_shifted = shifted_windows(rng, [60, 5, 33])
    is_landmark = rng.random(98) < 0.7
    got = krill.dtw_coordinate(SignalWindows(signal, start, end, offsets), is_landmark, threads=2)
    for first, last in itertools.pairwise(offsets):
        shifted = is_shifted[first:last]
        assert got[first:last][shifted].min() > got[first:last][~shifted].max()


def test_order_of_windows_threads_and_batches_change_no_bit():
    rng = np.random.default_rng(4)
    signal, start, end, _, _ = shifted_windows(rng, [50, 50])
    is_landmark = rng.random(100) < 0.6
    order = np.concatenate([rng.permutation(50), 50 + rng.permutation(50)])
    expected = krill.dtw_coordinate(SignalWindows(signal, start, end, [0, 50, 100]), is_landmark)[order]
    permuted = (start[order], end[order])
    got = krill.dtw_coordinate(SignalWindows(signal, *permuted, [0, 50, 100]), is_landmark[order], threads=3)
    assert np.array_equal(expected, got)
    alone = krill.dtw_coordinate(
        SignalWindows(signal, permuted[0][50:], permuted[1][50:], [0, 50]), is_landmark[order][50:]
    )
    assert np.array_equal(expected[50:], alone)


@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
def test_small_positions_share_vectors_and_change_no_bit(isa, monkeypatch):
    monkeypatch.setenv("KRILL_ISA", isa)
    rng = np.random.default_rng(6)
    counts = [3, 16, 4, 32, 33, 9, 0, 17, 2, 31, 5]
    lengths = np.maximum(rng.gamma(1.5, 20, sum(counts)), 1).astype(int)
    lengths[60] = 1200  # summed in double precision, its position apart from the others
    end = np.cumsum(lengths)
    signal = rng.normal(90, 2, end[-1]).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    is_landmark = rng.random(len(lengths)) < 0.9
    got = krill.dtw_coordinate(SignalWindows(signal, end - lengths, end, offsets), is_landmark)
    for first, last in itertools.pairwise(offsets):
        windows = SignalWindows(
            signal, end[first:last] - lengths[first:last], end[first:last], [0, last - first]
        )
        alone = krill.dtw_coordinate(windows, is_landmark[first:last])
        assert np.array_equal(got[first:last], alone, equal_nan=True)
        chosen = np.flatnonzero(is_landmark[first:last])
        if len(chosen) >= 3:
            expected = classical_scaling(signal, windows.start[chosen], windows.end[chosen])
            np.testing.assert_allclose(alone[chosen], expected, atol=1e-3)


def test_too_few_landmarks_give_no_coordinate():
    signal, start, end, offsets, _ = shifted_windows(np.random.default_rng(5), [6, 0, 3])
    is_landmark = np.array([1, 1, 0, 0, 0, 0, 1, 1, 1], bool)
    got = krill.dtw_coordinate(SignalWindows(signal, start, end, offsets), is_landmark)
    assert np.array_equal(np.isnan(got), [True] * 6 + [False] * 3)


def test_landmarks_all_alike_give_no_coordinate():
    signal = np.full(20, 90, np.float32)
    got = krill.dtw_coordinate(SignalWindows(signal, [0, 5, 9, 12], [4, 9, 12, 20], [0, 4]), np.ones(4, bool))
    assert np.isnan(got).all()


def test_window_outside_the_signal_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"window \[1\] is 3\.\.6, not an interval of 5 samples"):
        krill.dtw_coordinate(SignalWindows(np.zeros(5, np.float32), [0, 3], [2, 6], [0, 2]), np.ones(2, bool))


def test_empty_window_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"window \[1\] is empty"):
        krill.dtw_coordinate(SignalWindows(np.zeros(5, np.float32), [0, 3], [2, 3], [0, 2]), np.ones(2, bool))


def test_offsets_that_miss_windows_are_refused():
    with pytest.raises(ValueError, match="offsets must rise from 0 to 2"):
        krill.dtw_coordinate(SignalWindows(np.zeros(5, np.float32), [0, 3], [2, 5], [0, 1]), np.ones(2, bool))
