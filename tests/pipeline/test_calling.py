"""Calling: from windows of one contig to reads and sites."""

import dataclasses
import json

import numpy as np
import pytest

from baleen import calling
from baleen.calling import HmmParameters
from baleen.calling.events import benjamini_hochberg, finish_sites
from baleen.calling.splits import EmpiricalRate, count_p_values
from baleen.columns import SITE_COLUMNS
from baleen.config import CallingConfig
from baleen.data import ErrorPileup, ReadIndex, SignalPileup, SiteCalls
from baleen.errors import InputError
from baleen.worker import read_hmm
from krill import PoreModel

CONFIG = CallingConfig(channels=("level",), permutations=2)
FOOTPRINT = {-1: 0.4, 0: 0.8, 1: 1.0, 2: 0.2}
LENGTH, SITE, SHIFT_PA = 150, 70, 9.0


def read_index(n_native, n_control):
    is_native = np.arange(n_native + n_control) < n_native
    return ReadIndex(
        read_ids=tuple(f"read-{i}" for i in range(n_native + n_control)),
        is_native=is_native,
        sample=(~is_native).astype(np.uint8),
        fold=(np.arange(len(is_native)) % 5).astype(np.uint8),
        sample_names=("native", "control"),
    )


def signal_pileup(n_native=30, n_control=30, modified=0.5, seed=0, level=None):
    """Reads over the whole contig; the first ``modified`` share of natives is shifted at SITE."""
    rng = np.random.default_rng(seed)
    sequence = rng.choice(np.frombuffer(b"ACGT", np.uint8), LENGTH)
    n, p = n_native + n_control, LENGTH - 4
    position = np.arange(2, LENGTH - 2, dtype=np.int32)
    if level is None:
        model = PoreModel.shipped("rna002")
        expected = model.level_mean[model.kmer_codes(sequence)]
        level = expected[:, None] + rng.normal(0, 2.5, (p, n))
        for offset, weight in FOOTPRINT.items():
            level[SITE - 2 + offset, : int(modified * n_native)] += SHIFT_PA * weight
    windows = np.arange(p * n, dtype=np.int64)
    return SignalPileup(
        contig="contig",
        sequence=sequence,
        position=position,
        window_offsets=np.arange(0, p * n + 1, n, dtype=np.int64),
        read=np.tile(np.arange(n, dtype=np.int32), p),
        level_pa=level.astype(np.float32).ravel(),
        level_stdv_pa=np.ones(p * n, np.float32),
        confidence=np.ones(p * n, np.float32),
        dwell_samples=rng.integers(4, 60, p * n).astype(np.int32),
        signal=np.zeros(p * n, np.float32),
        base_start=windows,
        base_end=windows + 1,
        window_start=windows,
        window_end=windows + 1,
        reads=read_index(n_native, n_control),
    )


def error_pileup(n_native=60, n_control=60, rate=0.6, seed=0, length=500, spread=()):
    """Reads over the whole contig with 5 % errors; native ones have more of them at SITE.

    ``spread`` are the rates 1, 2, ... bases away over that at SITE.
    """
    rng = np.random.default_rng(seed)
    n = n_native + n_control
    wrong = rng.random((length, n)) < 0.05
    wrong[SITE, :n_native] |= rng.random(n_native) < rate
    for distance, share in enumerate(spread, 1):
        for row in (SITE - distance, SITE + distance):
            wrong[row, :n_native] |= rng.random(n_native) < rate * share
    return ErrorPileup(
        contig="contig",
        sequence=rng.choice(np.frombuffer(b"ACGT", np.uint8), length),
        position=np.repeat(np.arange(length, dtype=np.int32), n),
        read=np.tile(np.arange(n, dtype=np.int32), length),
        errors=wrong.astype(np.uint8).ravel(),
        quality=np.full(length * n, 20, np.uint8),
        reads=read_index(n_native, n_control),
    )


def call(*evidence, config=CONFIG):
    model = calling.fit_run([calling.summarise(one) for one in evidence], config)
    calls = [calling.call_contig(one, model, config) for one in evidence]
    return [c.reads for c in calls], calling.finish_sites([c.sites for c in calls])


def test_a_shifted_site_is_called_with_its_share_and_its_reads():
    reads, sites = call(calling.score_contig(signal_pileup(), None, None, CONFIG, 1))
    (sites,), (reads,) = sites, reads
    best = sites["position"][np.argmin(np.where(sites["is_peak"], sites["pvalue"], 1))]
    assert abs(best - SITE) <= 1
    row = int(np.flatnonzero(sites["position"] == SITE)[0])
    assert sites["ci_low"][row] <= 0.5 <= sites["ci_high"][row]
    assert sites["mod_ratio"][row] == pytest.approx(0.5, abs=0.12)
    here = reads.position == SITE
    is_modified = reads.read[here] < 15
    assert reads.p_mod[here][is_modified].mean() > 0.9
    assert reads.p_mod[here][~is_modified].mean() < 0.1


@pytest.mark.parametrize(("depth", "modified"), [(8, 1.0), (30, 0.3)])
def test_probabilities_of_reads_hold_over_all_positions(depth, modified):
    """Of reads said to be modified somewhere near with .4 to .9, about so many are: few were."""
    pileups = [signal_pileup(depth, depth, modified, seed) for seed in range(16)]
    reads, _ = call(*(calling.score_contig(pileup, None, None, CONFIG, 1) for pileup in pileups))
    said, true = [], []
    for one in reads:
        doubtful = (one.read < depth) & (one.p_mod >= 0.4) & (one.p_mod < 0.9)
        said.append(one.p_mod[doubtful])
        near = np.abs(one.position[doubtful] - SITE) <= 2
        true.append(near & (one.read[doubtful] < int(modified * depth)))
    said, true = np.concatenate(said), np.concatenate(true)
    assert len(said) > 50
    assert said.mean() == pytest.approx(true.mean(), abs=0.2)


def test_more_errors_in_native_reads_are_called_without_signal():
    config = CallingConfig(channels=("errors",), error_direction="more")
    _, (sites,) = call(calling.score_contig(None, None, error_pileup(), config, 1), config=config)
    assert sites["position"][sites["is_peak"]].tolist() == [SITE]
    assert (sites["padj"] < 0.05).sum() <= 3


def test_errors_of_an_event_make_no_second_one_beside_it():
    config = CallingConfig(channels=("errors",), error_direction="more")
    pileup = error_pileup(spread=(0.8, 0.8))
    (reads,), (sites,) = call(calling.score_contig(None, None, pileup, config, 1), config=config)
    assert sites["pvalue"][sites["position"] == SITE + 2] < 1e-3
    for position, least, most in ((SITE, 0.7, 1), (SITE + 4, 0, 0.2), (SITE - 4, 0, 0.2)):
        native = (reads.position == position) & (reads.read < 60)
        assert least < reads.p_mod[native].mean() < most


def test_p_values_are_uniform_where_nothing_differs():
    evidence = [
        calling.score_contig(signal_pileup(modified=0, seed=seed), None, None, CONFIG, seed)
        for seed in range(6)
    ]
    _, sites = call(*evidence)
    p = np.concatenate([one["pvalue"] for one in sites])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.12)


def test_p_values_are_uniform_at_every_depth_of_a_run():
    """One pool for all depths from 19 reads on gave .67 at 25 reads and .20 at 300."""
    depths = [25] * 12 + [300] * 3
    evidence = []
    for seed, n in enumerate(depths):
        pileup = dataclasses.replace(signal_pileup(n, n, modified=0, seed=seed), contig=f"contig{seed}")
        evidence.append(calling.score_contig(pileup, None, None, CONFIG, 1))
    _, sites = call(*evidence)
    for depth in (25, 300):
        p = np.concatenate([one["pvalue"] for one, n in zip(sites, depths, strict=True) if n == depth])
        assert (p < 0.5).mean() == pytest.approx(0.5, abs=0.1), depth


def test_split_controls_give_a_second_false_discovery_rate():
    pileups = [
        dataclasses.replace(signal_pileup(60, 60, modified=share, seed=seed), contig=f"contig{seed}")
        for seed, share in enumerate((0, 0, 0, 1))
    ]
    evidence = [calling.score_contig(one, None, None, CONFIG, 1) for one in pileups]
    model = calling.fit_run([calling.summarise(one) for one in evidence], CONFIG)
    calls = [calling.call_contig(one, model, CONFIG) for one in evidence]
    sites = calling.finish_sites([one.sites for one in calls], [one.split_p for one in calls])
    columns = {name: np.concatenate([one[name] for one in sites]) for name in ("pvalue", "empirical_q")}
    q = columns["empirical_q"][np.argsort(columns["pvalue"])]
    assert np.all(np.diff(q) >= 0)
    assert q[-1] == 1
    site = int(np.flatnonzero(sites[3]["position"] == SITE)[0])
    # as small as it can be: no split reached it, a handful of positions around the site did
    assert sites[3]["empirical_q"][site] < 0.2
    split_p = np.concatenate([one.split_p for one in calls])
    assert len(split_p) == 2 * len(q)
    assert np.nanmin(split_p) > 1e-5


def test_without_controls_to_split_there_is_no_empirical_rate():
    evidence = calling.score_contig(signal_pileup(30, 3), None, None, CONFIG, 1)
    model = calling.fit_run([calling.summarise(evidence)], CONFIG)
    calls = calling.call_contig(evidence, model, CONFIG)
    (sites,) = calling.finish_sites([calls.sites], [calls.split_p])
    assert np.isnan(sites["empirical_q"]).all()
    assert not np.isnan(sites["padj"]).all()


def test_the_empirical_rate_is_the_share_of_splits_over_the_share_of_the_run():
    observed = count_p_values(np.array([1e-9, 1e-9, 1e-9, 0.01, 0.3, 0.8, 0.9, 0.95, 0.97, np.nan]))
    split = count_p_values(np.array([0.02, 0.4, 0.5, 0.9]))
    q = EmpiricalRate.of(observed, split)(np.array([1e-9, 0.01, 0.3, 0.97, np.nan]))
    expected = [1 / 5 / (3 / 9), 1 / 5 / (4 / 9), 2 / 5 / (5 / 9), 1, np.nan]
    expected[0] = min(expected[0], expected[1])
    np.testing.assert_allclose(q, expected)


def test_evidence_survives_a_file_without_pickle(tmp_path):
    evidence = calling.score_contig(signal_pileup(), None, None, CONFIG, 1)
    np.savez(tmp_path / "slice.npz", **evidence.to_arrays())
    with np.load(tmp_path / "slice.npz", allow_pickle=False) as arrays:
        loaded = calling.Evidence.from_arrays(arrays)
    expected, got = evidence.to_arrays(), loaded.to_arrays()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


def test_evidence_of_another_version_is_refused():
    arrays = calling.score_contig(signal_pileup(), None, None, CONFIG, 1).to_arrays()
    with pytest.raises(ValueError, match="version 99"):
        calling.Evidence.from_arrays({**arrays, "version": np.array(99)})


def test_what_contigs_tell_the_run_survives_as_arrays():
    evidence = [calling.score_contig(signal_pileup(seed=seed), None, None, CONFIG, seed) for seed in range(2)]
    summary = calling.Summary.total(map(calling.summarise, evidence))
    again = calling.Summary.from_arrays(summary.to_arrays())
    for name in ("null", "joint"):
        assert len(getattr(again, name)) == len(getattr(summary, name))
    for one, other in zip(
        [again.error_scores, *again.null, *again.joint],
        [summary.error_scores, *summary.null, *summary.joint],
        strict=True,
    ):
        assert one.shape == other.shape
        np.testing.assert_array_equal(one.code, other.code)
        np.testing.assert_array_equal(one.count, other.count)


def test_the_order_of_contigs_does_not_matter():
    evidence = [calling.score_contig(signal_pileup(seed=seed), None, None, CONFIG, seed) for seed in range(3)]
    summaries = [calling.summarise(one) for one in evidence]
    expected = json.dumps(calling.fit_run(summaries, CONFIG).to_json())
    assert json.dumps(calling.fit_run(summaries[::-1], CONFIG).to_json()) == expected


def test_adding_contigs_up_a_few_at_a_time_changes_nothing(monkeypatch):
    evidence = [calling.score_contig(signal_pileup(seed=seed), None, None, CONFIG, seed) for seed in range(5)]
    summaries = [calling.summarise(one) for one in evidence]
    expected = json.dumps(calling.fit_run(summaries, CONFIG).to_json())
    monkeypatch.setattr("baleen.calling.summary.ADDED_AT_ONCE", 2)
    assert json.dumps(calling.fit_run(iter(summaries), CONFIG).to_json()) == expected


def test_a_run_model_survives_json():
    evidence = calling.score_contig(signal_pileup(), None, None, CONFIG, 1)
    model = calling.fit_run([calling.summarise(evidence)], CONFIG)
    loaded = calling.RunModel.from_json(json.loads(json.dumps(model.to_json())))
    expected = calling.call_contig(evidence, model, CONFIG).sites
    got = calling.call_contig(evidence, loaded, CONFIG).sites
    for name, column in expected.columns.items():
        np.testing.assert_array_equal(got[name], column, err_msg=name)


@pytest.mark.parametrize(
    ("n_native", "n_control", "reason"),
    [(30, 0, "NO_CONTROL"), (0, 30, "NO_NATIVE"), (30, 1, "FEW_READS"), (1, 30, "FEW_READS")],
)
def test_positions_without_enough_reads_say_why(n_native, n_control, reason):
    _, (sites,) = call(calling.score_contig(signal_pileup(n_native, n_control), None, None, CONFIG, 1))
    assert set(sites["filter"]) == {reason}
    assert np.isnan(sites["padj"]).all()
    assert not sites["is_peak"].any()


def test_two_reads_of_each_condition_are_tested():
    """The spread of their levels comes from the k-mer's other positions."""
    reads, sites = call(calling.score_contig(signal_pileup(2, 2), None, None, CONFIG, 1))
    (sites,), (reads,) = sites, reads
    assert set(sites["filter"]) == {"PASS"}
    for column in ("pvalue", "padj", "mod_ratio", "ci_low", "ci_high", "mean_p_mod"):
        assert np.isfinite(sites[column]).all(), column
    assert np.isfinite(reads.p_mod).all()


def test_identical_reads_give_finite_calls():
    constant = np.full((LENGTH - 4, 60), 90.0)
    _, (sites,) = call(calling.score_contig(signal_pileup(level=constant), None, None, CONFIG, 1))
    tested = sites["filter"] == "PASS"
    assert tested.all()
    assert np.isfinite(sites["padj"]).all()
    assert not sites["is_peak"].any()


@pytest.mark.parametrize(
    "channels", [("level",), ("level", "dwell"), ("dwell",), ("level", "dwell", "errors")]
)
def test_no_file_column_is_without_a_number_where_a_position_was_tested(channels):
    """Unequal depths, constant dwells and reads without errors: defined results."""
    config = CallingConfig(channels=channels, permutations=2)
    pileup = signal_pileup(n_native=5, n_control=60, modified=1.0)
    pileup = dataclasses.replace(pileup, dwell_samples=np.full_like(pileup.dwell_samples, 20))
    errors = error_pileup(5, 60, length=LENGTH)
    errors = dataclasses.replace(errors, errors=np.zeros_like(errors.errors))
    evidence = calling.score_contig(pileup, None, errors if "errors" in channels else None, config, 1)
    (reads,), (sites,) = call(evidence, config=config)
    tested = sites["filter"] == "PASS"
    assert tested.sum() > 100
    finite = ("mod_ratio", "ci_low", "ci_high", "pvalue", "padj", "effect_size", "mean_p_mod",
              "stoichiometry", "position_posterior", "statistic", "signal_z", "shift_pa")  # fmt: skip
    for column in finite:
        assert np.isfinite(sites[column][tested]).all(), column
    assert np.isfinite(reads.p_mod).all()
    assert ((reads.p_mod >= 0) & (reads.p_mod <= 1)).all()


def test_a_position_without_control_lies_between_tested_ones():
    pileup = signal_pileup(30, 30)
    row = np.repeat(pileup.position, np.diff(pileup.window_offsets))
    keep = ~((row >= 100) & (row < 110) & (pileup.read >= 30))
    offsets = np.concatenate([[0], np.cumsum(keep)])[pileup.window_offsets]
    columns = ("read", "level_pa", "level_stdv_pa", "confidence", "dwell_samples",
               "base_start", "base_end", "window_start", "window_end")  # fmt: skip
    kept = {name: getattr(pileup, name)[keep] for name in columns}
    gap = dataclasses.replace(pileup, window_offsets=offsets.astype(np.int64), **kept)
    _, (sites,) = call(calling.score_contig(gap, None, None, CONFIG, 1))
    inside = (sites["position"] >= 102) & (sites["position"] < 108)
    assert set(sites["filter"][inside]) == {"NO_CONTROL"}
    assert np.isnan(sites["pvalue"][inside]).all()
    assert set(sites["n_native"][inside]) == {30}
    beside = (np.abs(sites["position"] - 104.5) < 10) & ~np.isnan(sites["pvalue"])
    assert beside.sum() >= 10
    assert sites["pvalue"][beside].min() > 1e-3
    assert set(sites["filter"][~inside & (sites["position"] < 95)]) == {"PASS"}


def test_dwell_that_says_nothing_is_left_out_and_one_that_does_is_used():
    config = CallingConfig(channels=("level", "dwell"), permutations=2)
    for slower, candidate in ((1.0, "level"), (12.0, "dwell")):
        evidence = []
        for seed in range(3):
            pileup = signal_pileup(modified=0.0, seed=seed)
            dwell = pileup.dwell_samples.astype(float)
            row = np.repeat(pileup.position, np.diff(pileup.window_offsets))
            for site in range(20, LENGTH - 10, 15):
                for offset, weight in FOOTPRINT.items():
                    at = (row == site + offset) & (pileup.read < 30)
                    dwell[at] *= slower**weight
            pileup = dataclasses.replace(pileup, dwell_samples=dwell.astype(np.int32))
            evidence.append(calling.score_contig(pileup, None, None, config, seed))
        model = calling.fit_run([calling.summarise(one) for one in evidence], config)
        chosen = str(evidence[0].candidates[model.candidate])
        assert candidate in chosen, (slower, chosen)
        assert (chosen == "level") == (slower == 1.0)


def test_errors_everywhere_or_nowhere_are_no_finding():
    for rate in (0.0, 1.0):
        errors = error_pileup()
        alike = np.full_like(errors.errors, rate)
        pileup = ErrorPileup(
            errors.contig, errors.sequence, errors.position, errors.read, alike, errors.quality, errors.reads
        )
        config = CallingConfig(channels=("errors",))
        _, (sites,) = call(calling.score_contig(None, None, pileup, config, 1), config=config)
        assert set(sites["filter"]) == {"NO_VARIATION"}


def test_neither_signal_nor_errors_is_refused():
    with pytest.raises(ValueError, match="signal or basecall errors"):
        calling.score_contig(None, None, None, CONFIG, 1)


def test_untested_positions_do_not_count_in_the_adjustment():
    expected = [0.02, np.nan, 0.02, 0.9]
    got = benjamini_hochberg(np.array([0.01, np.nan, 0.0133333333, 0.9]))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_false_events_are_held_among_events_not_positions():
    """A strong event brings many positions; they must not pay for a weak one elsewhere."""
    rng = np.random.default_rng(5)
    false_events = []
    for _ in range(40):
        n = 3000
        p = rng.uniform(size=n)
        score = -np.log(p)
        for center in range(50, 1050, 100):  # ten events, each of nine significant positions
            p[center - 4 : center + 5] = 1e-12
            score[center - 4 : center + 5] = 10
            score[center] = 30
        posterior = np.full(n, 0.5)
        for center in range(50, 1050, 100):
            posterior[center - 4 : center + 5] = 0.0
            posterior[center] = 1.0
        sites = bare_sites(p, score, posterior)
        peaks = np.flatnonzero(finish_sites([sites])[0]["is_peak"])
        assert set(range(50, 1050, 100)) <= set(peaks.tolist())
        false_events.append(sum(peak % 100 != 50 for peak in peaks) / len(peaks))
    assert np.mean(false_events) < 0.06


def bare_sites(p, score, posterior):
    """Sites of one contig of which nothing is known but these columns."""
    n = len(p)
    columns = {}
    for column in SITE_COLUMNS:
        columns[column.name] = np.full(n, "") if column.dtype == "str" else np.zeros(n, column.dtype)
    columns["position"] = np.arange(n, dtype=np.int32)
    columns["pvalue"] = p
    columns["score"] = score.astype(np.float32)
    columns["position_posterior"] = posterior.astype(np.float32)
    return SiteCalls(columns)


def test_hmm_parameters_come_from_the_file_or_the_error_names_it(tmp_path):
    asked = HmmParameters((0.8, 0.15, 0.05), 0.2, 0.4)
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(asked.to_json()))
    bad.write_text("{}")
    assert read_hmm(str(good)) == asked
    with pytest.raises(InputError, match=r"bad\.json: holds no HMM parameters"):
        read_hmm(str(bad))
