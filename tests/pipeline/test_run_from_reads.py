"""A run from reads is the run from their alignments, made by the same code and kept."""

import shutil
import subprocess
import sys
from pathlib import Path

import pysam
import pytest

OPTIONS = ["--permutations", "1", "--min-depth", "5"]


def baleen(*words: str | Path | int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "baleen", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def succeed(*words: str | Path | int) -> str:
    done = baleen(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def unalign(aligned: Path, target: Path) -> None:
    """Write the reads as a basecaller does: no reference, all tags of the read kept."""
    header = {"HD": {"VN": "1.6", "SO": "unknown"}, "PG": [{"ID": "basecaller"}]}
    with pysam.AlignmentFile(str(aligned)) as source:
        records = list(source)
    with pysam.AlignmentFile(str(target), "wb", header=header) as out:
        for record in records:
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.flag = record.query_name, 4
            read.query_sequence, read.query_qualities = record.query_sequence, record.query_qualities
            for name in ("mv", "ts", "ns"):
                read.set_tag(name, record.get_tag(name))
            out.write(read)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signal and reads of both conditions: the control's as unaligned BAM with move tables."""
    folder = tmp_path_factory.mktemp("pair") / "p"
    options = ["--contigs", 2, "--contig-length", 300, "--reads", 10, "--seed", 3]
    succeed("simulate", "-o", folder, *options)
    unalign(folder / "ivt/reads.bam", folder / "ivt/unaligned.bam")
    return folder


def files(pair: Path, native: tuple[str, Path], control: tuple[str, Path]) -> list[str | Path]:
    found: list[str | Path] = ["--ref", pair / "ref.fa", *OPTIONS]
    found += [f"--native-{native[0]}", native[1], "--native-blow5", pair / "native/reads.blow5"]
    return [*found, f"--ivt-{control[0]}", control[1], "--ivt-blow5", pair / "ivt/reads.blow5"]


def from_reads(pair: Path) -> list[str | Path]:
    reads = pair / "native/reads.fastq.gz", pair / "ivt/unaligned.bam"
    return files(pair, ("reads", reads[0]), ("reads", reads[1]))


@pytest.fixture(scope="module")
def done(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done") / "out"
    succeed("run", *from_reads(pair), "-o", folder, "--threads", 1)
    return folder


def rows(folder: Path) -> list[str]:
    lines = (folder / "site_results.tsv").read_text().splitlines()
    return [line for line in lines if not line.startswith("##")]


def calls(folder: Path) -> list[str]:
    with pysam.AlignmentFile(str(folder / "read_results.bam")) as bam:
        return [record.to_string() for record in bam]


def test_the_calls_are_those_of_aligning_first(pair: Path, done: Path, tmp_path: Path) -> None:
    bams = tmp_path / "native.bam", tmp_path / "ivt.bam"
    for reads, bam in zip(("native/reads.fastq.gz", "ivt/unaligned.bam"), bams, strict=True):
        succeed("align", pair / reads, pair / "ref.fa", "-o", bam, "--preset", "rna-transcripts")
    aligned = files(pair, ("bam", bams[0]), ("bam", bams[1]))
    succeed("run", *aligned, "-o", tmp_path / "out", "--threads", 1)
    assert len(rows(done)) > 100
    assert rows(tmp_path / "out") == rows(done)
    assert calls(tmp_path / "out") == calls(done)


def test_threads_do_not_change_a_byte(pair: Path, done: Path, tmp_path: Path) -> None:
    succeed("run", *from_reads(pair), "-o", tmp_path / "out", "--threads", 2)
    names = sorted(path.name for path in (done / "aligned").iterdir())
    assert names == sorted(
        f"{stem}{end}" for stem in ("native-1.1", "control-2.1") for end in (".bam", ".bam.bai", ".bam.json")
    )
    for name in names:
        assert (tmp_path / "out/aligned" / name).read_bytes() == (done / "aligned" / name).read_bytes(), name
    assert (tmp_path / "out/site_results.tsv").read_bytes() == (done / "site_results.tsv").read_bytes()
    assert calls(tmp_path / "out") == calls(done)


def test_tags_of_unaligned_reads_reach_the_calls(done: Path) -> None:
    with pysam.AlignmentFile(str(done / "read_results.bam")) as bam:
        control = [record for record in bam if record.get_tag("RG") == "ivt"]
    assert control
    assert all(record.has_tag("mv") and record.has_tag("ts") and record.has_tag("ns") for record in control)


def test_a_whole_alignment_is_not_made_again(pair: Path, done: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(done, tmp_path / "out")
    native, control = folder / "aligned/native-1.1.bam", folder / "aligned/control-2.1.bam"
    whole = control.read_bytes()
    control.write_bytes(whole[:-100])
    (folder / "aligned/control-2.1.bam.run0.0").write_bytes(b"left over")
    said = succeed("run", *from_reads(pair), "-o", folder, "--threads", 1, "--resume")
    assert f"native: aligned before, in {native}" in said
    assert "ivt: aligning" in said
    assert control.read_bytes() == whole
    assert not (folder / "aligned/control-2.1.bam.run0.0").exists()
    assert rows(folder) == rows(done)


def test_other_reads_do_not_resume(pair: Path, done: Path, tmp_path: Path) -> None:
    other = shutil.copy(pair / "native/reads.bam", tmp_path / "other.bam")
    changed = files(pair, ("reads", Path(other)), ("reads", pair / "ivt/unaligned.bam"))
    before = (done / "aligned/native-1.1.bam").read_bytes()
    refused = baleen("run", *changed, "-o", done, "--resume")
    assert refused.returncode == 4
    assert "native-1.1.bam: was made from something else than" in refused.stderr
    assert "reads differ" in refused.stderr
    assert (done / "aligned/native-1.1.bam").read_bytes() == before


def test_check_and_dry_run_align_in_passing(pair: Path, tmp_path: Path) -> None:
    said = succeed("check", *from_reads(pair))
    assert "native: 20 reads in the BAM" in said
    assert "2 to call" in said
    said = succeed("run", *from_reads(pair), "-o", tmp_path / "out", "--dry-run")
    assert "contigs: 2 to call" in said
    assert not (tmp_path / "out").exists()


def test_a_sheet_names_reads_too(pair: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "samples.tsv"
    lines = ["sample\tcondition\treads\tsignal"]
    lines += [f"wt\tnative\t{pair}/native/reads.fastq.gz\t{pair}/native/reads.blow5"]
    lines += [f"plain\tcontrol\t{pair}/ivt/unaligned.bam\t{pair}/ivt/reads.blow5"]
    sheet.write_text("\n".join(lines) + "\n")
    said = succeed("check", "--samples", sheet, "--ref", pair / "ref.fa", *OPTIONS)
    assert "wt: 20 reads in the BAM" in said


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--native-bam", "native/reads.bam"], 2, "sample native has both reads and a BAM"),
        (["--shard", "1/2"], 2, "--shard: every share would align all reads again"),
        (["--native-reads", "none.fq"], 3, "none.fq: does not exist"),
        (["--native-reads", "cut.fq"], 3, "cut.fq: record at byte 0"),
    ],
)
def test_what_cannot_be_is_named(pair: Path, tmp_path: Path, more: list[str], code: int, says: str) -> None:
    (pair / "cut.fq").write_text("@a\nACGT\n+\nII")
    given = [str(pair / word) if "." in word else word for word in more]
    refused = baleen("run", *from_reads(pair), *given, "-o", tmp_path / "out")
    assert (refused.returncode, says in refused.stderr) == (code, True), refused.stderr
    assert not (tmp_path / "out/site_results.tsv").exists()
    assert not list(tmp_path.glob("out/aligned/*.part"))
