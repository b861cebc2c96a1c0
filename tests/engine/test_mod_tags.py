"""Modification tags written by the engine: against htslib, and against their definition."""

import array
import gzip
from itertools import islice

import numpy as np
import pysam
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from krill.errors import FormatError
from krill.reads.bgzf import LAST_BLOCK
from krill.reads.mod_tags import RecordCalls, RecordPlaces, tagged_records

ANY = {base: base for base in "ACGT"}
HEADER = pysam.AlignmentHeader.from_references(["a", "b"], [10**6, 10**6])
START = 5
IN_QUERY, IN_REFERENCE = (np.array([op in ops for op in "MIDNSHP=X"]) for ops in ("MIS=X", "MDN=X"))


def record_of(sequence, cigar, tags=(), qualities=None):
    record = pysam.AlignedSegment(HEADER)
    record.query_name, record.flag, record.mapping_quality = "read", 0, 60
    record.reference_id, record.reference_start = 0, START
    record.query_sequence, record.cigarstring = sequence, cigar
    if qualities:
        record.query_qualities = qualities
    for name, value in tags:
        record.set_tag(name, value)
    return record


def bam_of(path, records, header=HEADER):
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for record in records:
            bam.write(record)
    return path.read_bytes()


def joined(calls):
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    position, p_mod = (np.concatenate(parts) for parts in zip(none, *calls, strict=True))
    return RecordCalls(np.cumsum([0, *(len(one) for one, _ in calls)]), position, p_mod)


def places_of(n, contig=0):
    return RecordPlaces(np.full(n, contig, np.int32), np.zeros(n, np.int64), ("group",))


def body(path):
    """Return the records of a BAM as text, without its header."""
    text = gzip.decompress(path.read_bytes())
    with pysam.AlignmentFile(str(path), "rb") as bam:
        names = [len(name) + 1 for name in bam.references]
    return text[12 + int.from_bytes(text[4:8], "little") + sum(8 + n for n in names) :]


def tagged(path, records, calls, codes=ANY, contig=0):
    """Return the records that htslib reads back."""
    blocks = tagged_records(bam_of(path, records), joined(calls), places_of(len(records), contig), codes)
    out = path.with_suffix(".tagged.bam")
    pysam.AlignmentFile(str(out), "wb", header=HEADER).close()
    empty = out.read_bytes().removesuffix(LAST_BLOCK)
    out.write_bytes(empty + blocks + LAST_BLOCK)
    with pysam.AlignmentFile(str(out), "rb") as bam:
        return list(bam)


def annotate(record, position, p_mod, codes):
    """One record, as the tags are defined."""
    record.set_tag("RG", "group")
    for tag in ("MM", "ML", "MN", "Mm", "Ml"):
        record.set_tag(tag, None)
    sequence = record.query_sequence
    if sequence is None:
        return
    query, is_aligned = query_positions(record, position)
    bases = np.frombuffer(sequence.encode(), np.uint8)
    of_code = bases[:, None] == np.frombuffer("".join(codes).encode(), np.uint8)
    is_called = of_code[query]
    call, code = np.nonzero(is_called)
    rank = np.cumsum(of_code, axis=0)[query[call], code]
    order = np.argsort(code, kind="stable")
    n_calls = is_called.sum(axis=0)
    delta = np.diff(rank[order], prepend=0) - 1
    first = np.cumsum(n_calls) - n_calls  # of each code
    delta[first[n_calls > 0]] = rank[order][first[n_calls > 0]] - 1
    deltas = iter(delta.tolist())
    mm = [
        f"{base}+{name}?,{','.join(map(str, islice(deltas, n)))};"
        for (base, name), n in zip(codes.items(), n_calls.tolist(), strict=True)
        if n
    ]
    quantised = np.minimum(255, np.floor(256.0 * p_mod[is_aligned])).astype(np.uint8)
    record.set_tag("MM", "".join(mm), "Z")
    record.set_tag("ML", array.array("B", quantised[call[order]].tobytes()))
    record.set_tag("MN", len(sequence), "i")


def query_positions(record, position):
    """Which positions of the reference have a base of the read, and its index in the read."""
    cigar = np.array(record.cigartuples, np.int64).reshape(-1, 2)
    in_query, in_reference = IN_QUERY[cigar[:, 0]], IN_REFERENCE[cigar[:, 0]]
    query = np.cumsum(cigar[:, 1] * in_query)  # where each operation ends
    reference = record.reference_start + np.cumsum(cigar[:, 1] * in_reference)
    operation = np.minimum(np.searchsorted(reference, position, side="right"), len(cigar) - 1)
    before = reference[operation] - position
    is_aligned = (in_query & in_reference)[operation] & (before > 0) & (before <= cigar[operation, 1])
    return (query[operation] - before)[is_aligned], is_aligned


operations = st.lists(st.tuples(st.sampled_from("MIDNS=X"), st.integers(1, 6)), min_size=1, max_size=8)
some_codes = st.sampled_from([ANY, {"A": "a"}, {"T": "17802"}, {"C": "m", "A": "17596"}])
some_tags = st.lists(
    st.sampled_from(
        [
            ("MM", "A+a,0;"),
            ("ML", array.array("B", [7])),
            ("mv", array.array("b", [5, 1, 0])),
            ("RG", "other"),
            ("de", 0.25),
            ("pi", "parent"),
            ("xi", -70000),
        ]
    ),
    unique_by=lambda tag: tag[0],
)


@given(
    operations, st.text("ACGTN", min_size=60, max_size=60), st.sets(st.integers(0, 60)), some_codes, some_tags
)
@example([("M", 1)], "A" * 60, set(), ANY, [])
@example([("D", 3)], "A" * 60, {5, 6}, ANY, [])
@example([("M", 60)], "N" * 60, {5, 6, 64}, ANY, [])
@example([("S", 2), ("M", 4), ("D", 2), ("M", 3), ("I", 2)], "ACGTA" * 12, set(range(20)), ANY, [])
def test_records_are_those_of_the_definition(tmp_path_factory, cigar, sequence, places, codes, tags):
    folder = tmp_path_factory.mktemp("tags")
    n_bases = sum(n for op, n in cigar if op in "MIS=X")
    text = "".join(f"{n}{op}" for op, n in cigar)
    position = np.array(sorted(places), np.int32)
    p_mod = np.linspace(0, 1, len(position), dtype=np.float32)
    two = [record_of(sequence[:n_bases] or None, text, tags) for _ in range(2)]
    blocks = tagged_records(
        bam_of(folder / "in.bam", two), joined([(position, p_mod)] * 2), places_of(2), codes
    )
    for record in two:
        annotate(record, position, p_mod, codes)
    bam_of(folder / "out.bam", two)
    assert gzip.decompress(blocks + LAST_BLOCK) == body(folder / "out.bam")


@given(st.text("ACGT", min_size=1, max_size=60), st.data())
def test_htslib_reads_back_every_call(tmp_path_factory, sequence, data):
    places = sorted(data.draw(st.sets(st.integers(0, len(sequence) - 1))))
    p_mod = np.array([data.draw(st.floats(0, 1, width=32)) for _ in places], np.float32)
    calls = np.array(places, np.int32) + START, p_mod
    path = tmp_path_factory.mktemp("tags") / "in.bam"
    (record,) = tagged(path, [record_of(sequence, f"{len(sequence)}M")], [calls])
    found = {(key[0], place): q for key, calls in record.modified_bases.items() for place, q in calls}
    assert found == {
        (sequence[place], place): min(255, int(256 * p)) for place, p in zip(places, p_mod, strict=True)
    }
    assert record.get_tag("MN") == len(sequence)


@given(operations, st.sets(st.integers(0, 60)))
def test_calls_lie_on_the_bases_that_htslib_aligns(tmp_path_factory, cigar, positions):
    n_bases = sum(n for op, n in cigar if op in "MIS=X")
    record = record_of(("ACGT" * 15)[:n_bases] or None, "".join(f"{n}{op}" for op, n in cigar))
    base_of = {reference: query for query, reference in record.get_aligned_pairs(matches_only=True)}
    position = np.array(sorted(positions), np.int32)
    calls = position, np.full(len(position), 0.5, np.float32)
    (found,) = tagged(tmp_path_factory.mktemp("tags") / "in.bam", [record], [calls])
    called = {place for calls in (found.modified_bases or {}).values() for place, _ in calls}
    assert called == {base_of[place] for place in positions if place in base_of}


def test_a_declared_code_marks_its_base_alone(tmp_path):
    calls = np.arange(START, START + 4, dtype=np.int32), np.array([0.5, 0.5, 1.0, 0.5], np.float32)
    (record,) = tagged(tmp_path / "in.bam", [record_of("ACAT", "4M")], [calls], {"A": "a"})
    assert (record.get_tag("MM"), list(record.get_tag("ML"))) == ("A+a?,0,0;", [128, 255])


def test_a_cigar_too_long_for_its_record_is_found_in_its_tag(tmp_path):
    """Beyond 65,535 operations htslib writes the tag CG; reading back it is a CIGAR again."""
    n = 33_000
    record = record_of("AC" * n, "1M1I" * n)
    calls = np.array([START, START + n - 1], np.int32), np.array([0.25, 0.5], np.float32)
    (found,) = tagged(tmp_path / "in.bam", [record], [calls])
    assert len(found.cigartuples) == 2 * n
    assert found.modified_bases == {("A", 0, "A"): [(0, 64), (2 * n - 2, 128)]}


def test_records_move_to_their_contig_with_their_mates(tmp_path):
    paired, single = record_of("ACGT", "4M"), record_of("ACGT", "4M")
    paired.next_reference_id, paired.next_reference_start = 0, 17
    none = np.zeros(0, np.int32), np.zeros(0, np.float32)
    found = tagged(tmp_path / "in.bam", [paired, single], [none, none], contig=1)
    assert [one.reference_name for one in found] == ["b", "b"]
    assert [(one.next_reference_id, one.next_reference_start) for one in found] == [(1, 17), (-1, -1)]


def test_what_does_not_fit_is_refused(tmp_path):
    bam = bam_of(tmp_path / "in.bam", [record_of("ACGT", "4M")])
    calls = joined([(np.array([START], np.int32), np.array([0.5], np.float32))])
    for change, message in (
        ({"offsets": np.array([0])}, "offsets"),
        ({"offsets": np.array([1, 1])}, "offsets"),
        ({"offsets": np.array([0, 2])}, "position"),
        ({"p_mod": np.zeros(2, np.float32)}, "position"),
    ):
        with pytest.raises(ValueError, match=message):
            tagged_records(bam, calls._replace(**change), places_of(1), ANY)
    with pytest.raises(ValueError, match="contig"):
        tagged_records(bam, calls, places_of(2), ANY)
    with pytest.raises(ValueError, match="group"):
        tagged_records(bam, calls, places_of(1)._replace(group=np.array([1])), ANY)
    with pytest.raises(FormatError, match="damaged"):
        tagged_records(bam[:40] + b"x" + bam[41:], calls, places_of(1), ANY)
