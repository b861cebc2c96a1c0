"""External engines as fed processes: the reads of one process, whatever their number."""

import gzip
import random
import shutil
import subprocess
from pathlib import Path

import pysam
import pytest

from baleen.engines import AlignRequest, ProcessPlan, align_reads, pump_settings
from baleen.errors import InputError
from krill.errors import FormatError

COMPLEMENT = str.maketrans("ACGT", "TGCA")
ENGINES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            shutil.which(name) is None, reason=f"{name} is not installed (apt-get install {name})"
        ),
    )
    for name in ("bowtie", "bowtie2", "hisat2")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference and pairs with sequencing errors cut from it."""
    rng, folder = random.Random(2), tmp_path_factory.mktemp("engines")
    genome = "".join(rng.choices("ACGT", k=5000))
    (folder / "ref.fa").write_text(f">chr\n{genome}\n")
    texts = ["", ""]
    for i in range(400):
        start = rng.randrange(4700)
        fragment = genome[start : start + 250]
        for mate, bases in enumerate([fragment[:80], fragment[-80:][::-1].translate(COMPLEMENT)]):
            called = "".join(rng.choice("ACGT") if rng.random() < 0.02 else base for base in bases)
            texts[mate] += f"@p{i}/{mate + 1}\n{called}\n+\n{''.join(rng.choices('#5AI', k=80))}\n"
    for mate in (0, 1):
        (folder / f"{mate + 1}.fq").write_text(texts[mate])
    return folder


@pytest.fixture(scope="module")
def indices(folder: Path) -> dict[str, Path]:
    """An index per installed engine."""
    found = {}
    for engine in ("bowtie", "bowtie2", "hisat2"):
        if shutil.which(f"{engine}-build"):
            found[engine] = folder / engine
            words = [f"{engine}-build", "-q", str(folder / "ref.fa"), str(found[engine])]
            subprocess.run(words, check=True, capture_output=True)
    return found


def aligned(
    folder: Path, out: Path, engine: str, n_files: int, plan: ProcessPlan, sink: str = "slices"
) -> list[str]:
    request = AlignRequest(
        reads=(folder / "1.fq", folder / "2.fq")[:n_files],
        reference=folder / "ref.fa",
        output=out,
        engine=engine,
        pump=pump_settings(1, plan.processes, output=sink),
        plan=plan,
    )
    report = align_reads(request)
    assert report.n_reads == 400 * n_files
    assert report.mapping.wall_s > 0
    with pysam.AlignmentFile(str(out)) as file:
        assert file.header.to_dict()["PG"][-1]["DS"].startswith(engine)
        found = [record.to_string() for record in file]
        assert file.count("chr") > 200
    return found


@pytest.mark.parametrize("sink", ["single", "striped:2", "ordered"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_sink_keeps_every_record_of_every_process(
    folder: Path, indices: dict[str, Path], tmp_path: Path, engine: str, sink: str
) -> None:
    index = indices[engine]
    expected = aligned(folder, tmp_path / "1.bam", engine, 2, ProcessPlan(index=index))
    found = aligned(folder, tmp_path / "3.bam", engine, 2, ProcessPlan(processes=3, index=index), sink)
    assert found == expected


@pytest.mark.parametrize("n_files", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_any_number_of_processes_gives_the_same_records(
    folder: Path, indices: dict[str, Path], tmp_path: Path, engine: str, n_files: int
) -> None:
    index = indices[engine]
    one = aligned(folder, tmp_path / "1.bam", engine, n_files, ProcessPlan(index=index))
    assert one == aligned(folder, tmp_path / "3.bam", engine, n_files, ProcessPlan(processes=3, index=index))
    static = ProcessPlan(processes=2, is_static=True, index=index)
    assert one == aligned(folder, tmp_path / "s.bam", engine, n_files, static)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        name + ending for name in ("1", "3", "s") for ending in (".bam", ".bam.bai")
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_records_equal_those_of_the_program_itself(
    folder: Path, indices: dict[str, Path], tmp_path: Path, engine: str
) -> None:
    words = [engine, *(["-S"] if engine == "bowtie" else []), "-x", str(indices[engine])]
    words += ["-1", str(folder / "1.fq"), "-2", str(folder / "2.fq")]
    sam = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    expected = sorted(line for line in sam.splitlines() if not line.startswith("@"))
    plan = ProcessPlan(processes=2)
    assert expected == sorted(aligned(folder, tmp_path / "out.bam", engine, 2, plan))


@pytest.mark.parametrize("is_static", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_compressed_reads_are_inflated_for_the_engine(
    folder: Path, indices: dict[str, Path], tmp_path: Path, engine: str, is_static: bool
) -> None:
    expected = aligned(folder, tmp_path / "plain.bam", engine, 1, ProcessPlan(index=indices[engine]))
    for name in ("gzip", "blocked"):
        copies = tmp_path / name
        copies.mkdir()
        shutil.copy(folder / "ref.fa", copies)
        if name == "gzip":
            (copies / "1.fq").write_bytes(gzip.compress((folder / "1.fq").read_bytes()))
        else:
            pysam.tabix_compress(str(folder / "1.fq"), str(copies / "1.fq"))
        plan = ProcessPlan(processes=2, index=indices[engine], is_static=is_static)
        assert expected == aligned(copies, tmp_path / f"{name}.bam", engine, 1, plan)


@pytest.mark.skipif(shutil.which("hisat2") is None, reason="hisat2 is not installed (apt-get install hisat2)")
def test_introns_are_looked_for_unless_told_otherwise(tmp_path: Path) -> None:
    rng = random.Random(5)
    exons = ["".join(rng.choices("ACGT", k=600)) for _ in range(2)]
    intron = "GT" + "".join(rng.choices("ACGT", k=500)) + "AG"
    (tmp_path / "ref.fa").write_text(f">chr\n{exons[0]}{intron}{exons[1]}\n")
    spliced = exons[0][-60:] + exons[1][:60]
    (tmp_path / "1.fq").write_text("".join(f"@r{i}\n{spliced}\n+\n{'I' * 120}\n" for i in range(9)))
    skips = {}
    for is_spliced in (True, False):
        bam = tmp_path / "out.bam"
        request = AlignRequest(
            reads=(tmp_path / "1.fq",), reference=tmp_path / "ref.fa", output=bam, engine="hisat2",
            pump=pump_settings(1, 2), plan=ProcessPlan(processes=2, is_spliced=is_spliced),
        )  # fmt: skip
        align_reads(request)
        with pysam.AlignmentFile(str(bam)) as file:
            skips[is_spliced] = sum("N" in (record.cigarstring or "") for record in file)
    assert skips == {True: 9, False: 0}


@pytest.mark.parametrize("engine", ENGINES)
def test_unaligned_bam_is_refused_with_the_command_that_helps(
    folder: Path, indices: dict[str, Path], tmp_path: Path, engine: str
) -> None:
    reads = tmp_path / "reads.bam"
    pysam.AlignmentFile(str(reads), "wb", header={"HD": {"VN": "1.6"}}).close()
    request = AlignRequest(
        reads=(reads,), reference=folder / "ref.fa", output=tmp_path / "out.bam", engine=engine,
        plan=ProcessPlan(index=indices[engine]),
    )  # fmt: skip
    with pytest.raises(FormatError, match=r"reads\.bam: is BAM.*samtools fastq"):
        align_reads(request)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failing_process_is_shown_with_its_last_words(
    folder: Path, indices: dict[str, Path], tmp_path: Path, engine: str
) -> None:
    plan = ProcessPlan(index=indices[engine], arguments=("--no-such-option",))
    with pytest.raises(FormatError, match=f"{engine}: failed"):
        aligned(folder, tmp_path / "out.bam", engine, 1, plan)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reference_that_cannot_be_indexed_is_named(tmp_path: Path, engine: str) -> None:
    (tmp_path / "ref.fa").write_text("")
    (tmp_path / "1.fq").write_text("@a\nACGT\n+\nIIII\n")
    request = AlignRequest(
        reads=(tmp_path / "1.fq",), reference=tmp_path / "ref.fa", output=tmp_path / "out.bam", engine=engine
    )
    with pytest.raises(InputError, match=r"ref\.fa: .*-build cannot index it"):
        align_reads(request)
