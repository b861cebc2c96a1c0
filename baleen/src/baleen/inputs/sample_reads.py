"""One sample's reads: found in BAM, FASTQ and signal, each with a status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from baleen.config import ReadsConfig
from baleen.inputs.chemistry import Votes
from baleen.inputs.samples import SampleFiles
from krill.reads.bam import BamScan
from krill.reads.batch import ReadStatus
from krill.reads.fastq import fastq_keys
from krill.reads.keys import Keys, key_name, read_keys
from krill.reads.signal import open_signal

Scalar = TypeVar("Scalar", bound=np.generic)

NO_FILE = 65535
N_EXAMPLES = 3
_SPOT_CHECKS = 1000

_UNMAPPED, _REVERSE, _NOT_PRIMARY = 0x4, 0x10, 0x900


@dataclass
class Extra:
    """Reads that a file holds and the BAM does not."""

    n_reads: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, keys: Keys, names: Mapping[bytes, str]) -> None:
        """Count these reads and keep a few names."""
        self.n_reads += len(keys)
        for key in keys[: N_EXAMPLES - len(self.examples)]:
            self.examples.append(key_name(key, names))


class SampleReads:
    """All alignments of one sample, the status of each, and where the reads' signal lies.

    Parameters
    ----------
    files
        The sample's files, folders resolved.
    scans
        One per BAM file.
    contig_of
        Per BAM file: index of each header contig among the reference's contigs, int32.
    config
        Which alignments are of use.

    Attributes
    ----------
    read
        Row of ``keys``, per alignment, uint32.
    keys
        Distinct read keys, sorted, S16.
    status
        ``ReadStatus`` per alignment, uint8.
    contig, aligned_bp, bam_file, bam_offset
        Per alignment.
    votes
        What the files say of the chemistry.
    basecall_models
        Basecaller models that the BAM files name.
    """

    def __init__(
        self,
        files: SampleFiles,
        scans: Sequence[BamScan],
        contig_of: Sequence[npt.NDArray[np.int32]],
        config: ReadsConfig,
    ) -> None:
        self.files, self.votes = files, Votes()
        self.basecall_models: tuple[str, ...] = ()
        self.names: dict[bytes, str] = {}
        self.sampling_rate_hz: float | None = None
        self.kmer_size: int | None = None
        self.only_in_fastq, self.only_in_signal, self.twice_in_signal = Extra(), Extra(), Extra()
        for scan in scans:
            self.names |= scan.names | scan.parent_names
        sizes = [len(scan.keys) for scan in scans]
        self.bam_file = np.repeat(np.arange(len(scans), dtype=np.uint16), sizes)
        self.bam_offset = _joined([scan.offset for scan in scans])
        self.aligned_bp = _joined([scan.aligned_bp for scan in scans])
        # Unmapped records have contig -1, which picks the -1 at the end.
        self.contig = _joined(
            [np.append(to, np.int32(-1))[scan.contig] for to, scan in zip(contig_of, scans, strict=True)]
        )
        self.keys, self.read = _distinct(_joined([scan.keys for scan in scans]))
        self._signal_keys, self.signal = self.keys, self.read
        if any(len(scan.parents) for scan in scans):
            self._signal_keys, self.signal = _distinct(_signal_keys(scans))
        self.signal_file = np.full(len(self._signal_keys), NO_FILE, np.uint16)
        self.signal_first = np.zeros(len(self._signal_keys), np.uint64)
        self.signal_second = np.zeros(len(self._signal_keys), np.uint32)
        self.status = _joined([_alignment_status(scan, config) for scan in scans])
        self._keep_one_alignment(per_contig=not config.primary_only)

    def fail(self, status: ReadStatus, where: npt.NDArray[np.bool_]) -> None:
        """Give this status to those of the alignments that have none yet."""
        self.status[where & (self.status == ReadStatus.OK)] = status

    def usable(self) -> npt.NDArray[np.int64]:
        """Return the rows of the alignments that nothing speaks against so far."""
        return np.flatnonzero(self.status == ReadStatus.OK)

    def _keep_one_alignment(self, *, per_contig: bool) -> None:
        """Let no read count twice: keep its longest alignment (of each contig)."""
        rows = self.usable()
        is_seen = np.zeros(len(self.keys), bool)
        is_seen[self.read[rows]] = True
        if np.count_nonzero(is_seen) == len(rows):
            return
        group = self.contig[rows] if per_contig else np.zeros(len(rows), np.int32)
        order = np.lexsort((-self.aligned_bp[rows], group, self.read[rows]))
        rows, group = rows[order], group[order]
        again = (self.read[rows][1:] == self.read[rows][:-1]) & (group[1:] == group[:-1])
        self.status[rows[1:][again]] = ReadStatus.NOT_PRIMARY

    def intersect_fastq(self) -> None:
        """Drop reads that the sample's FASTQ files do not hold."""
        found = np.zeros(len(self.keys), bool)
        for path in self.files.fastq:
            for keys, names in fastq_keys(path):
                row, known = _find(self.keys, keys)
                found[row[known]] = True
                self.only_in_fastq.add(keys[~known], names)
        self.fail(ReadStatus.NOT_IN_FASTQ, ~found[self.read])

    def intersect_signal(self) -> None:
        """Find the signal of each read and drop reads that have none."""
        for number, path in enumerate(self.files.signal):
            with_signal = open_signal(path)
            try:
                for run in with_signal.attributes():
                    self.votes.add_run(run)
                for block in with_signal.index():
                    if self.sampling_rate_hz is None and len(block.keys):
                        first, second = map(int, block.place[0])
                        self.sampling_rate_hz = with_signal.read(first, second).sampling_rate_hz
                    self.place(number, block.keys, block.place, block.names)
            finally:
                with_signal.close()
        self.drop_without_signal()

    def begin_events(self, n_contigs: int) -> None:
        """Take events in place of signal: an event table has rows per read and contig."""
        self._n_owners = n_contigs + 1
        owners = self.read.astype(np.int64) * self._n_owners + self.contig + 1
        self._owners, self.signal = np.unique(owners, return_inverse=True)
        self.signal_file = np.full(len(self._owners), NO_FILE, np.uint16)
        self.signal_first = np.zeros(len(self._owners), np.uint64)
        self.signal_second = np.zeros(len(self._owners), np.uint32)

    def place_events(
        self,
        keys: Keys,
        contig: npt.NDArray[np.int64],
        place: npt.NDArray[np.uint64],
        names: Mapping[bytes, str],
    ) -> None:
        """Note where the rows of these reads on these contigs lie; the first rows of a read count."""
        read, known = _find(self.keys, keys)
        self.only_in_signal.add(keys[~known], names)
        row, aligned = _find(self._owners, read * self._n_owners + contig + 1)
        known &= aligned
        self._place_first(0, row[known], place[known], keys[known], names)

    def drop_without_signal(self) -> None:
        """Drop reads whose signal was in no file."""
        self.fail(ReadStatus.NO_SIGNAL, self.signal_file[self.signal] == NO_FILE)

    def place(
        self, number: int, keys: Keys, place: npt.NDArray[np.uint64], names: Mapping[bytes, str]
    ) -> None:
        """Note where in signal file ``number`` these reads lie; the first place of a read counts."""
        row, known = _find(self._signal_keys, keys)
        self.only_in_signal.add(keys[~known], names)
        self._place_first(number, row[known], place[known], keys[known], names)

    def _place_first(
        self,
        number: int,
        row: npt.NDArray[np.int64],
        place: npt.NDArray[np.uint64],
        keys: Keys,
        names: Mapping[bytes, str],
    ) -> None:
        _, first = np.unique(row, return_index=True)
        is_new = np.zeros(len(row), bool)
        is_new[first] = self.signal_file[row[first]] == NO_FILE
        self.twice_in_signal.add(keys[~is_new], names)
        self.signal_file[row[is_new]] = number
        self.signal_first[row[is_new]], self.signal_second[row[is_new]] = place[is_new].T

    def has_any(self, names: Sequence[str]) -> bool:
        """Say whether one of these reads is in the sample's BAM."""
        return bool(_find(self.keys, read_keys(names)[0])[1].any())

    def first_shared(self, other: "SampleReads") -> str | None:
        """Return the name of a read that both samples hold, judged by some of the other's."""
        some = other.keys[:: max(1, len(other.keys) // _SPOT_CHECKS)]
        shared = some[_find(self.keys, some)[1]]
        return key_name(shared[0], self.names) if len(shared) else None

    def counts(self, n_contigs: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return usable reads and their aligned bases per contig, int64, shape ``(n_contigs,)``."""
        rows = self.usable()
        contig = self.contig[rows]
        n_reads = np.bincount(contig, minlength=n_contigs)
        bases = np.bincount(contig, weights=self.aligned_bp[rows], minlength=n_contigs)
        return n_reads, bases.astype(np.int64)

    def read_status(self) -> npt.NDArray[np.uint8]:
        """Return one status per distinct read: OK if one of its alignments is, else how far it got."""
        furthest = np.zeros(len(self.keys), np.uint8)
        rank = np.where(self.status == ReadStatus.OK, 255, self.status).astype(np.uint8)
        np.maximum.at(furthest, self.read, rank)
        furthest[furthest == 255] = ReadStatus.OK
        return furthest

    def examples(self, read_status: npt.NDArray[np.uint8], status: ReadStatus) -> tuple[str, ...]:
        """Return the names of a few reads that ended in this status."""
        rows = np.flatnonzero(read_status == status)[:N_EXAMPLES]
        return tuple(key_name(key, self.names) for key in self.keys[rows])


def _joined(columns: Sequence[npt.NDArray[Scalar]]) -> npt.NDArray[Scalar]:
    """Return the columns one after another; a single one is not copied."""
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def _alignment_status(scan: BamScan, config: ReadsConfig) -> npt.NDArray[np.uint8]:
    """Return what speaks against each alignment; the first reason counts."""
    reasons = [
        (ReadStatus.UNMAPPED, (scan.flag & _UNMAPPED) > 0),
        (ReadStatus.NOT_PRIMARY, (scan.flag & (_NOT_PRIMARY if config.primary_only else 0)) > 0),
        # RNA is single-stranded: on a transcriptome, a reverse alignment is a wrong one.
        (ReadStatus.REVERSE_STRAND, (scan.flag & _REVERSE) > 0),
        (ReadStatus.LOW_MAPQ, scan.mapq < config.min_mapq),
        (ReadStatus.NO_SEQUENCE, ~scan.has_sequence),
    ]
    status = np.zeros(len(scan.keys), np.uint8)
    for reason, where in reversed(reasons):
        status[where] = reason
    return status


def _signal_keys(scans: Sequence[BamScan]) -> Keys:
    """Return the key of each alignment's signal: its own, or its parent's if it was split from one."""
    parts = []
    for scan in scans:
        keys = scan.keys.copy()
        keys[scan.parents] = scan.parent_keys
        parts.append(keys)
    return _joined(parts)


def _distinct(keys: Keys) -> tuple[Keys, npt.NDArray[np.uint32]]:
    """Return the distinct keys, sorted, and for each given key its row among them.

    Same as ``np.unique`` with half its memory, which counts for tens of millions of keys.
    """
    order = np.argsort(keys)
    in_order = keys[order]
    is_first = np.ones(len(keys), bool)
    np.not_equal(in_order[1:], in_order[:-1], out=is_first[1:])
    number = np.cumsum(is_first, dtype=np.uint32)
    number -= np.uint32(1)
    rows = np.empty(len(keys), np.uint32)
    rows[order] = number
    return (in_order if is_first.all() else in_order[is_first]), rows


def _find(
    keys: npt.NDArray[Scalar], wanted: npt.NDArray[Scalar]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return for each wanted key its row in the sorted keys, and whether it is there."""
    row = np.searchsorted(keys, wanted)
    row[row == len(keys)] = 0
    known = keys[row] == wanted if len(keys) else np.zeros(len(wanted), bool)
    return row, known
