"""The mod-BAM is what htslib reads back."""

from pathlib import Path

import numpy as np
import pysam
import pytest

from baleen.errors import UsageError
from baleen.outputs.bam_blocks import merge_bams
from baleen.outputs.mod_bam import (
    CalledContig,
    ReadCall,
    SampleBam,
    modified_bases,
    write_mod_records,
)

HEADER = pysam.AlignmentHeader.from_dict(
    {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "a", "LN": 50}, {"SN": "b", "LN": 50}]}
)


def test_an_unknown_code_asks_for_its_base() -> None:
    with pytest.raises(UsageError, match=r"which base does '12345' modify.*\n.*A\+12345"):
        modified_bases("12345")
    assert modified_bases("G+12345") == {"G": "12345"}


def write_sample(
    path: Path, records: list[tuple[str, str, int, str, str]], header: pysam.AlignmentHeader = HEADER
) -> Path:
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for name, contig, start, cigar, sequence in records:
            record = pysam.AlignedSegment(header)
            record.query_name, record.flag = name, 0
            record.reference_id, record.reference_start = header.get_tid(contig), start
            record.query_sequence, record.cigarstring, record.mapping_quality = sequence, cigar, 60
            record.set_tag("MM", "A+a?,0;")
            record.set_tag("mv", "kept")
            bam.write(record)
    pysam.index(str(path))
    return path


def test_slices_merge_into_one_sorted_indexed_bam(tmp_path: Path) -> None:
    native = write_sample(
        tmp_path / "native.bam",
        [
            ("n1", "a", 3, "4M2D4M", "ACGTACGT"),
            ("n2", "a", 9, "8M", "ACGTACGT"),
            ("n3", "b", 0, "2S6M", "ACGTACGT"),
        ],
    )
    ivt = write_sample(tmp_path / "ivt.bam", [("c1", "a", 5, "8M", "ACGTACGT")])
    samples = [SampleBam(native, 0, "native"), SampleBam(ivt, 1, "ivt")]
    call = ReadCall(np.arange(3, 13, dtype=np.int32), np.linspace(0, 1, 10, dtype=np.float32))
    on_b = ReadCall(np.array([0, 1], np.int32), np.array([0.25, 0.75], np.float32))
    codes = modified_bases(None)
    slices = [tmp_path / "0.bgzf", tmp_path / "1.bgzf"]
    calls_on_a = {(0, "n1"): call, (0, "n2"): call, (1, "c1"): call}
    assert write_mod_records(slices[0], samples, [CalledContig("a", 0, 50, calls_on_a)], codes) == 3
    assert write_mod_records(slices[1], samples, [CalledContig("b", 1, 50, {(0, "n3"): on_b})], codes) == 1
    merge_bams(slices, HEADER, tmp_path / "all.bam")
    with pysam.AlignmentFile(str(tmp_path / "all.bam")) as bam:
        records = list(bam.fetch())
        assert str(bam.header) == str(HEADER)
    assert [r.query_name for r in records] == ["n1", "c1", "n2", "n3"]
    assert [r.get_tag("RG") for r in records] == ["native", "ivt", "native", "native"]
    assert all(r.get_tag("mv") == "kept" and r.get_tag("MN") == 8 for r in records)
    deleted = {7, 8}  # n1's CIGAR: no base, so no call
    expected = {
        p: min(255, int(256 * q)) for p, q in zip(call.position, call.p_mod, strict=True) if p not in deleted
    }
    n1 = records[0]
    reference_of = dict(n1.get_aligned_pairs(matches_only=True))
    found = {reference_of[i]: q for calls in n1.modified_bases.values() for i, q in calls}
    assert found == expected
    assert {i: q for calls in records[3].modified_bases.values() for i, q in calls} == {2: 64, 3: 192}
    pileup = pysam.mpileup("-M", "-Q", "0", str(tmp_path / "all.bam"))
    assert "[+" in pileup


def test_contigs_of_a_slice_share_their_open_files(tmp_path: Path, monkeypatch) -> None:
    """BAM files may have the contigs in another order than the reference, and more or fewer of them."""
    swapped = pysam.AlignmentHeader.from_references(["b", "a", "other"], [50, 50, 50])
    only_b = pysam.AlignmentHeader.from_references(["b"], [50])
    reads = [("n2", "b", 0, "8M", "ACGTACGT"), ("n1", "a", 3, "8M", "ACGTACGT")]
    bams = [
        SampleBam(write_sample(tmp_path / "first.bam", reads, swapped), 0, "native"),
        SampleBam(
            write_sample(tmp_path / "second.bam", [("n3", "b", 2, "8M", "ACGTACGT")], only_b), 0, "native"
        ),
    ]
    opened = []

    def count(path: object, *arguments: object, **named: object) -> pysam.AlignmentFile:
        opened.append(str(path))
        return original(path, *arguments, **named)

    original = pysam.AlignmentFile
    monkeypatch.setattr(pysam, "AlignmentFile", count)
    call = ReadCall(np.array([4, 5], np.int32), np.array([0.25, 0.75], np.float32))
    contigs = [
        CalledContig("a", 0, 50, {(0, "n1"): call}),
        CalledContig("b", 1, 50, {(0, "n2"): call, (0, "n3"): call}),
    ]
    assert write_mod_records(tmp_path / "0.bgzf", bams, contigs, modified_bases(None)) == 3
    assert [opened.count(str(bam.path)) for bam in bams] == [1, 1]
    merge_bams([tmp_path / "0.bgzf"], HEADER, tmp_path / "all.bam")
    with original(str(tmp_path / "all.bam")) as bam:
        found = [(r.query_name, r.reference_name, r.reference_start, r.get_tag("RG")) for r in bam]
    assert found == [("n1", "a", 3, "native"), ("n2", "b", 0, "native"), ("n3", "b", 2, "native")]
