"""Per-read calls as mod-BAM: MM, ML and MN tags as SAMtags defines them."""

import heapq
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pysam

from baleen import __version__
from baleen.errors import UsageError
from baleen.files import complete_file
from krill.reads.mod_tags import RecordCalls, RecordPlaces, tagged_records

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


class ReadCall(NamedTuple):
    """Calls of one read, by rising reference position."""

    position: npt.NDArray[np.int32]
    p_mod: npt.NDArray[np.float32]


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
    """Write the records of contigs with their calls, sorted, for `merge_bams`; return how many.

    Parameters
    ----------
    path
        Slice of records to write.
    bams
        Where the records are.
    contigs
        In the order of the reference.
    codes
        From `modified_bases`.
    """
    written: list[tuple[int, int, ReadCall]] = []
    with (
        complete_file(path, is_scratch=True) as part,
        tempfile.TemporaryFile(dir=path.parent) as plain,
        ExitStack() as open_files,
    ):
        sources = [(bam, open_files.enter_context(pysam.AlignmentFile(str(bam.path), "rb"))) for bam in bams]
        with pysam.AlignmentFile(plain, "wb0", header=_ONE_CONTIG) as out:
            for contig in contigs:
                streams = [_called_records(file, bam.sample, contig) for bam, file in sources]
                for _, sample, record, call in heapq.merge(*streams, key=lambda item: item[:2]):
                    out.write(_on_one_contig(record))
                    written.append((contig.number, sample, call))
        plain.seek(0)
        groups = {bam.sample: bam.read_group for bam in bams}
        part.write_bytes(_tagged(plain.read(), written, groups, codes))
    return len(written)


_ONE_CONTIG = pysam.AlignmentHeader.from_references(["*"], [1])
"""Records get the numbers of their contigs with their tags: pysam allows none beyond those of a header,
and with thousands of slices, headers with all contigs would outweigh the records."""


def _on_one_contig(record: pysam.AlignedSegment) -> pysam.AlignedSegment:
    """Return the record on the only contig of its file; a mate elsewhere is left out."""
    is_paired = record.next_reference_id == record.reference_id
    if not is_paired and record.next_reference_id >= 0:
        record.next_reference_start = -1
    record.next_reference_id = 0 if is_paired else -1
    record.reference_id = 0
    return record


def _tagged(
    bam: bytes,
    written: Sequence[tuple[int, int, ReadCall]],
    groups: Mapping[int, str],
    codes: Mapping[str, str],
) -> bytes:
    """Return the records of a BAM with tags: number of the contig, sample and calls of each are given."""
    contig, sample, calls = zip(*written, strict=True) if written else ((), (), ())
    place_of = {number: place for place, number in enumerate(groups)}
    offsets = np.cumsum([0, *(len(call.position) for call in calls)])
    none = ReadCall(np.zeros(0, np.int32), np.zeros(0, np.float32))
    position, p_mod = (np.concatenate(parts) for parts in zip(none, *calls, strict=True))
    group = np.array([place_of[number] for number in sample], np.int64)
    places = RecordPlaces(np.array(contig, np.int32), group, tuple(groups.values()))
    return tagged_records(bam, RecordCalls(offsets, position, p_mod), places, codes)


def _called_records(
    bam: pysam.AlignmentFile, sample: int, contig: CalledContig
) -> Iterator[tuple[int, int, pysam.AlignedSegment, ReadCall]]:
    """Yield the called ones of a BAM's records on the contig as ``(start, sample, record, calls)``."""
    if bam.get_tid(contig.name) < 0:
        return  # of several files of a sample, one may lack it
    for record in bam.fetch(contig.name):
        call = contig.calls.get((sample, str(record.query_name)))
        if call is not None and not record.flag & _LEFT_OUT:
            yield record.reference_start, sample, record, call


_LEFT_OUT = pysam.FSECONDARY | pysam.FSUPPLEMENTARY | pysam.FREVERSE


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
