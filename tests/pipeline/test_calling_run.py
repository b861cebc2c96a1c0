"""Calling: what contigs tell the run, what the run is told with, and what only it can say of a site."""

import dataclasses
import json

import numpy as np
import pytest
from made_pileups import CONFIG, SITE, signal_pileup

from baleen import calling
from baleen.calling import HmmParameters
from baleen.calling.events import EventRate, benjamini_hochberg, finish_sites
from baleen.calling.splits import EmpiricalRate, count_p_values
from baleen.columns import SITE_COLUMNS
from baleen.data import SiteCalls
from baleen.errors import InputError
from baleen.worker import read_hmm


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


def test_untested_positions_do_not_count_in_the_adjustment():
    expected = [0.02, np.nan, 0.02, 0.9]
    got = benjamini_hochberg(np.array([0.01, np.nan, 0.0133333333, 0.9]))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_false_events_are_held_among_events_not_positions():
    """A strong event brings many positions; they must not pay for a weak one elsewhere."""
    rng = np.random.default_rng(5)
    false_events = {0.05: [], 0.2: []}
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
        (finished,) = finish_sites([sites])
        peaks = np.flatnonzero(finished["is_peak"])
        assert set(range(50, 1050, 100)) <= set(peaks.tolist())
        assert np.array_equal(peaks, np.flatnonzero(finished["event_padj"] < 0.05))
        for limit, shares in false_events.items():
            shares.append(np.mean(np.flatnonzero(finished["event_padj"] < limit) % 100 != 50))
    for limit, shares in false_events.items():
        assert np.mean(shares) < 1.2 * limit, limit


def test_the_rate_of_events_counts_candidates_against_positions():
    rate = EventRate.of(np.array([0.01, 1e-4, 0.01, 2e-4]), n_tested=200)
    np.testing.assert_allclose(rate(np.array([1e-4, 2e-4, 0.01])), [0.02, 0.02, 0.5])
    assert rate(np.array([0.02]))[0] == 1
    assert len(EventRate.of(np.zeros(0), n_tested=0)(np.zeros(0))) == 0


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
