"""The commands `align` and `fastq`: what they write, print and refuse."""

import contextlib
import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from click.testing import CliRunner

from baleen.commands.align import command as align
from baleen.commands.fastq import command as fastq
from baleen.errors import BaleenError, InputError, OutputError, UsageError
from baleen.scaling.made_inputs import make_short_reads
from krill.errors import FormatError
from krill.map import split


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Reads of 200 bases and the reference they were cut from."""
    rng = random.Random(1)
    genome = "".join(rng.choices("ACGT", k=3000))
    reads, reference = tmp_path / "reads.fq", tmp_path / "ref.fa"
    reference.write_text(f">chr\n{genome}\n")
    starts = [rng.randrange(2800) for _ in range(30)]
    reads.write_text("".join(f"@r{s}\n{genome[s : s + 200]}\n+\n{'I' * 200}\n" for s in starts))
    return reads, reference


def run(command: object, *words: object) -> str:
    """Run a command in this process; its own errors come through."""
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=True)  # type: ignore[arg-type]
    if isinstance(result.exception, (BaleenError, FormatError)):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_align_writes_an_indexed_bam_and_counts(files: tuple[Path, Path], tmp_path: Path) -> None:
    bam = tmp_path / "out.bam"
    output = run(align, *files, "-o", bam, "--preset", "map-ont", "--threads", 2, "--output", "ordered")
    assert "30 of 30 reads aligned (100.0 %)" in output
    with pysam.AlignmentFile(str(bam)) as file:
        assert file.count("chr") == 30


@pytest.mark.parametrize("cut", [lambda packed: packed[: len(packed) // 2], lambda packed: packed[:-8]])
def test_a_compressed_reference_that_is_cut_short_is_refused(
    cut: Callable[[bytes], bytes], files: tuple[Path, Path], tmp_path: Path
) -> None:
    # minimap2's own reader ends in silence there: contigs would be missing
    more = "".join(f">x{i}\n{'ACGT' * 50}\n" for i in range(99))
    text = files[1].read_text() + more
    reference = tmp_path / "ref.fa.gz"
    reference.write_bytes(gzip.compress(text.encode()))
    run(align, files[0], reference, "-o", tmp_path / "whole.bam", "--preset", "map-ont")
    reference.write_bytes(cut(gzip.compress(text.encode())))
    with pytest.raises(FormatError, match=r"ref\.fa\.gz: compressed data end early: the file is truncated"):
        run(align, files[0], reference, "-o", tmp_path / "out.bam", "--preset", "map-ont")
    assert not list(tmp_path.glob("out.bam*"))


def test_a_reference_that_is_no_fasta_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    reads, reference = files
    bam = tmp_path / "out.bam"
    with pytest.raises(FormatError, match=r"reads\.fq: is FASTQ, but the reference must be FASTA"):
        run(align, reads, reads, "-o", bam)
    with pytest.raises(FormatError, match="is a folder, not a FASTA file"):
        run(align, reads, tmp_path, "-o", bam)
    other = tmp_path / "other.fa"
    other.write_text("hello\n" + reference.read_text())
    with pytest.raises(FormatError, match=r"other\.fa: is not FASTA: it does not begin with '>'"):
        run(align, reads, other, "-o", bam)
    other.write_text("\n\n" + reference.read_text())
    run(align, reads, other, "-o", bam, "--preset", "map-ont")


def test_mates_are_not_the_same_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    reads, reference = files
    with pytest.raises(FormatError, match=r"reads\.fq: is given twice; the mates are in a file of their own"):
        run(align, reads, reads, reference, "-o", tmp_path / "out.bam", "--preset", "sr")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--engine-args", "-x"], "--engine-args is for bowtie, bowtie2, hisat2; --engine minimap2 has no"),
        (["--split", "static"], "--split is for"),
        (["--engine", "bowtie2", "--secondary"], "--secondary is for minimap2; --engine bowtie2 has no use"),
        (["--engine", "bowtie2", "--unspliced"], "--unspliced is for hisat2"),
    ],
)
def test_an_option_that_the_engine_does_not_heed_is_refused(
    words: list[str], problem: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=problem):
        run(align, *files, "-o", tmp_path / "out.bam", *words)


@pytest.mark.parametrize("memory", ["-1", "-2G", "inf", "nan", "much", "9e30"])
def test_memory_that_is_no_number_of_bytes_is_refused(
    memory: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    words = [*map(str, files), "-o", str(tmp_path / "out.bam"), "--memory", memory]
    result = CliRunner().invoke(align, words)
    assert (result.exit_code, "is not a number of bytes" in result.output) == (2, True)


def test_padding_on_a_full_disk_leaves_nothing_and_says_so(
    files: tuple[Path, Path], small_disk: Path
) -> None:
    reads = files[0]
    reads.write_text(reads.read_text() * 40)
    with pytest.raises(OutputError, match=r"padded\.fq: the disk is full\nhint: free some space"):
        run(fastq, "pad", reads, "-o", small_disk / "padded.fq")
    assert list(small_disk.iterdir()) == []


def test_files_that_are_read_twice_cannot_be_pipes(files: tuple[Path, Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FormatError, match="pipe: is read twice here, so it must be a file"):
        run(fastq, "pad", pipe, "-o", tmp_path / "padded.fq")
    with pytest.raises(FormatError, match="-: is read twice here, so it must be a file"):
        split([Path("-")], [[tmp_path / "one.fq"], [tmp_path / "two.fq"]])


def test_align_replaces_nothing_unasked(files: tuple[Path, Path], tmp_path: Path) -> None:
    bam = tmp_path / "out.bam"
    bam.write_text("mine")
    with pytest.raises(OutputError, match=r"out\.bam: exists\nhint: --force"):
        run(align, *files, "-o", bam)
    assert bam.read_text() == "mine"
    run(align, *files, "-o", bam, "--force")


def test_align_names_what_it_cannot_do(files: tuple[Path, Path], tmp_path: Path) -> None:
    reads, reference = files
    bam = tmp_path / "out.bam"
    with pytest.raises(UsageError, match="1 files given, 2 or 3 expected"):
        run(align, reads, "-o", bam)
    with pytest.raises(InputError, match=r"none\.fq: No such file"):
        run(align, tmp_path / "none.fq", reference, "-o", bam)
    with pytest.raises(OutputError, match=r"folder/out\.bam\.part: No such file"):
        run(align, reads, reference, "-o", tmp_path / "folder" / "out.bam")
    with pytest.raises(UsageError, match='--lock: "spin" is not one of'):
        run(align, reads, reference, "-o", bam, "--lock", "spin")
    with pytest.raises(UsageError, match="--parsing: L needs padded files"):
        run(align, reads, reference, "-o", bam, "--parsing", "L")
    with pytest.raises(UsageError, match="--procs: minimap2 runs in this process"):
        run(align, reads, reference, "-o", bam, "--procs", 2)


def test_a_missing_engine_names_its_package(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="--engine: hisat2 is not installed\nhint: apt-get install hisat2"):
        run(align, *files, "-o", tmp_path / "out.bam", "--engine", "hisat2")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_alignment_that_is_told_to_end_leaves_nothing(
    files: tuple[Path, Path], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    reads, reference = files
    out, pipe = tmp_path / "out", tmp_path / "pipe"
    out.mkdir()
    os.mkfifo(pipe)
    words = ["align", pipe, reference, "-o", out / "out.bam", "--threads", 2, "--memory", "1M"]
    command = [sys.executable, "-m", "baleen", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), pipe.open("wb") as file:
            while True:  # reads without end
                file.write(reads.read_bytes())

    threading.Thread(target=feed, daemon=True).start()
    deadline = time.monotonic() + 60
    while not list(out.glob("out.bam.run*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    assert list(out.glob("out.bam.run*"))
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    assert not list(out.iterdir())


@pytest.mark.skipif(shutil.which("bowtie2") is None, reason="bowtie2 is not installed")
@pytest.mark.parametrize("split", ["dynamic", "static"])
def test_sigterm_ends_other_engines_too(tmp_path: Path, split: str) -> None:
    reads, genome = make_short_reads(tmp_path, 200_000, 10_000)
    out = tmp_path / "out"
    out.mkdir()
    words = ["align", reads, genome, "-o", out / "out.bam", "--engine", "bowtie2", "--split", split]
    command = [sys.executable, "-m", "baleen", *map(str, words), "--procs", "1", "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(out.glob("baleen-align-*/0.log")) and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert not list(out.iterdir())


def test_padded_reads_align_like_the_others(files: tuple[Path, Path], tmp_path: Path) -> None:
    reads, reference = files
    padded, bams = tmp_path / "padded.fq", [tmp_path / "a.bam", tmp_path / "b.bam"]
    assert "30 reads, 4 in each block of 2000 bytes" in run(
        fastq, "pad", reads, "-o", padded, "--block-bytes", 2000
    )
    assert "30 reads, 4 in each block, as it should be" in run(fastq, "check", padded)
    run(align, reads, reference, "-o", bams[0])
    run(align, padded, reference, "-o", bams[1], "--parsing", "L", "--lock", "mcs-park")
    assert pysam.view(str(bams[0])) == pysam.view(str(bams[1]))
    unpadded = tmp_path / "unpadded.fq"
    run(fastq, "unpad", padded, "-o", unpadded)
    assert unpadded.read_bytes() == reads.read_bytes()


def test_fastq_names_what_it_cannot_do(files: tuple[Path, Path], tmp_path: Path) -> None:
    reads, _ = files
    with pytest.raises(UsageError, match="--block-bytes: a block of 100 bytes is too short for a record of"):
        run(fastq, "pad", reads, "-o", tmp_path / "padded.fq", "--block-bytes", 100)
    with pytest.raises(UsageError, match="1 input and 2 output files"):
        run(fastq, "pad", reads, "-o", tmp_path / "a", "-o", tmp_path / "b")
    with pytest.raises(InputError, match=r"none\.fq: No such file"):
        run(fastq, "check", tmp_path / "none.fq")
