"""The demonstration: what was found is held against the truth, and a site is drawn."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from baleen.commands.demo import command
from baleen.data import ReadIndex, SignalPileup
from baleen.demo import CalledSite, Demo, TrueSite, found_and_truth, most_telling, run_demo
from baleen.errors import OutputError
from baleen.simulate import SimulationConfig
from baleen.simulated_pair import PairFiles
from baleen.site_picture import SitePicture, draw_site, spread_out, warped_signal


def site(position: int, share: float, padj: float | None, shift_pa: float = 5.0) -> TrueSite:
    called = None if padj is None else CalledSite("tx", position, share, 0.0, 1.0, padj)
    return TrueSite("tx", position, "A", shift_pa, share, called)


def pileup(n_reads: int, n_positions: int, dwell: int = 24) -> SignalPileup:
    """Lay reads without noise: base p of read r has the level 100 p + r and rises by 1 in time."""
    sizes = (n_positions, n_reads)
    position, read = (axis.ravel() for axis in np.indices(sizes))
    ramp = np.linspace(0, 1, dwell, dtype=np.float32)
    # time runs from the last position to the first
    signal = np.concatenate(
        [100.0 * p + r + ramp for r in range(n_reads) for p in reversed(range(n_positions))]
    )
    start = (read * n_positions + (n_positions - 1 - position)) * dwell
    w = len(read)
    return SignalPileup(
        contig="tx",
        sequence=np.frombuffer(b"ACGT" * n_positions, np.uint8)[:n_positions],
        position=np.arange(n_positions, dtype=np.int32),
        window_offsets=np.arange(n_positions + 1) * n_reads,
        read=read.astype(np.int32),
        level_pa=(100.0 * position + read).astype(np.float32),
        level_stdv_pa=np.ones(w, np.float32),
        confidence=np.ones(w, np.float32),
        dwell_samples=np.full(w, dwell, np.int32),
        signal=signal.astype(np.float32),
        base_start=start,
        base_end=start + dwell,
        window_start=start,
        window_end=start + dwell,
        reads=ReadIndex(
            read_ids=tuple(f"r{i}" for i in range(n_reads)),
            is_native=np.arange(n_reads) % 2 == 0,
            sample=np.zeros(n_reads, np.uint8),
            fold=np.zeros(n_reads, np.uint8),
            sample_names=("one",),
        ),
    )


def test_warped_signal_runs_along_the_reference_not_along_time():
    lines, reads = warped_signal(pileup(n_reads=2, n_positions=3), 0, 3)
    np.testing.assert_array_equal(reads, [0, 1])
    middle = lines[1].reshape(3, 12)
    np.testing.assert_allclose(middle.mean(axis=1), [1.5, 101.5, 201.5], atol=1e-3)
    assert (np.diff(middle, axis=1) < 0).all()  # rises in time, so falls along the reference


def test_warped_signal_takes_bases_shorter_than_the_picture_is_fine():
    lines, _ = warped_signal(pileup(n_reads=1, n_positions=2, dwell=2), 0, 2)
    assert np.isfinite(lines).all()


@pytest.mark.parametrize("modified", [None, frozenset({"r0", "r2"})])
def test_picture_is_a_small_png(tmp_path, modified):
    picture = SitePicture("title", "subtitle", 3, 2, {f"r{i}": i / 8 for i in range(8)}, modified)
    draw_site(tmp_path / "site.png", pileup(n_reads=8, n_positions=7), picture)
    with Image.open(tmp_path / "site.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 500
    assert (tmp_path / "site.png").stat().st_size < 200_000


def test_points_of_equal_value_lie_side_by_side():
    place, value = spread_out([0.5, 0.5, 0.9])
    np.testing.assert_array_equal(value, [0.5, 0.5, 0.9])
    assert place[0] == -place[1] != 0
    assert place[2] == 0


def test_calls_near_a_site_are_its_own_and_all_others_are_told(tmp_path):
    pair = PairFiles(tmp_path, "blow5")
    pair.truth_sites.write_text(
        "contig\tpos0\tbase\tstoichiometry\tshift_pa\tdwell_factor\tn_native\tn_modified\n"
        "tx\t50\tT\t0.5\t5.0\t1.2\t20\t8\n"
        "tx\t90\tA\t0.5\t5.0\t1.2\t20\t12\n"
    )
    table = tmp_path / "site_results.tsv"
    table.write_text(
        "##version\ncontig\tposition\tmod_ratio\tci_low\tci_high\tevent_padj\n"
        "tx\t51\t.4\t.2\t.6\t.01\n"
        "tx\t52\t.4\t.2\t.6\t\n"
        "tx\t70\t.3\t.1\t.6\t.04\n"
        "other\t90\t.3\t.1\t.6\t.04\n"
        "tx\t88\t.3\t.1\t.6\t.06\n"
    )
    sites, others = found_and_truth(pair, table)
    assert [(s.position, s.base, s.share, s.called and s.called.position) for s in sites] == [
        (50, "U", 0.4, 51),
        (90, "A", 0.6, None),
    ]
    assert [(call.contig, call.position) for call in others] == [("tx", 70), ("other", 90)]
    (_, found), _ = found_and_truth(pair, table, limit=0.1)
    assert found.called is not None
    lines = Demo(sites, others, ()).table()
    assert lines[3].split() == ["tx", "70", "no", "site", "0.30", "(0.10-0.60)", "4e-02"]


def test_the_site_drawn_is_the_surest_with_both_kinds_of_reads():
    full, mixed, sure = site(10, 1.0, 1e-20), site(20, 0.5, 1e-3), site(30, 0.6, 1e-9)
    missed, strong = site(40, 0.5, None), site(50, 0.1, None, shift_pa=-8.0)
    assert most_telling((full, mixed, sure, missed)) == sure
    assert most_telling((full, missed)) == full
    assert most_telling((missed, strong)) == strong


@pytest.mark.slow
def test_demo_finds_a_strong_site_and_leaves_every_file(tmp_path):
    config = SimulationConfig(
        reads=30, sites=1, stoichiometry=(1.0,), shift_min_pa=8.0, full_length=1.0, adapter_s=0.3
    )
    demo = run_demo(tmp_path / "demo", force=False, simulation=config, contig_bp=200)
    assert [path for _, path in demo.files if not path.is_file()] == []
    assert len(demo.sites) == 2
    assert any(one.called is not None for one in demo.sites)
    assert "of 2 sites" in demo.table()[-1]


def test_demo_does_not_replace_files_unasked(tmp_path: Path):
    (tmp_path / "reads").mkdir()
    (tmp_path / "reads" / "mine.txt").write_text("mine")
    result = CliRunner().invoke(command, ["-o", str(tmp_path)])
    assert isinstance(result.exception, OutputError)
    assert (tmp_path / "reads" / "mine.txt").read_text() == "mine"
