"""What a worker does with a group of contigs: score them, later call them. Files in, slices out."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

import krill
from baleen import calling
from baleen.calling import DEFAULT_HMM, Evidence, HmmParameters, RunModel
from baleen.config import CallingConfig, Config
from baleen.crew import Clock, Seconds, crew_of
from baleen.data import U8, Distances, ErrorPileup, ReadCalls, ReadIndex, SignalPileup
from baleen.distances import distances
from baleen.error_pileup import error_pileup, keep_errors
from baleen.errors import InputError, OutputError
from baleen.event_levels import EventBatch, read_levels
from baleen.inputs import ContigTask, ReadSource, read_basecaller_mods, read_contig, read_reference
from baleen.outputs.merge import split_header
from baleen.outputs.mod_bam import CalledContig, ReadCall, SampleBam, modified_bases, write_mod_records
from baleen.outputs.slices import Arrays, Slice, slice_path, write_slice
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
from krill import PoreModel, Ragged, ReadBatch

EVIDENCE, CALLS, READS = "evidence.npz", "calls.npz", "records.bgzf"
SAMPLES, CONTRASTS, MODS, MOD_READS = "samples.npz", "contrasts.npz", "mods.npz", "mod_reads.npz"


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
    threads
        Of the crew of each process.
    device
        For the engine.
    is_condition
        Whether this is one native condition of several against the control.
    """

    config: Config
    source: ReadSource
    chemistry: str | None
    evidence_folder: Path
    folder: Path
    threads: int
    device: krill.GpuShare | str
    is_condition: bool = False

    @property
    def has_sample_table(self) -> bool:
        """Whether sites are told sample by sample too: with one of each there is nothing to add."""
        return len(self.source.samples) > 2 and not self.is_condition  # native and control

    @property
    def conditions(self) -> tuple[str, ...]:
        """Native conditions, in order of name, where each is to be called by itself too."""
        names = sorted({sample.condition for sample in self.source.samples if sample.is_native})
        return tuple(names) if len(names) > 1 else ()

    def of_condition(self, number: int) -> "Job":
        """Return the job of one native condition: its slices lie in folders of their own."""
        name = f"condition-{number}"
        return dataclasses.replace(
            self, folder=self.folder / name, evidence_folder=self.evidence_folder / name, is_condition=True
        )


@dataclass(frozen=True)
class GroupOutcome:
    """What a worker tells the main process of a group: small, whatever the contigs' size."""

    seconds: dict[str, Seconds]


@lru_cache(maxsize=2)
def pore_model(chemistry: str, path: str | None) -> PoreModel:
    """Return the model of ``--kmer-model``, or the shipped one."""
    return PoreModel.shipped(chemistry) if path is None else PoreModel.load(path)


def score_group(job: Job, group: Group) -> GroupOutcome:
    """Score the contigs of a group and write their evidence as one slice.

    A contig that fails does not take the others with it: its reason is kept in the slice.
    """
    clock = Clock(crew_of(job.threads))
    jobs = [job, *(job.of_condition(number) for number in range(len(job.conditions)))]
    tables: list[dict[str, Arrays]] = [{} for _ in jobs]
    failed: dict[str, str] = {}
    read_status: Counter[str] = Counter()
    for number, (task, scored) in enumerate(zip(group.tasks, _score(group.tasks, job, clock), strict=True)):
        if isinstance(scored, str):
            failed[task.contig] = scored
            continue
        for table, one in zip(tables, scored.evidence, strict=True):
            table[f"{number:06d}"] = one.to_arrays()
        read_status.update(scored.counts)
    meta = {"failed": failed, "read_status": read_status, "seconds": clock.seconds}
    with clock.stage("writing"), _turn(group):
        for one_job, table in reversed(list(zip(jobs, tables, strict=True))):  # the main slice last
            one_job.evidence_folder.mkdir(exist_ok=True)
            write_slice(slice_path(one_job.evidence_folder, group.index, EVIDENCE), table, meta)
    return GroupOutcome(clock.seconds)


@dataclass(frozen=True)
class Scored:
    """Evidence of a contig, of all natives and of each condition; its reads by status."""

    evidence: list[Evidence]
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
    statuses = [batch.status for batch in batches]
    return Scored(evidence, status_counts(statuses) if config.calling.signal else {"ok": len(reads)})


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


def call_group(job: Job, model: RunModel, group: Group) -> GroupOutcome:
    """Call the contigs of a scored group: write their sites and, if asked for, their reads.

    Parameters
    ----------
    job
        As for scoring.
    model
        What was learnt across contigs.
    group
        The contigs.
    """
    with _turn(group):
        return _call_group(job, model, group)


def _turn(group: Group) -> AbstractContextManager[None]:
    """Small contigs are many small arrays: threads that work on them take turns."""
    return krill.turn() if len(group.tasks) > 1 else nullcontext()


def _call_group(job: Job, model: RunModel, group: Group) -> GroupOutcome:
    clock = Clock(crew_of(job.threads))
    evidence = Slice(slice_path(job.evidence_folder, group.index, EVIDENCE))
    split_p = []
    tables, sample_tables, contrast_tables, mod_tables = {}, {}, {}, {}
    mod_reads = {}
    conditions = tuple(sample.condition for sample in job.source.samples)
    called: list[CalledContig] = []
    task_of = {task.contig: task for task in group.tasks}
    hmm = read_hmm(job.config.calling.hmm_params)
    with clock.stage("calling"):
        for name in evidence.tables():
            scored = read_evidence(evidence, name, job.config.calling)
            calls = calling.call_contig(scored, model, job.config.calling, hmm)
            tables[name] = calls.sites.columns
            split_p.append(calls.split_p)
            if job.has_sample_table:
                sample_tables[name] = calling.call_samples(scored, calls, model, conditions)
            if job.conditions and not job.is_condition:
                contrast_tables[name] = calling.call_contrasts(scored, calls, model, job.conditions)
            if job.config.output.basecaller_mods:
                mod_tables[name], mod_reads[name] = _test_mods(scored, job.source)
            if job.config.output.read_bam:
                task = task_of[scored.contig]
                called.append(CalledContig(task.contig, task.index, task.length_bp, _by_read(calls.reads)))
        evidence.close()
    if job.config.output.read_bam:
        with clock.stage("read BAM"):
            codes = modified_bases(job.config.output.mod_code)
            path = slice_path(job.folder, group.index, READS)
            write_mod_records(path, _bams(job.source), called, codes)
    with clock.stage("writing"):
        write_slice(slice_path(job.folder, group.index, CALLS), tables, split_header(split_p))
        if job.has_sample_table:
            write_slice(slice_path(job.folder, group.index, SAMPLES), sample_tables, {})
        if job.config.output.basecaller_mods:
            write_slice(slice_path(job.folder, group.index, MODS), mod_tables, {})
            write_slice(slice_path(job.folder, group.index, MOD_READS), mod_reads, {})
        if contrast_tables:
            write_slice(slice_path(job.folder, group.index, CONTRASTS), contrast_tables, {})
    return GroupOutcome(clock.seconds)


def _test_mods(evidence: Evidence, source: ReadSource) -> tuple[Arrays, Arrays]:
    """Return the test of the basecaller's own calls in a contig, and reads that may be called by it."""
    bases = dict(zip(evidence.position.tolist(), (kmer[2] for kmer in evidence.kmer.tolist()), strict=True))
    names = zip(evidence.reads.sample.tolist(), evidence.reads.read_ids, strict=True)
    rows = {name: row for row, name in enumerate(names)}
    bams = [(path, number) for number, sample in enumerate(source.samples) for path in sample.bam]
    mods = read_basecaller_mods(bams, evidence.contig, bases, rows)
    test = calling.ModTest.of(mods, evidence.reads)
    columns = {name: column for name, column in test._asdict().items() if name not in {"spread", "code"}}
    spread = {f"spread_{name}": values for name, values in dataclasses.asdict(test.spread).items()}
    codes = np.array(mods.codes, np.str_)[test.code] if mods.codes else np.zeros(0, np.str_)
    contig = np.full(len(test.position), evidence.contig)
    found = test.calls(mods, evidence.reads)
    reads = {
        "contig": np.full(len(found), evidence.contig),
        "position": mods.position[found],
        "mod_code": np.array(mods.codes, "S16")[mods.code[found]] if mods.codes else np.zeros(0, "S16"),
        "sample": np.array(evidence.reads.sample_names)[evidence.reads.sample[mods.read[found]]],
        "read_id": np.array([evidence.reads.read_ids[row].encode() for row in mods.read[found]], "S"),
        "probability": mods.probability[found],
    }
    return {"contig": contig, "mod_code": codes, **columns, **spread}, reads


def read_evidence(piece: Slice, name: str, config: CallingConfig) -> Evidence:
    """Return the evidence of one contig of a slice, of the channels that are asked for.

    Raises
    ------
    InputError
        If the slice was written by another version.
    """
    try:
        evidence = Evidence.from_arrays(piece.table(name))
    except (ValueError, KeyError) as error:
        raise InputError(piece.path, str(error), hint="repeat the run with this version") from error
    return calling.keep_channels(evidence, config)


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


def read_hmm(path: str | None) -> HmmParameters:
    """Return the parameters of ``--hmm-params``, or the default ones.

    Raises
    ------
    InputError
        If the file is not what `HmmParameters.to_json` makes.
    """
    if path is None:
        return DEFAULT_HMM
    try:
        return HmmParameters.from_json(json.loads(Path(path).read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(path, f"holds no HMM parameters: {error}") from error
