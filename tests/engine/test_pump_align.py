"""Alignment in process: right places, whole tags, and the same bytes however the work is shared out."""

import gzip
import hashlib
import random
from array import array
from pathlib import Path

import pysam
import pytest

from krill.errors import FormatError
from krill.map import AlignJob, AlignOptions, AlignReport, align_reads
from krill.pump import LockUse, PumpReport, PumpSettings, WorkerTime

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def random_bases(rng: random.Random, length: int) -> str:
    return "".join(rng.choices("ACGT", k=length))


@pytest.fixture(scope="module")
def genome() -> dict[str, str]:
    rng = random.Random(7)
    return {"chr1": random_bases(rng, 6000), "chr2": random_bases(rng, 3000)}


@pytest.fixture(scope="module")
def reference(genome: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "ref.fa"
    path.write_text("".join(f">{name} x\n{bases}\n" for name, bases in genome.items()))
    return path


def cut_reads(genome: dict[str, str], n: int, length: int) -> list[tuple[str, str, int, bool, str]]:
    """Reads without errors: name, contig, position, strand, bases as sequenced."""
    rng = random.Random(n)
    reads = []
    for i in range(n):
        contig = rng.choice(list(genome))
        position = rng.randrange(len(genome[contig]) - length)
        bases = genome[contig][position : position + length]
        is_reverse = rng.random() < 0.5
        sequenced = bases[::-1].translate(COMPLEMENT) if is_reverse else bases
        reads.append((f"read{i}", contig, position, is_reverse, sequenced))
    return reads


def fastq(reads: list[tuple[str, str, int, bool, str]]) -> str:
    return "".join(f"@{r[0]} note\n{r[4]}\n+\n{'I' * len(r[4])}\n" for r in reads)


def records(bam: Path) -> list[pysam.AlignedSegment]:
    with pysam.AlignmentFile(str(bam)) as file:
        return list(file)


def test_reads_are_found_where_they_were_cut(genome: dict[str, str], reference: Path, tmp_path: Path) -> None:
    reads = cut_reads(genome, 60, 400)
    source, bam = tmp_path / "reads.fq", tmp_path / "out.bam"
    source.write_text(fastq(reads).replace("T", "U"))
    report = align_reads(AlignJob([source], reference, bam, AlignOptions(preset="map-ont")))
    assert (report.n_reads, report.n_mapped) == (60, 60)
    expected = {(r[0], r[1], r[2], r[3], "400M") for r in reads}
    got = records(bam)
    assert expected == {
        (r.query_name, r.reference_name, r.reference_start, r.is_reverse, r.cigarstring) for r in got
    }
    places = [(r.reference_id, r.reference_start) for r in got]
    assert places == sorted(places)
    assert {r.get_forward_sequence() for r in got} == {r[4] for r in reads}


def test_the_file_is_the_same_however_the_work_is_shared_out(
    genome: dict[str, str], reference: Path, tmp_path: Path
) -> None:
    text = fastq(cut_reads(genome, 300, 250)) + "@odd\nACGT\n+\nIIII\n@empty\n\n+\n\n"
    plain, packed, bam = tmp_path / "reads.fq", tmp_path / "reads.fq.gz", tmp_path / "out.bam"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    blocked = tmp_path / "blocked.fq.gz"
    pysam.tabix_compress(str(plain), str(blocked))
    ways = [(plain, 1, "A", "os", "slices", 1 << 30), (packed, 2, "auto", "mcs", "single", 1 << 30)]
    ways += [(plain, 3, "D", "mcs-park", "ordered", 20_000), (blocked, 2, "auto", "cohort", "striped:2", 1)]
    ways += [(plain, 2, "K", "ticket", "slices", 50_000), (plain, 2, "B", "ttas", "slices", 1 << 30)]
    digests = set()
    for source, threads, parsing, lock, output, memory in ways:
        options = AlignOptions(preset="map-ont", memory_bytes=memory)
        pump = PumpSettings(threads=threads, parsing=parsing, lock=lock, output=output, batch_bytes=9000)
        align_reads(AlignJob([source], reference, bam, options), pump)
        index = Path(f"{bam}.bai").read_bytes()
        digests.add(hashlib.sha256(bam.read_bytes() + index).hexdigest())
    assert len(digests) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "blocked.fq.gz", "out.bam", "out.bam.bai", "reads.fq", "reads.fq.gz"
    ]  # fmt: skip


def test_the_index_finds_what_lies_in_a_region(
    genome: dict[str, str], reference: Path, tmp_path: Path
) -> None:
    source, bam = tmp_path / "reads.fq", tmp_path / "out.bam"
    source.write_text(fastq(cut_reads(genome, 400, 300)) + "@odd\nACGT\n+\nIIII\n")
    align_reads(AlignJob([source], reference, bam, AlignOptions(preset="map-ont")))
    everything = records(bam)
    with pysam.AlignmentFile(str(bam)) as file:
        for contig, start, end in [
            ("chr1", 0, 1),
            ("chr1", 2500, 2600),
            ("chr2", 2900, 3000),
            ("chr2", 0, 3000),
        ]:
            expected = [
                r.query_name
                for r in everything
                if r.reference_name == contig and r.reference_start < end and (r.reference_end or 0) > start
            ]
            assert expected == [r.query_name for r in file.fetch(contig, start, end)]
        assert (file.mapped, file.unmapped, file.nocoordinate) == (400, 1, 1)


def unaligned_bam(path: Path, reads: list[tuple[str, str, int, bool, str]], *, is_aligned: bool) -> None:
    header = {
        "HD": {"VN": "1.6"},
        "RG": [{"ID": "run1", "SM": "s"}],
        "PG": [{"ID": "basecaller", "PN": "dorado"}],
    }
    if is_aligned:
        header["SQ"] = [{"SN": "old", "LN": 99}]  # type: ignore[assignment]
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for i, (name, _, _, _, bases) in enumerate(reads):
            record = pysam.AlignedSegment(file.header)
            record.query_name, record.flag = name, 4
            record.query_sequence = bases
            record.query_qualities = pysam.qualitystring_to_array("5" * len(bases))
            if is_aligned and i % 2:
                record.flag, record.reference_id, record.reference_start = 16, 0, 3
                record.cigarstring = f"{len(bases)}M"
                record.query_sequence = bases[::-1].translate(COMPLEMENT)
                record.query_qualities = pysam.qualitystring_to_array("5" * len(bases))
                record.set_tag("NM", 99)
            record.set_tag("mv", array("b", [5, 1, 0, 1]))
            record.set_tag("ts", 12)
            record.set_tag("ns", 70_000)
            record.set_tag("pi", "parent")
            record.set_tag("MM", "A+a?,1,0;")
            record.set_tag("ML", array("B", [200, 100]))
            record.set_tag("RG", "run1")
            file.write(record)


@pytest.mark.parametrize("is_aligned", [False, True])
def test_tags_of_an_unaligned_bam_are_carried_over(
    genome: dict[str, str], reference: Path, tmp_path: Path, is_aligned: bool
) -> None:
    reads = cut_reads(genome, 40, 300)
    source, bam = tmp_path / "reads.bam", tmp_path / "out.bam"
    unaligned_bam(source, reads, is_aligned=is_aligned)
    align_reads(AlignJob([source], reference, bam, AlignOptions(preset="map-ont")), PumpSettings(threads=2))
    places = {r[0]: (r[1], r[2], r[3], r[4]) for r in reads}
    got = records(bam)
    assert len(got) == 40
    for record in got:
        place = (
            record.reference_name,
            record.reference_start,
            record.is_reverse,
            record.get_forward_sequence(),
        )
        assert place == places[record.query_name or ""]
        assert (record.get_tag("ts"), record.get_tag("ns"), record.get_tag("pi")) == (12, 70_000, "parent")
        assert (list(record.get_tag("mv")), record.get_tag("RG"), record.get_tag("NM")) == (
            [5, 1, 0, 1],
            "run1",
            0,
        )
        adenines = [i for i, base in enumerate(record.get_forward_sequence() or "") if base == "A"]
        calls = record.modified_bases_forward or {}
        assert sorted(place for sites in calls.values() for place, _ in sites) == adenines[1:3]
    with pysam.AlignmentFile(str(bam)) as file:
        header = file.header.to_dict()
    assert [line["ID"] for line in header["PG"]] == ["basecaller", "baleen-align"]
    assert (header["PG"][1]["PP"], header["RG"][0]["ID"], header["HD"]["SO"]) == (
        "basecaller",
        "run1",
        "coordinate",
    )


def test_pairs_face_each_other(genome: dict[str, str], reference: Path, tmp_path: Path) -> None:
    rng, mates = random.Random(3), [tmp_path / "1.fq", tmp_path / "2.fq"]
    places, texts = {}, ["", ""]
    for i in range(50):
        start = rng.randrange(5500)
        fragment = genome["chr1"][start : start + 300]
        places[f"p{i}"] = start
        ends = [fragment[:100], fragment[-100:][::-1].translate(COMPLEMENT)]
        for mate in (0, 1):
            texts[mate] += f"@p{i}/{mate + 1}\n{ends[mate]}\n+\n{'I' * 100}\n"
    for path, text in zip(mates, texts, strict=True):
        path.write_text(text)
    bam = tmp_path / "out.bam"
    align_reads(AlignJob(mates, reference, bam, AlignOptions(preset="sr")), PumpSettings(threads=2))
    got = records(bam)
    assert len(got) == 100
    for record in got:
        start = places[record.query_name or ""]
        forward = (99, start, start + 200, 300)
        reverse = (147, start + 200, start, -300)
        found = (record.flag, record.reference_start, record.next_reference_start, record.template_length)
        assert found == (forward if record.is_read1 else reverse)


def test_bad_input_is_named(genome: dict[str, str], reference: Path, tmp_path: Path) -> None:
    reads, bam = tmp_path / "reads.fq", tmp_path / "out.bam"
    reads.write_text(fastq(cut_reads(genome, 2, 100)))
    twice = tmp_path / "twice.fa"
    twice.write_text(">a\nACGTACGTACGTACGTACGTACGT\n>a\nACGTACGTACGTACGTACGTACGT\n")
    with pytest.raises(FormatError, match=r"twice\.fa: holds two sequences named a"):
        align_reads(AlignJob([reads], twice, bam))
    empty = tmp_path / "empty.fa"
    empty.write_text("")
    with pytest.raises(FormatError, match=r"empty\.fa: holds no sequence"):
        align_reads(AlignJob([reads], empty, bam))
    with pytest.raises(FileNotFoundError, match=r"none\.fa"):
        align_reads(AlignJob([reads], tmp_path / "none.fa", bam))
    with pytest.raises(ValueError, match="--preset: rna is for single reads; pairs need sr"):
        align_reads(AlignJob([reads, reads], reference, bam))
    reads.write_text("@a\nACGT\n+\nII")
    with pytest.raises(FormatError, match=r"reads\.fq: record at byte 0"):
        align_reads(AlignJob([reads], reference, bam))
    assert not list(tmp_path.glob("out*"))


def test_time_in_locks_is_part_of_the_time_that_passed() -> None:
    writing = PumpReport(9, 2.0, (LockUse("output", 1, 1.5, 0.0),), (WorkerTime(0.1, None, 1.9, 1),))
    report = AlignReport(9, 9, 0.0, mapping=writing, merging=writing)
    assert report.serial_share == pytest.approx(15)  # a slow disk, and little to compute
    assert report.locked_share == pytest.approx(0.75)


def test_no_reads_give_a_bam_without_records(reference: Path, tmp_path: Path) -> None:
    source, bam = tmp_path / "reads.fq", tmp_path / "out.bam"
    source.write_text("")
    align_reads(AlignJob([source], reference, bam))
    assert records(bam) == []
