"""Per-read calls as mod-BAM: MM, ML and MN tags as SAMtags defines them."""

import array
import heapq
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pysam

from baleen import __version__
from baleen.errors import UsageError
from baleen.files import complete_file
from baleen.outputs.bam_blocks import write_records

_BASES = "ACGT"
_KNOWN_CODES = {
    "a": "A",
    "m": "C",
    "17596": "A",
    "17802": "T",
    "19227": "T",
    "19228": "C",
    "19229": "G",
    "69426": "A",
}
"""Codes of SAMtags and ChEBI (inosine, pseudouridine, 2'-O-methyl U C G A) with the base they modify."""


class SampleBam(NamedTuple):
    """A BAM of a sample: its path, the sample's number, the read group its records get."""

    path: Path
    sample: int
    read_group: str


def modified_bases(mod_code: str | None) -> dict[str, str]:
    """Return ``base -> code`` for the MM tag.

    Parameters
    ----------
    mod_code
        A known code (``a``, ``m``, ``17802``, ...), ``BASE+CODE`` for any other, or None for
        "some modification" of every base (``A+A``, ``C+C``, ``G+G``, ``T+T``).

    Raises
    ------
    UsageError
        If it is not known which base the code modifies.
    """
    if mod_code is None:
        return {base: base for base in _BASES}
    base, _, code = mod_code.rpartition("+")
    if not base:
        base = _KNOWN_CODES.get(code, "")
    base = base.upper().replace("U", "T")
    if base not in _KNOWN_CODES.values() or not code:
        message = f"--mod-code: which base does {mod_code!r} modify?"
        raise UsageError(message, hint=f"write it as BASE+CODE, for example A+{code or 'a'}")
    return {base: code}


def mod_tags(
    sequence: str,
    query_position: npt.NDArray[np.int64],
    p_mod: npt.NDArray[np.float32],
    codes: Mapping[str, str],
) -> tuple[str, "array.array[int]"]:
    """Encode calls of one forward-strand read as MM and ML.

    Parameters
    ----------
    sequence
        The read's bases as sequenced, 5' to 3'.
    query_position
        Rising indices of the called bases in ``sequence``.
    p_mod
        Probability that each is modified.
    codes
        From `modified_bases`; calls on other bases are left out.

    Returns
    -------
    MM
        ``BASE+CODE?,delta,...;`` per base; ``?`` because bases not listed are unknown.
    ML
        ``min(255, floor(256 p))`` in the same order.
    """
    bases = np.frombuffer(sequence.upper().replace("U", "T").encode(), np.uint8)
    of_code = bases[:, None] == np.frombuffer("".join(codes).encode(), np.uint8)
    is_called = of_code[query_position]
    call, code = np.nonzero(is_called)
    rank = np.cumsum(of_code, axis=0)[query_position[call], code]
    order = np.argsort(code, kind="stable")
    n_calls = is_called.sum(axis=0)
    delta = np.diff(rank[order], prepend=0) - 1
    first = np.cumsum(n_calls) - n_calls  # of each code
    delta[first[n_calls > 0]] = rank[order][first[n_calls > 0]] - 1
    deltas = iter(delta.tolist())
    mm = (
        f"{base}+{name}?,{','.join(map(str, islice(deltas, n)))};"
        for (base, name), n in zip(codes.items(), n_calls.tolist(), strict=True)
        if n
    )
    quantised = np.minimum(255, np.floor(256.0 * p_mod)).astype(np.uint8)
    return "".join(mm), array.array("B", quantised[call[order]].tobytes())


class ReadCall(NamedTuple):
    """Calls of one read, by rising reference position."""

    position: npt.NDArray[np.int32]
    p_mod: npt.NDArray[np.float32]


def annotate(record: pysam.AlignedSegment, call: ReadCall, codes: Mapping[str, str]) -> None:
    """Replace the record's modification tags by ours; other tags stay."""
    for tag in ("MM", "ML", "MN", "Mm", "Ml"):
        record.set_tag(tag, None)
    sequence = record.query_sequence
    if sequence is None:
        return
    query_position, is_aligned = _query_positions(record, call.position)
    mm, ml = mod_tags(sequence, query_position, call.p_mod[is_aligned], codes)
    record.set_tag("MM", mm, "Z")
    record.set_tag("ML", ml)
    record.set_tag("MN", len(sequence), "i")


_IN_QUERY, _IN_REFERENCE = (np.array([op in ops for op in "MIDNSHP=X"]) for ops in ("MIS=X", "MDN=X"))


def _query_positions(
    record: pysam.AlignedSegment, position: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return which positions of the reference have a base of the read, and its index in the read."""
    cigar = np.array(record.cigartuples, np.int64).reshape(-1, 2)
    in_query, in_reference = _IN_QUERY[cigar[:, 0]], _IN_REFERENCE[cigar[:, 0]]
    query = np.cumsum(cigar[:, 1] * in_query)  # where each operation ends
    reference = record.reference_start + np.cumsum(cigar[:, 1] * in_reference)
    operation = np.minimum(np.searchsorted(reference, position, side="right"), len(cigar) - 1)
    before = reference[operation] - position
    is_aligned = (in_query & in_reference)[operation] & (before > 0) & (before <= cigar[operation, 1])
    return (query[operation] - before)[is_aligned], is_aligned


class CalledContig(NamedTuple):
    """A contig of the reference: its name, number and length, and the calls of its reads.

    ``calls`` are found by sample and read id.
    """

    name: str
    number: int
    length_bp: int
    calls: Mapping[tuple[int, str], ReadCall]


def write_mod_records(
    path: Path, bams: Sequence[SampleBam], contigs: Sequence[CalledContig], codes: Mapping[str, str]
) -> int:
    """Write the annotated records of contigs, sorted, for `merge_bams`; return how many carry calls.

    Parameters
    ----------
    path
        Slice of records to write.
    bams
        Where the records are.
    contigs
        In the order of the reference. The slice's own header holds these alone: with thousands
        of slices, one with all contigs of the reference would outweigh the records.
    codes
        From `modified_bases`.
    """
    written = 0
    header = pysam.AlignmentHeader.from_references(
        [contig.name for contig in contigs], [contig.length_bp for contig in contigs]
    )
    groups = {bam.sample: bam.read_group for bam in bams}
    with (
        complete_file(path, is_scratch=True) as part,
        part.open("wb") as blocks,
        tempfile.TemporaryFile(dir=path.parent) as plain,
        ExitStack() as open_files,
    ):
        sources = [(bam, open_files.enter_context(pysam.AlignmentFile(str(bam.path), "rb"))) for bam in bams]
        with pysam.AlignmentFile(plain, "wb0", header=header) as out:
            for number, contig in enumerate(contigs):
                streams = [_called_records(file, bam.sample, contig) for bam, file in sources]
                for _, sample, record in heapq.merge(*streams, key=lambda item: item[:2]):
                    moved = _moved(record, number, header)
                    moved.set_tag("RG", groups[sample])
                    annotate(moved, contig.calls[sample, str(record.query_name)], codes)
                    out.write(moved)
                    written += 1
        plain.seek(0)
        write_records(plain, [contig.number for contig in contigs], blocks)
    return written


def _called_records(
    bam: pysam.AlignmentFile, sample: int, contig: CalledContig
) -> Iterator[tuple[int, int, pysam.AlignedSegment]]:
    """Yield the called ones of a BAM's records on the contig as ``(start, sample, record)``."""
    if bam.get_tid(contig.name) < 0:
        return  # of several files of a sample, one may lack it
    for record in bam.fetch(contig.name):
        is_called = (sample, str(record.query_name)) in contig.calls
        if is_called and not (record.is_secondary or record.is_supplementary or record.is_reverse):
            yield record.reference_start, sample, record


def _moved(record: pysam.AlignedSegment, contig: int, header: pysam.AlignmentHeader) -> pysam.AlignedSegment:
    """Return the record on a contig of another header; a mate elsewhere is left out."""
    if record.next_reference_id not in {-1, record.reference_id}:
        record.next_reference_id = record.next_reference_start = -1
    if contig < record.header.nreferences:
        is_paired = record.next_reference_id >= 0
        record.reference_id = contig
        record.next_reference_id = contig if is_paired else -1
        return record
    # pysam allows no number beyond those of the record's own header
    rebuilt: pysam.AlignedSegment = pysam.AlignedSegment.from_dict(record.to_dict(), header)
    return rebuilt


def merged_header(
    first: Path, contigs: Mapping[str, int], samples: Mapping[str, bool]
) -> pysam.AlignmentHeader:
    """Return the header of the merged BAM: all contigs, a read group per sample, the programs so far.

    Parameters
    ----------
    first
        BAM whose programs begin the chain.
    contigs
        Name and length of every contig, in the order of the reference.
    samples
        Name of every sample, and whether it is native.
    """
    with pysam.AlignmentFile(str(first), "rb") as bam:
        programs = list(bam.header.to_dict().get("PG", []))
    own = {"ID": "baleen", "PN": "baleen", "VN": __version__, "CL": " ".join(sys.argv)}
    while own["ID"] in {program["ID"] for program in programs}:
        own["ID"] += "_"
    if programs:
        own["PP"] = programs[-1]["ID"]
    return pysam.AlignmentHeader.from_dict(
        {
            "HD": {"VN": "1.6", "SO": "coordinate"},
            "SQ": [{"SN": name, "LN": length} for name, length in contigs.items()],
            "RG": [
                {"ID": name, "SM": name, "DS": "native" if is_native else "control"}
                for name, is_native in samples.items()
            ],
            "PG": [*programs, own],
        }
    )
