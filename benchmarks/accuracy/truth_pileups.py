"""Signal pileups of the simulated sets from their true sample boundaries."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyslow5

from baleen.data import ReadIndex, SignalPileup
from krill import PoreModel


@dataclass
class PlacedRead:
    """One read on its contig: boundaries in time order, levels scaled to the pore model."""

    read_id: str
    is_native: bool
    position: np.ndarray
    start: np.ndarray
    end: np.ndarray
    signal: np.ndarray


def load(folders: dict[str, Path], reference: Path, model: PoreModel, padding: int = 1) -> list[SignalPileup]:
    """Return one pileup per contig; ``folders`` holds the native and the control sample."""
    sequences = read_fasta(reference)
    placed: dict[str, list[PlacedRead]] = {name: [] for name in sequences}
    for condition, folder in folders.items():
        for contig, read in _place(folder, sequences, model, is_native=condition == "native"):
            placed[contig].append(read)
    return [build(contig, sequences[contig], reads, padding) for contig, reads in placed.items() if reads]


def read_fasta(path: Path) -> dict[str, np.ndarray]:
    """Return the sequences, upper case, ASCII."""
    sequences: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
            sequences[name] = []
        else:
            sequences[name].append(line.strip().upper())
    return {k: np.frombuffer("".join(v).encode(), np.uint8) for k, v in sequences.items()}


def _place(
    folder: Path, sequences: dict[str, np.ndarray], model: PoreModel, *, is_native: bool
) -> Iterator[tuple[str, PlacedRead]]:
    signals = pyslow5.Open(str(folder / "reads.blow5"), "r")
    with gzip.open(folder / "truth_align.tsv.gz", "rt") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            lengths = np.array(row["ss_3to5"].rstrip(",").split(","), np.int64)
            edges = int(row["sig_start"]) + np.concatenate([[0], np.cumsum(lengths)])
            kmer_start = int(row["ref_end0"]) - model.kmer_size - np.arange(len(lengths))
            pa = signals.get_read(row["read_id"], pA=True)["signal"]
            codes = model.kmer_codes(sequences[row["contig"]])[kmer_start]
            scaled = _scale(pa, edges, model.level_mean[codes])
            order = np.argsort(kmer_start)
            read = PlacedRead(
                row["read_id"],
                is_native,
                (kmer_start + model.center)[order].astype(np.int32),
                edges[:-1][order],
                edges[1:][order],
                scaled,
            )
            yield row["contig"], read


def _scale(pa: np.ndarray, edges: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Fit gain, offset and drift to the model, twice: the second time without far levels."""
    means = np.add.reduceat(pa, edges[:-1]) / np.diff(edges)
    time = (edges[:-1] + edges[1:]) / 2 / len(pa) - 0.5
    design = np.column_stack([expected, np.ones_like(expected), time])
    keep = np.ones(len(means), bool)
    for _ in range(2):
        (gain, offset, drift), *_ = np.linalg.lstsq(design[keep], means[keep], rcond=None)
        residual = means - design @ [gain, offset, drift]
        keep = np.abs(residual) < 3 * 1.4826 * np.median(np.abs(residual))
    clock = np.arange(len(pa)) / len(pa) - 0.5
    return ((pa - offset - drift * clock) / gain).astype(np.float32)


def build(contig: str, sequence: np.ndarray, reads: list[PlacedRead], padding: int) -> SignalPileup:
    """Cut placed reads of one contig into windows, sorted by position."""
    offsets = np.concatenate([[0], np.cumsum([len(r.signal) for r in reads])])
    signal = np.concatenate([r.signal for r in reads])
    position = np.concatenate([r.position for r in reads])
    read = np.repeat(np.arange(len(reads)), [len(r.position) for r in reads])
    start = np.concatenate([r.start + o for r, o in zip(reads, offsets, strict=False)])
    end = np.concatenate([r.end + o for r, o in zip(reads, offsets, strict=False)])
    # 3' to 5': the next position lies before in time
    before, after = _neighbours(start, end, read, padding)
    order = np.lexsort([read, position])
    unique, counts = np.unique(position, return_counts=True)
    mean, stdv = _moments(signal, start, end)
    return SignalPileup(
        contig=contig,
        sequence=sequence,
        position=unique.astype(np.int32),
        window_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        read=read[order].astype(np.int32),
        level_pa=mean[order],
        level_stdv_pa=stdv[order],
        confidence=np.ones(len(order), np.float32),
        dwell_samples=(end - start)[order].astype(np.int32),
        signal=signal,
        base_start=start[order].astype(np.int64),
        base_end=end[order].astype(np.int64),
        window_start=before[order].astype(np.int64),
        window_end=after[order].astype(np.int64),
        reads=index_reads([r.read_id for r in reads], [r.is_native for r in reads]),
    )


def _neighbours(
    start: np.ndarray, end: np.ndarray, read: np.ndarray, padding: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(read))
    first = np.searchsorted(read, read)
    last = np.searchsorted(read, read, side="right") - 1
    return start[np.minimum(rows + padding, last)], end[np.maximum(rows - padding, first)]


def _moments(signal: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = np.concatenate([[0.0], np.cumsum(signal, dtype=np.float64)])
    square = np.concatenate([[0.0], np.cumsum(signal.astype(np.float64) ** 2)])
    n = np.maximum(end - start, 1)
    mean = (total[end] - total[start]) / n
    variance = (square[end] - square[start]) / n - mean**2
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 0)).astype(np.float32)


def index_reads(read_ids: list[str], is_native: list[bool], folds: int = 5) -> ReadIndex:
    """Return the index of reads of one native and one control sample."""
    n = len(read_ids)
    native = np.array(is_native, np.bool_)
    fold = np.array([int(read_id[:8], 16) % folds for read_id in read_ids], np.uint8).reshape(n)
    return ReadIndex(tuple(read_ids), native, (~native).astype(np.uint8), fold, ("native", "control"))
