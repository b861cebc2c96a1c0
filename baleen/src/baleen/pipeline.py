"""The whole run: open the inputs, score contigs in workers, fit, call, merge."""

import dataclasses
import json
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import krill
from baleen import __version__, calling
from baleen.calling import Evidence, RunModel
from baleen.config import Config
from baleen.console import LOG, Progress
from baleen.errors import InputError
from baleen.executors import Lost, plan_layout, run_items
from baleen.files import complete_file
from baleen.inputs import ReadSource, SampleFiles, open_run
from baleen.manifest import (
    RUN_NAME,
    claim_folder,
    parameter_hash,
    read_parameters,
    run_parameters,
    write_run,
)
from baleen.outputs.merge import SiteCounts, merge_sites
from baleen.outputs.mod_bam import merge_bams, merged_header
from baleen.outputs.slices import Slice, slice_path
from baleen.plan import PLAN_NAME, Group, Plan, largest_first, shard_groups
from baleen.worker import CALLS, EVIDENCE, READS, GroupOutcome, Job, call_group, score_group
from krill import ReadStatus
from krill.devices import require_device

SITES_NAME, READS_NAME, FOLDER_NAME = "site_results.tsv", "read_results.bam", "per_contig"


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What the user asked for.

    Parameters
    ----------
    samples, reference
        Input files.
    output_dir
        Folder of the results.
    config
        Settings.
    is_resumed, is_forced
        Go on with, or replace, what the folder holds.
    may_index
        Make missing BAM indices.
    shard
        ``(i, n)``: score the i-th of n shares of the contigs alone, for `merge` to finish.
    """

    samples: tuple[SampleFiles, ...]
    reference: Path
    output_dir: Path
    config: Config
    is_resumed: bool = False
    is_forced: bool = False
    may_index: bool = False
    shard: tuple[int, int] | None = None


@dataclass(frozen=True)
class RunSummary:
    """What a run made.

    Parameters
    ----------
    output_dir
        Folder of the results.
    n_contigs
        Contigs called.
    sites
        Rows of the site table, significant ones, events.
    read_status
        Reads per status: every read once.
    failed
        Contigs that failed, with the reason.
    """

    output_dir: Path
    n_contigs: int
    sites: SiteCounts
    read_status: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return what to tell the user."""
        return [
            f"{self.n_contigs} contigs, {self.sites.n_sites} positions; "
            f"{self.sites.n_peaks} events at padj < 0.05 ({self.sites.n_significant} positions)",
            "reads: " + ", ".join(f"{n} {name}" for name, n in self.read_status.items()),
            f"sites: {self.output_dir / SITES_NAME}",
            *([f"reads: {self.output_dir / READS_NAME}"] if (self.output_dir / READS_NAME).exists() else []),
            f"run:   {self.output_dir / RUN_NAME}",
        ]


def run(request: RunRequest) -> RunSummary | None:
    """Carry out a run from files to results; of a shard only the scoring, and return None.

    Raises
    ------
    BaleenError
        Of the kind whose exit code says what went wrong.
    """
    started = time.time()
    config = replace(request.config, run=replace(request.config.run, device=resolve_device(request.config)))
    inputs = open_run(request.samples, request.reference, config, index_bams=request.may_index)
    config = replace(config, calling=config.calling.for_chemistry(inputs.chemistry))
    for line in inputs.funnel_lines():
        LOG.info("%s", line)
    for warning in inputs.warnings:
        LOG.warning("warning: %s", warning)
    folder = request.output_dir / FOLDER_NAME
    claim_folder(
        request.output_dir,
        folder,
        run_parameters(config, inputs.files(), inputs.chemistry),
        is_resumed=request.is_resumed or request.shard is not None,
        is_forced=request.is_forced,
    )
    plan = Plan.of(inputs)
    plan.write(folder)
    groups = plan.groups if request.shard is None else shard_groups(plan.groups, *request.shard)
    layout = plan_layout(config.run.threads, len(groups))
    source = inputs.write(folder)
    job = Job(config, source, plan.chemistry, folder, folder, layout.threads, config.run.device)
    LOG.info(
        "%d contigs in %d groups, %s; %d worker(s) x %d thread(s) on %s",
        sum(len(group.tasks) for group in groups), len(groups), plan.chemistry or "no signal",
        *layout, config.run.device,
    )  # fmt: skip
    with _ended_by_signals():
        waiting = [group for group in groups if not _is_scored(folder, group)]
        _run_groups("scoring", partial(score_group, job), waiting, layout.processes)
        if request.shard is not None:
            LOG.info(
                "shard %d of %d is done; when all are: baleen merge %s", *request.shard, request.output_dir
            )
            return None
        return _finish(request.output_dir, job, plan, started)


def merge(output_dir: Path, threads: int) -> RunSummary:
    """Finish a run whose shards are done.

    Raises
    ------
    InputError
        If the folder holds no shards, or not all of them.
    """
    started = time.time()
    folder = output_dir / FOLDER_NAME
    plan, config = _read_run(output_dir)
    absent = [group for group in plan.groups if not slice_path(folder, group.index, EVIDENCE).exists()]
    if absent:
        contigs = [task.contig for group in absent for task in group.tasks]
        problem = f"{len(contigs)} of {_n_contigs(plan)} contigs are not scored yet, such as {contigs[0]}"
        raise InputError(output_dir, problem, hint="run the missing shards: baleen run ... --shard i/n")
    config = replace(config, run=replace(config.run, threads=threads))
    job = Job(config, ReadSource.of(folder, plan.samples), plan.chemistry, folder, folder, 1, "cpu")
    with _ended_by_signals():
        return _finish(output_dir, job, plan, started)


def aggregate(run_dir: Path, output_dir: Path, config: Config, *, is_forced: bool) -> RunSummary:
    """Call again from the arrays that a run kept, with other calling settings.

    Parameters
    ----------
    run_dir
        Results of ``baleen run --keep-intermediate``.
    output_dir
        Folder of the new results.
    config
        Settings; those of reads and pileup are the run's.
    is_forced
        Replace what the folder holds.

    Raises
    ------
    InputError
        If the run kept no arrays.
    """
    started = time.time()
    plan, before = _read_run(run_dir)
    source_folder, folder = run_dir / FOLDER_NAME, output_dir / FOLDER_NAME
    config = replace(before, calling=config.calling, output=config.output, run=config.run)
    parameters = {**read_parameters(source_folder), "settings": config.result_settings()}
    claim_folder(output_dir, folder, parameters, is_resumed=False, is_forced=is_forced)
    source = ReadSource.of(source_folder, plan.samples)
    job = Job(config, source, plan.chemistry, source_folder, folder, 1, "cpu")
    with _ended_by_signals():
        return _finish(output_dir, job, plan, started)


def kept_config(run_dir: Path, changes: Mapping[str, Any]) -> Config:
    """Return the settings of a run that kept its arrays, with some changed."""
    _, config = _read_run(run_dir)
    settings = {
        name: value
        for section in config.result_settings().values()
        for name, value in section.items()
        if name != "keep_intermediate"  # the run's arrays stay where they are
    }
    return Config.from_settings({**settings, **changes})


def _read_run(output_dir: Path) -> tuple[Plan, Config]:
    folder = output_dir / FOLDER_NAME
    if not (folder / PLAN_NAME).exists():
        hint = "baleen run --keep-intermediate keeps the arrays of a run; --shard i/n makes them for merge"
        raise InputError(folder, "holds no scored contigs", hint=hint)
    return Plan.read(folder), Config.from_result_settings(read_parameters(folder)["settings"])


def resolve_device(config: Config) -> str:
    """Turn ``auto`` into the device to use; a device that was asked for must be there.

    Raises
    ------
    krill.DeviceError
        If it cannot be had.
    """
    asked = config.run.device
    if asked == "auto":
        gpus = [device.name for device in krill.devices() if device.name.startswith("cuda")]
        return gpus[0] if gpus else "cpu"
    require_device(asked)
    return asked


def _is_scored(folder: Path, group: Group) -> bool:
    """Say whether the group has a whole slice in which no contig failed."""
    path = slice_path(folder, group.index, EVIDENCE)
    if not path.exists():
        return False
    evidence = Slice(path)
    evidence.close()
    return not evidence.meta["failed"]


def _n_contigs(plan: Plan) -> int:
    return sum(len(group.tasks) for group in plan.groups)


def _run_groups(
    label: str, function: Callable[[Group], GroupOutcome], groups: Sequence[Group], processes: int
) -> dict[str, float]:
    """Carry out a step for every group; return seconds per stage."""
    seconds: Counter[str] = Counter()
    with Progress(label, sum(group.work for group in groups)) as progress:
        for group, outcome in run_items(function, largest_first(groups), processes):
            if isinstance(outcome, Lost):
                LOG.warning("%s: %s", ", ".join(task.contig for task in group.tasks), outcome.reason)
            else:
                seconds.update(outcome.seconds)
            progress.advance(group.work)
    return dict(seconds)


@dataclass
class _Scored:
    """What the slices of evidence say together."""

    summaries: list[calling.Summary] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    read_status: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, folder: Path, groups: Sequence[Group]) -> "_Scored":
        """Go through the slices; a group without one was given up."""
        scored = cls()
        for group in groups:
            path = slice_path(folder, group.index, EVIDENCE)
            if not path.exists():
                scored.failed.update({task.contig: "its worker process died" for task in group.tasks})
                continue
            evidence = Slice(path)
            scored.failed.update(evidence.meta["failed"])
            scored.read_status.update(evidence.meta["read_status"])
            scored.seconds.update(evidence.meta["seconds"])
            for name in evidence.tables():
                scored.summaries.append(calling.summarise(Evidence.from_arrays(evidence.table(name))))
            evidence.close()
        return scored


def _finish(output_dir: Path, job: Job, plan: Plan, started: float) -> RunSummary:
    """Learn across contigs, call them, merge the slices into the results."""
    scored = _Scored.read(job.evidence_folder, plan.groups)
    model = calling.fit_run(scored.summaries, job.config.calling)
    for warning in model.warnings():
        LOG.warning("warning: %s", warning)
    _write_model(job.folder, model)
    parameters = read_parameters(job.folder)
    header = merged_header(
        plan.samples[0].bam[0], plan.contigs, {sample.name: sample.is_native for sample in plan.samples}
    )
    groups = [g for g in plan.groups if slice_path(job.evidence_folder, g.index, EVIDENCE).exists()]
    layout = plan_layout(job.config.run.threads, len(groups))
    scored.seconds.update(
        _run_groups("calling", partial(call_group, job, model, str(header)), groups, layout.processes)
    )

    def slices(kind: str) -> list[Path]:
        paths = [slice_path(job.folder, group.index, kind) for group in groups]
        return [path for path in paths if path.exists()]

    sites = merge_sites(output_dir / SITES_NAME, slices(CALLS), _table_comments(parameters, plan))
    if job.config.output.read_bam:
        merge_bams(slices(READS), header, output_dir / READS_NAME)
    summary = RunSummary(
        output_dir=output_dir,
        n_contigs=_n_contigs(plan) - len(scored.failed),
        sites=sites,
        read_status=_read_status(plan, scored.read_status),
        failed=scored.failed,
    )
    facts = {
        **dataclasses.asdict(summary),
        "sites": sites._asdict(),
        "skipped_contigs": plan.skipped_contigs,
        "command": sys.argv,
        "layout": layout._asdict(),
        "device": job.device,
        "stage_seconds": {stage: round(seconds, 3) for stage, seconds in sorted(scored.seconds.items())},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 3),
        "model": model.to_json(),
        "parameters": parameters,
    }
    write_run(output_dir, facts, job.config)
    if not (job.config.output.keep_intermediate or summary.failed):
        shutil.rmtree(job.folder)
    return summary


def _write_model(folder: Path, model: RunModel) -> None:
    with complete_file(folder / ".model.json") as part:
        part.write_text(json.dumps(model.to_json(), indent=1) + "\n")


def _table_comments(parameters: Mapping[str, Any], plan: Plan) -> list[str]:
    """Return facts that hold for any number of threads, order, interruption or machine."""
    return [
        f"baleen {__version__}",
        f"reference digest {parameters['inputs'][0]['digest']}",
        f"chemistry {plan.chemistry or 'unknown'}",
        f"parameters {parameter_hash(parameters)}",
        "position is 0-based",
    ]


def _read_status(plan: Plan, placed: Mapping[str, int]) -> dict[str, int]:
    """Count every read once: as the inputs left it, or, if it was placed, as the placing left it."""
    total = Counter(plan.read_status)
    total["ok"] -= sum(placed.values())
    total.update(placed)
    names = [status.name.lower() for status in ReadStatus]
    return {name: total[name] for name in names if total[name]}


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: workers stop, finished slices stay."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
