"""Bad input: the exit code, the file's name and the way out are in the message; nothing is written."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest

RNA002 = {"experiment_type": "rna", "sequencing_kit": "sqk-rna002", "sample_frequency": "3012"}
DNA = {"experiment_type": "genomic_dna", "sequencing_kit": "sqk-lsk114", "sample_frequency": "5000"}


def cut(path: Path, share: float = 0.6) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def unsorted(run) -> None:
    run.write_bam("native", order="unsorted", index=False)


def falsely_sorted(run) -> None:
    names = run.names["native"]
    run.write_bam("native", names=names)
    path = run.path("native", "bam")
    with pysam.AlignmentFile(path) as whole:
        records, header = list(whole), whole.header
    with pysam.AlignmentFile(path, "wb", header=header) as out:
        for record in records[::-1]:
            out.write(record)


def no_index(run) -> None:
    run.write_bam("native", index=False)


def text_bam(run) -> None:
    run.path("native", "bam").write_text("@HD\tVN:1.6\n")


def empty_bam(run) -> None:
    run.path("native", "bam").write_bytes(b"")


def absent_bam(run) -> None:
    run.path("native", "bam").unlink()


def other_contigs(run) -> None:
    run.write_bam("native", contigs={"chr1": "ACGT" * 15, "chr2": "ACGT" * 15})


def other_lengths(run) -> None:
    run.write_bam("native", contigs={name: seq + "A" for name, seq in run.contigs.items()})


def other_reads(run) -> None:
    run.write_signal("native", names=["some", "other", "reads"])


def exchanged_signal(run) -> None:
    run.write_signal("native", names=run.names["ivt"])


def absent_signal(run) -> None:
    run.path("native", "blow5").unlink()


def other_compression(run) -> None:
    path = run.path("native", "blow5")
    data = bytearray(path.read_bytes())
    data[14] = 9  # no method yet
    path.write_bytes(bytes(data))


def no_calibration(run) -> None:
    run.write_signal("native", digitisation=float("nan"))


def rna002_signal(run) -> None:
    for condition in ("native", "ivt"):
        run.write_signal(condition, header=RNA002, rate=3012.0)


def dna_signal(run) -> None:
    run.write_signal("native", header=DNA, rate=5000.0)


def other_chemistry(run) -> None:
    run.write_signal("ivt", header=RNA002, rate=3012.0)


def other_rate(run) -> None:
    run.write_signal("ivt", rate=5000.0)


def split_votes(run) -> None:
    header = {"experiment_type": "rna", "sequencing_kit": "sqk-rna002", "sample_frequency": "4000"}
    run.write_signal("native", header=header)


def no_chemistry(run) -> None:
    for condition in ("native", "ivt"):
        run.write_signal(condition, header={"asic_id": "1"}, rate=4321.0)


def empty_reference(run) -> None:
    run.reference.write_text("")


def protein_reference(run) -> None:
    run.reference.write_text(">tx1\nMKL*QE\n")


def twice_in_reference(run) -> None:
    run.reference.write_text(run.reference.read_text() * 2)


CASES: list[tuple[Callable, list[str], list[str]]] = [
    (unsorted, [], ["native.bam", "not sorted", "samtools sort -o"]),
    (falsely_sorted, [], ["native.bam", "not sorted", "samtools sort -o"]),
    (no_index, [], ["native.bam", "no index", "samtools index", "--index"]),
    (text_bam, [], ["native.bam", "not a BAM", "samtools"]),
    (empty_bam, [], ["native.bam", "empty", "samtools"]),
    (absent_bam, [], ["native.bam", "does not exist"]),
    (lambda run: cut(run.path("native", "bam")), [], ["native.bam", "cut short", "samtools quickcheck"]),
    (other_contigs, [], ["native.bam", "ref.fa", "chr1", "a genome", "a transcriptome", "minimap2"]),
    (other_lengths, [], ["native.bam", "ref.fa", "61 in the BAM, 60 in the FASTA", "minimap2"]),
    (
        other_reads,
        [],
        ["native.bam", "shares no read", "40 without signal", "some, other, reads", "samtools view"],
    ),
    (exchanged_signal, [], ["native.bam", "shares no read", "belongs to sample ivt"]),
    (absent_signal, [], ["native.blow5", "does not exist"]),
    (lambda run: cut(run.path("native", "blow5")), [], ["native.blow5", "cut short", "copy the file again"]),
    (other_compression, [], ["native.blow5", "method 9", "slow5tools view"]),
    (no_calibration, [], ["native.blow5", "calibration", "slow5tools"]),
    (rna002_signal, ["--pore", "rna004"], ["--pore rna004 contradicts", "kit sqk-rna002"]),
    (dna_signal, [], ["native", "is DNA", "sqk-lsk114"]),
    (other_chemistry, [], ["different chemistry", "native rna004", "ivt rna002"]),
    (other_rate, [], ["sampling rate", "native 4000 Hz", "ivt 5000 Hz"]),
    (split_votes, [], ["native", "disagree", "kit sqk-rna002", "sampling rate 4000", "--pore"]),
    (no_chemistry, [], ["native.blow5", "chemistry", "--pore"]),
    (empty_reference, [], ["ref.fa", "no contig"]),
    (protein_reference, [], ["ref.fa", "not FASTA: line 2"]),
    (twice_in_reference, [], ["ref.fa", "'tx1' twice"]),
]


@pytest.mark.parametrize("command", [("check",), ("run", "-o", "out")], ids=lambda words: words[0])
@pytest.mark.parametrize(("spoil", "options", "said"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_bad_input_exits_3_naming_the_file_and_the_way_out(
    tiny_run, capsys, monkeypatch, command, spoil, options, said
) -> None:
    monkeypatch.chdir(tiny_run.folder)
    spoil(tiny_run)
    before = sorted(path.name for path in tiny_run.folder.iterdir())
    code, error = main(tiny_run, capsys, *options, command=command)
    assert code == 3
    assert error.startswith("error: ")
    for words in said:
        assert words in error
    assert sorted(path.name for path in tiny_run.folder.iterdir()) == before


def main(run, capsys, *options: str, command: tuple[str, ...] = ("check",)) -> tuple[int, str]:
    """Run a subcommand in this process; return its exit code and what it said on stderr."""
    import sys

    from baleen import cli

    arguments, sys.argv = sys.argv, ["baleen", *command, *run.arguments(), *options]
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = arguments
    return int(ended.value.code or 0), capsys.readouterr().err


def test_pore_decides_where_the_files_disagree(tiny_run, capsys) -> None:
    split_votes(tiny_run)
    assert main(tiny_run, capsys, "--pore", "rna004") == (0, "")


def test_index_makes_the_missing_index(tiny_run, capsys) -> None:
    no_index(tiny_run)
    assert main(tiny_run, capsys, "--index") == (0, "")
    assert tiny_run.path("native", "bam.bai").exists()


def test_no_contig_passing_is_a_warning_with_the_reasons(tiny_run, capsys) -> None:
    code, error = main(tiny_run, capsys, "--min-depth", "100")
    assert code == 0
    assert "no contig passes the filters: of 2 with usable reads, 2 have native and control reads" in error
    assert (
        "below --min-depth 100; the deepest is tx1 (native 20, control 20): --min-depth 20 keeps it" in error
    )


@pytest.mark.parametrize("spoil", ["cut", "garbage", "no_quality", "cut_gzip"])
def test_bad_fastq_is_named(tiny_run, capsys, spoil) -> None:
    path = tiny_run.path("native", "fastq")
    data = path.read_bytes()
    if spoil == "cut_gzip":
        path = path.with_suffix(".fastq.gz")
        path.write_bytes(gzip.compress(data)[:-20])
    else:
        path.write_bytes(
            {"cut": data[:-9], "garbage": b"\0" + data, "no_quality": data + b"@x\nA\n+\n"}[spoil]
        )
    code, error = main(tiny_run, capsys, "--native-fastq", str(path))
    assert code == 3
    assert path.name in error
    assert "hint: " in error


def test_a_pod5_that_is_cut_short_is_named(tiny_run, capsys, shared_data) -> None:
    path = tiny_run.folder / "reads.pod5"
    path.write_bytes((shared_data / "real" / "formats" / "test.pod5").read_bytes()[:-100])
    code, error = main(tiny_run, capsys, "--native-pod5", str(path))
    assert code == 3
    assert "reads.pod5" in error
    assert "pod5 recover" in error


def test_a_condition_without_files_is_a_usage_error(tiny_run, capsys) -> None:
    tiny_run.arguments = lambda: ["--ref", "x", "--native-bam", "y"]
    code, error = main(tiny_run, capsys)
    assert code == 2
    assert "no control sample" in error


def test_a_folder_without_signal_is_named(tiny_run, capsys) -> None:
    empty = tiny_run.folder / "nothing"
    empty.mkdir()
    code, error = main(tiny_run, capsys, "--native-pod5", str(empty))
    assert (code, "nothing: holds no .pod5 or .blow5" in error) == (3, True)


HOSTILE = ["../../etc/x", "/etc/passwd", "a|b;c d'\"", "ünï-кодъ", "x" * 250, "-rf", "."]


def test_hostile_contig_names_reach_no_path(tiny_run, tmp_path) -> None:
    from baleen.config import Config
    from baleen.inputs import open_run, read_contig

    for name in HOSTILE:
        name = name.split()[0]
        tiny_run.contigs = {name: tiny_run.contigs.popitem()[1], "tx2": "ACGT" * 15}
        tiny_run.write_reference()
        for condition in ("native", "ivt"):
            tiny_run.write_bam(condition)
        run = open_run(tiny_run.samples(), tiny_run.reference, Config())
        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        source = run.write(folder)
        assert [len(batch) for _, batch in read_contig(run.tasks[0], source, Config())] == [20, 20]
        assert sorted(path.name for path in folder.iterdir()) == [".reads.npy", ".sequences.npy"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_names_that_are_hostile_go_through_a_whole_run(tiny_run, tmp_path, capsys, monkeypatch) -> None:
    names = [name.split()[0] for name in HOSTILE] + ["x" * 250 + "y"]
    sequences = list(tiny_run.contigs.values()) * len(names)
    tiny_run.contigs = dict(zip(names, sequences, strict=False))
    tiny_run.write_reference()
    reads = [f"../../{i}/" + "r" * 200 + chr(0x20 + i % 90) for i in range(20 * len(names))]
    reads = [name.replace(" ", "/").replace("@", "/") for name in reads]
    for condition in ("native", "ivt"):
        tiny_run.write_bam(condition, names=[f"{condition}{name}" for name in reads])
    monkeypatch.chdir(tmp_path)
    options = ["--no-signal", "--layout", "0x1", "--keep-intermediate"]
    code, said = main(tiny_run, capsys, *options, command=("run", "-o", "out"))
    assert code == 0, said
    lines = (tmp_path / "out" / "site_results.tsv").read_text().splitlines()
    assert {line.split("\t")[0] for line in lines if line[:2] != "##"} == {"contig", *names}
    with pysam.AlignmentFile(tmp_path / "out" / "read_results.bam") as bam:
        found = [record.query_name for record in bam]
    assert sorted(found) == sorted(condition + name for condition in ("native", "ivt") for name in reads)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    inside = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*")]
    assert all(len(path.parts) <= 2 and len(path.name) < 40 for path in inside)


def test_only_the_first_five_differences_of_contigs_are_shown(tiny_run, capsys) -> None:
    other = {f"chr{i}": "ACGT" * 15 for i in range(1, 8)}
    tiny_run.write_bam("native", contigs=other, names=[f"read{i}" for i in range(140)])
    code, error = main(tiny_run, capsys)
    assert (code, "7 of 7 contigs with reads differ" in error) == (3, True)
    assert [f"chr{i} (not in the FASTA)" in error for i in range(1, 8)] == [True] * 5 + [False] * 2


def write_model(path: Path, name: str) -> Path:
    """Write a shipped model as f5c has it."""
    from itertools import product

    from krill import PoreModel

    model = PoreModel.shipped(name)
    kmers = ("".join(bases) for bases in product("ACGT", repeat=model.kmer_size))
    rows = zip(kmers, model.level_mean, model.level_stdv, strict=True)
    lines = (f"{kmer}\t{mean:.4f}\t{stdv:.4f}" for kmer, mean, stdv in rows)
    path.write_text("kmer\tlevel_mean\tlevel_stdv\n" + "\n".join(lines) + "\n")
    return path


def test_a_pore_model_of_another_chemistry_is_refused(tiny_run, capsys) -> None:
    path = write_model(tiny_run.folder / "five.model", "rna002")
    code, error = main(tiny_run, capsys, "--kmer-model", str(path))
    assert code == 3
    assert "five.model: holds the levels of rna002, but the reads are rna004" in error
    assert "leave --kmer-model out" in error
    rna002_signal(tiny_run)
    assert main(tiny_run, capsys, "--kmer-model", str(path)) == (0, "")


@pytest.mark.parametrize("content", [None, b"\x8b\xff\xfe", b"what is this\n"], ids=str)
def test_a_pore_model_that_cannot_be_read_is_named(tiny_run, capsys, content) -> None:
    path = tiny_run.folder / "my.model"
    if content is not None:
        path.write_bytes(content)
    code, error = main(tiny_run, capsys, "--kmer-model", str(path))
    assert (code, "my.model" in error, "hint: " in error) == (3, True, True)


def test_the_same_reads_in_both_conditions_are_pointed_out(tiny_run, capsys) -> None:
    for kind in ("bam", "blow5"):
        path = tiny_run.path("ivt", kind)
        path.write_bytes(tiny_run.path("native", kind).read_bytes())
    code, error = main(tiny_run, capsys)
    assert (code, "native and ivt hold the same reads" in error) == (0, True)
    assert any(name in error for name in tiny_run.names["native"])


def test_a_wrong_kit_name_alone_does_not_decide(tiny_run, capsys) -> None:
    header = {
        "experiment_type": "rna",
        "sequencing_kit": "sqk-rna002",  # as early RNA004 files say
        "flow_cell_product_code": "FLO-PRO004RA",
        "sample_frequency": "4000",
    }
    tiny_run.write_signal("native", header=header)
    assert main(tiny_run, capsys) == (0, "")


def test_reads_over_more_positions_than_memory_holds_fail_their_contig(
    tiny_run, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("baleen.calling.score.MOST_CELLS", 60 * 40 - 1)
    monkeypatch.chdir(tmp_path)
    options = ["--no-signal", "--layout", "0x1"]
    code, error = main(tiny_run, capsys, *options, command=("run", "-o", "out"))
    assert code == 6
    assert "tx1: UsageError: 40 reads over 60 positions are more than memory can hold" in error
    assert "align to transcripts" in error
