"""Event alignment where reads are unlike the rest: gaps, stalls, modified bases, move tables."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from simulated_signal import (
    DELETION,
    HARD_CLIP,
    INSERTION,
    MATCH,
    RNA004,
    SKIP,
    SOFT_CLIP,
    make_batch,
    random_bases,
    simulate_signal,
)

import krill
from krill import Alignments, Ragged, ReadBatch, ReadStatus

K, CENTER = RNA004.kmer_size, RNA004.center
N_BASES = 300


def align_one(batch: ReadBatch, reference: npt.NDArray[np.uint8]) -> Alignments:
    found = krill.align(batch, reference, RNA004)
    assert found.status.tolist() == [ReadStatus.OK]
    return found


def true_starts(dwell: npt.NDArray[np.int64], first: int) -> npt.NDArray[np.int64]:
    """Return the first sample of each k-mer, by rising start of the k-mer."""
    return (first + np.concatenate([[0], np.cumsum(dwell)]))[:-1][::-1]


@pytest.mark.parametrize(("operation", "length"), [(DELETION, 5), (DELETION, 30), (SKIP, 120)])
def test_positions_of_a_gap_are_placed_only_if_it_is_a_basecall_error(operation: int, length: int) -> None:
    rng = np.random.default_rng(11)
    reference = random_bases(rng, N_BASES + length)
    is_spliced = length > 10
    molecule = np.concatenate([reference[:150], reference[150 + length :]])
    signal, dwell, first = simulate_signal(rng, molecule if is_spliced else reference)
    batch = make_batch(
        [signal], cigars=[[(MATCH, 150), (operation, length), (MATCH, 150)]], sequences=[molecule]
    )
    found = align_one(batch, reference)
    starts = true_starts(dwell, first)
    if is_spliced:
        left, right = np.arange(150 - K + 1), np.arange(150 + length, N_BASES + length - K + 1)
        expected, starts = np.concatenate([left, right]), np.delete(starts, np.arange(150 - K + 1, 150))
    else:
        expected = np.arange(len(starts))
    np.testing.assert_array_equal(found.position - CENTER, expected)
    assert np.abs(found.sample_start - starts).mean() < 6


def test_a_long_insertion_takes_its_own_signal() -> None:
    rng = np.random.default_rng(12)
    reference = random_bases(rng, N_BASES)
    molecule = np.concatenate([reference[:150], random_bases(rng, 40), reference[150:]])
    signal, dwell, first = simulate_signal(rng, molecule)
    batch = make_batch([signal], cigars=[[(MATCH, 150), (INSERTION, 40), (MATCH, 150)]], sequences=[molecule])
    found = align_one(batch, reference)
    starts = np.delete(true_starts(dwell, first), np.arange(150 - K + 1, 190))
    assert len(found.position) == len(starts)
    assert np.abs(found.sample_start - starts).mean() < 6


def test_clips_anchor_and_hard_clips_change_nothing() -> None:
    rng = np.random.default_rng(13)
    molecule = random_bases(rng, N_BASES)
    reference = np.concatenate([random_bases(rng, 20), molecule[20:-30], random_bases(rng, 30)])
    signal, dwell, first = simulate_signal(rng, molecule)
    cigar = [(SOFT_CLIP, 20), (MATCH, N_BASES - 50), (SOFT_CLIP, 30)]
    batch = make_batch([signal], cigars=[cigar], sequences=[molecule], ref_start=20)
    found = align_one(batch, reference)
    starts = true_starts(dwell, first)[20 : len(dwell) - 30]
    assert np.abs(found.sample_start - starts).mean() < 6
    hard = make_batch(
        [signal], cigars=[[(HARD_CLIP, 7), *cigar, (HARD_CLIP, 9)]], sequences=[molecule], ref_start=20
    )
    for name, values in vars(align_one(hard, reference)).items():
        np.testing.assert_array_equal(values, getattr(found, name))


def test_bases_that_nobody_knows_are_placed_too() -> None:
    rng = np.random.default_rng(14)
    molecule = random_bases(rng, N_BASES)
    signal, dwell, first = simulate_signal(rng, molecule)
    reference = molecule.copy()
    reference[[60, 61, 62, 170]] = ord("N")
    batch = make_batch([signal], cigars=[[(MATCH, N_BASES)]], sequences=[molecule])
    found = align_one(batch, reference)
    assert len(found.position) == N_BASES - K + 1
    assert np.isfinite(found.level_mean).all()
    assert np.abs(found.sample_start - true_starts(dwell, first)).mean() < 8


def test_a_stall_stays_with_the_position_that_stalls() -> None:
    rng = np.random.default_rng(15)
    molecule = random_bases(rng, N_BASES)
    dwell = 1 + rng.gamma(3, 10, N_BASES - K + 1).astype(np.int64)
    dwell[140] = 3000
    signal, _, first = simulate_signal(rng, molecule, dwell)
    found = align_one(make_batch([signal], cigars=[[(MATCH, N_BASES)]], sequences=[molecule]), molecule)
    starts = true_starts(dwell, first)
    assert np.abs(found.sample_start - starts).mean() < 6
    stalled = len(dwell) - 1 - 140
    overlap = min(found.sample_end[stalled], starts[stalled] + 3000) - max(
        found.sample_start[stalled], starts[stalled]
    )
    assert overlap > 2900


def test_signal_runs_from_3_to_5_prime() -> None:
    rng = np.random.default_rng(16)
    molecule = random_bases(rng, N_BASES)
    signal, _, first = simulate_signal(rng, molecule)
    turned = np.concatenate([signal[:first], signal[first:][::-1]])
    batch = make_batch([turned], cigars=[[(MATCH, N_BASES)]], sequences=[molecule])
    assert krill.align(batch, molecule, RNA004).status.tolist() == [ReadStatus.POOR_FIT]


def with_moves(
    batch: ReadBatch, starts: npt.NDArray[np.int64], first: int, *, is_turned: bool = False
) -> ReadBatch:
    """Give the read a table whose moves lie where its k-mers begin; the ends follow every 20 samples."""
    n = len(batch.sequence[0])
    begin = np.interp(np.arange(n), np.arange(CENTER, CENTER + len(starts)), starts)
    begin += 20 * (np.arange(n)[::-1] - (n - 1 - CENTER)).clip(0)
    strides = (np.sort(begin) - first).astype(np.int64) // 5
    strides = np.maximum.accumulate(strides - np.arange(n)) + np.arange(n)
    moves = np.zeros(max(len(batch.signal[0]) // 5 - first // 5, int(strides[-1]) + 1), np.uint8)
    moves[strides] = 1
    return replace(
        batch,
        moves=Ragged.from_rows([moves[::-1] if is_turned else moves], np.uint8),
        move_stride=np.array([5], np.int32),
        trimmed_samples=np.array([first], np.int32),
    )


def test_moves_run_against_the_sequence() -> None:
    rng = np.random.default_rng(17)
    molecule = random_bases(rng, N_BASES)
    signal, dwell, first = simulate_signal(rng, molecule)
    starts = true_starts(dwell, first)
    plain = make_batch([signal], cigars=[[(MATCH, N_BASES)]], sequences=[molecule])
    plain = replace(plain, trimmed_samples=np.array([first], np.int32))
    moved, turned = (with_moves(plain, starts, first, is_turned=turned) for turned in (False, True))
    error, error_moved, error_turned = (
        np.abs(align_one(batch, molecule).sample_start - starts).mean() for batch in (plain, moved, turned)
    )
    assert error_moved < 0.7 * error
    assert error_turned == error


def test_a_modified_base_keeps_its_signal() -> None:
    rng = np.random.default_rng(18)
    molecule = random_bases(rng, 600)
    footprint = np.array([2.0, 4.0, 6.0, 4.0, 2.0])
    shift = np.zeros(600 - K + 1)
    sites = np.arange(40, 560, 40)
    for site in sites:
        shift[site - 2 : site + 3] = footprint * (-1) ** (site // 40)
    signals = [simulate_signal(rng, molecule, shift_pa=shift)[0] for _ in range(8)]
    batch = make_batch(signals, cigars=[[(MATCH, 600)]] * 8, sequences=[molecule] * 8)
    found = krill.align(batch, molecule, RNA004)
    assert (found.status == ReadStatus.OK).all()
    level = found.level_mean.reshape(8, -1) - RNA004.level_mean[RNA004.kmer_codes(molecule)]
    seen = (level[:, sites] * np.sign(shift[sites])).mean()
    assert seen > 0.75 * footprint.max()


@pytest.mark.parametrize("scale_pa", [np.nan, np.inf, 0.0])
def test_a_calibration_that_is_no_number_is_a_bad_signal(scale_pa: float) -> None:
    rng = np.random.default_rng(19)
    molecule = random_bases(rng, N_BASES)
    signal, _, _ = simulate_signal(rng, molecule)
    batch = make_batch([signal], cigars=[[(MATCH, N_BASES)]], sequences=[molecule])
    batch = replace(batch, scale_pa=np.array([scale_pa], np.float32))
    assert krill.align(batch, molecule, RNA004).status.tolist() == [ReadStatus.BAD_SIGNAL]
