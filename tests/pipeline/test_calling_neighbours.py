"""Events next to each other: each gets its own share and its own reads."""

import numpy as np
import pytest

from baleen import calling
from baleen.calling import footprint, mixture, neighbours
from baleen.calling.null import Standardised
from baleen.config import CallingConfig
from baleen.data import ReadIndex, SignalPileup

CONFIG = CallingConfig(channels=("level",), permutations=2)
LENGTH, SITE, N = 150, 70, 60
IS_NATIVE = np.arange(N) < 30


FOOTPRINT = dict(zip(footprint.OFFSETS, footprint.DEFAULT, strict=True))


def pileup(events, seed=0, shape=FOOTPRINT):
    """30 + 30 reads; ``events`` maps a position to its shift and its modified reads."""
    rng = np.random.default_rng(seed)
    level = 90 + rng.normal(0, 2.0, (LENGTH, N))
    for position, (shift, reads) in events.items():
        for offset, weight in shape.items():
            level[position + offset, reads] += shift * weight
    m = LENGTH * N
    zeros = np.zeros(m, np.int64)
    names = tuple(f"read-{i}" for i in range(N))
    sample = (~IS_NATIVE).astype(np.uint8)
    return SignalPileup(
        contig="contig",
        sequence=rng.choice(np.frombuffer(b"ACGT", np.uint8), LENGTH),
        position=np.arange(LENGTH, dtype=np.int32),
        window_offsets=np.arange(0, m + 1, N, dtype=np.int64),
        read=np.tile(np.arange(N, dtype=np.int32), LENGTH),
        level_pa=level.astype(np.float32).ravel(),
        level_stdv_pa=np.ones(m, np.float32),
        confidence=np.ones(m, np.float32),
        dwell_samples=np.full(m, 30, np.int32),
        signal=np.zeros(1, np.float32),
        base_start=zeros,
        base_end=zeros,
        window_start=zeros,
        window_end=zeros,
        reads=ReadIndex(names, IS_NATIVE, sample, np.zeros(N, np.uint8), ("native", "control")),
    )


def called(events):
    evidence = calling.score_contig(pileup(events), None, None, CONFIG, 1)
    model = calling.fit_run([calling.summarise(evidence)], CONFIG)
    calls = calling.call_contig(evidence, model, CONFIG)
    (sites,) = calling.finish_sites([calls.sites])
    return calls.reads, sites


def sites_of(one):
    evidence = calling.score_contig(one, None, None, CONFIG, 1)
    model = calling.fit_run([calling.summarise(evidence)], CONFIG)
    (sites,) = calling.finish_sites([calling.call_contig(evidence, model, CONFIG).sites])
    return sites


def at(sites, position):
    return int(np.flatnonzero(sites["position"] == position)[0])


def probabilities(reads, position):
    rows = (reads.position == position) & (reads.read < 30)
    return reads.p_mod[rows][np.argsort(reads.read[rows])]


def test_two_events_side_by_side_have_their_own_shares_and_reads():
    first, second = np.arange(0, 30, 2), np.arange(0, 22)
    reads, sites = called({SITE: (9.0, first), SITE + 1: (-9.0, second)})
    for position, modified in ((SITE, first), (SITE + 1, second)):
        is_modified = np.isin(np.arange(30), modified)
        p = probabilities(reads, position)
        assert p[is_modified].mean() > p[~is_modified].mean() + 0.5
        assert sites["mod_ratio"][at(sites, position)] == pytest.approx(is_modified.mean(), abs=0.15)


def test_the_neighbour_of_an_event_does_not_take_its_share():
    _, sites = called({SITE: (9.0, np.arange(30))})
    assert sites["mod_ratio"][at(sites, SITE)] > 0.85
    assert sites["ci_high"][at(sites, SITE)] == 1
    for beside in (SITE - 2, SITE - 1, SITE + 1, SITE + 2):
        assert sites["mod_ratio"][at(sites, beside)] < 0.5
        assert sites["position_posterior"][at(sites, beside)] < 0.05


def test_tests_do_not_know_what_was_untangled(monkeypatch):
    """Statistics and p-values are those of every position alone."""
    events = {SITE: (9.0, np.arange(15)), SITE + 2: (-9.0, np.arange(10, 30))}
    _, expected = called(events)
    monkeypatch.setattr(neighbours, "LEAST_EVIDENCE", np.inf)  # no event explains anything
    _, got = called(events)
    for column in ("statistic", "pvalue", "padj", "signal_z"):
        np.testing.assert_array_equal(got[column], expected[column], err_msg=column)
    assert not np.array_equal(got["mod_ratio"], expected["mod_ratio"])


def test_taking_an_event_off_the_shifts_is_taking_it_off_the_levels():
    rng = np.random.default_rng(3)
    p = 40
    weight = rng.choice([0.0, 0.5, 1.0], (p, N), p=[0.1, 0.3, 0.6]).astype(np.float32)
    z = (rng.normal(size=(p, N)) * (weight > 0)).astype(np.float32)
    level = Standardised(z, weight, rng.uniform(1.5, 3, p).astype(np.float32))
    shifts = footprint.filter_shifts(level, ~IS_NATIVE, footprint.DEFAULT)
    event = neighbours._Event(20, 6.0, rng.random(N).astype(np.float32), 10.0)
    explained = np.zeros((p, N))
    for offset, share in zip(footprint.OFFSETS, footprint.DEFAULT, strict=True):
        explained[20 + offset] = share * event.shift * event.members / level.spread[20 + offset]
    without = Standardised((z - explained).astype(np.float32), weight, level.spread)
    expected = footprint.filter_shifts(without, ~IS_NATIVE, footprint.DEFAULT)
    rows = np.arange(p)
    contig = neighbours._Contig(level, shifts, footprint.DEFAULT, IS_NATIVE, np.ones(p, bool))
    got = contig.without(rows, [event])
    present = shifts.precision > 0
    np.testing.assert_allclose(got.value[present], expected.value[present], rtol=1e-4, atol=1e-4)


def test_an_interval_reaches_the_end_that_the_posterior_leans_on():
    n = len(mixture.GRID.shares)
    posterior = np.zeros((3, n), np.float32)
    posterior[0, -2:] = 0.2, 0.8
    posterior[1, 1:3] = 0.8, 0.2
    posterior[2, 6:9] = 0.3, 0.4, 0.3
    low, high = mixture.share_interval(posterior)
    assert high[0] == 1
    assert 0.7 < low[0] < 0.95
    assert low[1] == 0
    assert high[1] < 0.1
    assert 0.2 < low[2] < 0.4 < 0.6 < high[2] < 0.8


@pytest.mark.parametrize("seed", range(3))
def test_a_strong_event_makes_no_event_elsewhere(seed):
    """Taken for a drift of its reads, it moved natives off the control 31 bases away."""
    wide = {-2: 0.3, -1: 0.5, 0: 0.8, 1: 1.0, 2: 0.45, 3: 0.25}
    sites = sites_of(pileup({SITE: (9.0, np.arange(25))}, seed, wide))
    assert sites["position"][sites["is_peak"]].tolist() == [SITE]


def test_a_shoulder_needs_evidence_of_its_own():
    """The event at SITE explains what its neighbour shows, unless the neighbour is modified as well."""
    strong = {SITE: (9.0, np.arange(30))}
    alone = sites_of(pileup(strong))
    beside = at(alone, SITE + 3)
    assert alone["own_statistic"][beside] < 5
    both = sites_of(pileup({**strong, SITE + 3: (-9.0, np.arange(20))}))
    assert both["own_statistic"][beside] > 5
    assert alone["own_statistic"][at(alone, SITE)] == alone["level_statistic"][at(alone, SITE)]
    peaks = both["position"][both["is_peak"]].tolist()
    assert peaks == [SITE, SITE + 3]


def test_a_position_that_an_event_explains_is_no_candidate():
    sites = sites_of(pileup({SITE: (9.0, np.arange(30)), SITE + 3: (-9.0, np.arange(20))}))
    assert calling.candidates(sites)[at(sites, SITE + 3)]
    explained = sites["own_statistic"].copy()
    explained[at(sites, SITE + 3)] = 4
    assert not calling.candidates(sites.replace(own_statistic=explained))[at(sites, SITE + 3)]
