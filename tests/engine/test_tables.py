"""Tables held against their controls: the compiled passes against their definition."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from krill import tables

MODERATION = tables.Moderation(prior=10.0, kind_prior=15.0, clip=4.0)
TREND = tables.Trend(reach=5, gap=2, prior=8.0, cut=3.0, slope=0.515, difference=2.5)
FOOTPRINT = tables.Footprint(shares=(0.15, 0.4, 0.8, 1.0, 0.2), least_precision=0.35, prior=50.0)

shapes = given(st.integers(1, 40), st.integers(1, 30), st.floats(0, 1), st.integers(0, 2**32 - 1))
edges = [example(0, 0, 1.0, 0), example(1, 1, 1.0, 0), example(30, 40, 1.0, 1), example(12, 17, 0.0, 2)]


def with_edges(test):
    for edge in edges:
        test = edge(test)
    return shapes(test)


def table(rows, columns, covered, seed):
    rng = np.random.default_rng(seed)
    value = rng.normal(90, 3, (rows, columns)) + rng.normal(0, 1, columns)
    weight = rng.uniform(0.1, 1, (rows, columns)) * (rng.random((rows, columns)) < covered)
    is_control = rng.random(columns) < 0.5
    kind = rng.integers(-1, 4, rows)
    return np.where(weight > 0, value, 0).astype(np.float32), weight.astype(np.float32), is_control, kind


def median(values, default=0.0):
    return float(np.median(values)) if len(values) else default


def standardise(value, weight, is_control, kind, moderation=MODERATION, trend=TREND):
    """Row by row, in float64, as the docstring has it."""
    value, present = value.astype(float), weight > 0
    own = [row[here & is_control] for row, here in zip(value, present, strict=True)]
    n = np.array([len(values) for values in own])
    center = np.array([median(values) for values in own])
    robust = np.array([1.4826 * median(np.abs(v - c)) for v, c in zip(own, center, strict=True)])
    squares = [np.minimum(np.abs(v - c), 3 * s) ** 2 for v, c, s in zip(own, center, robust, strict=True)]
    variance = np.array([values.sum() / max(len(values), 1) for values in squares])
    usable = (n >= 2) & (robust > 0)
    everywhere = median(robust[usable] ** 2 * n[usable] / (n[usable] - 1), 1.0)
    freedom = np.maximum(n - 1, 0)
    spread = np.empty(len(value))
    for i in range(len(value)):
        like = (kind == kind[i]) & (kind >= 0) & (n >= 2) & (n[i] >= 2)
        like[i] = False
        typical = ((freedom * variance)[like].sum() + moderation.kind_prior * everywhere) / (
            freedom[like].sum() + moderation.kind_prior
        )
        shrunken = (freedom[i] * variance[i] + moderation.prior * typical) / (freedom[i] + moderation.prior)
        spread[i] = np.sqrt(max(shrunken, 1e-6 * max(everywhere, 1e-6)))
    z = np.where(present, (value - center[:, None]) / spread[:, None], 0)
    like = likeness(z, present, is_control, moderation.clip, trend)
    counted = like * z * np.maximum(1 - (z / trend.cut) ** 2, 0) ** 2 / trend.slope
    off = np.zeros_like(z)
    for i in range(len(z)):
        away = np.abs(np.arange(len(z)) - i)
        near = (away > trend.gap) & (away <= trend.reach)
        off[i] = counted[near].sum(axis=0) / ((like * present)[near].sum(axis=0) + trend.prior)
    z = np.where(present, np.clip(z - off, -moderation.clip, moderation.clip), 0)
    mean = (z[:, is_control]).sum(axis=1) / np.maximum(n, 1)
    return np.where(present, z - mean[:, None], 0), spread


def likeness(z, present, is_control, clip, trend):
    """How much each position counts for trends, shape (p, 1): little where the labels differ."""
    apart, error = np.zeros(len(z)), np.full(len(z), np.inf)
    for i, (values, here) in enumerate(zip(np.clip(z, -clip, clip), present, strict=True)):
        own, other = values[here & is_control], values[here & ~is_control]
        if len(own) and len(other):
            apart[i], error[i] = other.mean() - own.mean(), np.sqrt(1 / len(own) + 1 / len(other))
    padded = np.pad(apart, trend.reach)
    usual = np.array([median(padded[i : i + 2 * trend.reach + 1]) for i in range(len(z))])
    errors = np.abs(apart - usual) / error
    errors /= max(1, 1.4826 * median(errors[np.isfinite(error)]))
    largest = np.array([errors[max(i - 1, 0) : i + 2].max() for i in range(len(z))])
    return np.maximum(1 - (largest / trend.difference) ** 2, 0)[:, None] ** 2


def match(z, weight, spread, is_control, footprint=FOOTPRINT):
    p, half = len(z), len(footprint.shares) // 2
    total, precision, full = np.zeros(z.shape), np.zeros(z.shape), np.zeros((p, 1))
    for i in range(p):
        for offset in range(-half, half + 1):
            if 0 <= i + offset < p:
                share = footprint.shares[offset + half] / spread[i + offset]
                total[i] += share * weight[i + offset] * z[i + offset]
                precision[i] += share**2 * weight[i + offset]
                full[i] += share**2
    keep = (precision >= footprint.least_precision * full) & (precision > 0)
    precision = np.where(keep, precision, 0)
    value = np.divide(total, precision, out=np.zeros_like(total), where=keep)

    def squares(i, center, most):
        y, h = value[i, is_control], precision[i, is_control]
        return np.minimum((y - center) ** 2 * h, most)[h > 0]

    mean_squares = [squares(i, 0, 16).mean() for i in range(p) if len(squares(i, 0, 16))]
    noise = median(mean_squares, 1.0)
    precision /= noise if noise > 0 else 1.0
    plain = precision.copy()
    around = []
    for i in range(p):
        h = precision[i, is_control]
        around.append(squares(i, h @ value[i, is_control] / max(h.sum(), 1e-12), 9))
    typical = median([one.mean() for one in around if len(one)], 1.0)
    noises = [(footprint.prior * typical + one.sum()) / (footprint.prior + len(one)) for one in around]
    return value, precision / np.maximum(noises, 1e-6)[:, None], plain


def center(value, precision, is_control):
    out = np.tile([0.0, 1.0], (len(value), 1))
    for i in range(len(value)):
        y, h = value[i, is_control].astype(float), precision[i, is_control].astype(float)
        if h.sum() > 0:
            first = h @ y / h.sum()
            weight = h * np.minimum(1, 2 / np.maximum(np.abs(y - first) * np.sqrt(h), 1e-6))
            out[i] = weight @ y / weight.sum(), np.sqrt(1.1 / weight.sum())
    return out.T


@with_edges
def test_standardised_values_agree_with_the_definition(rows, columns, covered, seed):
    arrays = table(rows, columns, covered, seed)
    z, spread = tables.standardise(*arrays, MODERATION, TREND)
    expected_z, expected_spread = standardise(*arrays)
    np.testing.assert_allclose(spread, expected_spread, rtol=1e-5)
    np.testing.assert_allclose(z, expected_z, atol=2e-4)
    assert not z[arrays[1] == 0].any()


OFF = tables.Trend(reach=3, gap=3, prior=8, cut=3, slope=0.5, difference=4)
PLAIN = tables.Trend(reach=40, gap=4, prior=2, cut=np.inf, slope=1, difference=np.inf)


@pytest.mark.parametrize("trend", [OFF, PLAIN])
def test_trends_switched_off_and_plain_agree_with_the_definition(trend):
    arrays = table(60, 20, 0.8, 3)
    z, _ = tables.standardise(*arrays, MODERATION, trend)
    np.testing.assert_allclose(z, standardise(*arrays, trend=trend)[0], atol=2e-4)


@with_edges
def test_matched_shifts_agree_with_the_definition(rows, columns, covered, seed):
    value, weight, is_control, kind = table(rows, columns, covered, seed)
    z, spread = tables.standardise(value, weight, is_control, kind, MODERATION, TREND)
    found = tables.match_footprint(z, weight, spread, is_control, FOOTPRINT)
    for got, expected in zip(found, match(z, weight, spread, is_control), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-5)


@with_edges
def test_centers_of_controls_agree_with_the_definition(rows, columns, covered, seed):
    value, precision, is_control, _ = table(rows, columns, covered, seed)
    got = tables.control_center(value - 90 * (precision > 0), precision, is_control)
    for one, expected in zip(got, center(value - 90 * (precision > 0), precision, is_control), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-4)


def test_every_instruction_set_gives_the_same_bytes(monkeypatch):
    value, weight, is_control, kind = table(70, 50, 0.8, 5)

    def everything():
        z, spread = tables.standardise(value, weight, is_control, kind, MODERATION, TREND)
        return [z, spread, *tables.match_footprint(z, weight, spread, is_control, FOOTPRINT)]

    widest = everything()
    monkeypatch.setenv("KRILL_ISA", "scalar")
    for one, other in zip(widest, everything(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_the_order_of_reads_changes_nothing_but_rounding():
    value, weight, is_control, kind = table(50, 40, 0.9, 7)
    z, spread = tables.standardise(value, weight, is_control, kind, MODERATION, TREND)
    order = np.random.default_rng(0).permutation(40)
    turned = (value[:, order], weight[:, order], is_control[order])
    again, spread_again = tables.standardise(*turned, kind, MODERATION, TREND)
    np.testing.assert_allclose(spread_again, spread, rtol=1e-6)
    np.testing.assert_allclose(again, z[:, order], atol=1e-5)


def test_shapes_that_disagree_are_named():
    value, weight, is_control, kind = table(5, 4, 1.0, 0)
    with pytest.raises(ValueError, match=r"values \(5, 4\), weights \(5, 3\) and 4 reads disagree"):
        tables.standardise(value, weight[:, :3], is_control, kind, MODERATION, TREND)
    with pytest.raises(ValueError, match="kind has 4 entries for 5 positions"):
        tables.standardise(value, weight, is_control, kind[:4], MODERATION, TREND)
    even = tables.Footprint(shares=(1.0, 1.0), least_precision=0.3, prior=50)
    with pytest.raises(ValueError, match="odd number"):
        tables.match_footprint(value, weight, np.ones(5, np.float32), is_control, even)
