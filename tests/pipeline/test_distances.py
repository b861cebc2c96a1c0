"""Distances of a contig's windows: label-free, two widths from one signal."""

import dataclasses

import numpy as np
import pytest

import krill
from baleen import _dtw
from baleen.crew import Clock, Crew
from baleen.data import ReadIndex, SignalPileup
from baleen.distances import MOST_LANDMARKS, choose_landmarks, distances


def pileup_of(rng, n_reads, n_positions):
    """Every read at every position; natives lie 6 pA above; windows reach over the neighbours."""
    w = n_reads * n_positions
    lengths = rng.integers(5, 30, (n_reads, n_positions))
    end = np.cumsum(lengths).reshape(n_reads, n_positions)
    start = end - lengths
    is_native = np.arange(n_reads) % 2 == 0
    signal = rng.normal(90, 2, end[-1, -1]).astype(np.float32)
    for read in np.flatnonzero(is_native):
        signal[start[read, 0] : end[read, -1]] += 6
    window_start = np.column_stack([start[:, 0], start[:, :-1]])
    window_end = np.column_stack([end[:, 1:], end[:, -1]])
    reads = ReadIndex(
        tuple(f"read-{i}" for i in range(n_reads)),
        is_native,
        np.zeros(n_reads, np.uint8),
        np.zeros(n_reads, np.uint8),
        ("one",),
    )
    zeros = np.zeros(w, np.float32)
    return SignalPileup(
        contig="c",
        sequence=np.full(n_positions, ord("A"), np.uint8),
        position=np.arange(n_positions, dtype=np.int32),
        window_offsets=np.arange(n_positions + 1, dtype=np.int64) * n_reads,
        read=np.tile(np.arange(n_reads, dtype=np.int32), n_positions),
        level_pa=zeros,
        level_stdv_pa=zeros,
        confidence=zeros,
        dwell_samples=(end - start).T.ravel().astype(np.int32),
        signal=signal,
        base_start=start.T.ravel(),
        base_end=end.T.ravel(),
        window_start=window_start.T.ravel(),
        window_end=window_end.T.ravel(),
        reads=reads,
    )


def test_coordinates_separate_natives_from_controls_at_both_widths():
    pileup = pileup_of(np.random.default_rng(1), 40, 3)
    is_native = pileup.reads.is_native[pileup.read]
    found = distances(pileup)
    for coordinate in (found.base_coordinate, found.window_coordinate):
        assert coordinate[is_native].min() > coordinate[~is_native].max()


def test_labels_change_no_bit():
    pileup = pileup_of(np.random.default_rng(2), 30, 2)
    relabelled = dataclasses.replace(pileup.reads, is_native=~pileup.reads.is_native)
    expected = distances(pileup)
    got = distances(dataclasses.replace(pileup, reads=relabelled))
    assert np.array_equal(expected.base_coordinate, got.base_coordinate)
    assert np.array_equal(expected.window_coordinate, got.window_coordinate)


def test_blocks_of_positions_change_no_bit(monkeypatch):
    pileup = pileup_of(np.random.default_rng(6), 12, 9)
    expected = distances(pileup)
    monkeypatch.setattr("baleen.distances.BLOCK_WINDOWS", 4 * 12)
    got = distances(pileup, each=Clock(Crew(2)).each)
    assert np.array_equal(expected.base_coordinate, got.base_coordinate)
    assert np.array_equal(expected.window_coordinate, got.window_coordinate)


def test_all_windows_of_a_shallow_position_are_landmarks():
    assert choose_landmarks(pileup_of(np.random.default_rng(3), MOST_LANDMARKS, 2)).all()


def test_deep_positions_have_the_same_landmark_reads_everywhere():
    pileup = pileup_of(np.random.default_rng(4), MOST_LANDMARKS + 30, 3)
    chosen = choose_landmarks(pileup).reshape(3, -1)
    assert (chosen.sum(axis=1) == MOST_LANDMARKS).all()
    assert (chosen == chosen[0]).all()


def test_gpu_that_is_not_there_is_refused():
    with pytest.raises(krill.DeviceError, match="device cuda:999: "):
        distances(pileup_of(np.random.default_rng(5), 4, 1), device="cuda:999")


def test_shim_tells_the_backend_that_computes():
    assert (_dtw.backend() == "gpu") == _dtw.is_available()
    assert _dtw.dtw_pairwise([[1.0], [3.0]]).tolist() == [2.0]
