"""Mixture evidence on a grid: the compiled sums against their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from krill.grid import Grid, mixture_evidence

GRID = Grid(
    shifts=(1.0, 4.0, -1.0, -4.0),
    shares=(0.0, 0.1, 0.5, 0.97),
    first_prior=(0.0, 1.0, 1.0, 2.0),
    second_prior=(0.8, 0.1, 0.08, 0.02),
    shift_spread=0.3,
)


def normal(deviation, variance):
    return np.exp(-(deviation**2) / 2 / variance) / np.sqrt(2 * np.pi * variance)


def definition(values, precision, is_first, center, center_sd):
    """Log ratio and members of one row, in float64, as the docstring has them."""
    first_prior = np.array(GRID.first_prior) / sum(GRID.first_prior)
    second_prior = np.array(GRID.second_prior) / sum(GRID.second_prior)
    free, same, cells = [], [], []
    with np.errstate(divide="ignore"):
        log_first, log_second = np.log(first_prior), np.log(second_prior)
    for step in GRID.center_steps:
        m = center + step * center_sd
        outlier = GRID.outlier_share * normal(values - m, GRID.outlier_sd**2 / precision)
        f0 = (1 - GRID.outlier_share) * normal(values - m, 1 / precision) + outlier
        for a in GRID.shifts:
            f1 = (1 - GRID.outlier_share) * normal(
                values - m - a, GRID.shifted_variance / precision + (GRID.shift_spread * a) ** 2
            ) + outlier
            r = f1 / f0
            first = np.array([np.log1p(s * (r[is_first] - 1)).sum() for s in GRID.shares])
            second = np.array([np.log1p(s * (r[~is_first] - 1)).sum() for s in GRID.shares])
            outer = np.log(f0[is_first]).sum() - step**2 / 2
            free.append(outer + logsumexp(log_first + first) + logsumexp(log_second + second))
            same.append(outer + logsumexp(log_second + first + second))
            members = [s * r / (1 + s * (r - 1)) for s in GRID.shares]
            both = outer + log_first[:, None] + first[:, None] + log_second + second
            cells.append((both, members))
    total = logsumexp(free)
    out = np.zeros(len(values))
    for both, members in cells:
        weight = np.exp(both - total)
        out += np.where(is_first, weight.sum(axis=1) @ members, weight.sum(axis=0) @ members)
    return total - logsumexp(same), out


def rows(n_columns, n_rows=3, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 2, (n_rows, n_columns)).astype(np.float32)
    values[0, : n_columns // 4] += 5
    precision = rng.uniform(0.1, 0.6, (n_rows, n_columns)).astype(np.float32)
    return values, precision, np.arange(n_columns) < n_columns // 2


def centers(n, center=0.1, deviation=0.3):
    return np.full(n, center, np.float32), np.full(n, deviation, np.float32)


@pytest.mark.parametrize("n_columns", [2, 31, 62, 64, 66, 130])
def test_evidence_and_members_agree_with_the_definition(n_columns):
    values, precision, is_first = rows(n_columns)
    got = mixture_evidence(values, precision, is_first, centers(3), GRID, details=True)
    for i in range(3):
        log_ratio, members = definition(
            values[i].astype(float), precision[i].astype(float), is_first, 0.1, 0.3
        )
        assert got.log_ratio[i] == pytest.approx(log_ratio, abs=2e-4)
        np.testing.assert_allclose(got.members[i], members, atol=2e-4)


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.1, 1e4))
def test_absent_measurements_change_nothing(n_first, n_second, size):
    values, precision, _ = rows(n_first + n_second, seed=1)
    values *= np.float32(size)
    is_first = np.arange(n_first + n_second) < n_first
    expected = mixture_evidence(values, precision, is_first, centers(3), GRID)
    gap = np.zeros((3, 5), np.float32)
    got = mixture_evidence(
        np.hstack([gap + 7, values]),
        np.hstack([gap, precision]),
        np.concatenate([[True, False, True, False, True], is_first]),
        centers(3),
        GRID,
        details=True,
    )
    assert np.isfinite(expected.log_ratio).all()
    np.testing.assert_array_equal(got.log_ratio, expected.log_ratio)
    assert not got.members[:, :5].any()


def test_posteriors_sum_to_one_and_follow_the_data():
    values, precision = np.zeros((1, 80), np.float32), np.ones((1, 80), np.float32)
    values[0, :20] = 4
    got = mixture_evidence(values, precision, np.arange(80) < 40, centers(1, 0), GRID, details=True)
    assert got.share.sum() == pytest.approx(1, abs=1e-5)
    assert got.share[0].argmax() == GRID.shares.index(0.5)
    assert got.shift[0].argmax() == GRID.shifts.index(4.0)


def test_any_number_of_threads_gives_the_same_bytes():
    values, precision, is_first = rows(100, n_rows=40)
    one = mixture_evidence(values, precision, is_first, centers(40), GRID, details=True)
    four = mixture_evidence(values, precision, is_first, centers(40), GRID, details=True, threads=4)
    assert one.log_ratio.tobytes() == four.log_ratio.tobytes()
    assert one.members.tobytes() == four.members.tobytes()


def test_every_instruction_set_gives_the_same_bytes(monkeypatch):
    values, precision, is_first = rows(100)
    widest = mixture_evidence(values, precision, is_first, centers(3), GRID, details=True)
    monkeypatch.setenv("KRILL_ISA", "scalar")
    scalar = mixture_evidence(values, precision, is_first, centers(3), GRID, details=True)
    assert widest.log_ratio.tobytes() == scalar.log_ratio.tobytes()
    assert widest.members.tobytes() == scalar.members.tobytes()


def test_values_that_are_not_finite_are_named():
    values, precision, is_first = rows(10)
    values[0, 0] = np.nan
    with pytest.raises(ValueError, match="values must be finite"):
        mixture_evidence(values, precision, is_first, centers(3), GRID)


def test_no_rows_and_no_columns_are_no_error():
    empty = np.zeros((0, 4), np.float32)
    assert len(mixture_evidence(empty, empty, np.ones(4, bool), centers(0), GRID).log_ratio) == 0
    narrow = np.zeros((2, 0), np.float32)
    got = mixture_evidence(narrow, narrow, np.zeros(0, bool), centers(2), GRID)
    np.testing.assert_allclose(got.log_ratio, [0, 0], atol=1e-12)
