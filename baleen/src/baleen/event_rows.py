"""Alignments as rows of an event table, in the columns of f5c."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from baleen.data import U8
from krill import Alignments, PoreModel, ReadBatch

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
    kmer = _kmers(reference, model.kmer_size)[start]
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


def _kmers(reference: U8, size: int) -> npt.NDArray[np.bytes_]:
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
