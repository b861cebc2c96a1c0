"""Files of bgzip that end between two blocks: each command says that the end may be missing."""

import gzip
from pathlib import Path

import pysam
import pytest
from command_line import main

from krill.reads.bgzf import LAST_BLOCK, lacks_end

MISSING = "may be cut short: the empty block that ends a bgzip file is missing"


def packed(path: Path) -> Path:
    """Return the file compressed by bgzip, without its last block."""
    target = path.with_name(f"{path.name}.gz")
    pysam.tabix_compress(str(path), str(target), force=True)
    whole = target.read_bytes()
    assert whole.endswith(LAST_BLOCK)
    target.write_bytes(whole[: -len(LAST_BLOCK)])
    return target


def test_only_bgzip_without_its_last_block_lacks_it(tmp_path) -> None:
    text = tmp_path / "reads.fq"
    text.write_text("@a\nACGT\n+\nIIII\n")
    cut = packed(text)
    content = cut.read_bytes()
    assert lacks_end(cut)
    for name, whole in {
        "whole": content + LAST_BLOCK,
        "padded": content + LAST_BLOCK + bytes(100),
        "nothing": LAST_BLOCK,
        "gzip": gzip.compress(text.read_bytes()),
        "plain": text.read_bytes(),
        "empty": b"",
    }.items():
        path = tmp_path / name
        path.write_bytes(whole)
        assert not lacks_end(path), name
    assert not lacks_end(tmp_path)


def test_run_and_check_warn_of_fastq_and_reference(tiny_run, capsys, tmp_path) -> None:
    reference, fastq = packed(tiny_run.reference), packed(tiny_run.path("native", "fastq"))
    words = [reference if word == str(tiny_run.reference) else word for word in tiny_run.arguments()]
    for command in (("check",), ("run", "--dry-run", "-o", tmp_path / "out")):
        code, said = main(capsys, *command, *words, "--native-fastq", fastq)
        assert code == 0, said
        for path in (reference, fastq):
            assert f"warning: {path}: {MISSING}" in said
    code, said = main(capsys, "check", *tiny_run.arguments())
    assert (code, MISSING in said) == (0, False)


def test_align_and_fastq_warn_of_their_inputs(tiny_run, capsys, tmp_path) -> None:
    reads, reference = packed(tiny_run.path("native", "fastq")), packed(tiny_run.reference)
    code, said = main(capsys, "align", reads, reference, "-o", tmp_path / "out.bam")
    assert code == 0, said
    for path in (reads, reference):
        assert f"warning: {path}: {MISSING}" in said
    code, said = main(capsys, "fastq", "pad", reads, "-o", tmp_path / "padded.fq")
    assert (code, f"warning: {reads}: {MISSING}" in said) == (0, True), said


def test_simulate_warns_of_its_reference(capsys, tmp_path) -> None:
    reference = tmp_path / "ref.fa"
    reference.write_text(">tx\n" + "ACGT" * 40 + "\n")
    words = ["--ref", packed(reference), "--reads", 1, "--sites", 1]
    code, said = main(capsys, "simulate", "-o", tmp_path / "pair", *words)
    assert (code, MISSING in said) == (0, True), said


@pytest.mark.parametrize("command", ["check", "align"])
def test_a_bam_without_its_last_block_is_refused(tiny_run, capsys, tmp_path, command) -> None:
    bam = tiny_run.path("native", "bam")
    bam.write_bytes(bam.read_bytes()[: -len(LAST_BLOCK)])
    output = ["-o", tmp_path / "out.bam"]
    words = tiny_run.arguments() if command == "check" else [bam, tiny_run.reference, *output]
    code, said = main(capsys, command, *words)
    assert code == 3, said
    assert "native.bam" in said
    assert "is cut short: the end-of-file mark" in said or "the block that marks the end" in said
    assert not (tmp_path / "out.bam").exists()
