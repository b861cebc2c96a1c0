"""Dynamic time warping: every fast path against the definition."""

import itertools
import platform

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import krill
from krill import DtwOptions, _krill

INSTRUCTION_SETS = krill.devices()[0].instruction_sets
NATIVE_FMA = platform.machine() in {"aarch64", "arm64"}
FUSED = [isa for isa in INSTRUCTION_SETS if isa in {"avx512", "avx2"} or NATIVE_FMA]
OPTIONS = {
    "closed": DtwOptions(),
    "absolute": DtwOptions(cost="absolute"),
    "normalised": DtwOptions(normalised=True),
    "absolute normalised": DtwOptions(cost="absolute", normalised=True),
}
OPEN_OPTIONS = {
    "open start": DtwOptions(open_start=True),
    "open end": DtwOptions(open_end=True),
    "open both": DtwOptions(open_start=True, open_end=True, normalised=True),
}


@pytest.fixture(params=INSTRUCTION_SETS)
def isa(request, monkeypatch):
    monkeypatch.setenv("KRILL_ISA", request.param)
    return request.param


def definition(a, b, options=DtwOptions()):  # noqa: B008 - frozen
    flags = (options.normalised, options.open_start, options.open_end)
    return np.float32(_krill.dtw_definition(a, b, _krill.DtwSetup(1, options.cost, flags)))


def oracle(a, b):
    """Float64, one anti-diagonal at a time."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    n, m = len(a), len(b)
    previous, current = np.full(n + 1, np.inf), np.full(n + 1, np.inf)
    previous[0] = 0.0  # diagonal 0 holds D[-1][-1] alone; entry i is row i - 1
    for diagonal in range(1, n + m):
        following = np.full(n + 1, np.inf)
        rows = np.arange(max(0, diagonal - m), min(n, diagonal))
        columns = diagonal - 1 - rows
        best = np.minimum(np.minimum(current[rows + 1], current[rows]), previous[rows])
        following[rows + 1] = (a[rows] - b[columns]) ** 2 + best
        previous, current = current, following
    return np.sqrt(current[n])


def hard_signals(rng, lengths):
    """Plateaus and steps at 90 pA, of these lengths."""
    levels = (rng.choice([70.0, 90.0, 91.0, 120.0], size=1 + n // 5).repeat(5)[:n] for n in lengths)
    return [(x + rng.normal(0, rng.choice([0.0, 2.0]), len(x))).astype(np.float32) for x in levels]


def same(isa, expected, got):
    """The same bits; the baseline of x86-64 has no fused multiply-add and rounds twice."""
    if isa in FUSED:
        return np.array_equal(expected, got)
    return np.allclose(expected, got, rtol=1e-5, atol=0)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 31, 32, 33, 50])
def test_pairwise_equals_the_definition(isa, n, options):
    signals = hard_signals(np.random.default_rng(n), np.random.default_rng(n).integers(1, 60, n))
    expected = [definition(a, b, options) for a, b in itertools.combinations(signals, 2)]
    got = krill.dtw_pairwise(signals, options=options)
    assert got.dtype == np.float32
    assert same(isa, expected, got)


@pytest.mark.parametrize("options", (OPTIONS | OPEN_OPTIONS).values(), ids=OPTIONS | OPEN_OPTIONS)
def test_cross_equals_the_definition(isa, options):
    rng = np.random.default_rng(1)
    a, b = hard_signals(rng, rng.integers(1, 70, 19)), hard_signals(rng, rng.integers(1, 70, 37))
    expected = np.array([[definition(x, y, options) for y in b] for x in a])
    assert same(isa, expected, krill.dtw_cross(a, b, options=options))


@pytest.mark.parametrize("length", [999, 1000, 1001, 1002])
def test_long_signals_equal_the_definition(isa, length):
    signals = hard_signals(np.random.default_rng(2), [length, 1000, 1003, 5, 999] + [40] * 14)
    expected = [definition(a, b) for a, b in itertools.combinations(signals, 2)]
    assert same(isa, expected, krill.dtw_pairwise(signals))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 14), min_size=2, max_size=36),
    seed=st.integers(0, 2**32 - 1),
    threads=st.sampled_from([1, 2, 3]),
)
def test_any_lengths_around_the_block_edges_equal_the_definition(lengths, seed, threads):
    signals = hard_signals(np.random.default_rng(seed), lengths)
    expected = [definition(a, b) for a, b in itertools.combinations(signals, 2)]
    got = krill.dtw_pairwise(signals, threads=threads)
    assert same(INSTRUCTION_SETS[0], expected, got)


def test_order_of_signals_changes_no_bit(isa):
    rng = np.random.default_rng(3)
    signals = hard_signals(rng, rng.integers(3, 50, 70))
    order = rng.permutation(70)
    upper = np.triu_indices(70, 1)
    matrix = np.zeros((70, 70), np.float32)
    matrix[upper] = krill.dtw_pairwise(signals)
    expected = (matrix + matrix.T)[np.ix_(order, order)][upper]
    assert np.array_equal(expected, krill.dtw_pairwise([signals[i] for i in order], threads=2))


def test_pairwise_and_cross_agree_to_the_bit(isa):
    rng = np.random.default_rng(4)
    signals = hard_signals(rng, rng.integers(3, 50, 40))
    expected = krill.dtw_cross(signals, signals, threads=2)[np.triu_indices(40, 1)]
    assert np.array_equal(expected, krill.dtw_pairwise(signals))


def test_a_signal_is_at_distance_zero_from_itself_and_from_its_stretched_copy():
    signal = np.array([90, 95, 80], np.float32)
    assert krill.dtw_distance(signal, signal) == 0
    assert krill.dtw_distance(signal, signal.repeat(4)) == 0


def test_distance_by_hand():
    # path (0,0) (1,1) (2,1): 1 + 0 + 4
    a, b = np.array([1, 2, 4], np.float32), np.array([0, 2], np.float32)
    assert krill.dtw_distance(a, b) == np.float32(np.sqrt(np.float32(5)))
    assert krill.dtw_distance(a, b, options=DtwOptions(cost="absolute")) == 3
    assert krill.dtw_distance(a, b, options=DtwOptions(normalised=True)) == 1
    part, whole = np.array([5, 7], np.float32), np.array([0, 5, 7, 1], np.float32)
    assert krill.dtw_distance(part, whole, options=DtwOptions(open_start=True, open_end=True)) == 0
    assert krill.dtw_distance(part, whole, options=DtwOptions(open_start=True)) == 6
    assert krill.dtw_distance(part, whole, options=DtwOptions(open_end=True)) == 5


@pytest.mark.parametrize(
    ("length", "tolerance"), [(50, 1e-6), (999, 1e-6), (1001, 1e-6), (2000, 1e-6), (5000, 1e-5)]
)
def test_distance_is_close_to_float64(length, tolerance):
    rng = np.random.default_rng(5)
    for noise in (0.0, 3.0):
        a = np.repeat(rng.normal(90, 10, 1 + length // 40), 40)[:length] + rng.normal(0, 1, length) * noise
        b = a[: length - 7] + 0.37 + rng.normal(0, 1, length - 7) * noise
        a, b = a.astype(np.float32), b.astype(np.float32)
        assert krill.dtw_distance(a, b) == pytest.approx(oracle(a, b), rel=tolerance)


def test_empty_signal_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"signals \[1\] is empty"):
        krill.dtw_pairwise([[1.0], [], [2.0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_sample_that_is_no_number_is_named_in_the_error(bad):
    with pytest.raises(ValueError, match=r"b \[2\] has (NaN|-?inf) at sample 1"):
        krill.dtw_cross([[1.0]], [[1.0], [2.0], [3.0, bad]])


def test_no_pairs_give_no_distances():
    assert krill.dtw_pairwise([]).shape == (0,)
    assert krill.dtw_pairwise([[1.0]]).shape == (0,)
    assert krill.dtw_cross([], [[1.0]]).shape == (0, 1)


def test_ragged_is_taken_as_well_as_a_list():
    rows = [np.array([1, 2, 3], np.float32), np.array([2, 2], np.float32)]
    assert krill.dtw_pairwise(rows) == krill.dtw_pairwise(krill.Ragged.from_rows(rows, np.float32))


def test_instruction_set_that_is_not_there_is_refused_with_the_names_there_are(monkeypatch):
    monkeypatch.setenv("KRILL_ISA", "mmx")
    with pytest.raises(ValueError, match='KRILL_ISA is "mmx", not portable, avx2 or avx512'):
        krill.dtw_distance([1.0], [1.0])


def test_open_ends_are_refused_where_a_pair_has_no_order():
    with pytest.raises(ValueError, match="use dtw_cross"):
        krill.dtw_pairwise([[1.0], [2.0]], options=DtwOptions(open_end=True))
