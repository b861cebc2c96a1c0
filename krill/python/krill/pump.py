"""Move reads from files to workers and on: batches, locks, sinks, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from krill import _krill

PARSINGS = ("auto", "O", "D", "B", "L", "K", "A")
LOCKS = ("auto", "os", "ttas", "ticket", "mcs", "mcs-park", "cohort")
OUTPUTS = ("single", "striped:N", "slices", "ordered")
NUMA = ("off", "spread", "node")


def available_threads() -> int:
    """Return the cores this process may use: affinity and cgroup quota, not the host's cores."""
    return _krill.available_threads()


def line_ns() -> float | None:
    """Return nanoseconds that a cache line takes from core to core; None where there is one core.

    The least of nine rounds in which two threads, on two cores of the first NUMA node, pass a number
    back and forth.
    """
    return _krill.line_ns()


@dataclass(frozen=True, kw_only=True)
class PumpSettings:
    """How reads are shared out among workers. None of it can change a result.

    Parameters
    ----------
    threads
        Workers; 0 = all cores this process may use.
    parsing
        What is done inside the input lock: one of ``PARSINGS``.
    lock
        One of ``LOCKS``; ``auto`` is the operating system's mutex.
    output
        Who writes where: one of ``OUTPUTS``, with N destinations for ``striped:N``.
    numa
        Where workers are pinned: one of ``NUMA``.
    batch_bytes
        Longest piece of text a worker takes at once; pieces shrink towards the end of a file.
    """

    threads: int = 0
    parsing: str = "auto"
    lock: str = "auto"
    output: str = "slices"
    numa: str = "off"
    batch_bytes: int = 1 << 18

    def __post_init__(self) -> None:
        if self.threads < 0 or self.batch_bytes < 1:
            message = f"threads ({self.threads}) and batch_bytes ({self.batch_bytes}) cannot be negative"
            raise ValueError(message)
        if self.threads == 0:
            object.__setattr__(self, "threads", available_threads())


class LockUse(NamedTuple):
    """Use of one lock, summed over the workers."""

    name: str
    acquisitions: int
    inside_s: float
    waiting_s: float


class WorkerTime(NamedTuple):
    """How one worker's time was spent; ``waiting_to_run_s`` is None where the kernel does not say."""

    on_cpu_s: float
    waiting_to_run_s: float | None
    blocked_s: float
    n_batches: int

    @property
    def elapsed_s(self) -> float:
        """Seconds from the worker's start to its end."""
        return self.on_cpu_s + (self.waiting_to_run_s or 0.0) + self.blocked_s


@dataclass(frozen=True)
class PumpReport:
    """What a run of the pump cost."""

    n_reads: int
    wall_s: float
    locks: tuple[LockUse, ...]
    workers: tuple[WorkerTime, ...]

    @classmethod
    def from_engine(cls, report: _krill.PumpReport) -> Self:
        """Name the engine's numbers."""
        return cls(
            n_reads=report.n_reads,
            wall_s=report.wall_s,
            locks=tuple(LockUse(*lock) for lock in report.locks),
            workers=tuple(WorkerTime(*worker) for worker in report.workers),
        )

    @property
    def in_lock_s(self) -> float:
        """Seconds spent inside any lock."""
        return sum(lock.inside_s for lock in self.locks)


def copy(
    reads: Sequence[Path], output: Path | None, settings: PumpSettings, *, work_ns: int = 0
) -> PumpReport:
    """Send reads through the pump and write them as plain FASTQ.

    Parameters
    ----------
    reads
        One FASTQ file (plain, gzip, blocked gzip, pipe; ``-`` is standard input), or the two of
        paired reads, which are written one after the other.
    output
        File to write; None only counts (a BAM may be counted).
    settings
        How the work is shared out.
    work_ns
        Nanoseconds of arithmetic per read that stand for a stage's computation.

    Raises
    ------
    FormatError
        A file is damaged, truncated, or its mate does not fit.
    """
    return PumpReport.from_engine(_krill.pump_copy(reads, output, settings, work_ns))


def decode_signals(path: Path, settings: PumpSettings) -> tuple[PumpReport, int]:
    """Decode every signal of a BLOW5 file; return what the pump cost and the number of samples.

    Nothing is read inside a lock: workers tell each other where the next record begins.

    Raises
    ------
    FormatError
        The file is damaged, truncated, or stored in a way that is not read.
    """
    report, n_samples = _krill.pump_signals(path, settings)
    return PumpReport.from_engine(report), n_samples


class PaddedLayout(NamedTuple):
    """How a padded FASTQ file is laid out."""

    block_bytes: int
    reads_per_block: int
    n_reads: int


def pad(inputs: Sequence[Path], outputs: Sequence[Path], block_bytes: int = 12288) -> PaddedLayout:
    """Write FASTQ in which each block of bytes holds the same number of reads; mates are padded alike."""
    return PaddedLayout(*_krill.fastq_pad(inputs, outputs, block_bytes))


def unpad(inputs: Sequence[Path], outputs: Sequence[Path]) -> int:
    """Write padded FASTQ without its padding; return the number of reads (of pairs)."""
    return _krill.fastq_unpad(inputs, outputs)


def check(path: Path) -> PaddedLayout:
    """Check a padded file against its sidecar, block by block."""
    return PaddedLayout(*_krill.fastq_check(path))
