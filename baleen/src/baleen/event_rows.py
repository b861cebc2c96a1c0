"""Rows of event tables (f5c, nanopolish, our own): written from alignments, read as arrays."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from baleen.data import I64, U8, Bool
from krill import Alignments, PoreModel, ReadBatch

F64 = npt.NDArray[np.float64]

COLUMNS = (
    "contig",
    "position",
    "reference_kmer",
    "read_name",
    "strand",
    "event_index",
    "event_level_mean",
    "event_stdv",
    "event_length",
    "model_kmer",
    "model_mean",
    "model_stdv",
    "standardized_level",
    "start_idx",
    "end_idx",
)
HEADER = ("\t".join(COLUMNS) + "\n").encode()


def format_rows(batch: ReadBatch, alignments: Alignments, reference: U8, model: PoreModel) -> bytes:
    """Return one line per placed position, read by read, by rising position.

    Parameters
    ----------
    batch, alignments
        The same reads, in the same order.
    reference
        The whole contig, ASCII, uint8.
    model
        The model the reads were aligned with.

    Notes
    -----
    As f5c has it, ``position`` is the first base of the k-mer and ``event_index`` rises with time,
    so it falls along the reference. Levels are on the scale of the model, as with f5c's
    ``--scale-events``; ``standardized_level = (event_level_mean - model_mean) / model_stdv``.
    ``start_idx`` and ``end_idx`` (exclusive) count in the signal as stored, of the parent where a
    read was split from one. A k-mer with an ambiguous base has no model: ``N...`` and ``nan``.
    """
    rows_of_read = np.diff(alignments.read_offsets)
    read = np.repeat(np.arange(len(batch)), rows_of_read)
    start = alignments.position - model.center
    kmer = _kmers_of(reference, model.kmer_size)[start]
    code = model.kmer_codes(reference)[start]
    has_model = code >= 0
    model_mean = np.where(has_model, model.level_mean[code], np.nan).astype(np.float64)
    model_stdv = np.where(has_model, model.level_stdv[code], np.nan).astype(np.float64)
    model_kmer = np.where(has_model, kmer, b"N" * model.kmer_size)
    level = alignments.level_mean.astype(np.float64)
    first = batch.signal_start[read]
    dwell = alignments.sample_end - alignments.sample_start
    columns = [
        pa.scalar(batch.contig.encode("utf-8", "surrogateescape"), pa.binary()),
        _whole(start),
        pa.array(kmer, pa.binary()),
        pa.array([name.encode() for name in batch.read_ids], pa.binary()).take(pa.array(read)),
        pa.scalar(b"t", pa.binary()),
        _whole(alignments.read_offsets[1:][read] - 1 - np.arange(len(read))),
        _decimal(level, 2),
        _decimal(alignments.level_stdv.astype(np.float64), 3),
        _decimal(dwell / batch.sampling_rate_hz, 5),
        pa.array(model_kmer, pa.binary()),
        _decimal(model_mean, 2),
        _decimal(model_stdv, 2),
        _decimal((level - model_mean) / model_stdv, 2),
        _whole(first + alignments.sample_start),
        pc.binary_join_element_wise(_whole(first + alignments.sample_end), b"", b"\n"),
    ]
    return _joined(columns) if len(read) else b""


def _kmers_of(reference: U8, size: int) -> npt.NDArray[np.bytes_]:
    """Return the k-mer that begins at each base."""
    if len(reference) < size:
        return np.zeros(0, f"S{size}")
    windows = np.lib.stride_tricks.sliding_window_view(reference, size)
    return np.ascontiguousarray(windows).view(f"S{size}").ravel()


def _whole(values: npt.NDArray[np.integer[Any]]) -> pa.Array:
    return pa.array(values).cast(pa.string()).cast(pa.binary())


def _decimal(values: npt.NDArray[np.float64], places: int) -> pa.Array:
    """Return numbers with so many decimal places; NaN becomes null."""
    rounded = pc.round(pa.array(values, from_pandas=True), places)
    return rounded.cast(pa.decimal128(18, places)).cast(pa.string()).cast(pa.binary())


def _joined(columns: list[Any]) -> bytes:
    lines = pc.binary_join_element_wise(*columns, b"\t", null_handling="replace", null_replacement=b"nan")
    # the values of an array of strings lie one after another in its last buffer
    text: bytes = lines.buffers()[2].to_pybytes()
    return text


_TYPES = {
    "contig": pa.dictionary(pa.int32(), pa.binary()),
    "read_name": pa.dictionary(pa.int32(), pa.binary()),
    "read_index": pa.dictionary(pa.int32(), pa.binary()),
    "position": pa.int64(),
    "reference_kmer": pa.binary(),
    "model_kmer": pa.binary(),
    "strand": pa.binary(),
    "event_level_mean": pa.float64(),
    "event_stdv": pa.float64(),
    "event_length": pa.float64(),
    "model_mean": pa.float64(),
    "start_idx": pa.int64(),
    "end_idx": pa.int64(),
}
"""The columns that are read; all others (``samples`` too) are passed over."""


class RowError(ValueError):
    """A row is malformed.

    Parameters
    ----------
    row
        Its number in the text, from 0.
    problem
        What is wrong.
    """

    def __init__(self, row: int, problem: str) -> None:
        self.row, self.problem = row, problem
        super().__init__(f"row {row + 1}: {problem}")


@dataclass(frozen=True)
class EventRows:
    """Rows of an event table. ``m`` rows.

    Parameters
    ----------
    contig, read
        Index into ``contigs`` and ``reads``, int32, shape ``(m,)``.
    contigs, reads
        Names (of reads: or numbers) as the table has them.
    position
        First base of the k-mer, int64.
    kmer
        K-mer of the reference, T for uracil, uint8, shape ``(m, k)``; None without that column.
    level_pa, stdv_pa
        float64; the deviation is NaN without that column.
    samples, seconds
        Length of the event, float64; NaN where the table does not tell.
    model_pa
        What the tool expected, on the scale of its levels, float64; NaN where it does not tell.
    fits_model
        False for events that the tool marked as noise (model k-mer ``NNNNN`` of another), bool.
    """

    contig: npt.NDArray[np.int32]
    read: npt.NDArray[np.int32]
    contigs: tuple[bytes, ...]
    reads: tuple[bytes, ...]
    position: I64
    kmer: U8 | None
    level_pa: F64
    stdv_pa: F64
    samples: F64
    seconds: F64
    model_pa: F64
    fits_model: Bool

    def __len__(self) -> int:
        return len(self.position)

    @property
    def kmer_size(self) -> int | None:
        """Bases per k-mer, None without a column of k-mers."""
        return None if self.kmer is None else self.kmer.shape[1]


def missing_columns(columns: tuple[str, ...]) -> str | None:
    """Say which columns a table lacks, None if it can be used."""
    missing = [name for name in ("contig", "position", "event_level_mean") if name not in columns]
    if not {"read_name", "read_index"} & set(columns):
        missing.append("read_name (or read_index)")
    if "event_length" not in columns and not {"start_idx", "end_idx"} <= set(columns):
        missing.append("event_length (or start_idx and end_idx)")
    return ", ".join(missing) or None


def parse_rows(text: bytes, columns: tuple[str, ...]) -> EventRows:
    """Read whole lines of a table.

    Raises
    ------
    RowError
        If a line is malformed: fields too few or too many, no number, an empty event, k-mers of
        unequal size, another strand than ``t``.
    """
    wanted = [name for name in columns if name in _TYPES]
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(column_names=columns, block_size=len(text) + 1, use_threads=False),
            parse_options=csv.ParseOptions(
                delimiter="\t", quote_char=False, double_quote=False, ignore_empty_lines=False
            ),
            convert_options=csv.ConvertOptions(
                include_columns=wanted,
                column_types={name: _TYPES[name] for name in wanted},
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise _first_bad_line(text, columns, str(error)) from error
    read_column = "read_name" if "read_name" in columns else "read_index"
    contig, contigs = _names(table, "contig")
    read, reads = _names(table, read_column)
    found = EventRows(
        contig=contig,
        contigs=contigs,
        read=read,
        reads=reads,
        position=table["position"].to_numpy(),
        kmer=_reference_kmers(table),
        level_pa=_numbers(table, "event_level_mean"),
        stdv_pa=_numbers(table, "event_stdv"),
        samples=_numbers(table, "end_idx") - _numbers(table, "start_idx"),
        seconds=_numbers(table, "event_length"),
        model_pa=_numbers(table, "model_mean"),
        fits_model=_fits_model(table),
    )
    _check_rows(found, table)
    return found


def _numbers(table: pa.Table, name: str) -> F64:
    if name not in table.column_names:
        return np.full(len(table), np.nan)
    values: F64 = table[name].to_numpy().astype(np.float64)
    return values


def _names(table: pa.Table, name: str) -> tuple[npt.NDArray[np.int32], tuple[bytes, ...]]:
    column = table[name].combine_chunks()
    return column.indices.to_numpy(), tuple(column.dictionary.to_pylist())


def _reference_kmers(table: pa.Table) -> U8 | None:
    """Return the k-mers of the reference; raise `RowError` unless all are equally long."""
    if "reference_kmer" not in table.column_names:
        return None
    column = table["reference_kmer"].combine_chunks()
    sizes = pc.binary_length(column).to_numpy()
    if (other := np.flatnonzero((sizes != sizes[0]) | (sizes == 0))).size:
        raise RowError(int(other[0]), f"a k-mer of {sizes[other[0]]} bases where others have {sizes[0]}")
    letters = np.frombuffer(column.buffers()[2], np.uint8, int(sizes.sum()))
    return np.where(letters == ord("U"), ord("T"), letters).astype(np.uint8).reshape(len(column), -1)


def _fits_model(table: pa.Table) -> Bool:
    if "model_kmer" not in table.column_names:
        return np.ones(len(table), np.bool_)
    is_noise = pc.match_substring(table["model_kmer"], "N").to_numpy()
    if "reference_kmer" in table.column_names:  # where the reference is ambiguous, so is the model
        is_noise = is_noise & ~pc.match_substring(table["reference_kmer"], "N").to_numpy()
    return np.asarray(~is_noise, np.bool_)


def _check_rows(rows: EventRows, table: pa.Table) -> None:
    length = np.where(np.isnan(rows.samples), rows.seconds, rows.samples)
    checks = [
        (rows.position < 0, "a negative position"),
        (~np.isfinite(rows.level_pa), "a level that is no number"),
        (~(length > 0) | ~np.isfinite(length), "an event without length"),
    ]
    if "strand" in table.column_names:
        other = ~pc.equal(table["strand"], pa.scalar(b"t", pa.binary())).to_numpy()
        checks.append((other, "another strand than t, the only one of direct RNA"))
    for is_bad, problem in checks:
        if is_bad.any():
            raise RowError(int(np.flatnonzero(is_bad)[0]), problem)


_WHOLE, _NUMBER = re.compile(rb"[0-9]+"), re.compile(rb"[-+]?([0-9.]+(e[-+]?[0-9]+)?|inf|nan)", re.IGNORECASE)


def _first_bad_line(text: bytes, columns: tuple[str, ...], reason: str) -> RowError:
    """Find the line that made the quick reader stop."""
    forms = {
        i: _WHOLE if pa.types.is_integer(_TYPES[name]) else _NUMBER
        for i, name in enumerate(columns)
        if name in _TYPES and (pa.types.is_integer(_TYPES[name]) or pa.types.is_floating(_TYPES[name]))
    }
    for number, line in enumerate(text.splitlines()):
        fields = line.split(b"\t")
        if len(fields) != len(columns):
            return RowError(number, f"{len(fields)} fields where the first line names {len(columns)}")
        for i, form in forms.items():
            if not form.fullmatch(fields[i]):
                shown = fields[i][:30].decode("utf-8", "replace")
                return RowError(number, f"{columns[i]} {shown!r} is no number")
    return RowError(0, reason)
