"""Samples of a condition that differ from each other: what a test is worth then."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from baleen import calling
from baleen.calling.replicates import Inflation, SampleMeans, Spread, SpreadPrior
from baleen.config import CallingConfig
from baleen.data import ErrorPileup, ReadIndex, SignalPileup
from krill import PoreModel

CONFIG = CallingConfig(channels=("level",), permutations=1)
ERRORS = CallingConfig(channels=("errors",), error_direction="both")
FOOTPRINT = {-2: 0.15, -1: 0.4, 0: 0.8, 1: 1.0, 2: 0.2}
LENGTH, READS, NOISE_PA, SITES = 300, 15, 2.5, (60, 120, 180, 240)
TWO_AND_TWO = (True, True, False, False)


def read_index(samples):
    sample = np.repeat(np.arange(len(samples)), READS)
    return ReadIndex(
        read_ids=tuple(f"read-{i}" for i in range(len(sample))),
        is_native=np.array(samples)[sample],
        sample=sample.astype(np.uint8),
        fold=(sample % 5).astype(np.uint8),
        sample_names=tuple(f"s{i}" for i in range(len(samples))),
    )


def signal_pileup(number, batch_sd, samples=TWO_AND_TWO, modified=0.0):
    """One contig whose libraries are each off by their own level at every position."""
    rng = np.random.default_rng(number)
    sequence = rng.choice(np.frombuffer(b"ACGT", np.uint8), LENGTH)
    reads = read_index(samples)
    p, n = LENGTH - 4, len(reads)
    model = PoreModel.shipped("rna002")
    level = model.level_mean[model.kmer_codes(sequence)][:, None] + rng.normal(0, NOISE_PA, (p, n))
    level += (rng.normal(0, batch_sd * NOISE_PA, (p, len(samples))))[:, reads.sample]
    for site in SITES:
        is_modified = reads.is_native & (rng.random(n) < modified)
        for offset, weight in FOOTPRINT.items():
            level[site - 2 + offset, is_modified] += 8 * weight
    windows = np.arange(p * n, dtype=np.int64)
    return SignalPileup(
        contig=f"contig-{number}",
        sequence=sequence,
        position=np.arange(2, LENGTH - 2, dtype=np.int32),
        window_offsets=np.arange(0, p * n + 1, n, dtype=np.int64),
        read=np.tile(np.arange(n, dtype=np.int32), p),
        level_pa=level.astype(np.float32).ravel(),
        level_stdv_pa=np.ones(p * n, np.float32),
        confidence=np.ones(p * n, np.float32),
        dwell_samples=np.full(p * n, 30, np.int32),
        signal=np.zeros(p * n, np.float32),
        base_start=windows,
        base_end=windows + 1,
        window_start=windows,
        window_end=windows + 1,
        reads=reads,
    )


def error_pileup(number, batch_sd):
    """One contig whose libraries each have their own error rate at every position."""
    rng = np.random.default_rng(number)
    reads = read_index(TWO_AND_TWO)
    logit = rng.normal(-1.5, 0.5, LENGTH)[:, None] + rng.normal(0, batch_sd, (LENGTH, len(TWO_AND_TWO)))
    wrong = rng.random((LENGTH, len(reads))) < 1 / (1 + np.exp(-logit[:, reads.sample]))
    return ErrorPileup(
        contig=f"contig-{number}",
        sequence=rng.choice(np.frombuffer(b"ACGT", np.uint8), LENGTH),
        position=np.repeat(np.arange(LENGTH, dtype=np.int32), len(reads)),
        read=np.tile(np.arange(len(reads), dtype=np.int32), LENGTH),
        errors=wrong.astype(np.uint8).ravel(),
        quality=np.full(wrong.size, 20, np.uint8),
        reads=reads,
    )


def call(evidence, config, *, as_replicates=True):
    priors = calling.fit_priors(map(calling.spread_counts, evidence)) if as_replicates else ()
    model = calling.fit_run([calling.summarise(one, priors) for one in evidence], config, priors)
    calls = [calling.call_contig(one, model, config) for one in evidence]
    return calling.finish_sites([one.sites for one in calls]), model


def column(sites, name):
    return np.concatenate([one[name] for one in sites])


@pytest.fixture(scope="module")
def shifted():
    return [calling.score_contig(signal_pileup(i, 1.0), None, None, CONFIG, 1) for i in range(4)]


def test_a_batch_shift_of_levels_is_no_discovery(shifted):
    blind, _ = call(shifted, CONFIG, as_replicates=False)
    assert np.mean(column(blind, "padj") < 0.05) > 0.2  # the shift is there, and large
    sites, _ = call(shifted, CONFIG)
    assert np.sum(column(sites, "padj") < 0.05) == 0
    assert np.sum(column(sites, "is_peak")) == 0
    assert np.mean(column(sites, "pvalue") < 0.05) < 0.06


def test_a_batch_shift_of_error_rates_is_no_discovery():
    evidence = [calling.score_contig(None, None, error_pileup(i, 1.0), ERRORS, 1) for i in range(6)]
    blind, _ = call(evidence, ERRORS, as_replicates=False)
    sites, model = call(evidence, ERRORS)
    assert model.priors[-1].variance > 0
    assert np.sum(column(sites, "padj") < 0.05) == 0
    assert np.mean(column(sites, "pvalue") < 0.05) < 0.06
    assert np.mean(column(blind, "pvalue") < 0.05) > np.mean(column(sites, "pvalue") < 0.05)


def test_replicates_without_a_shift_lose_no_site():
    evidence = [
        calling.score_contig(signal_pileup(i, 0.0, modified=0.6), None, None, CONFIG, 1) for i in range(4)
    ]
    for as_replicates in (False, True):
        sites, _ = call(evidence, CONFIG, as_replicates=as_replicates)
        found = [
            (one["padj"][np.isin(one["position"], [site - 1, site, site + 1])] < 0.05).any()
            for one in sites
            for site in SITES
        ]
        assert sum(found) >= 15


def test_one_sample_per_condition_changes_nothing():
    evidence = [
        calling.score_contig(
            signal_pileup(i, 0.5, samples=(True, False), modified=0.5), None, None, CONFIG, 1
        )
        for i in range(2)
    ]
    assert calling.fit_priors(map(calling.spread_counts, evidence)) == ()


def test_the_model_survives_json(shifted):
    _, model = call(shifted, CONFIG)
    loaded = calling.RunModel.from_json(model.to_json())
    assert (loaded.priors, loaded.to_json()) == (model.priors, model.to_json())


def test_an_inflation_of_one_leaves_scores_as_they_are():
    z = np.array([-3.0, 0.0, 1.234567, 37.5, np.nan])
    for two_sided in (False, True):
        np.testing.assert_array_equal(Inflation.none(5).temper(z, two_sided=two_sided), z)


def test_tempered_scores_are_those_of_students_distribution():
    inflation = Inflation(np.full(2, 4.0), np.full(2, 3.0))
    tail = stats.t.sf(4 / 2, 3)
    one_sided = inflation.temper(np.array([4.0, -4.0]), two_sided=False)
    np.testing.assert_allclose(one_sided, stats.norm.isf(tail) * np.array([1, -1]))
    z_of_two_sided_4 = stats.norm.isf(2 * stats.norm.sf(4))
    two_sided = inflation.temper(np.full(2, z_of_two_sided_4), two_sided=True)
    np.testing.assert_allclose(two_sided, stats.norm.isf(2 * tail))


def test_the_variance_between_samples_is_recovered():
    rng = np.random.default_rng(2)
    p, variance = 20_000, 0.3
    precision = rng.uniform(5, 30, (4, p))
    mean = rng.normal(0, np.sqrt(1 / precision + variance))
    condition = np.array([1, 1, 0, 0], np.uint8)
    spread = Spread.of(SampleMeans(mean.astype(np.float32), precision.astype(np.float32)), condition)
    prior = SpreadPrior.of(spread.counts())
    assert prior.variance == pytest.approx(variance, rel=0.05)
    assert prior.scale == pytest.approx(1, abs=0.05)
    assert prior.freedom > 30  # positions are alike
    inflation = prior.inflation(spread)
    difference = mean[:2] * precision[:2] / precision[:2].sum(axis=0)
    difference = difference.sum(axis=0) - (mean[2:] * precision[2:]).sum(axis=0) / precision[2:].sum(axis=0)
    by_reads = 1 / precision[:2].sum(axis=0) + 1 / precision[2:].sum(axis=0)
    z = difference / np.sqrt(by_reads * inflation.factor)
    assert np.std(z) == pytest.approx(1, abs=0.03)


def test_each_sample_gets_its_own_share():
    pileup = signal_pileup(1, 0.0)
    level = pileup.level_pa.reshape(LENGTH - 4, -1).copy()
    for offset, weight in FOOTPRINT.items():  # two thirds of s0, all of s1
        level[SITES[0] - 2 + offset, [*range(10), *range(15, 30)]] += 10 * weight
    fields = {**pileup.__dict__, "level_pa": level.ravel()}
    evidence = calling.score_contig(SignalPileup(**fields), None, None, CONFIG, 1)
    model = calling.fit_run([calling.summarise(evidence)], CONFIG)
    calls = calling.call_contig(evidence, model, CONFIG)
    table = calling.call_samples(evidence, calls, model, ("native", "native", "control", "control"))
    here = table["position"] == SITES[0]
    assert table["sample"][here].tolist() == ["s0", "s1", "s2", "s3"]
    assert table["depth"][here].tolist() == [READS] * 4
    np.testing.assert_allclose(table["mod_ratio"][here], [0.67, 1, 0, 0], atol=0.1)


def in_groups(pileup, groups):
    """Give the samples of a pileup conditions."""
    reads = dataclasses.replace(pileup.reads, sample_groups=groups)
    return dataclasses.replace(pileup, reads=reads)


def contrasts(evidence, names):
    model = calling.fit_run(map(calling.summarise, evidence), CONFIG)
    tables = [
        calling.call_contrasts(one, calling.call_contig(one, model, CONFIG), model, names) for one in evidence
    ]
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def test_native_conditions_are_told_apart_by_their_shares():
    samples, groups = (True, True, True, False, False), ("a", "b", "c", "control", "control")
    evidence = []
    for number in range(3):
        pileup = signal_pileup(number, 0.0, samples=samples)
        level = pileup.level_pa.reshape(LENGTH - 4, -1).copy()
        for offset, weight in FOOTPRINT.items():  # all of a, all of b, none of c
            level[SITES[0] - 2 + offset, : 2 * READS] += 10 * weight
        pileup = in_groups(dataclasses.replace(pileup, level_pa=level.ravel()), groups)
        evidence.append(calling.score_contig(pileup, None, None, CONFIG, 1))
    table = contrasts(evidence, ("a", "b", "c"))
    here = table["position"] == SITES[0]
    pair = np.char.add(table["condition_a"][here], table["condition_b"][here])
    differs = pair != "ab"
    assert sorted(set(pair)) == ["ab", "ac", "bc"]
    assert table["pvalue"][here][differs].max() < 1e-5
    assert table["pvalue"][here][~differs].min() > 1e-3
    expected = np.where(differs, 1.0, 0.0)
    np.testing.assert_allclose(table["difference"][here], expected, atol=0.15)
    assert np.all(table["ci_low"][here] <= expected)
    assert np.all(table["ci_high"][here] >= np.minimum(expected, 0.9))


def test_equal_native_conditions_give_uniform_p_values():
    """Sites that both share equally are there in plenty: they must not be contrasts."""
    groups = ("a", "b", "control", "control")
    evidence = [
        calling.score_contig(
            in_groups(signal_pileup(number, 0.0, modified=0.6), groups), None, None, CONFIG, 1
        )
        for number in range(12)
    ]
    p = contrasts(evidence, ("a", "b"))["pvalue"]
    assert len(p) > 300
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.08)
