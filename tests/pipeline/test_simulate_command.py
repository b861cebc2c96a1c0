"""`baleen simulate`: every file can be read by its library and agrees with the truth tables."""

import csv
import errno
import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pod5
import pysam
import pyslow5
import pytest
from click.testing import CliRunner

from baleen import read_files
from baleen.commands.simulate import command
from baleen.errors import InputError, OutputError, UsageError
from baleen.simulate import SimulationConfig
from baleen.simulated_pair import Contig, PairFiles, random_contigs, read_sites, write_pair

SMALL = ("--contigs", "2", "--contig-length", "250", "--reads", "5", "--sites", "3", "--adapter-s", ".3")


def simulate(folder: Path, *arguments: str) -> PairFiles:
    """Run the command on two short random transcripts."""
    result = CliRunner().invoke(command, ["-o", str(folder), *SMALL, *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    return PairFiles(folder, "pod5" if "pod5" in arguments else "blow5")


def table(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def bam_records(path: Path) -> list[pysam.AlignedSegment]:
    with pysam.AlignmentFile(str(path)) as bam:
        return list(bam.fetch())


def slow5_reads(path: Path) -> dict[str, dict]:
    handle = pyslow5.Open(str(path), "r")
    try:
        return {read["read_id"]: read for read in handle.seq_reads(pA=True)}
    finally:
        handle.close()


def fastq(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt") as handle:
        lines = handle.read().splitlines()
    return {name[1:]: sequence for name, sequence in zip(lines[::4], lines[1::4], strict=True)}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> PairFiles:
    return simulate(tmp_path_factory.mktemp("pair") / "set")


@pytest.mark.parametrize("condition", ["native", "ivt"])
def test_bam_fastq_signal_and_truth_hold_the_same_reads(pair, condition):
    names = {record.query_name for record in bam_records(pair.bam(condition))}
    assert len(names) == 10
    assert names == set(fastq(pair.fastq(condition)))
    assert names == set(slow5_reads(pair.signal(condition)))
    assert names == {row["read_id"] for row in table(pair.truth_samples(condition))}


def test_fastq_holds_the_sequence_of_the_bam_in_the_alphabet_asked_for(pair, tmp_path):
    other = simulate(tmp_path / "t", "--alphabet", "T")
    for files, letter in ((pair, "U"), (other, "T")):
        reads = fastq(files.fastq("native"))
        for record in bam_records(files.bam("native")):
            assert record.query_sequence.replace("T", letter) == reads[record.query_name]


def test_tables_of_sites_and_reads_count_the_same_molecules(pair):
    reads = table(pair.truth_reads)
    for site in table(pair.truth_sites):
        here = [row for row in reads if (row["contig"], row["pos0"]) == (site["contig"], site["pos0"])]
        assert len(here) == int(site["n_native"])
        assert sum(row["modified"] == "1" for row in here) == int(site["n_modified"])
    natives = {record.query_name for record in bam_records(pair.bam("native"))}
    assert {row["read_id"] for row in reads} <= natives


def test_sites_name_the_base_of_the_reference(pair):
    with pysam.FastaFile(str(pair.reference)) as reference:
        for site in table(pair.truth_sites):
            position = int(site["pos0"])
            assert reference.fetch(site["contig"], position, position + 1) == site["base"]


def test_alignment_lies_inside_the_true_bases_and_matches_the_reference(pair):
    with pysam.FastaFile(str(pair.reference)) as fasta:
        reference = {name: fasta.fetch(name) for name in fasta.references}
    truth = {row["read_id"]: row for row in table(pair.truth_samples("native"))}
    matches = []
    for record in bam_records(pair.bam("native")):
        row = truth[record.query_name]
        assert int(row["pos0_start"]) <= record.reference_start
        assert record.reference_end <= int(row["pos0_end"])
        matches += [
            record.query_sequence[query] == reference[record.reference_name][position]
            for query, position in record.get_aligned_pairs(matches_only=True)
        ]
    assert np.mean(matches) > 0.93


def test_true_boundaries_end_with_the_signal_and_begin_behind_the_trimmed_part(pair):
    signals = slow5_reads(pair.signal("native"))
    records = {record.query_name: record for record in bam_records(pair.bam("native"))}
    for row in table(pair.truth_samples("native")):
        dwell = np.array(row["dwell_samples"].split(","), int)
        assert int(row["sample_end"]) == len(signals[row["read_id"]]["signal"])
        assert int(row["sample_start"]) + dwell.sum() == int(row["sample_end"])
        assert len(dwell) == int(row["pos0_end"]) - int(row["pos0_start"])
        assert records[row["read_id"]].get_tag("ts") < int(row["sample_start"])


def test_move_table_covers_the_signal_and_counts_the_bases(pair):
    for record in bam_records(pair.bam("native")):
        stride, *moves = record.get_tag("mv")
        assert sum(moves) == record.query_length
        left = record.get_tag("ns") - record.get_tag("ts") - stride * len(moves)
        assert 0 <= left < stride


def test_without_moves_the_bam_has_no_mv_and_no_ts(tmp_path):
    for record in bam_records(simulate(tmp_path / "x", "--no-moves").bam("native")):
        assert not record.has_tag("mv")
        assert not record.has_tag("ts")


@pytest.mark.parametrize("pore", ["rna002", "rna004"])
def test_pod5_and_blow5_hold_the_same_current(tmp_path, pore):
    blow5 = simulate(tmp_path / "b", "--pore", pore)
    as_pod5 = simulate(tmp_path / "p", "--pore", pore, "--signal-format", "pod5")
    expected = slow5_reads(blow5.signal("native"))
    with pod5.Reader(as_pod5.signal("native")) as reader:
        found = {str(read.read_id): read.signal_pa for read in reader.reads()}
        kits = {read.run_info.sequencing_kit for read in reader.reads()}
    assert kits == {f"sqk-{pore}"}
    assert found.keys() == expected.keys()
    for read_id, current in found.items():
        np.testing.assert_allclose(current, expected[read_id]["signal"], atol=0.01)


def test_equal_seeds_give_equal_files(pair, tmp_path):
    again = simulate(tmp_path / "again")
    names = [p.relative_to(pair.folder) for p in pair.folder.rglob("*") if p.is_file() and p.suffix != ".idx"]
    for name in names:
        assert (again.folder / name).read_bytes() == (pair.folder / name).read_bytes(), name


def test_sites_come_from_a_table_and_truth_tables_can_be_one(pair, tmp_path):
    copy = simulate(tmp_path / "copy", "--sites-file", str(pair.truth_sites))
    keys = ("contig", "pos0", "stoichiometry", "shift_pa", "dwell_factor")
    expected = [tuple(row[key] for key in keys) for row in table(pair.truth_sites)]
    assert [tuple(row[key] for key in keys) for row in table(copy.truth_sites)] == expected


def test_a_site_outside_the_reference_is_named(tmp_path):
    sites = tmp_path / "sites.tsv"
    sites.write_text("contig\tpos0\tstoichiometry\ntx0\t10\t.5\ntx0\t999\t.5\n")
    with pytest.raises(InputError, match="line 3: tx0 has no position 999"):
        read_sites(sites, random_contigs(1, 200, SimulationConfig()))


@pytest.mark.parametrize(
    ("fasta", "problem"),
    [("", "no sequence"), (">a\n" + "ACGN" * 50, "A, C, G, T"), (">a\nACGT\n", "100 bases"), (None, "read")],
)
def test_a_reference_that_cannot_be_simulated_is_refused(tmp_path, fasta, problem):
    path = tmp_path / "ref.fa"
    if fasta is not None:
        path.write_text(fasta)
    result = CliRunner().invoke(command, ["-o", str(tmp_path / "o"), "--ref", str(path)])
    assert isinstance(result.exception, InputError)
    assert problem in str(result.exception)
    assert not (tmp_path / "o").exists()


def test_a_folder_with_files_is_replaced_by_force_alone(tmp_path):
    pair = simulate(tmp_path / "x", "--signal-format", "pod5")
    note = pair.folder / "note.txt"
    note.write_text("mine")
    with pytest.raises(OutputError, match="holds files already"):
        simulate(tmp_path / "x")
    assert pair.signal("native").exists()
    replaced = simulate(tmp_path / "x", "--force")
    assert replaced.signal("native").exists()
    assert not pair.signal("native").exists()
    assert note.read_text() == "mine"


def test_a_failed_simulation_leaves_no_files(tmp_path):
    contigs = [
        *random_contigs(1, 100, SimulationConfig()),
        Contig("bad", np.frombuffer(b"ACGN" * 50, np.uint8)),
    ]
    with pytest.raises(UsageError, match="A, C, G and T"):
        write_pair(tmp_path / "x", contigs, SimulationConfig(reads=2))
    assert not (tmp_path / "x").exists()


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_index(*_: object, **__: object) -> None:
    message = "samtools index: failed to create or write index"
    raise pysam.SamtoolsError(message)


FULL_DISKS = [
    ("baleen.read_files._fastq", no_space, "the disk is full"),
    ("baleen.simulated_pair.PairFiles.truth_samples", no_space, "the disk is full"),
    ("baleen.simulated_pair._publish", no_space, "the disk is full"),
    ("pathlib.Path.mkdir", no_space, "the disk is full"),
    ("pysam.index", no_index, "an index could not be made: .*failed to create or write index"),
    ("pysam.faidx", no_index, "an index could not be made: .*failed to create or write index"),
]


@pytest.mark.parametrize(("broken", "how", "said"), FULL_DISKS, ids=[case[0] for case in FULL_DISKS])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, broken, how, said):
    with monkeypatch.context() as disk:
        disk.setattr(broken, how)
        with pytest.raises(OutputError, match=f"x: .*{said}"):
            write_pair(tmp_path / "x", random_contigs(1, 100, SimulationConfig()), SimulationConfig(reads=2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("signal_format", ["blow5", "pod5"])
@pytest.mark.parametrize("left_bytes", [-1, 200])
def test_signal_that_its_library_lost_on_a_full_disk_is_noticed(
    tmp_path, monkeypatch, signal_format, left_bytes
):
    writer = {"blow5": read_files._Blow5Writer, "pod5": read_files._Pod5Writer}[signal_format]
    close = writer.close

    def loses_the_end(self):  # neither library raises anything when the disk is full
        close(self)
        for path in (tmp_path / "x" / ".part").glob(f"*/reads.{signal_format}"):
            path.write_bytes(path.read_bytes()[:left_bytes])

    monkeypatch.setattr(writer, "close", loses_the_end)
    with pytest.raises(
        OutputError, match=rf"reads.{signal_format}: was not written whole \(.*\); is the disk full"
    ):
        write_pair(
            tmp_path / "x",
            random_contigs(1, 100, SimulationConfig()),
            SimulationConfig(reads=2),
            signal_format=signal_format,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("signal_format", ["blow5", "pod5"])
def test_signal_without_its_reads_is_noticed(tmp_path, monkeypatch, signal_format):
    writer = {"blow5": read_files._Blow5Writer, "pod5": read_files._Pod5Writer}[signal_format]
    monkeypatch.setattr(writer, "write", lambda self, reads: None)
    with pytest.raises(OutputError, match=rf"reads.{signal_format}: was not written whole"):
        write_pair(
            tmp_path / "x",
            random_contigs(1, 100, SimulationConfig()),
            SimulationConfig(reads=2),
            signal_format=signal_format,
        )


def test_a_full_disk_keeps_the_simulation_that_was_to_be_replaced(pair, tmp_path, monkeypatch):
    folder = shutil.copytree(pair.folder, tmp_path / "x")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr("baleen.read_files._fastq", no_space)
    with pytest.raises(OutputError, match="the disk is full"):
        simulate(folder, "--force")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
