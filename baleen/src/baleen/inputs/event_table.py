"""Event tables as files: which rows are whose, and the rows of single reads."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from baleen.data import I64, U8
from baleen.errors import InputError
from baleen.files import complete_file
from baleen.inputs.sample_reads import NO_FILE
from baleen.inputs.samples import SampleFiles
from baleen.inputs.selection import Rows

if TYPE_CHECKING:  # its libraries take a tenth of a second to load, which runs on signal save
    from baleen.event_rows import EventRows

_GZIP_START = b"\x1f\x8b"
_BLOCK_BYTES = 32 << 20
_COPY_BYTES = 1 << 20
_MOST_BYTES = 0xFFFFFFFF
"""Of one read: the reads table has 32 bits for it."""


@dataclass(frozen=True)
class EventRuns:
    """Neighbouring rows of one read on one contig, taken together. ``n`` runs.

    Parameters
    ----------
    reads, contigs
        Names (of reads: or numbers) as the table has them.
    place
        Offset and size in bytes, in the uncompressed table, uint64, shape ``(n, 2)``.
    line
        Number of the first line, from 1, int64.
    position, kmer
        Of the first row; ``kmer`` is None without that column.
    """

    reads: tuple[str, ...]
    contigs: tuple[str, ...]
    place: npt.NDArray[np.uint64]
    line: I64
    position: I64
    kmer: U8 | None

    def __len__(self) -> int:
        return len(self.reads)


class EventTable:
    """A table of events with a header line, plain or gzipped.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        If it cannot be read, or lacks a column.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_samples, self.n_seconds = 0.0, 0.0
        with self._damage():
            self._raw = path.open("rb")
            self.is_packed = self._raw.read(len(_GZIP_START)) == _GZIP_START
            self._raw.seek(0)
            self._text: BinaryIO = gzip.GzipFile(fileobj=self._raw) if self.is_packed else self._raw  # type: ignore[assignment]  # reads alike
        from baleen.event_rows import missing_columns

        try:
            with self._damage():
                self.header = self._text.readline()
        except InputError:
            self.close()
            raise
        names = self.header.decode("utf-8", "replace").rstrip("\n").split("\t")
        self.columns = tuple(name.rstrip("\r") for name in names)
        missing = missing_columns(self.columns)
        if missing or not self.header.endswith(b"\n"):
            self.close()
            problem = f"it has no column {missing}" if missing else "its first line has no end"
            hint = (
                "its first line must name the columns: f5c eventalign --rna --signal-index --print-read-names"
            )
            raise InputError(path, f"is no event table: {problem}", hint=hint)

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            hint = f"gzip -t {self.path}; make the table again"
            raise InputError(self.path, f"is cut short or damaged: {error}", hint=hint) from error
        except OSError as error:
            raise InputError(self.path, f"cannot be read: {error.strerror or error}") from error

    @property
    def sampling_rate_hz(self) -> float | None:
        """Samples per second as the rows seen so far tell, None if they have no sample indices."""
        return self.n_samples / self.n_seconds if self.n_seconds > 0 else None

    def runs(self) -> Iterator[EventRuns]:
        """Go through the whole table once, in blocks of bounded size.

        Raises
        ------
        InputError
            If a row is malformed (its line is named), or the last line has no end.
        """
        offset, line = len(self.header), 2
        self._text.seek(offset)
        rest = b""
        while True:
            with self._damage():
                block = self._text.read(_BLOCK_BYTES)
            text = rest + block
            if not block and text and not text.endswith(b"\n"):
                hint = "copy the table again, or make it again"
                raise InputError(self.path, "is cut short: its last line has no end", hint=hint)
            text = text[: text.rfind(b"\n") + 1]
            rest_of_line = (rest + block)[len(text) :]
            if text:
                runs, n_bytes, n_lines = self._block(text, offset, line, is_last=not block)
                yield runs
                rest = text[n_bytes:] + rest_of_line
                offset, line = offset + n_bytes, line + n_lines
            else:
                rest = rest_of_line
            if not block:
                return

    def _block(self, text: bytes, offset: int, line: int, *, is_last: bool) -> tuple[EventRuns, int, int]:
        """Return the runs of a block, and its bytes and lines; the last run may go on, so it waits."""
        from baleen.event_rows import RowError, parse_rows

        try:
            rows = parse_rows(text, self.columns)
        except RowError as error:
            problem = f"line {line + error.row}: {error.problem}"
            raise InputError(self.path, problem, hint=f"sed -n {line + error.row}p {self.path}") from error
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1
        is_first = np.ones(len(rows), np.bool_)
        is_first[1:] = (rows.contig[1:] != rows.contig[:-1]) | (rows.read[1:] != rows.read[:-1])
        first = np.flatnonzero(is_first)
        bounds = np.append(np.append(0, ends)[first], len(text))
        n_whole = len(first) if is_last else len(first) - 1
        n_lines = len(rows) if is_last else int(first[-1])
        self._count_samples(rows, n_lines)
        place = np.stack([offset + bounds[:-1], np.diff(bounds)], axis=1).astype(np.uint64)
        if place[:, 1].max() > _MOST_BYTES:
            number = line + int(first[place[:, 1].argmax()])
            raise InputError(self.path, f"line {number}: one read has over 4 GiB of rows from here on")
        first = first[:n_whole]
        runs = EventRuns(
            reads=_named(rows.reads, rows.read[first]),
            contigs=_named(rows.contigs, rows.contig[first]),
            place=place[:n_whole],
            line=line + first,
            position=rows.position[first],
            kmer=None if rows.kmer is None else rows.kmer[first],
        )
        return runs, int(bounds[n_whole]), n_lines

    def _count_samples(self, rows: "EventRows", n_rows: int) -> None:
        tells = np.isfinite(rows.samples[:n_rows]) & np.isfinite(rows.seconds[:n_rows])
        self.n_samples += float(rows.samples[:n_rows][tells].sum())
        self.n_seconds += float(rows.seconds[:n_rows][tells].sum())

    def read(self, offset: int, size: int) -> bytes:
        """Return the rows at a place that the runs gave; of a packed table in rising order alone."""
        with self._damage():
            self._text.seek(offset)
            text = self._text.read(size)
        if len(text) < size:
            raise InputError(self.path, "was changed while the run was going on", hint="start the run again")
        return text

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        self._raw.close()


def _named(names: Sequence[bytes], codes: npt.NDArray[np.int32]) -> tuple[str, ...]:
    decoded = [name.decode("utf-8", "surrogateescape") for name in names]
    return tuple(decoded[code] for code in codes)


def read_summary(path: Path) -> dict[str, str]:
    """Return the name of each read number, from what ``eventalign --summary`` wrote."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read: {error}") from error
    rows = csv.DictReader(lines, delimiter="\t")
    missing = [name for name in ("read_index", "read_name") if name not in (rows.fieldnames or ())]
    if missing:
        hint = "give what f5c or nanopolish eventalign --summary FILE wrote"
        raise InputError(path, f"has no column {', '.join(missing)}", hint=hint)
    return {row["read_index"]: row["read_name"] for row in rows}


def unpack_tables(
    folder: Path, samples: Sequence[SampleFiles], rows: Rows
) -> tuple[tuple[SampleFiles, ...], Rows]:
    """Copy the rows in use of compressed tables into a folder, since workers read here and there.

    Parameters
    ----------
    folder
        Where the copies go; one that is there already is this run's.
    samples, rows
        Files of each sample; the reads table.

    Returns
    -------
    Samples with the copies in place of the compressed tables, and where the rows lie in those.
    """
    found, rows = list(samples), rows.copy()
    for number, sample in enumerate(samples):
        mine = np.flatnonzero((rows["sample"] == number) & (rows["signal_file"] != NO_FILE))
        if sample.eventalign is None or not len(mine):
            continue
        table = EventTable(sample.eventalign)
        try:
            if not table.is_packed:
                continue
            mine = mine[np.argsort(rows["signal_first"][mine], kind="stable")]
            sizes = rows["signal_second"][mine].astype(np.int64)
            path = folder / f".events-{number}.tsv"
            if not path.exists():
                _copy(table, rows["signal_first"][mine], sizes, path)
            rows["signal_first"][mine] = len(table.header) + np.cumsum(sizes) - sizes
            found[number] = replace(sample, eventalign=path)
        finally:
            table.close()
    return tuple(found), rows


def _copy(table: EventTable, offsets: npt.NDArray[np.uint64], sizes: I64, path: Path) -> None:
    with complete_file(path) as part, part.open("wb", buffering=_COPY_BYTES) as copy:
        copy.write(table.header)
        for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True):
            copy.write(table.read(offset, size))
