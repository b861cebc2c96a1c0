"""The end of a run: learn across contigs, call them, merge the slices into the results."""

import dataclasses
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pysam

from baleen import __version__, calling
from baleen.calling import Evidence, RunModel, Summary
from baleen.columns import SAMPLE_COLUMNS
from baleen.config import CallingConfig, Config
from baleen.console import LOG, Progress
from baleen.crew import Clock, Seconds, crew_of
from baleen.executors import Lost, Workers
from baleen.files import complete_file
from baleen.manifest import RUN_NAME, parameter_hash, read_parameters, write_run
from baleen.outputs.bam_blocks import merge_bams
from baleen.outputs.merge import SiteCounts, merge_contrasts, merge_sites, merge_tables
from baleen.outputs.mod_bam import merged_header
from baleen.outputs.mod_table import merge_mods, write_mod_reads, write_named_events
from baleen.outputs.slices import Slice, slice_path
from baleen.pileup import total_status
from baleen.plan import Group, Plan, largest_first
from baleen.results import (
    CONDITIONS_NAME,
    CONTRASTS_NAME,
    FILE_NAMES,
    MOD_READS_NAME,
    MODS_NAME,
    NAMED_NAME,
    READS_NAME,
    SAMPLES_NAME,
    SITES_NAME,
    RunSummary,
    result_digests,
)
from baleen.worker import (
    CALLS,
    CONTRASTS,
    EVIDENCE,
    MOD_READS,
    MODS,
    READS,
    SAMPLES,
    GroupOutcome,
    Job,
    call_group,
    read_evidence,
)

Stages = dict[str, Seconds]


def add_stages(total: Stages, more: Mapping[str, Iterable[float]]) -> None:
    """Add the seconds of stages to a total."""
    for stage, seconds in more.items():
        total[stage] = total.get(stage, Seconds()).plus(Seconds(*seconds))


def run_groups(
    label: str, function: Callable[[Group], GroupOutcome], groups: Sequence[Group], workers: Workers
) -> Stages:
    """Carry out a step for every group; return what its stages took."""
    stages: Stages = {}
    with Progress(label, sum(group.work for group in groups)) as progress:
        for group, outcome in workers.run(function, largest_first(groups)):
            if isinstance(outcome, Lost):
                LOG.warning("%s: %s", ", ".join(task.contig for task in group.tasks), outcome.reason)
            else:
                add_stages(stages, outcome.seconds)
            progress.advance(group.work)
    return stages


@dataclass
class _Scored:
    """What the slices of evidence say together, beside their scores."""

    failed: dict[str, str] = field(default_factory=dict)
    read_status: Counter[str] = field(default_factory=Counter)
    stages: Stages = field(default_factory=dict)

    def read(self, folder: Path, groups: Sequence[Group]) -> list[Path]:
        """Go through the slices and return them; a group without one was given up."""
        paths = []
        for group in groups:
            path = slice_path(folder, group.index, EVIDENCE)
            if not path.exists():
                self.failed.update({task.contig: "its worker process died" for task in group.tasks})
                continue
            evidence = Slice(path)
            self.failed.update(evidence.meta["failed"])
            self.read_status.update(evidence.meta["read_status"])
            add_stages(self.stages, evidence.meta["seconds"])
            evidence.close()
            paths.append(path)
        return paths


def _evidence(piece: Slice, config: CallingConfig) -> Iterator[Evidence]:
    """Go through the contigs of a slice, one in memory."""
    for name in piece.tables():
        yield read_evidence(piece, name, config)


def _learn(paths: Sequence[Path], job: Job) -> RunModel:
    """Learn across contigs; where there are replicates, their variance first."""
    config = job.config.calling
    priors: calling.Priors = ()
    if job.has_replicates:
        contigs = (one for piece in _opened(paths) for one in _evidence(piece, config))
        priors = calling.fit_priors(map(calling.spread_counts, contigs))
    summaries = (one for piece in _opened(paths) for one in _summaries(piece, job, priors))
    return calling.fit_run(summaries, config, priors)


def _opened(paths: Sequence[Path]) -> Iterator[Slice]:
    """Go through slices, one open."""
    for path in paths:
        with closing(Slice(path)) as piece:
            yield piece


def _summaries(piece: Slice, job: Job, priors: calling.Priors) -> Iterator[Summary]:
    """Yield what a slice of evidence tells the run: it says so itself, if it is this run's own."""
    own = piece.own() if job.evidence_folder == job.folder else {}
    if own:
        yield Summary.from_arrays(own)
    else:
        yield from (calling.summarise(one, priors) for one in _evidence(piece, job.config.calling))


def finish(output_dir: Path, job: Job, plan: Plan, workers: Workers, started: float) -> RunSummary:
    """Learn across contigs, call them, merge the slices into the results.

    Where there are several native conditions, each is called against the control first, into a
    folder of its own; the results proper are those of all natives together.
    """
    _clear(output_dir, job.config)
    for number, name in enumerate(job.conditions):
        one = job.of_condition(number)
        one.folder.mkdir(exist_ok=True)
        LOG.info("condition %s", name)
        _finish_condition(output_dir / CONDITIONS_NAME / name, one, plan, workers, started)
    summary = _finish_condition(output_dir, job, plan, workers, started)
    if not (job.config.output.keep_intermediate or summary.failed):
        shutil.rmtree(job.folder)
    return summary


def _clear(output_dir: Path, config: Config) -> None:
    """Remove what an earlier run in the folder may have written and this one may not.

    First of all ``run.json``, which says that the run is finished.
    """
    (output_dir / RUN_NAME).unlink(missing_ok=True)
    reads = {READS_NAME, f"{READS_NAME}.bai"} if config.output.read_bam else set()
    for name in {*FILE_NAMES} - {SITES_NAME} - reads:
        (output_dir / name).unlink(missing_ok=True)
    if (output_dir / CONDITIONS_NAME).is_dir():
        shutil.rmtree(output_dir / CONDITIONS_NAME)


def _finish_condition(output_dir: Path, job: Job, plan: Plan, workers: Workers, started: float) -> RunSummary:
    output_dir.mkdir(parents=True, exist_ok=True)
    clock = Clock(crew_of(workers.threads))
    with clock.stage("fit"):
        scored = _Scored()
        paths = scored.read(job.evidence_folder, plan.groups)
        model = _learn(paths, job)
    for warning in model.warnings():
        LOG.warning("warning: %s", warning)
    _write_model(job.folder, model)
    parameters = read_parameters(job.folder.parent if job.is_condition else job.folder)
    header = merged_header(
        plan.samples[0].bam[0], plan.contigs, {sample.name: sample.is_native for sample in plan.samples}
    )
    groups = [g for g in plan.groups if slice_path(job.evidence_folder, g.index, EVIDENCE).exists()]
    called = run_groups("calling", partial(call_group, job, model), groups, workers)
    with clock.stage("merging"):
        sites = _merge(output_dir, job, groups, header, _table_comments(parameters, plan))
    add_stages(scored.stages, called)
    add_stages(scored.stages, clock.seconds)
    summary = RunSummary(
        output_dir=output_dir,
        n_contigs=plan.n_contigs - len(scored.failed),
        sites=sites,
        read_status=total_status(plan.read_status, scored.read_status),
        failed=scored.failed,
    )
    facts = {
        **dataclasses.asdict(summary),
        "sites": sites._asdict(),
        "skipped_contigs": plan.skipped_contigs,
        "command": sys.argv,
        "layout": workers.description,
        "device": str(job.device),
        "stage_seconds": _rounded(scored.stages),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 3),
        "model": model.to_json(),
        "results": result_digests(output_dir),
        "parameters": parameters,
    }
    write_run(output_dir, facts, job.config)
    return summary


def _merge(
    output_dir: Path, job: Job, groups: Sequence[Group], header: pysam.AlignmentHeader, comments: list[str]
) -> SiteCounts:
    def slices(kind: str) -> list[Path]:
        paths = [slice_path(job.folder, group.index, kind) for group in groups]
        return [path for path in paths if path.exists()]

    sites = merge_sites(output_dir / SITES_NAME, slices(CALLS), comments)
    if job.has_sample_table:
        merge_tables(output_dir / SAMPLES_NAME, SAMPLE_COLUMNS, slices(SAMPLES), comments)
    if job.conditions and not job.is_condition:
        n = merge_contrasts(output_dir / CONTRASTS_NAME, slices(CONTRASTS), comments)
        LOG.info("contrasts: %d differences at padj < 0.05: %s", n, output_dir / CONTRASTS_NAME)
    if job.config.output.basecaller_mods:
        n_tested, mods = merge_mods(output_dir / MODS_NAME, slices(MODS), comments)
        if n_tested == 0:
            LOG.warning("warning: --basecaller-mods: %s", _NO_MODS)
        write_mod_reads(output_dir / MOD_READS_NAME, slices(MOD_READS), mods, comments)
        n = write_named_events(output_dir / NAMED_NAME, output_dir / SITES_NAME, mods, comments)
        n_mods = sum(len(one["position"]) for one in mods)
        LOG.info("basecaller: %d modifications at padj < 0.05; %d events have a name", n_mods, n)
    if job.config.output.read_bam:
        merge_bams(slices(READS), header, output_dir / READS_NAME)
    return sites


_NO_MODS = "no base has modification calls (tags MM, ML) of native and control reads: nothing is tested"


def _rounded(stages: Stages) -> dict[str, dict[str, float]]:
    return {
        stage: {kind: round(value, 3) for kind, value in seconds._asdict().items()}
        for stage, seconds in sorted(stages.items())
    }


def _write_model(folder: Path, model: RunModel) -> None:
    with complete_file(folder / ".model.json") as part:
        part.write_text(json.dumps(model.to_json(), indent=1) + "\n")


def _table_comments(parameters: Mapping[str, Any], plan: Plan) -> list[str]:
    """Return facts that hold for any number of threads, order, interruption or machine."""
    return [
        f"baleen {__version__}",
        f"reference digest {parameters['inputs']['reference']['digest']}",
        f"chemistry {plan.chemistry or 'unknown'}",
        f"parameters {parameter_hash(parameters)}",
        "position is 0-based",
    ]
