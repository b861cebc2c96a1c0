"""Whether reads match the reference: a FASTA of the same names and lengths may hold other bases."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam

from baleen.data import U8
from baleen.errors import MismatchError
from baleen.inputs.contigs import Reference
from baleen.inputs.sample_reads import SampleReads
from krill.reads.bam import BamFile

LEAST_MATCHING = 0.6
"""Share of aligned bases: reads of nanopore RNA have .85 and more (here .89 to .99), unrelated ones .25."""
ENOUGH_BP = 100
"""Aligned bases of a contig that say something."""
_N_CONTIGS, _READS_EACH = 100, 4
_SHOWN = 5
_ALIGNED, _IN_READ, _IN_REFERENCE = {0, 7, 8}, {1, 4}, {2, 3}  # M = X, I S, D N
_ANY = ord("N")


def matching_bases(
    sequence: U8, start: int, cigar: Sequence[tuple[int, int]], reference: U8
) -> tuple[int, int]:
    """Return how many aligned bases of a read are those of the reference, and how many there are.

    Parameters
    ----------
    sequence
        The read's bases as the BAM has them, ASCII; ``=`` is the base of the reference.
    start, cigar
        Where the alignment begins; its operations and their lengths.
    reference
        Bases of the contig, upper-case ASCII; those that are not known (N) do not count.
    """
    n_equal = n_aligned = at = 0
    place = start
    for operation, length in cigar:
        if operation in _ALIGNED:
            read, contig = sequence[at : at + length], reference[place : place + length]
            is_known = (read != _ANY) & (contig != _ANY)
            n_aligned += int(is_known.sum())
            n_equal += int(((read == contig) | (read == ord("=")))[is_known].sum())
        at += length if operation in _ALIGNED | _IN_READ else 0
        place += length if operation in _ALIGNED | _IN_REFERENCE else 0
    return n_equal, n_aligned


@dataclass(frozen=True)
class _Chosen:
    """Some reads of a BAM file: by contig, the places of their records."""

    path: Path
    offsets: Mapping[str, npt.NDArray[np.uint64]]

    def shares(self, sequences: Mapping[str, U8]) -> dict[str, float]:
        """Return the share of matching bases by contig, of those whose reads say enough."""
        shares = {}
        bam = BamFile(self.path)
        for contig, offsets in self.offsets.items():
            counts = [_count(record, sequences[contig]) for record in bam.reads(offsets.tolist())]
            n_equal, n_aligned = np.sum(counts, axis=0)
            if n_aligned >= ENOUGH_BP:
                shares[contig] = float(n_equal / n_aligned)
        bam.close()
        return shares


def _count(record: pysam.AlignedSegment, reference: U8) -> tuple[int, int]:
    sequence = np.frombuffer((record.query_sequence or "").encode(), np.uint8)
    return matching_bases(sequence, record.reference_start, record.cigartuples or (), reference)


def _choose(reads: SampleReads, names: Sequence[str]) -> Iterator[_Chosen]:
    """Choose the first usable reads of contigs all over each BAM file."""
    usable = reads.usable()
    for number, path in enumerate(reads.files.bam):
        rows = usable[reads.bam_file[usable] == number]
        # a BAM may have its contigs in another order than the FASTA
        rows = rows[np.argsort(reads.contig[rows], kind="stable")]
        contigs, first = np.unique(reads.contig[rows], return_index=True)
        last = np.append(first, len(rows))[1:]
        some = np.unique(np.linspace(0, max(0, len(contigs) - 1), _N_CONTIGS).astype(int))[: len(contigs)]
        yield _Chosen(
            path,
            {
                names[contigs[i]]: reads.bam_offset[rows[first[i] : min(first[i] + _READS_EACH, last[i])]]
                for i in some
            },
        )


def matching_warnings(samples: Sequence[SampleReads], reference: Reference) -> list[str]:
    """Hold the first reads of some contigs against the reference; say which of these do not match.

    Raises
    ------
    MismatchError
        If most of the contigs of a BAM do not match.
    """
    names = list(reference.lengths_bp)
    chosen = [one for sample in samples for one in _choose(sample, names)]
    sequences = reference.sequences({contig for one in chosen for contig in one.offsets})
    warnings = []
    for one in chosen:
        shares = one.shares(sequences)
        other = {contig: share for contig, share in shares.items() if share < LEAST_MATCHING}
        if not other:
            continue
        shown = [f"{contig} ({100 * share:.0f} % of the bases match)" for contig, share in other.items()]
        problem = (
            f"does not fit {reference.path}: the reads of {len(other)} of {len(shares)} contigs looked at "
            f"have other bases: {', '.join(shown[:_SHOWN])}"
        )
        hint = f"give the FASTA that the reads were aligned to, or align them to {reference.path}"
        if 2 * len(other) > len(shares):
            raise MismatchError(one.path, problem, hint=hint)
        warnings.append(f"{one.path}: {problem}; {hint}")
    return warnings
