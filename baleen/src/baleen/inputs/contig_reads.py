"""What a worker reads: the alignments and signals of one contig, in batches of bounded size."""

import atexit
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import pysam

from baleen.config import Config
from baleen.data import U8
from baleen.errors import InputError
from baleen.event_levels import EventBatch
from baleen.inputs.event_table import EventTable
from baleen.inputs.sample_reads import NO_FILE
from baleen.inputs.selection import Rows
from baleen.inputs.tasks import ContigTask, ReadSource
from krill import Ragged, ReadBatch
from krill.errors import FormatError
from krill.reads.bam import BamFile
from krill.reads.basecall_tags import MoveTable, move_table, parent_read, signal_span
from krill.reads.keys import read_keys
from krill.reads.signal import open_signal
from krill.reads.signal_file import SignalRecord

BATCH_READS = 32
"""Few, so that one contig's reads occupy many threads."""
BATCH_SAMPLES = 8_000_000
AHEAD_READS = 8
"""Reads whose records are checked, and whose signal is decoded, in one go, while other threads have
the interpreter."""
_BYTES_PER_SAMPLE = 4
"""Bytes of an event table that weigh as much as a sample; it has about 3.6 per sample."""
_MAX_OPEN = 32
_ABSENT_QUALITY = 255


class _Closable(Protocol):
    def close(self) -> None: ...


_Handle = TypeVar("_Handle", bound=_Closable)


class _OpenFiles:
    """Files a thread has open, the least recently used closed first."""

    def __init__(self) -> None:
        self._handles: OrderedDict[tuple[Path, int, int, int], _Closable] = OrderedDict()

    def get(self, path: Path, opener: Callable[[Path], _Handle]) -> _Handle:
        """Return the file, opened now unless it is open and unchanged."""
        try:
            now = path.stat()
        except OSError as error:
            raise InputError(path, f"cannot be read: {error.strerror}") from error
        key = (path, now.st_ino, now.st_size, now.st_mtime_ns)
        if key not in self._handles:
            if len(self._handles) >= _MAX_OPEN:
                self._handles.popitem(last=False)[1].close()
            self._handles[key] = opener(path)
        self._handles.move_to_end(key)
        return self._handles[key]  # type: ignore[return-value]  # a path has one kind of opener

    def close(self) -> None:
        """Close all."""
        while self._handles:
            self._handles.popitem()[1].close()


_OF_THREAD = threading.local()
_ALL: list[_OpenFiles] = []


def _files() -> _OpenFiles:
    """Return the files of the calling thread: a file has one place where it is read."""
    if not hasattr(_OF_THREAD, "files"):
        _OF_THREAD.files = _OpenFiles()
        _ALL.append(_OF_THREAD.files)
    files: _OpenFiles = _OF_THREAD.files
    return files


@atexit.register
def close_files() -> None:
    """Close the files that this process keeps open between contigs."""
    for files in _ALL:
        files.close()


def read_reference(task: ContigTask, source: ReadSource) -> U8:
    """Return the contig's bases: upper-case ASCII, U as T, uint8, shape ``(length_bp,)``."""
    bases = np.load(source.sequences, mmap_mode="r", allow_pickle=False)
    return np.array(bases[task.sequence_start : task.sequence_start + task.length_bp])


def read_contig(task: ContigTask, source: ReadSource, config: Config) -> Iterator[tuple[int, ReadBatch]]:
    """Return the contig's reads in batches, with the number of their sample.

    Parameters
    ----------
    task
        The contig.
    source
        Where the tables lie.
    config
        Whether raw signal is read (``calling.signal``); without it signal rows are empty.

    Returns
    -------
    Batches of at most ``BATCH_READS`` reads or about ``BATCH_SAMPLES`` samples, sample by sample;
    the reads are those of the reads table, in its order. Of a sample with an event table they are
    `EventBatch`.

    Raises
    ------
    InputError
        If a file is damaged or was changed since the run began.
    """
    table = np.load(source.table, mmap_mode="r", allow_pickle=False)
    rows = np.array(table[task.first_row : task.last_row])
    for sample in np.unique(rows["sample"]):
        table = _event_table(source, int(sample)) if config.calling.signal else None
        batch = _Batch(task.contig, table)
        try:
            records = _records(rows[rows["sample"] == sample], source, int(sample))
            has_signal = config.calling.signal and table is None
            for row, record, stored in _with_signal(records, source if has_signal else None):
                if table is not None:
                    batch.add_events(record, int(row["signal_first"]), int(row["signal_second"]))
                else:
                    batch.add(record, stored)
                if batch.is_full():
                    yield int(sample), batch.finish()
                    batch = _Batch(task.contig, table)
        except FormatError as error:
            raise InputError(error.path, error.problem, hint=error.hint) from error
        if len(batch):
            yield int(sample), batch.finish()


def _records(rows: Rows, source: ReadSource, sample: int) -> Iterator[tuple[np.void, pysam.AlignedSegment]]:
    for number in np.unique(rows["bam_file"]):
        of_file = rows[rows["bam_file"] == number]
        path = source.samples[sample].bam[number]
        bam = _files().get(path, BamFile)
        for start in range(0, len(of_file), AHEAD_READS):
            some = of_file[start : start + AHEAD_READS]
            records = list(bam.reads(some["bam_offset"].tolist()))
            if (read_keys([record.query_name or "" for record in records])[0] != some["key"]).any():
                raise InputError(path, "was changed while the run was going on", hint="start the run again")
            yield from zip(some, records, strict=True)


def _event_table(source: ReadSource, sample: int) -> EventTable | None:
    path = source.samples[sample].eventalign
    return None if path is None else _files().get(path, EventTable)


def copy_records(source: ReadSource, file: tuple[int, int], path: Path) -> None:
    """Write the records of one BAM of a sample that are in the reads table, as they are.

    Parameters
    ----------
    source
        Where the tables lie.
    file
        Number of the sample and of its BAM.
    path
        BAM to write, in the order of the original.
    """
    table = np.load(source.table, mmap_mode="r", allow_pickle=False)
    rows = table[(table["sample"] == file[0]) & (table["bam_file"] == file[1])]
    original = source.samples[file[0]].bam[file[1]]
    bam = BamFile(original)
    with (
        pysam.AlignmentFile(str(original), "rb") as template,
        pysam.AlignmentFile(str(path), "wb", header=template.header) as out,
    ):
        for record in bam.reads(map(int, np.sort(rows["bam_offset"]))):
            out.write(record)
    bam.close()


def _with_signal(
    records: Iterable[tuple[np.void, pysam.AlignedSegment]], source: ReadSource | None
) -> Iterator[tuple[np.void, pysam.AlignedSegment, SignalRecord | None]]:
    """Add to each read its stored signal; None without a source."""
    waiting = iter(records)
    while ahead := list(itertools.islice(waiting, AHEAD_READS)):
        rows = np.array([row for row, _ in ahead])
        signals = _stored_signals(rows, source) if source else [None] * len(ahead)
        for (row, record), stored in zip(ahead, signals, strict=True):
            yield row, record, stored


def _stored_signals(rows: Rows, source: ReadSource) -> list[SignalRecord | None]:
    """Return the signal of each row of the reads table; None where there is none."""
    found: list[SignalRecord | None] = [None] * len(rows)
    for number in np.unique(rows["signal_file"]):
        if number == NO_FILE:
            continue
        of_file = np.flatnonzero(rows["signal_file"] == number)
        places = np.column_stack([rows["signal_first"], rows["signal_second"]])[of_file].astype(np.uint64)
        path = source.samples[rows["sample"][0]].signal[number]
        for i, record in zip(of_file, _files().get(path, open_signal).read_many(places), strict=True):
            found[i] = record
    return found


class _Batch:
    """Collect reads of one contig and sample, from an event table if there is one."""

    def __init__(self, contig: str, table: EventTable | None) -> None:
        self._contig, self._table = contig, table
        self._events: list[U8] = []
        self._records: list[pysam.AlignedSegment] = []
        self._moves: list[MoveTable] = []
        self._signals: list[SignalRecord | None] = []
        self._spans: list[tuple[int, int]] = []
        self._n_samples = 0

    def __len__(self) -> int:
        return len(self._records)

    def is_full(self) -> bool:
        """Say whether the batch has reached its bounds."""
        return len(self) >= BATCH_READS or self._n_samples >= BATCH_SAMPLES

    def add(self, record: pysam.AlignedSegment, stored: SignalRecord | None) -> None:
        """Add a read and its stored signal."""
        n_stored = 0
        if stored is not None:
            n_stored = len(stored.signal)
            names = {str(record.query_name).lower(), (parent_read(record) or "").lower()}
            if stored.read_id.lower() not in names:
                message = f"signal of {stored.read_id} where that of {record.query_name} was"
                raise ValueError(message)
        span = signal_span(record, n_stored)
        self._records.append(record)
        self._signals.append(stored)
        self._spans.append(span)
        self._moves.append(move_table(record, span[1] - span[0]))
        self._n_samples += span[1] - span[0]

    def add_events(self, record: pysam.AlignedSegment, offset: int, size: int) -> None:
        """Add a read and its rows of the event table."""
        if self._table is None:
            message = "there is no event table"
            raise ValueError(message)
        self.add(record, None)
        self._events.append(np.frombuffer(self._table.read(offset, size), np.uint8))
        self._n_samples += size // _BYTES_PER_SAMPLE

    def finish(self) -> ReadBatch:
        """Return the arrays."""
        batch = self._read_batch()
        if self._table is None:
            return batch
        events = Ragged.from_rows(self._events, np.uint8)
        return EventBatch(
            **vars(batch), events=events, columns=self._table.columns, table=str(self._table.path)
        )

    def _read_batch(self) -> ReadBatch:
        records, stored = self._records, self._signals
        return ReadBatch(
            contig=self._contig,
            read_ids=tuple(str(record.query_name) for record in records),
            ref_start=np.array([record.reference_start for record in records], np.int32),
            ref_end=np.array([record.reference_end for record in records], np.int32),
            is_reverse=np.array([record.is_reverse for record in records], np.bool_),
            mapq=np.array([record.mapping_quality for record in records], np.uint8),
            cigar=Ragged.from_rows([_cigar(record) for record in records], np.uint32),
            sequence=Ragged.from_rows([_sequence(record) for record in records], np.uint8),
            quality=Ragged.from_rows([_quality(record) for record in records], np.uint8),
            moves=Ragged.from_rows([table.moves for table in self._moves], np.uint8),
            move_stride=np.array([table.stride for table in self._moves], np.int32),
            signal=Ragged.from_rows(
                [() if s is None else s.signal[a:b] for s, (a, b) in zip(stored, self._spans, strict=True)],
                np.int16,
            ),
            signal_start=np.array([start for start, _ in self._spans], np.int64),
            trimmed_samples=np.array([table.trimmed for table in self._moves], np.int32),
            offset_adc=np.array([0 if s is None else s.offset_adc for s in stored], np.float32),
            scale_pa=np.array([1 if s is None else s.scale_pa for s in stored], np.float32),
            sampling_rate_hz=next((s.sampling_rate_hz for s in stored if s is not None), float("nan")),
        )


def _cigar(record: pysam.AlignedSegment) -> list[int]:
    return [length << 4 | operation for operation, length in record.cigartuples or ()]


def _sequence(record: pysam.AlignedSegment) -> U8:
    return np.frombuffer((record.query_sequence or "").encode(), np.uint8)


def _quality(record: pysam.AlignedSegment) -> U8:
    qualities = record.query_qualities
    if qualities is None:
        return np.full(record.query_length, _ABSENT_QUALITY, np.uint8)
    return np.asarray(qualities, np.uint8)
