"""The basecaller's own modification calls: read as SAMtags means them, tested native against control."""

import array
import subprocess
import sys
import uuid

import numpy as np
import pysam
import pytest

from baleen.calling import ModTest
from baleen.data import BasecallerMods, ReadIndex
from baleen.inputs import read_basecaller_mods
from baleen.outputs.site_table import read_site_table


def write_bam(path, tags):
    """Write one read ACATAC per (MM, ML), aligned from position 10 of contig tx."""
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "tx", "LN": 60}]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for mm, ml in tags:
            record = pysam.AlignedSegment(bam.header)
            record.query_name = str(uuid.uuid4())
            record.query_sequence, record.cigartuples = "ACATAC", [(0, 6)]
            record.reference_id, record.reference_start, record.mapping_quality = 0, 10, 60
            record.set_tag("MM", mm)
            record.set_tag("ML", array.array("B", ml))
            bam.write(record)
    pysam.index(str(path))
    with pysam.AlignmentFile(str(path)) as bam:
        return {(0, record.query_name): row for row, record in enumerate(bam)}


def read(path, rows, sequence="ACATAC"):
    reference = {10 + i: base for i, base in enumerate(sequence)}
    mods = read_basecaller_mods([(path, 0)], "tx", reference, rows)
    columns = (mods.position.tolist(), mods.code.tolist(), mods.probability.tolist())
    return {(p, mods.codes[c]): value for p, c, value in zip(*columns, strict=True)}


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (".", {10: 0.0, 12: 200.5 / 256, 14: 0.0}),
        ("", {10: 0.0, 12: 200.5 / 256, 14: 0.0}),
        ("?", {12: 200.5 / 256}),
    ],
)
def test_bases_that_are_not_listed_are_unmodified_or_unknown(tmp_path, flag, expected):
    rows = write_bam(tmp_path / "reads.bam", [(f"A+a{flag},1;", [200])])
    got = read(tmp_path / "reads.bam", rows)
    assert got == pytest.approx({(position, "a"): p for position, p in expected.items()})


def test_bases_called_as_something_else_than_the_reference_have_no_say(tmp_path):
    rows = write_bam(tmp_path / "reads.bam", [("A+a.,0;T+17802.,0;", [10, 250])])
    got = read(tmp_path / "reads.bam", rows, sequence="GCACAC")
    assert sorted(got) == [(12, "a"), (14, "a")]


def test_reads_without_tags_say_nothing(tmp_path):
    rows = write_bam(tmp_path / "reads.bam", [("", [])])
    assert read(tmp_path / "reads.bam", rows) == {}


def mods(native_high, n=30, sites=200, seed=0):
    """Probabilities skewed towards 0; at site 7 a share of native reads has high ones."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 3, (sites, 2 * n))
    p[7, : int(native_high * n)] = 0.97
    is_native = np.arange(2 * n) < n
    reads = ReadIndex(
        tuple(map(str, range(2 * n))), is_native, (~is_native).astype(np.uint8),
        np.zeros(2 * n, np.uint8), ("native", "control"),
    )  # fmt: skip
    table = BasecallerMods(
        codes=("17802",),
        position=np.repeat(np.arange(sites, dtype=np.int32), 2 * n),
        read=np.tile(np.arange(2 * n, dtype=np.int32), sites),
        code=np.zeros(sites * 2 * n, np.int32),
        probability=p.astype(np.float32).ravel(),
    )
    return ModTest.of(table, reads)


def test_scores_are_normal_where_nothing_differs():
    z = np.concatenate([mods(0, seed=seed).z for seed in range(10)])
    assert np.mean(z > 1.645) == pytest.approx(0.05, abs=0.015)
    assert np.mean(z < -1.645) == pytest.approx(0.05, abs=0.015)


def test_a_modified_site_stands_out():
    test = mods(0.8)
    assert test.position[np.argmax(test.z)] == 7
    corrected = (test.native[7] - test.control[7]) / (1 - test.control[7])
    assert corrected == pytest.approx(0.8, abs=0.08)


def test_pseudouridine_of_real_trna_is_found_and_named(shared_data, tmp_path):
    folder = shared_data / "real/trna_psi55"
    command = [sys.executable, "-m", "baleen", "run", "--channels", "level", "--basecaller-mods"]
    command += ["--native-bam", folder / "native.bam", "--ivt-bam", folder / "control.bam"]
    command += ["--native-blow5", folder / "native.blow5", "--ivt-blow5", folder / "control.blow5"]
    command += ["--permutations", "1", "--subsample-n", "60", "--no-read-bam"]
    command += ["--ref", folder / "ref.fa", "-o", tmp_path / "out", "--threads", "1"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = read_site_table(tmp_path / "out/basecaller_mods.tsv")
    best = np.argsort(table["pvalue"], kind="stable")[:3]
    assert set(table["mod_name"][best]) == {"pseudouridine"}
    found = {contig.split("-")[2]: position for contig, position in zip(
        table["contig"][best], table["position"][best], strict=True
    )}  # fmt: skip
    assert found == {"Arg": 79, "Gly": 78, "Ala": 78}
    assert table["padj"][best].max() < 1e-10
    reads = read_site_table(tmp_path / "out/basecaller_reads.tsv")
    here = (reads["position"] == 79) & np.isin(reads["mod_code"].astype(str), ["17802", "17802.0"])
    row = (table["position"] == 79) & (table["mod_code"] == "17802")
    assert here.sum() == table["n_native"][row].sum()
    assert set(reads["sample"]) == {"native"}
    assert reads["corrected_probability"][here].mean() == pytest.approx(table["mod_ratio"][row][0], abs=0.1)
    order = np.argsort(reads["probability"][here])
    assert np.all(np.diff(reads["corrected_probability"][here][order]) >= 0)
    events = read_site_table(tmp_path / "out/named_events.tsv")
    assert (events["mod_name"] == "pseudouridine").sum() >= 2
