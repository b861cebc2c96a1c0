"""Calling: from windows of one contig to reads and sites."""

import dataclasses

import numpy as np
import pytest
from made_pileups import CONFIG, FOOTPRINT, LENGTH, SITE, call, error_pileup, signal_pileup

from baleen import calling
from baleen.config import CallingConfig
from baleen.data import ErrorPileup


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
