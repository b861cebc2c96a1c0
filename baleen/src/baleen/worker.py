"""What a worker is told, and how it calls a group of contigs that were scored."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import krill
from baleen import calling
from baleen.calling import DEFAULT_HMM, Evidence, HmmParameters, RunModel
from baleen.config import CallingConfig, Config
from baleen.crew import Clock, Seconds, crew_of
from baleen.data import ReadCalls
from baleen.errors import InputError
from baleen.inputs import ReadSource, read_basecaller_mods
from baleen.outputs.merge import split_header
from baleen.outputs.mod_bam import CalledContig, ReadCall, SampleBam, modified_bases, write_mod_records
from baleen.outputs.slices import Arrays, Slice, slice_path, write_slice
from baleen.plan import Group

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

    @property
    def has_replicates(self) -> bool:
        """Whether a condition has several samples."""
        return max(Counter(sample.condition for sample in self.source.samples).values()) > 1

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
    with turn_of(group):
        return _call_group(job, model, group)


def turn_of(group: Group) -> AbstractContextManager[None]:
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
        write = partial(_write_calls, job.folder, group.index)
        write(CALLS, tables, split_header(split_p))
        if job.has_sample_table:
            write(SAMPLES, sample_tables)
        if job.config.output.basecaller_mods:
            write(MODS, mod_tables)
            write(MOD_READS, mod_reads)
        if contrast_tables:
            write(CONTRASTS, contrast_tables)
    return GroupOutcome(clock.seconds)


def _write_calls(
    folder: Path, index: int, kind: str, tables: Mapping[str, Arrays], meta: Mapping[str, Any] | None = None
) -> None:
    """Write a slice of what was called: a resumed run calls all groups again, and writes it anew."""
    write_slice(slice_path(folder, index, kind), tables, meta or {}, is_scratch=True)


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
