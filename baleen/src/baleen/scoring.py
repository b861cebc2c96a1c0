"""What a worker does with a group of contigs: read, place, measure, score. Files in, slices out."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

import krill
from baleen import calling
from baleen.calling import Evidence, Summary
from baleen.crew import Clock, Seconds, crew_of
from baleen.data import U8, Distances, ErrorPileup, ReadIndex, SignalPileup
from baleen.distances import distances
from baleen.error_pileup import error_pileup, keep_errors
from baleen.errors import OutputError
from baleen.event_levels import EventBatch, read_levels
from baleen.inputs import ContigTask, read_contig, read_reference
from baleen.outputs.slices import Arrays, slice_path, write_slice
from baleen.panel_files import placed_reads
from baleen.pileup import (
    PlacedReads,
    build_pileup,
    index_reads,
    keep_reads,
    place_batch,
    place_levels,
    status_counts,
)
from baleen.plan import Group
from baleen.scorers import load_scorers, score_windows
from baleen.worker import EVIDENCE, GroupOutcome, Job, turn_of
from krill import PoreModel, Ragged, ReadBatch


@lru_cache(maxsize=2)
def pore_model(chemistry: str, path: str | None) -> PoreModel:
    """Return the model of ``--kmer-model``, or the shipped one."""
    return PoreModel.shipped(chemistry) if path is None else PoreModel.load(path)


def score_group(job: Job, group: Group) -> GroupOutcome:
    """Score the contigs of a group and write their evidence as one slice.

    A contig that fails does not take the others with it: its reason is kept in the slice.
    """
    if job.device != "cpu":
        krill.open_early()  # while the first reads are placed
    clock = Clock(crew_of(job.threads))
    jobs = [job, *(job.of_condition(number) for number in range(len(job.conditions)))]
    tables: list[dict[str, Arrays]] = [{} for _ in jobs]
    summaries: list[list[Summary]] = [[] for _ in jobs]
    failed: dict[str, str] = {}
    read_status: Counter[str] = Counter()
    for number, (task, scored) in enumerate(zip(group.tasks, _score(group.tasks, job, clock), strict=True)):
        if isinstance(scored, str):
            failed[task.contig] = scored
            continue
        for table, one in zip(tables, scored.evidence, strict=True):
            table[f"{number:06d}"] = one.to_arrays()
        for number_of_job, summary in enumerate(scored.summaries):
            summaries[number_of_job].append(summary)
        read_status.update(scored.counts)
    meta = {"failed": failed, "read_status": read_status, "seconds": clock.seconds}
    with clock.stage("writing"), turn_of(group):
        slices = list(zip(jobs, tables, summaries, strict=True))
        for one_job, table, told in reversed(slices):  # the main slice last
            one_job.evidence_folder.mkdir(exist_ok=True)
            own = None if job.has_replicates else Summary.total(told).to_arrays()
            write_slice(slice_path(one_job.evidence_folder, group.index, EVIDENCE), table, meta, own)
    return GroupOutcome(clock.seconds)


@dataclass(frozen=True)
class Scored:
    """Evidence of a contig, of all natives and of each condition; its reads by status.

    ``summaries`` are what each evidence tells the run, if that does not depend on its replicates.
    """

    evidence: list[Evidence]
    summaries: list[Summary]
    counts: dict[str, int]


def _score(tasks: Sequence[ContigTask], job: Job, clock: Clock) -> Iterator[Scored | str]:
    """Yield what each contig scores, or why it failed: parts of a large one, small ones, side by side."""
    if len(tasks) == 1:
        yield _score_or_say(tasks[0], job, clock)
        return

    def small(task: ContigTask) -> tuple[Scored | str, dict[str, Seconds]]:
        own = Clock(crew_of(1))
        with krill.turn():
            return _score_or_say(task, job, own), own.seconds

    for scored, seconds in clock.each(small, tasks):
        clock.add(seconds)
        yield scored


def _score_or_say(task: ContigTask, job: Job, clock: Clock) -> Scored | str:
    try:
        return score_contig(task, job, clock)
    except (OutputError, MemoryError, krill.DeviceError):
        raise  # not the contig's fault
    except (Exception, krill.PanicException) as error:  # noqa: BLE001  # reported, exit 6
        return f"{type(error).__name__}: {error}".replace("\n", "; ")


@dataclass(frozen=True)
class PlacedBatch:
    """What is kept of a batch of reads: its signal is dropped, so that memory holds it once."""

    sample: int
    reads: ReadBatch
    status: U8
    placed: PlacedReads | None


def score_contig(task: ContigTask, job: Job, clock: Clock) -> Scored:
    """Read one contig, place its signal, measure distances, score; also count its reads by status.

    The evidence is that of all natives, then, where there are several conditions, of each.
    """
    config = job.config
    with clock.stage("reading"):
        reference = read_reference(task, job.source)
        place_one = partial(place, job, reference)
        batches = list(clock.each(place_one, read_contig(task, job.source, config), "eventalign"))
    with clock.stage("pileup"):
        reads = _index(batches, job)
        errors = error_pileup([batch.reads for batch in batches], reference, reads)
        pileup = None
        if config.calling.signal:
            placed = [batch.placed for batch in batches if batch.placed is not None]
            pileup = build_pileup(task.contig, reference, placed, reads, [len(b.reads) for b in batches])
    measured = None
    if pileup is not None and "shape" in config.calling.channels:
        with clock.stage("dtw"):
            measured = distances(pileup, device=job.device, each=clock.each)
    scorers = load_scorers(config.calling)
    if pileup is not None and scorers:
        with clock.stage("scorers"):
            scores = score_windows(scorers, pileup, measured, config.calling)
            pileup = dataclasses.replace(pileup, scores=scores)
    with clock.stage("calling"):
        seed = config.reads.seed
        evidence = [
            calling.score_contig(*parts, config.calling, seed, clock.each)
            for parts in _by_condition(pileup, measured, errors)
        ]
        kept = [] if job.has_replicates else [calling.keep_channels(one, config.calling) for one in evidence]
        summaries = [calling.summarise(one) for one in kept]
    statuses = [batch.status for batch in batches]
    counts = status_counts(statuses) if config.calling.signal else {"ok": len(reads)}
    return Scored(evidence, summaries, counts)


Parts = tuple[SignalPileup | None, Distances | None, ErrorPileup]


def _by_condition(
    pileup: SignalPileup | None, measured: Distances | None, errors: ErrorPileup
) -> Iterator[Parts]:
    """Yield all of a contig, then, where there are several native conditions, each with the control."""
    yield pileup, measured, errors
    condition = errors.reads.condition()[errors.reads.sample]
    names = set(errors.reads.sample_groups) - {"control"}
    for number in range(1, len(names) + 1) if len(names) > 1 else ():
        keep = np.isin(condition, (0, number))
        of_signal = keep_reads(pileup, measured, keep) if pileup is not None else (None, None)
        yield *of_signal, keep_errors(errors, keep)


def place(job: Job, reference: U8, numbered: tuple[int, ReadBatch]) -> PlacedBatch:
    """Find where the signal of a batch of reads lies on the reference."""
    sample, batch = numbered
    if not job.config.calling.signal:
        return PlacedBatch(sample, batch, np.zeros(0, np.uint8), None)
    panel = job.source.samples[sample].panel
    if panel is not None:
        name = job.source.samples[sample].name
        placed, status = placed_reads(panel, name, batch.contig, batch.read_ids)
        return PlacedBatch(sample, batch, status, placed)
    if isinstance(batch, EventBatch):
        levels = read_levels(batch, reference, *_model(job))
        return PlacedBatch(sample, _without_events(batch), levels.status, place_levels(levels))
    model, _ = _model(job)
    pileup = job.config.pileup
    alignments = krill.align(batch, reference, model, mode=pileup.align_mode, moves=pileup.moves)
    placed = place_batch(batch, alignments, job.config.pileup.padding)
    return PlacedBatch(sample, _without_signal(batch), alignments.status, placed)


def _index(batches: Sequence[PlacedBatch], job: Job) -> ReadIndex:
    samples = job.source.samples
    rows = [(batch.reads.read_ids, batch.sample, samples[batch.sample].is_native) for batch in batches]
    index = index_reads(rows, tuple(sample.name for sample in samples), job.config.reads.seed)
    groups = tuple(sample.condition for sample in samples)
    return dataclasses.replace(index, sample_groups=groups)


def _without_signal(batch: ReadBatch) -> ReadBatch:
    """Keep the alignments alone."""
    empty = Ragged(np.zeros(0, np.int16), np.zeros(len(batch) + 1, np.int64))
    return dataclasses.replace(batch, signal=empty)


def _without_events(batch: EventBatch) -> EventBatch:
    empty = Ragged(np.zeros(0, np.uint8), np.zeros(len(batch) + 1, np.int64))
    return dataclasses.replace(batch, events=empty)


def _model(job: Job) -> tuple[PoreModel, str]:
    """Return the pore model and the chemistry's name."""
    if job.chemistry is None:
        message = "placing signal needs a pore model"
        raise ValueError(message)
    return pore_model(job.chemistry, job.config.pileup.kmer_model), job.chemistry
