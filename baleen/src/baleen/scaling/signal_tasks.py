"""Stages on signal in memory: event alignment of reads, time warping of positions."""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import krill
from baleen.config import Config
from baleen.data import SignalPileup
from baleen.distances import choose_landmarks
from baleen.inputs import SampleFiles, open_run, read_contig, read_reference
from baleen.pileup import build_pileup, index_reads, place_batch
from baleen.scaling.crowd import Part
from baleen.scaling.result import Trial
from krill import Ragged, ReadBatch
from krill.pump import available_threads

_GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, put ranks in an order of which every stretch has low and high ones alike."""


def timed(work: Callable[[], object], n_items: int, threads: int) -> Callable[[], Trial]:
    """Return the work with its wall and CPU time; nothing in it takes a shared lock."""

    def measured() -> Trial:
        start, cpu = time.perf_counter(), time.process_time()
        work()
        seconds, running = time.perf_counter() - start, time.process_time() - cpu
        return Trial(n_items, seconds, running, max(0.0, threads * seconds - running), 0.0)

    return measured


@dataclass(frozen=True)
class EventalignTask:
    """Place the signal of reads on their contig.

    Parameters
    ----------
    batch
        Reads of one contig.
    reference
        Its bases.
    chemistry
        Name of the pore model.
    """

    batch: ReadBatch
    reference: npt.NDArray[np.uint8]
    chemistry: str

    @property
    def n_items(self) -> int:
        """Reads."""
        return len(self.batch)

    def prepare(self, part: Part) -> Callable[[], Trial]:
        """Take this process's reads."""
        rows = np.arange(part.first, part.last)
        batch, model = _rows(self.batch, rows), krill.PoreModel.shipped(self.chemistry)
        threads = part.cell.threads
        return timed(lambda: krill.align(batch, self.reference, model, threads=threads), len(batch), threads)


@dataclass(frozen=True)
class DtwTask:
    """Measure where windows lie along the main direction of their position's distances.

    Parameters
    ----------
    windows
        Of all positions, in no order.
    is_landmark
        The windows that span each position's space.
    """

    windows: krill.SignalWindows
    is_landmark: npt.NDArray[np.bool_]

    @property
    def n_items(self) -> int:
        """Positions."""
        return len(self.windows.position_offsets) - 1

    def prepare(self, part: Part) -> Callable[[], Trial]:
        """Take this process's positions."""
        whole, threads = self.windows, part.cell.threads
        offsets = whole.position_offsets[part.first : part.last + 1]
        rows = slice(offsets[0], offsets[-1])
        windows = krill.SignalWindows(whole.signal, whole.start[rows], whole.end[rows], offsets - offsets[0])
        landmarks = self.is_landmark[rows]
        n = part.last - part.first
        return timed(lambda: krill.dtw_coordinate(windows, landmarks, threads=threads), n, threads)


def _rows(batch: ReadBatch, rows: npt.NDArray[np.int64]) -> ReadBatch:
    """Return some reads of a batch, in this order."""
    chosen: dict[str, Any] = {}
    for column in dataclasses.fields(batch):
        value = getattr(batch, column.name)
        if isinstance(value, Ragged):
            chosen[column.name] = Ragged.from_rows([value[i] for i in rows], value.values.dtype)
        elif isinstance(value, tuple):
            chosen[column.name] = tuple(value[i] for i in rows)
        elif isinstance(value, np.ndarray):
            chosen[column.name] = value[rows]
    return dataclasses.replace(batch, **chosen)


def open_signal(
    samples: tuple[SampleFiles, ...], reference: Path, config: Config
) -> tuple[list[tuple[int, ReadBatch]], npt.NDArray[np.uint8], str, str]:
    """Return the reads of the contig with the most reads, its bases, its name, and the chemistry."""
    inputs = open_run(samples, reference, config)
    if not inputs.tasks or inputs.chemistry is None:
        message = "no contig has enough reads; give more, or a smaller --min-depth in the configuration"
        raise ValueError(message)
    with tempfile.TemporaryDirectory(prefix="baleen-scaling-") as folder:
        source = inputs.write(Path(folder))
        task = max(inputs.tasks, key=lambda task: sum(task.n_reads))
        return (
            list(read_contig(task, source, config)),
            read_reference(task, source),
            task.contig,
            inputs.chemistry,
        )


def eventalign_task(samples: tuple[SampleFiles, ...], reference: Path) -> EventalignTask:
    """Return the task of placing the native reads of the contig that has most."""
    batches, bases, _, chemistry = open_signal(samples, reference, Config())
    native = [batch for sample, batch in batches if samples[sample].is_native]
    reads = _joined(native)
    # sorted BAMs have the longest reads first, and every worker shall have its share of them
    size_rank = np.argsort(np.argsort(np.diff(reads.signal.offsets), kind="stable"))
    return EventalignTask(_rows(reads, np.argsort(size_rank * _GOLDEN % 1)), bases, chemistry)


def _joined(batches: list[ReadBatch]) -> ReadBatch:
    columns: dict[str, Any] = {}
    for column in dataclasses.fields(batches[0]):
        values = [getattr(batch, column.name) for batch in batches]
        if isinstance(values[0], Ragged):
            rows = [row for value in values for row in value]
            columns[column.name] = Ragged.from_rows(rows, values[0].values.dtype)
        elif isinstance(values[0], np.ndarray):
            columns[column.name] = np.concatenate(values)
        elif isinstance(values[0], tuple):
            columns[column.name] = tuple(item for value in values for item in value)
    return dataclasses.replace(batches[0], **columns)


def dtw_task(samples: tuple[SampleFiles, ...], reference: Path) -> DtwTask:
    """Return the task of warping the padded windows of the contig that has most reads."""
    config = Config()
    batches, bases, contig, chemistry = open_signal(samples, reference, config)
    model = krill.PoreModel.shipped(chemistry)
    threads = available_threads()
    placed = [
        place_batch(batch, krill.align(batch, bases, model, threads=threads), config.pileup.padding)
        for _, batch in batches
    ]
    index = index_reads(
        [(batch.read_ids, sample, samples[sample].is_native) for sample, batch in batches],
        tuple(sample.name for sample in samples),
        config.reads.seed,
    )
    pileup: SignalPileup = build_pileup(contig, bases, placed, index, [len(b) for _, b in batches])
    # in no order: reads are deeper towards one end, and every worker shall have its share of them
    counts = np.diff(pileup.window_offsets)
    order = np.random.default_rng(1).permutation(len(counts))
    starts = pileup.window_offsets[:-1][order]
    rows = np.concatenate([np.arange(n) + start for start, n in zip(starts, counts[order], strict=True)])
    offsets = np.concatenate([[0], np.cumsum(counts[order])])
    windows = krill.SignalWindows(pileup.signal, pileup.window_start[rows], pileup.window_end[rows], offsets)
    return DtwTask(windows, choose_landmarks(pileup)[rows])
