"""Stages that go through the pump: align with minimap2, or only moving the reads."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from baleen.scaling.crowd import Part
from baleen.scaling.result import LockCost, Trial
from krill.map import AlignJob, AlignOptions, align_reads
from krill.pump import PumpReport, PumpSettings, copy, pad

_SPINNING = ("ttas", "ticket", "mcs", "cohort")
_BLOCK_BYTES = 12_288


@dataclass(frozen=True)
class ReadFiles:
    """Plain FASTQ of a known number of reads (of pairs) and what is cut from it.

    Parameters
    ----------
    paths
        One file, or the two of pairs.
    n_reads
        Reads (pairs) in it.
    folder
        Where cuts are kept for the next trial.
    """

    paths: tuple[Path, ...]
    n_reads: int
    folder: Path

    def cut(self, first: int, last: int, *, is_padded: bool = False) -> tuple[Path, ...]:
        """Return files of the reads from ``first`` to ``last``."""
        if (first, last) == (0, self.n_reads):
            cuts = self.paths
        else:
            cuts = tuple(self.folder / f"{i}.{first}-{last}.fq" for i in range(len(self.paths)))
            for path, cut in zip(self.paths, cuts, strict=True):
                if not cut.exists():
                    with path.open("rb") as source, cut.open("wb") as target:
                        target.writelines(islice(source, 4 * first, 4 * last))
        if not is_padded:
            return cuts
        padded = tuple(self.folder / f"{i}.{first}-{last}.padded.fq" for i in range(len(cuts)))
        if not all(path.exists() for path in padded):
            pad(cuts, padded, _block_bytes(cuts))
        return padded


def _block_bytes(paths: tuple[Path, ...]) -> int:
    """Return the paper's block size, or one that holds the longest record twice."""
    longest = 0
    for path in paths:
        with path.open("rb") as lines:
            while record := list(islice(lines, 4)):
                longest = max(longest, sum(map(len, record)))
    return max(_BLOCK_BYTES, 2 * longest)


def pump_settings(part: Part, batch_bytes: int | None) -> PumpSettings:
    """Return the pump's settings for one process of a cell."""
    cell = part.cell
    size = PumpSettings.batch_bytes if batch_bytes is None else batch_bytes
    return PumpSettings(
        threads=cell.threads, parsing=cell.parsing, lock=cell.lock, output=cell.output, batch_bytes=size
    )


def trial_of(n_reads: int, reports: tuple[PumpReport, ...], lock: str) -> Trial:
    """Return what runs of the pump, one after the other, cost: slowest thread, time split, locks."""
    seconds = running = waiting = inside = 0.0
    locks: dict[str, LockCost] = {}
    for report in reports:
        elapsed = [worker.elapsed_s for worker in report.workers]
        on_cpu = sum(worker.on_cpu_s for worker in report.workers)
        spun = sum(use.waiting_s for use in report.locks) if lock in _SPINNING else 0.0
        computing = max(0.0, on_cpu - report.in_lock_s - spun)
        seconds += max(elapsed, default=0.0)
        running += computing
        inside += report.in_lock_s
        waiting += max(0.0, sum(elapsed) - computing - report.in_lock_s)
        for use in report.locks:
            before = locks.get(use.name, LockCost(0, 0.0, 0.0))
            locks[use.name] = before.plus(LockCost(use.acquisitions, use.inside_s, use.waiting_s))
    return Trial(n_reads, seconds, running, waiting, inside, locks)


@dataclass(frozen=True)
class PumpTask:
    """Move reads through the pump and spend a fixed time on each.

    Parameters
    ----------
    reads
        What to move.
    work_ns
        Time per read outside the locks.
    batch_bytes
        Longest batch; None = the pump's own.
    """

    reads: ReadFiles
    work_ns: int
    batch_bytes: int | None = None

    def prepare(self, part: Part) -> Callable[[], Trial]:
        """Cut this process's reads out."""
        paths = self.reads.cut(part.first, part.last, is_padded=part.cell.parsing == "L")
        settings = pump_settings(part, self.batch_bytes)

        def work() -> Trial:
            report = copy(paths, None, settings, work_ns=self.work_ns)
            return trial_of(report.n_reads, (report,), settings.lock)

        return work


@dataclass(frozen=True)
class Minimap2Task:
    """Align with minimap2 in process, to a sorted BAM; indexing the reference is not counted.

    Parameters
    ----------
    reads, reference
        Input files.
    preset
        Of minimap2.
    batch_bytes
        Longest batch; None = the pump's own.
    """

    reads: ReadFiles
    reference: Path
    preset: str
    batch_bytes: int | None = None

    def prepare(self, part: Part) -> Callable[[], Trial]:
        """Cut this process's reads out."""
        paths = self.reads.cut(part.first, part.last, is_padded=part.cell.parsing == "L")
        settings = pump_settings(part, self.batch_bytes)
        output = self.reads.folder / f"minimap2.{part.first}.bam"
        job = AlignJob(paths, self.reference, output, AlignOptions(preset=self.preset))

        def work() -> Trial:
            report = align_reads(job, settings)
            return trial_of(part.last - part.first, (report.mapping, report.merging), settings.lock)

        return work
