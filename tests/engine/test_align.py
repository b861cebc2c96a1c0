"""Event alignment: placement of simulated reads whose boundaries are known."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
from krill import Ragged, ReadBatch, ReadStatus


@pytest.fixture(scope="module")
def reads() -> tuple[ReadBatch, npt.NDArray[np.uint8], list[npt.NDArray[np.int64]]]:
    """Eight reads of a contig of 600 bases; and the first sample of each k-mer, rising position."""
    rng = np.random.default_rng(4)
    reference = random_bases(rng, 600)
    signals, starts = [], []
    for _ in range(8):
        signal, dwell, first = simulate_signal(rng, reference)
        signals.append(signal)
        starts.append((first + np.concatenate([[0], np.cumsum(dwell)]))[:-1][::-1])
    batch = make_batch(signals, cigars=[[(MATCH, 600)]] * 8, sequences=[reference] * 8)
    return batch, reference, starts


def test_every_position_is_placed_and_most_boundaries_are_right(reads) -> None:
    batch, reference, starts = reads
    found = krill.align(batch, reference, RNA004)
    assert found.status.tolist() == [ReadStatus.OK] * 8
    for i in range(8):
        rows = slice(found.read_offsets[i], found.read_offsets[i + 1])
        expected = np.arange(RNA004.center, 600 - 8 + RNA004.center)
        np.testing.assert_array_equal(found.position[rows], expected)
        error = np.abs(found.sample_start[rows] - starts[i])
        assert error.mean() < 6
        assert np.mean(error <= 5) > 0.8


def test_intervals_of_a_read_touch_and_fall(reads) -> None:
    batch, reference, _ = reads
    found = krill.align(batch, reference, RNA004)
    first = slice(0, found.read_offsets[1])
    np.testing.assert_array_equal(found.sample_start[first][:-1], found.sample_end[first][1:])
    assert (found.sample_end[first] > found.sample_start[first]).all()


def test_no_output_of_a_placed_read_is_nan(reads) -> None:
    batch, reference, _ = reads
    found = krill.align(batch, reference, RNA004)
    for name in ("level_mean", "level_stdv", "confidence", "scale", "shift_pa", "drift_pa", "fit_r"):
        assert np.isfinite(getattr(found, name)).all(), name
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1


def test_scaled_levels_lie_on_the_model(reads) -> None:
    batch, reference, _ = reads
    found = krill.align(batch, reference, RNA004)
    np.testing.assert_allclose(found.scale, 1.05, atol=0.03)
    rows = slice(0, found.read_offsets[1])
    levels = RNA004.level_mean[RNA004.kmer_codes(reference)]
    assert np.median(np.abs(found.level_mean[rows] - levels)) < 2


def test_threads_do_not_change_a_bit(reads) -> None:
    batch, reference, _ = reads
    one, eight = (krill.align(batch, reference, RNA004, threads=n) for n in (1, 8))
    for name in vars(one):
        np.testing.assert_array_equal(getattr(one, name), getattr(eight, name))


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
@pytest.mark.parametrize("mode", ["standard", "fast", "sharp"])
def test_instruction_sets_do_not_change_a_bit(reads, isa: str, mode, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, reference, _ = reads
    expected = krill.align(batch, reference, RNA004, mode=mode)
    monkeypatch.setenv("KRILL_ISA", isa)
    try:
        found = krill.align(batch, reference, RNA004, mode=mode)
    except ValueError as error:
        assert "which this processor lacks" in str(error)  # noqa: PT017
        pytest.skip(str(error))
    for name in vars(expected):
        np.testing.assert_array_equal(getattr(expected, name), getattr(found, name))


def test_reverse_reads_are_counted_and_skipped(reads) -> None:
    batch, reference, _ = reads
    is_reverse = np.arange(8) % 2 == 1
    found = krill.align(replace(batch, is_reverse=is_reverse), reference, RNA004, mode="fast")
    expected = np.where(is_reverse, ReadStatus.REVERSE_STRAND, ReadStatus.OK)
    np.testing.assert_array_equal(found.status, expected)
    assert (np.diff(found.read_offsets)[is_reverse] == 0).all()


def test_short_and_hopeless_reads_fail_with_their_reason() -> None:
    rng = np.random.default_rng(1)
    reference = random_bases(rng, 100)
    good, _, _ = simulate_signal(rng, reference)
    noise = np.round(rng.normal(800, 100, 6000)).astype(np.int16)
    signals = [
        good,
        good[:400],
        np.full(5000, 700, np.int16),
        np.full(5000, 32767, np.int16),
        good[:0],
        noise,
    ]
    cigars = [[(MATCH, 20), (SOFT_CLIP, 80)]] + [[(MATCH, 100)]] * 5
    batch = make_batch(signals, cigars=cigars, sequences=[reference] * 6)
    expected = [
        ReadStatus.TOO_SHORT,
        ReadStatus.TOO_FEW_SAMPLES,
        ReadStatus.BAD_SIGNAL,
        ReadStatus.BAD_SIGNAL,
        ReadStatus.BAD_SIGNAL,
        ReadStatus.POOR_FIT,
    ]
    assert krill.align(batch, reference, RNA004).status.tolist() == expected


def test_an_empty_batch_has_empty_alignments() -> None:
    found = krill.align(
        make_batch([], cigars=[], sequences=[]), random_bases(np.random.default_rng(0), 50), RNA004
    )
    assert (len(found), len(found.position)) == (0, 0)


def test_a_cigar_beyond_the_reference_is_named() -> None:
    rng = np.random.default_rng(2)
    reference = random_bases(rng, 60)
    batch = make_batch([np.zeros(100, np.int16)], cigars=[[(MATCH, 60)]], sequences=[reference], ref_start=1)
    with pytest.raises(ValueError, match="cigar of read 0 does not fit"):
        krill.align(batch, reference, RNA004)


def random_read(rng: np.random.Generator, reference: npt.NDArray[np.uint8]):
    """Return a CIGAR that fits the reference, its basecalls, a signal and a move table of any sort."""
    cigar, sequence, at = [], [], 0
    for op in rng.choice([MATCH, MATCH, INSERTION, DELETION, SKIP, SOFT_CLIP, HARD_CLIP], rng.integers(1, 9)):
        length = int(rng.integers(1, rng.choice([3, 15, 120])))
        if op in (MATCH, DELETION, SKIP):
            length = min(length, len(reference) - at)
        if length == 0:
            continue
        if op == MATCH:
            sequence.append(reference[at : at + length])
        elif op in (INSERTION, SOFT_CLIP):
            sequence.append(random_bases(rng, length))
        at += length if op in (MATCH, DELETION, SKIP) else 0
        cigar.append((int(op), length))
    bases = np.concatenate([np.zeros(0, np.uint8), *sequence])
    signal = [
        lambda: simulate_signal(rng, reference)[0],
        lambda: rng.integers(0, 1500, rng.integers(0, 4000)).astype(np.int16),
        lambda: np.full(rng.integers(0, 3000), 800, np.int16),
        lambda: np.repeat(rng.integers(500, 1200, 200), rng.integers(1, 60, 200)).astype(np.int16),
    ][rng.integers(4)]()
    n_bases = len(bases) + sum(length for op, length in cigar if op == HARD_CLIP)
    moves = np.zeros(max(n_bases, len(signal) // 5), np.uint8)
    moves[rng.choice(len(moves), n_bases, replace=False) if len(moves) else []] = 1
    return cigar, bases, signal, moves


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_read_whatever_breaks_a_batch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = random_bases(rng, int(rng.choice([12, 40, 220])))
    reference = np.where(rng.random(len(reference)) < 0.02, ord("N"), reference).astype(np.uint8)
    rows = [random_read(rng, reference) for _ in range(4)]
    cigars, sequences, signals, moves = ([row[i] for row in rows] for i in range(4))
    batch = make_batch(signals, cigars=cigars, sequences=sequences)
    batch = replace(
        batch,
        moves=Ragged.from_rows(moves, np.uint8),
        move_stride=np.full(4, 5, np.int32),
        trimmed_samples=rng.integers(-1, 3000, 4).astype(np.int32),
    )
    for mode in ("standard", "fast", "sharp"):
        found = krill.align(batch, reference, RNA004, mode=mode)
        ok = found.status == ReadStatus.OK
        assert (np.diff(found.read_offsets)[~ok] == 0).all()
        assert (found.sample_end > found.sample_start).all()
        for i in np.flatnonzero(ok):
            rows_of_read = slice(found.read_offsets[i], found.read_offsets[i + 1])
            assert (np.diff(found.position[rows_of_read]) > 0).all()
            assert (np.diff(found.sample_start[rows_of_read]) < 0).all()
            assert found.sample_end[rows_of_read][0] <= len(batch.signal[i])
