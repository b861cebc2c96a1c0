"""What the basecaller itself says of modified bases: the MM and ML tags of a contig's reads."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam

from baleen.data import U8, BasecallerMods

_ENTRY = re.compile(r"([ACGTUN])([+-])([a-z]+|\d+)([.?]?)")


def read_basecaller_mods(
    bams: Sequence[tuple[Path, int]],
    contig: str,
    reference: Mapping[int, str],
    rows: Mapping[tuple[int, str], int],
) -> BasecallerMods:
    """Return the basecaller's probabilities at positions of a contig.

    Parameters
    ----------
    bams
        BAM and number of its sample.
    contig
        Name.
    reference
        Base at each position that is asked for.
    rows
        Row of each read that takes part, by sample and name.

    Notes
    -----
    Only bases that were called as what the reference has there count. Bases of a read that a
    modification with the flag ``.`` (or none) does not list are unmodified, those with ``?`` are
    unknown, as SAMtags has it. A stored ``n`` means a probability of ``(n + .5) / 256``.
    """
    parts: list[tuple[npt.NDArray[np.int64], int, str, npt.NDArray[np.float64]]] = []
    for path, sample in bams:
        with pysam.AlignmentFile(str(path), "rb") as bam:
            for record in bam.fetch(contig):
                row = rows.get((sample, str(record.query_name)))
                if row is None or record.is_secondary or record.is_supplementary or record.is_reverse:
                    continue
                parts += [(position, row, code, p) for code, position, p in _of_read(record, reference)]
    codes = sorted({code for _, _, code, _ in parts})
    number = {code: i for i, code in enumerate(codes)}
    sizes = [len(position) for position, _, _, _ in parts]
    return BasecallerMods(
        codes=tuple(codes),
        position=np.concatenate([np.zeros(0), *(part[0] for part in parts)]).astype(np.int32),
        read=np.repeat(np.array([part[1] for part in parts], np.int32), sizes),
        code=np.repeat(np.array([number[part[2]] for part in parts], np.int32), sizes),
        probability=np.concatenate([np.zeros(0), *(part[3] for part in parts)]).astype(np.float32),
    )


def _of_read(
    record: pysam.AlignedSegment, reference: Mapping[int, str]
) -> Iterator[tuple[str, npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """Yield code, reference positions and probabilities of every modification a read is tagged with."""
    sequence, tag = record.query_sequence, _tag(record)
    if sequence is None or not tag:
        return
    listed: Mapping[tuple[str, int, str | int], list[tuple[int, int]]]
    listed = dict((record.modified_bases or {}).items())
    pairs = np.array(record.get_aligned_pairs(matches_only=True), np.int64).reshape(-1, 2)
    letters: U8 = np.frombuffer(sequence.upper().replace("U", "T").encode(), np.uint8)[pairs[:, 0]]
    expected = np.array([ord(reference.get(int(position), " ")) for position in pairs[:, 1]], np.uint8)
    for base, strand, code, flag in _ENTRY.findall(tag):
        if strand != "+":
            continue
        canonical = base.replace("U", "T")
        usable = np.flatnonzero((letters == expected) & ((letters == ord(canonical)) | (canonical == "N")))
        known = np.full(len(sequence), np.nan if flag == "?" else 0.0)
        key = (base, 0, int(code) if code.isdecimal() else code)
        for query, quality in listed.get(key, ()):
            known[query] = (quality + 0.5) / 256 if quality >= 0 else np.nan
        p = known[pairs[usable, 0]]
        said = ~np.isnan(p)
        yield code, pairs[usable[said], 1], p[said]


def _tag(record: pysam.AlignedSegment) -> str:
    return next((str(record.get_tag(name)) for name in ("MM", "Mm") if record.has_tag(name)), "")
