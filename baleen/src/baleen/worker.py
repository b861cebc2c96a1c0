"""What a worker does with a group of contigs: score them, later call them. Files in, slices out."""

import dataclasses
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pysam

import krill
from baleen import calling
from baleen.calling import Evidence, RunModel
from baleen.config import Config
from baleen.data import U8, ReadCalls
from baleen.distances import distances
from baleen.error_pileup import error_pileup
from baleen.errors import OutputError
from baleen.inputs import ContigTask, ReadSource, read_contig, read_reference
from baleen.outputs.mod_bam import ReadCall, SampleBam, modified_bases, write_mod_bam
from baleen.outputs.slices import Slice, slice_path, write_slice
from baleen.pileup import PlacedReads, build_pileup, index_reads, place_batch, status_counts
from baleen.plan import Group
from krill import Alignments, PoreModel, Ragged, ReadBatch

EVIDENCE, CALLS, READS = "evidence.npz", "calls.npz", "bam"


@dataclass(frozen=True)
class Job:
    """What every worker of a run must know; picklable.

    Parameters
    ----------
    config
        Settings.
    source
        Where the reads lie.
    chemistry
        Name of the shipped pore model, None without signal.
    evidence_folder, folder
        Where slices of evidence lie, where those of calls go.
    threads, device
        For the engine, in this worker.
    """

    config: Config
    source: ReadSource
    chemistry: str | None
    evidence_folder: Path
    folder: Path
    threads: int
    device: str


@dataclass(frozen=True)
class GroupOutcome:
    """What a worker tells the main process of a group: small, whatever the contigs' size."""

    seconds: dict[str, float]


class _Clock:
    """Seconds per stage of this worker."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


@lru_cache(maxsize=2)
def _pore_model(chemistry: str, path: str | None) -> PoreModel:
    return PoreModel.shipped(chemistry) if path is None else PoreModel.load(path)


def score_group(job: Job, group: Group) -> GroupOutcome:
    """Score the contigs of a group and write their evidence as one slice.

    A contig that fails does not take the others with it: its reason is kept in the slice.
    """
    clock = _Clock()
    tables = {}
    failed: dict[str, str] = {}
    read_status: Counter[str] = Counter()
    for number, task in enumerate(group.tasks):
        try:
            evidence, counts = score_contig(task, job, clock)
        except (OutputError, MemoryError):
            raise  # not the contig's fault
        except (Exception, krill.PanicException) as error:  # noqa: BLE001  # reported, exit 6
            failed[task.contig] = f"{type(error).__name__}: {error}".replace("\n", "; ")
            continue
        tables[f"{number:06d}"] = evidence.to_arrays()
        read_status.update(counts)
    meta = {"failed": failed, "read_status": read_status, "seconds": clock.seconds}
    write_slice(slice_path(job.evidence_folder, group.index, EVIDENCE), tables, meta)
    return GroupOutcome(clock.seconds)


def score_contig(task: ContigTask, job: Job, clock: _Clock) -> tuple[Evidence, dict[str, int]]:
    """Read one contig, place its signal, measure distances, score; also count its reads by status."""
    config = job.config
    reference = read_reference(task, job.source)
    names = tuple(sample.name for sample in job.source.samples)
    batches: list[tuple[tuple[str, ...], int, bool]] = []
    placed: list[PlacedReads] = []
    aligned: list[ReadBatch] = []
    statuses = []
    for sample, batch in read_contig(task, job.source, config):
        clock.lap("reading")
        batches.append((batch.read_ids, sample, job.source.samples[sample].is_native))
        aligned.append(_without_signal(batch))
        if config.calling.signal:
            alignments = _align(batch, reference, job)
            statuses.append(alignments.status)
            placed.append(place_batch(batch, alignments, config.pileup.padding))
            clock.lap("eventalign")
    reads = index_reads(batches, names, config.reads.seed)
    sizes = [len(ids) for ids, _, _ in batches]
    errors = error_pileup(aligned, reference, reads)
    pileup = build_pileup(task.contig, reference, placed, reads, sizes) if config.calling.signal else None
    clock.lap("pileup")
    measured = None
    if pileup is not None and "shape" in config.calling.channels:
        measured = distances(pileup, threads=job.threads, device=job.device)
        clock.lap("dtw")
    evidence = calling.score_contig(pileup, measured, errors, config.calling, config.reads.seed)
    clock.lap("calling")
    return evidence, status_counts(statuses) if statuses else {"ok": len(reads)}


def _without_signal(batch: ReadBatch) -> ReadBatch:
    """Keep the alignments alone: signal is dropped batch by batch, so memory holds it once."""
    empty = Ragged(np.zeros(0, np.int16), np.zeros(len(batch) + 1, np.int64))
    return dataclasses.replace(batch, signal=empty)


def _align(batch: ReadBatch, reference: U8, job: Job) -> Alignments:
    pileup = job.config.pileup
    if job.chemistry is None:
        message = "event alignment needs a pore model"
        raise ValueError(message)
    model = _pore_model(job.chemistry, pileup.kmer_model)
    return krill.align(
        batch, reference, model, mode=pileup.align_mode, moves=pileup.moves, threads=job.threads
    )


def call_group(job: Job, model: RunModel, header: str, group: Group) -> GroupOutcome:
    """Call the contigs of a scored group: write their sites and, if asked for, their reads.

    Parameters
    ----------
    job
        As for scoring.
    model
        What was learnt across contigs.
    header
        Text of the merged BAM's header.
    group
        The contigs.
    """
    clock = _Clock()
    evidence = Slice(slice_path(job.evidence_folder, group.index, EVIDENCE))
    tables = {}
    read_calls: list[tuple[str, ReadCalls]] = []
    for name in evidence.tables():
        scored = Evidence.from_arrays(evidence.table(name))
        calls = calling.call_contig(scored, model, job.config.calling)
        tables[name] = calls.sites.columns
        read_calls.append((scored.contig, calls.reads))
    evidence.close()
    clock.lap("calling")
    if job.config.output.read_bam:
        path = slice_path(job.folder, group.index, READS)
        codes = modified_bases(job.config.output.mod_code)
        contigs = ((contig, _bams(job.source), _by_read(calls)) for contig, calls in read_calls)
        write_mod_bam(path, pysam.AlignmentHeader.from_text(header), contigs, codes)
        clock.lap("read BAM")
    write_slice(slice_path(job.folder, group.index, CALLS), tables, {})
    clock.lap("writing")
    return GroupOutcome(clock.seconds)


def _bams(source: ReadSource) -> list[SampleBam]:
    return [SampleBam(bam, i, sample.name) for i, sample in enumerate(source.samples) for bam in sample.bam]


def _by_read(calls: ReadCalls) -> dict[tuple[int, str], ReadCall]:
    """Split the calls of a contig by read; positions rise within a read."""
    order = np.lexsort((calls.position, calls.read))
    read, position, p_mod = calls.read[order], calls.position[order], calls.p_mod[order]
    bounds = np.searchsorted(read, np.arange(len(calls.reads) + 1))
    return {
        (int(calls.reads.sample[i]), calls.reads.read_ids[i]): ReadCall(
            position[bounds[i] : bounds[i + 1]], p_mod[bounds[i] : bounds[i + 1]]
        )
        for i in range(len(calls.reads))
        if bounds[i + 1] > bounds[i]
    }
