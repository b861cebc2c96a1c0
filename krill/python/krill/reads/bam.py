"""Read alignments from BAM files: one quick pass over all of them, then chosen ones by offset."""

from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pysam

from krill.errors import FormatError
from krill.reads.keys import KEY, Keys, read_keys

_BGZF_START = b"\x1f\x8b\x08\x04"
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_BLOCK_READS = 65536
_SPEED_READS = 1000  # how many reads tell samples per base


@dataclass(frozen=True)
class BamScan:
    """Every record of a BAM file, in file order. ``n`` records.

    Parameters
    ----------
    keys
        Keys of the read names, S16, shape ``(n,)``.
    names
        Names of those reads whose key is a hash, by key.
    parents, parent_names
        Records of reads that were split from a parent (``pi`` tag): index of the record, int64,
        and the parents' keys, S16; hashed parent names by key.
    contig
        Index into the header's contigs, -1 = unmapped, int32.
    aligned_bp
        Reference bases the alignment spans, int32.
    flag, mapq
        As in the file, uint16 and uint8.
    has_sequence
        Whether the record holds the read's bases, bool.
    offset
        Virtual offset of the record in the file, uint64.
    samples_per_base
        Median over the first reads that say how many samples they have (``ns``), or NaN.
    is_sorted
        Whether the records come by rising contig and position.
    """

    keys: Keys
    names: dict[bytes, str]
    parents: npt.NDArray[np.int64]
    parent_keys: Keys
    parent_names: dict[bytes, str]
    contig: npt.NDArray[np.int32]
    aligned_bp: npt.NDArray[np.int32]
    flag: npt.NDArray[np.uint16]
    mapq: npt.NDArray[np.uint8]
    has_sequence: npt.NDArray[np.bool_]
    offset: npt.NDArray[np.uint64]
    samples_per_base: float
    is_sorted: bool


class BamFile:
    """A BAM file, opened after checking that it is whole.

    Parameters
    ----------
    path
        The file.
    threads
        Threads that decompress.

    Raises
    ------
    FormatError
        If the file is missing, not a BAM, or cut short.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        _check_ends(path)
        with self._damage():
            self._bam = pysam.AlignmentFile(str(path), "rb", check_sq=False, threads=threads)
        self.contigs: tuple[str, ...] = tuple(self._bam.references)
        self.contig_lengths: tuple[int, ...] = tuple(self._bam.lengths)

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, UnicodeDecodeError) as error:
            hint = f"samtools quickcheck -v {self.path}; copy or make the file again"
            raise FormatError(self.path, f"is damaged: {error}", hint=hint) from error

    @property
    def sort_order(self) -> str:
        """What the header says of the order of the records."""
        return str(self._bam.header.to_dict().get("HD", {}).get("SO", "unknown"))

    @property
    def basecall_models(self) -> tuple[str, ...]:
        """Basecaller models named in the read groups."""
        found = set()
        for group in self._bam.header.to_dict().get("RG", []):
            for item in str(group.get("DS", "")).split():
                key, _, value = item.partition("=")
                if key == "basecall_model" and value:
                    found.add(value)
        return tuple(sorted(found))

    def has_index(self) -> bool:
        """Say whether an index lies beside the file."""
        beside = (f"{self.path}.bai", f"{self.path}.csi", self.path.with_suffix(".bai"))
        return any(Path(index).is_file() for index in beside)

    def scan(self) -> BamScan:
        """Go through the whole file once."""
        columns = _Columns()
        with self._damage():
            offset = self._bam.tell()
            for record in self._bam:
                columns.add(record, offset)
                offset = self._bam.tell()
        return columns.finish()

    def reads(self, offsets: Iterable[int]) -> Iterator[pysam.AlignedSegment]:
        """Return the records at these virtual offsets, in the order given."""
        with self._damage():
            for offset in offsets:
                self._bam.seek(offset)
                record = next(self._bam, None)
                if record is None:
                    raise FormatError(self.path, f"has no record at offset {offset}")
                yield record

    def close(self) -> None:
        """Close the file."""
        self._bam.close()


def _check_ends(path: Path) -> None:
    try:
        with path.open("rb") as handle:
            start = handle.read(len(_BGZF_START))
            handle.seek(max(0, handle.seek(0, 2) - len(_BGZF_END)))
            end = handle.read()
    except OSError as error:
        raise FormatError(path, f"cannot be read: {error.strerror}") from error
    if start != _BGZF_START:
        hint = f"samtools sort -o {path.with_suffix('.sorted.bam')} {path}"
        raise FormatError(path, "is empty" if not start else "is not a BAM file", hint=hint)
    if end != _BGZF_END:
        hint = f"copy or make the file again; samtools quickcheck -v {path}"
        raise FormatError(path, "is cut short: the end-of-file mark is missing", hint=hint)


class _Columns:
    """Grow the columns of a scan."""

    def __init__(self) -> None:
        self._keys = bytearray()
        self._names: dict[bytes, str] = {}
        self._waiting: list[str] = []
        self._parents, self._parent_names = array("q"), list[str]()
        self._contig, self._aligned_bp = array("i"), array("i")
        self._flag, self._mapq, self._has_sequence = array("H"), array("B"), array("B")
        self._offset = array("Q")
        self._speed: list[float] = []
        self._last, self._is_sorted = (0, -1), True

    def add(self, record: pysam.AlignedSegment, offset: int) -> None:
        self._waiting.append(record.query_name or "")
        if len(self._waiting) == _BLOCK_READS:
            self._flush()
        if record.has_tag("pi"):
            self._parents.append(len(self._flag))
            self._parent_names.append(str(record.get_tag("pi")))
        contig, length = record.reference_id, record.query_length
        self._contig.append(contig)
        self._aligned_bp.append(record.reference_length or 0)
        self._flag.append(record.flag)
        self._mapq.append(record.mapping_quality)
        self._has_sequence.append(length > 0)
        self._offset.append(offset)
        place = (contig & 0xFFFFFFFF, record.reference_start)  # reads without a contig come last
        self._is_sorted = self._is_sorted and place >= self._last
        self._last = place
        if length and len(self._speed) < _SPEED_READS and record.has_tag("ns"):
            self._speed.append(float(record.get_tag("ns")) / length)

    def _flush(self) -> None:
        keys, names = read_keys(self._waiting)
        self._keys += keys.tobytes()
        self._names |= names
        self._waiting.clear()

    def finish(self) -> BamScan:
        self._flush()
        parent_keys, parent_names = read_keys(self._parent_names)
        return BamScan(
            keys=np.frombuffer(self._keys, KEY),
            names=self._names,
            parents=np.frombuffer(self._parents, np.int64),
            parent_keys=parent_keys,
            parent_names=parent_names,
            contig=np.frombuffer(self._contig, np.int32),
            aligned_bp=np.frombuffer(self._aligned_bp, np.int32),
            flag=np.frombuffer(self._flag, np.uint16),
            mapq=np.frombuffer(self._mapq, np.uint8),
            has_sequence=np.frombuffer(self._has_sequence, np.bool_),
            offset=np.frombuffer(self._offset, np.uint64),
            samples_per_base=float(np.median(self._speed)) if self._speed else float("nan"),
            is_sorted=self._is_sorted,
        )
