"""Align reads: FASTQ or unaligned BAM in, a coordinate-sorted and indexed BAM out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from krill import _krill
from krill.pump import PumpReport, PumpSettings

PRESETS = ("rna", "rna-transcripts", "splice", "map-ont", "sr")
MINIMAP2_VERSION = _krill.MINIMAP2_VERSION


@dataclass(frozen=True, kw_only=True)
class AlignOptions:
    """What is aligned and how the BAM is written.

    Parameters
    ----------
    preset
        One of ``PRESETS``: direct RNA (spliced where needed, as ``minimap2 -x splice -uf -k14``),
        direct RNA against transcripts (``-x map-ont -k14 --for-only``), and minimap2's ``splice``,
        ``map-ont`` and ``sr``.
    secondary
        Write secondary alignments too.
    memory_bytes
        Memory for sorting, all threads together; what is more is sorted on disk beside the output.
    level
        Compression of the BAM, 0 to 12.
    command_line
        What the header says of this run.
    """

    preset: str = "rna"
    secondary: bool = False
    memory_bytes: int = 1 << 30
    level: int = 6
    command_line: str = ""


@dataclass(frozen=True)
class AlignReport:
    """What an alignment found and cost; a pair counts as two reads."""

    n_reads: int
    n_mapped: int
    index_s: float
    mapping: PumpReport
    merging: PumpReport

    @property
    def serial_share(self) -> float:
        """Time inside locks, of all the time the workers were on a core."""
        stages = (self.mapping, self.merging)
        on_cpu_s = sum(worker.on_cpu_s for stage in stages for worker in stage.workers)
        return sum(stage.in_lock_s for stage in stages) / on_cpu_s if on_cpu_s > 0 else 0.0

    @property
    def locked_share(self) -> float:
        """Time inside locks, of all the time from the workers' start to their end."""
        stages = (self.mapping, self.merging)
        elapsed_s = sum(worker.elapsed_s for stage in stages for worker in stage.workers)
        return sum(stage.in_lock_s for stage in stages) / elapsed_s if elapsed_s > 0 else 0.0


@dataclass(frozen=True)
class AlignJob:
    """The files of one alignment."""

    reads: Sequence[Path]
    reference: Path
    output: Path
    options: AlignOptions = field(default_factory=AlignOptions)


def align_reads(job: AlignJob, settings: PumpSettings | None = None) -> AlignReport:
    """Align with minimap2 in process: one shared index, one buffer per thread.

    Parameters
    ----------
    job
        One file of reads (FASTQ plain, gzip, blocked gzip or pipe; unaligned BAM, whose tags are
        carried over; aligned BAM, whose reads are aligned again), or the two files of paired short
        reads. The BAM at ``job.output`` appears whole or not at all, with ``.bai`` beside it.
    settings
        How the reads are shared out; cannot change the result, not even a byte of it.

    Raises
    ------
    FormatError
        A file is damaged, truncated or not what it should be.
    ValueError
        A setting has a value it cannot have.
    """
    settings = settings or PumpSettings()
    found = _krill.map_align(job.reads, job.reference, job.output, job.options, settings)
    n_reads, n_mapped, index_s, mapping, merging = found
    return AlignReport(
        n_reads, n_mapped, index_s, PumpReport.from_engine(mapping), PumpReport.from_engine(merging)
    )


@dataclass(frozen=True)
class ChildCommand:
    """A process that reads lines (name, bases and qualities of a read or of both mates) and prints SAM.

    Parameters
    ----------
    words
        Program and arguments.
    log
        File for its messages; their end is shown if it fails.
    """

    words: Sequence[str]
    log: Path


def align_with_children(
    job: AlignJob, engine: str, children: Sequence[ChildCommand], settings: PumpSettings
) -> AlignReport:
    """Align with child processes, each fed whenever it has room; the result is sorted and merged.

    ``job.reads`` may be empty: then the children know their own reads. ``engine`` is what the header
    says of them. ``settings.threads`` is the number of threads of all children together.
    """
    commands = [(list(child.words), child.log) for child in children]
    found = _krill.map_children(job.reads, (engine, commands), job.output, job.options, settings)
    n_reads, n_mapped, index_s, mapping, merging = found
    return AlignReport(
        n_reads, n_mapped, index_s, PumpReport.from_engine(mapping), PumpReport.from_engine(merging)
    )


def split(inputs: Sequence[Path], shares: Sequence[Sequence[Path]]) -> int:
    """Write contiguous shares of reads that differ by at most one; return the number of reads (of pairs)."""
    return _krill.fastq_split(inputs, shares)
