"""A FASTA with the names and lengths of the right one, and other bases, is noticed."""

from pathlib import Path

import numpy as np
import pysam
import pytest
from command_line import main

from baleen.config import Config
from baleen.errors import MismatchError
from baleen.inputs import open_run
from baleen.inputs.matching import matching_bases

MATCH, INSERTION, DELETION, SKIP, SOFT, HARD, EQUAL = 0, 1, 2, 3, 4, 5, 7


def bases(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


@pytest.mark.parametrize(
    ("read", "start", "cigar", "expected"),
    [
        ("ACGT", 0, [(MATCH, 4)], (4, 4)),
        ("ACCT", 0, [(MATCH, 4)], (3, 4)),
        ("TTACG", 0, [(HARD, 3), (SOFT, 2), (MATCH, 3)], (3, 3)),
        ("ACGGT", 0, [(MATCH, 2), (INSERTION, 1), (MATCH, 2)], (4, 4)),
        ("ACACGT", 0, [(MATCH, 2), (DELETION, 2), (EQUAL, 4)], (6, 6)),
        ("ACCG", 0, [(MATCH, 2), (SKIP, 3), (MATCH, 2)], (4, 4)),
        ("GTAC", 2, [(MATCH, 4)], (4, 4)),
        ("==N=", 0, [(MATCH, 4)], (3, 3)),
        ("ACGT", 8, [(MATCH, 4)], (2, 2)),
        ("", 0, [(MATCH, 4)], (0, 0)),
    ],
)
def test_matching_bases_are_counted_along_the_alignment(read, start, cigar, expected) -> None:
    reference = bases("ACGTACGTACNN")
    if not read:
        cigar = []
    assert matching_bases(bases(read), start, cigar, reference) == expected


def other_bases(run, *names: str) -> Path:
    """Write a FASTA in which these contigs have other bases of the same number."""
    rng = np.random.default_rng(9)
    path = run.folder / "other.fa"
    contigs = {
        name: "".join(rng.choice(list("ACGT"), len(sequence))) if name in names else sequence
        for name, sequence in run.contigs.items()
    }
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in contigs.items()))
    return path


@pytest.mark.parametrize("command", ["run", "check", "eventalign"])
def test_a_reference_of_other_bases_is_refused(tiny_run, tmp_path, capsys, command) -> None:
    other, bam = other_bases(tiny_run, "tx1", "tx2"), tiny_run.path("native", "bam")
    words = [other if word == str(tiny_run.reference) else word for word in tiny_run.arguments()]
    if command == "eventalign":
        words = ["--bam", bam, "--signal", tiny_run.path("native", "blow5"), "--ref", other]
    output = [] if command == "check" else ["-o", tmp_path / "out"]
    code, said = main(capsys, command, *words, *output)
    assert code == 3, said
    for told in (
        f"{bam}: does not fit {other}",
        "2 of 2 contigs",
        "tx1 (",
        "% of the bases match)",
        "hint: ",
    ):
        assert told in said
    assert not (tmp_path / "out").exists()


def test_one_contig_of_other_bases_is_a_warning(tiny_run, capsys) -> None:
    other = other_bases(tiny_run, "tx2")
    words = [other if word == str(tiny_run.reference) else word for word in tiny_run.arguments()]
    code, said = main(capsys, "check", *words)
    assert code == 0, said
    for condition in ("native", "ivt"):
        assert f"warning: {tiny_run.path(condition, 'bam')}: does not fit {other}" in said
    assert "1 of 2 contigs looked at have other bases: tx2 (" in said


def test_contigs_may_stand_in_another_order(tiny_run) -> None:
    tiny_run.reference.write_text("".join(f">{n}\n{s}\n" for n, s in reversed(tiny_run.contigs.items())))
    assert open_run(tiny_run.samples(), tiny_run.reference, Config()).warnings == ()
    with pytest.raises(MismatchError, match=r"2 of 2 contigs looked at"):
        open_run(tiny_run.samples(), other_bases(tiny_run, "tx1", "tx2"), Config())


def test_reads_with_many_errors_are_no_mismatch(tiny_run) -> None:
    """A quarter of the bases wrong: more than any basecaller of RNA has."""
    rng = np.random.default_rng(3)
    path = tiny_run.path("native", "bam")
    with pysam.AlignmentFile(path) as whole:
        records, header = list(whole), whole.header
    with pysam.AlignmentFile(path, "wb", header=header) as out:
        for record in records:
            sequence = np.array(list(str(record.query_sequence)))
            wrong = rng.random(len(sequence)) < 0.25
            sequence[wrong] = [{"A": "C", "C": "G", "G": "T", "T": "A"}[base] for base in sequence[wrong]]
            record.query_sequence = "".join(sequence)
            out.write(record)
    pysam.index(str(path))
    assert open_run(tiny_run.samples(), tiny_run.reference, Config()).warnings == ()
