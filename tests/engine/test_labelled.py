"""Tables under other labels: one call against the same steps one by one."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from krill import tables
from krill.grid import Grid, mixture_evidence
from krill.labelled import Labelling, Method, labelled_scores

METHOD = Method(
    moderation=tables.Moderation(prior=10.0, kind_prior=15.0, clip=4.0),
    trend=tables.Trend(reach=5, gap=2, prior=8.0, cut=3.0, slope=0.515, difference=2.5),
    footprint=tables.Footprint(shares=(0.15, 0.4, 0.8, 1.0, 0.2), least_precision=0.35, prior=50.0),
    grid=Grid(
        shifts=(2.0, 5.0, -2.0, -5.0),
        shares=(0.0, 0.1, 0.5, 0.9),
        first_prior=(0, 1, 1, 1),
        second_prior=(0.9, 0.06, 0.03, 0.01),
        shift_spread=0.3,
    ),
    least_controls=2,
    least_reads=2,
)


def scored(pairs, kind, labelling, method):
    """Every step on its own, from the columns of the reads to the evidence of the chosen rows."""
    is_control = ~labelling.is_first
    spread, shifts = None, []
    for values, weights in pairs:
        value, weight = values[:, labelling.reads], weights[:, labelling.reads]
        is_known = (weight[:, is_control] > 0).sum(axis=1) >= method.least_controls
        weight = np.where(is_known[:, None], weight, np.float32(0))
        z, own_spread = tables.standardise(value, weight, is_control, kind, method.moderation, method.trend)
        spread = own_spread if spread is None else spread
        shifts.append(tables.match_footprint(z, weight, spread, is_control, method.footprint)[:2])
    present = shifts[0][1] > 0
    depth = np.minimum(present[:, is_control].sum(axis=1), present[:, ~is_control].sum(axis=1))
    rows = [row for row in labelling.rows if depth[row] >= method.least_reads][: labelling.most]
    rows = np.array(sorted(rows), np.int64)
    log_ratio = []
    for value, precision in shifts:
        at = value[rows], precision[rows]
        center = tables.control_center(*at, is_control)
        log_ratio.append(mixture_evidence(*at, labelling.is_first, center, method.grid).log_ratio)
    return rows, depth[rows], np.stack(log_ratio)


def case(rows, columns, covered, seed):
    rng = np.random.default_rng(seed)
    pairs = []
    for center in (90, 0)[: 1 + seed % 2]:
        value = rng.normal(center, 3, (rows, columns)) + rng.normal(0, 1, columns)
        weight = rng.uniform(0.1, 1, (rows, columns)) * (rng.random((rows, columns)) < covered)
        pairs.append((np.where(weight > 0, value, 0).astype(np.float32), weight.astype(np.float32)))

    def labelling(n, most):
        reads = np.sort(rng.permutation(columns)[:n])
        tried = rng.permutation(rows)[: rng.integers(rows + 1)]
        return Labelling(reads, rng.random(n) < 0.5, tried, most)

    everyone = Labelling(np.arange(columns), rng.random(columns) < 0.5, np.arange(rows), rows)
    return pairs, rng.integers(-1, 4, rows), [everyone, labelling(columns // 2, rows), labelling(columns, 3)]


@given(st.integers(1, 30), st.integers(0, 20), st.floats(0, 1), st.integers(0, 2**32 - 1))
@example(0, 0, 1.0, 0)
@example(0, 5, 1.0, 1)
@example(1, 1, 1.0, 1)
@example(25, 12, 1.0, 1)
@example(25, 12, 0.0, 1)
def test_one_call_equals_the_steps_one_by_one(rows, columns, covered, seed):
    pairs, kind, labellings = case(rows, columns, covered, seed)
    found = labelled_scores(pairs, kind, labellings, METHOD)
    for got, labelling in zip(found, labellings, strict=True):
        for ours, theirs in zip(got, scored(pairs, kind, labelling, METHOD), strict=True):
            assert np.array_equal(ours, theirs)


def test_positions_are_scored():
    pairs, kind, labellings = case(25, 12, 1.0, 1)
    every, half, few = labelled_scores(pairs, kind, labellings, METHOD)
    assert list(every.rows) == list(range(25))
    assert every.log_ratio.shape == (2, 25)
    assert np.isfinite(every.log_ratio).all()
    assert len(half.rows) > 0
    assert len(few.rows) == 3


def test_threads_change_no_bit():
    pairs, kind, labellings = case(30, 15, 0.8, 7)
    one, more = (labelled_scores(pairs, kind, labellings, METHOD, threads=n) for n in (1, 3))
    for a, b in zip(one, more, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_what_does_not_fit_is_refused():
    pairs, kind, (labelling, *_) = case(6, 4, 1.0, 1)
    with pytest.raises(ValueError, match="shape"):
        labelled_scores([pairs[0], (pairs[1][0][:, :3], pairs[1][1])], kind, [labelling], METHOD)
    broken = pairs[0][0].copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        labelled_scores([(broken, pairs[0][1])], kind, [labelling], METHOD)
    for change, message in (
        ({"is_first": labelling.is_first[:3]}, "is_first has 3 labels for 4 columns"),
        ({"reads": np.array([0, 1, 2, 4])}, "columns must be of the 4"),
        ({"reads": np.array([-1, 1, 2, 3])}, "columns must be of the 4"),
        ({"rows": np.array([6])}, "rows must be of the 6"),
    ):
        with pytest.raises(ValueError, match=message):
            labelled_scores(pairs, kind, [labelling._replace(**change)], METHOD)
