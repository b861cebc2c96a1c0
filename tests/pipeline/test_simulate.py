"""Simulated reads: truth and signal agree, and a seed decides everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baleen.simulate import (
    FOOTPRINT,
    SimulatedReads,
    SimulationConfig,
    Sites,
    contig_sites,
    random_contig,
    simulate_reads,
)
from krill import PoreModel

PORES = ("rna002", "rna004")
QUIET = {"gain_sd": 0.0, "offset_sd_pa": 0.0, "drift_pa": 0.0, "event_jitter": 0.0, "stall_rate": 0.0}


def one_site(
    position: int, *, stoichiometry: float = 1.0, shift_pa: float = 6.0, slower: float = 1.0
) -> Sites:
    return Sites(
        np.array([position], np.int32), np.array([stoichiometry]), np.array([shift_pa]), np.array([slower])
    )


def simulate(config: SimulationConfig, sites: Sites | None, length_bp: int = 400) -> SimulatedReads:
    sequence = random_contig(length_bp, 0, config)
    (batch,) = simulate_reads("tx", 0, sequence, sites, config)
    return batch


def true_levels(batch: SimulatedReads, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and mean picoampere of the read's bases, by the truth's boundaries."""
    reads, truth = batch.reads, batch.truth
    rows = slice(truth.offsets[i], truth.offsets[i + 1])
    pa = (reads.signal[i] + reads.offset_adc[i]) * reads.scale_pa[i]
    starts, ends = truth.sample_start[rows], truth.sample_end[rows]
    return truth.position[rows], np.array([pa[a:b].mean() for a, b in zip(starts, ends, strict=True)])


def expected_levels(config: SimulationConfig, position: np.ndarray, length_bp: int = 400) -> np.ndarray:
    model = PoreModel.shipped(config.pore)
    tail = np.full(model.kmer_size, ord("A"), np.uint8)
    codes = model.kmer_codes(np.concatenate((random_contig(length_bp, 0, config), tail)))
    return model.level_mean[codes[position - model.center]]


@pytest.mark.parametrize("pore", PORES)
def test_levels_between_true_boundaries_are_those_of_the_pore_model(pore):
    config = SimulationConfig(pore=pore, reads=4, noise=0.05, **QUIET)
    batch = simulate(config, None)
    for i in range(4):
        position, level = true_levels(batch, i)
        np.testing.assert_allclose(level, expected_levels(config, position), atol=0.6)


@pytest.mark.parametrize("pore", PORES)
def test_a_modified_base_shifts_the_levels_of_its_footprint_alone(pore):
    site = 200
    config = SimulationConfig(pore=pore, reads=3, noise=0.05, full_length=1.0, **QUIET)
    batch = simulate(config, one_site(site, shift_pa=6.0))
    for i in range(3):
        position, level = true_levels(batch, i)
        expected = np.zeros(len(position))
        for offset, share in FOOTPRINT.items():
            expected[position == site + offset] = 6.0 * share
        np.testing.assert_allclose(level - expected_levels(config, position), expected, atol=0.6)


def test_a_modified_base_stays_longer_by_its_factor():
    config = SimulationConfig(reads=64, full_length=1.0, speed_sd=0.0, stall_rate=0.0)

    def mean_dwell(sites: Sites | None) -> float:
        truth = simulate(config, sites).truth
        here = truth.position == 200
        return float((truth.sample_end - truth.sample_start)[here].mean())

    np.testing.assert_allclose(mean_dwell(one_site(200, slower=3.0)) / mean_dwell(None), 3.0, rtol=0.35)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_modified_share_is_the_stoichiometry_asked_for(share):
    config = SimulationConfig(reads=400, full_length=1.0, tail_bp=10, adapter_s=0.1, sites=0)
    sites = one_site(60, stoichiometry=share)
    sequence = random_contig(120, 0, config)
    modified = np.concatenate(
        [batch.truth.is_modified[:, 0] for batch in simulate_reads("tx", 0, sequence, sites, config)]
    )
    # five standard deviations of a binomial share
    assert abs(modified.mean() - share) <= 5 * np.sqrt(share * (1 - share) / 400)


def test_control_does_not_depend_on_the_sites_and_carries_none():
    with_sites = simulate(SimulationConfig(reads=5, sites=8), None)
    without = simulate(SimulationConfig(reads=5, sites=0), None)
    np.testing.assert_array_equal(with_sites.reads.signal.values, without.reads.signal.values)
    assert not with_sites.truth.is_modified.any()


def test_equal_seeds_give_equal_reads_and_others_do_not():
    def signal(seed: int) -> bytes:
        config = SimulationConfig(reads=3, seed=seed)
        batch = simulate(config, contig_sites(400, 0, config))
        return batch.reads.signal.values.tobytes() + "".join(batch.reads.read_ids).encode()

    assert signal(1) == signal(1)
    assert signal(1) != signal(2)


def test_boundaries_tile_the_transcript_from_the_three_prime_end():
    batch = simulate(SimulationConfig(reads=5), None)
    reads, truth = batch.reads, batch.truth
    for i in range(5):
        rows = slice(truth.offsets[i], truth.offsets[i + 1])
        start, end = truth.sample_start[rows], truth.sample_end[rows]
        np.testing.assert_array_equal(end[1:], start[:-1])
        assert end[0] == len(reads.signal[i])
        assert start[-1] > reads.trimmed_samples[i] > 0
        assert truth.position[rows][-1] == 399


@settings(max_examples=25, deadline=None)
@given(
    pore=st.sampled_from(PORES),
    error_rate=st.floats(0, 0.2),
    seed=st.integers(0, 10_000),
    length_bp=st.integers(100, 500),
)
def test_cigar_moves_and_sequence_describe_the_same_read(pore, error_rate, seed, length_bp):
    config = SimulationConfig(pore=pore, error_rate=error_rate, seed=seed, reads=3)
    reads = simulate(config, contig_sites(length_bp, 0, config), length_bp).reads
    for i in range(len(reads)):
        length, operation = reads.cigar[i] >> 4, reads.cigar[i] & 15
        assert length[np.isin(operation, (0, 1, 4))].sum() == len(reads.sequence[i])
        assert length[np.isin(operation, (0, 2))].sum() == reads.ref_end[i] - reads.ref_start[i]
        inner = operation[operation != 4]
        assert inner[0] == inner[-1] == 0
        assert (np.diff(operation.astype(int)) != 0).all()
        assert reads.moves[i].sum() == len(reads.sequence[i])
        spanned = len(reads.moves[i]) * reads.move_stride[i] + reads.trimmed_samples[i]
        assert 0 <= len(reads.signal[i]) - spanned < reads.move_stride[i]


@pytest.mark.parametrize("pore", PORES)
def test_moves_of_matched_bases_start_where_their_signal_starts(pore):
    batch = simulate(SimulationConfig(pore=pore, reads=3, error_rate=0.0, move_jitter=0.0), None)
    reads, truth = batch.reads, batch.truth
    for i in range(3):
        called = np.flatnonzero(reads.moves[i])[::-1] * reads.move_stride[i] + reads.trimmed_samples[i]
        rows = slice(truth.offsets[i], truth.offsets[i + 1])
        placed = len(truth.position[rows])
        late = called[:placed] - truth.sample_start[rows]
        # a block begins up to one stride early; short bases push the following ones later
        assert np.median(np.abs(late)) <= reads.move_stride[i]
        assert np.quantile(np.abs(late), 0.95) <= 3 * reads.move_stride[i]


def test_sequence_differs_from_the_reference_at_the_error_rate():
    config = SimulationConfig(reads=40, error_rate=0.2, full_length=1.0)
    reads = simulate(config, None).reads
    length, operation = reads.cigar.values >> 4, reads.cigar.values & 15
    gaps = int((length * np.isin(operation, (1, 2))).sum())
    expected = 0.2 * 0.55 * int((reads.ref_end - reads.ref_start).sum())
    np.testing.assert_allclose(gaps, expected, rtol=0.1)


def test_modified_bases_are_called_wrong_more_often():
    site = one_site(200)
    config = SimulationConfig(reads=64, full_length=1.0, error_rate=0.02, mod_error_rate=0.5)
    reads = simulate(config, site).reads
    sequence = random_contig(400, 0, config)
    wrong = 0
    for i in range(len(reads)):
        query, reference = 0, int(reads.ref_start[i])
        for code in reads.cigar[i]:
            length, operation = int(code >> 4), int(code & 15)
            if operation in (0, 2) and reference <= 200 < reference + length:
                wrong += operation == 2 or reads.sequence[i][query + 200 - reference] != sequence[200]
            query += length if operation in (0, 1, 4) else 0
            reference += length if operation in (0, 2) else 0
    # insertions, 15 % of the errors, leave the base itself right
    assert abs(wrong / 64 - 0.51 * 0.85) < 0.2


@given(length_bp=st.integers(100, 3000), seed=st.integers(0, 1000), n=st.integers(0, 60))
@settings(deadline=None)
def test_sites_keep_their_distance_from_each_other_and_from_the_ends(length_bp, seed, n):
    config = SimulationConfig(sites=n, seed=seed)
    position = contig_sites(length_bp, 0, config).position
    assert len(position) == min(n, (length_bp - 50) // 15)
    assert (np.diff(position) >= 15).all()
    assert (position >= 25).all()
    assert (position < length_bp - 25).all()


def test_without_moves_reads_have_neither_table_nor_trimmed_samples():
    reads = simulate(SimulationConfig(reads=2, moves=False), None).reads
    assert (reads.moves.lengths == 0).all()
    assert (reads.trimmed_samples == -1).all()


def test_a_letter_that_is_no_base_is_refused():
    sequence = np.frombuffer(b"ACGN" * 50, np.uint8)
    with pytest.raises(ValueError, match="A, C, G and T"):
        next(simulate_reads("tx", 0, sequence, None, SimulationConfig(reads=1)))
