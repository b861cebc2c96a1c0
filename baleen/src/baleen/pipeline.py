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

import pysam

import krill
from baleen import __version__, calling
from baleen.calling import Evidence, RunModel
from baleen.config import Config
from baleen.console import LOG, Progress
from baleen.executors import Layout, Lost, plan_layout, run_items
from baleen.files import complete_file
from baleen.inputs import ContigTask, RunInputs, SampleFiles, open_run
from baleen.manifest import RUN_NAME, claim_folder, parameter_hash, run_parameters, write_run
from baleen.outputs.merge import SiteCounts, merge_sites
from baleen.outputs.mod_bam import merge_bams, merged_header
from baleen.outputs.slices import Slice, slice_path
from baleen.worker import CALLS, EVIDENCE, READS, Group, GroupOutcome, Job, call_group, score_group
from krill import ReadStatus
from krill.devices import require_device

GROUP_WORK = 100_000
"""Reads times contig length that a group is filled up to: about a second of work, worth its file."""

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
    """

    samples: tuple[SampleFiles, ...]
    reference: Path
    output_dir: Path
    config: Config
    is_resumed: bool = False
    is_forced: bool = False
    may_index: bool = False


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
            f"sites: {self.output_dir / SITES_NAME}",
            *([f"reads: {self.output_dir / READS_NAME}"] if (self.output_dir / READS_NAME).exists() else []),
            f"run:   {self.output_dir / RUN_NAME}",
        ]


def run(request: RunRequest) -> RunSummary:
    """Carry out a run from files to results.

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
    parameters = run_parameters(config, inputs.files(), inputs.chemistry)
    claim_folder(
        request.output_dir, folder, parameters, is_resumed=request.is_resumed, is_forced=request.is_forced
    )
    groups = group_tasks(inputs.tasks)
    layout = plan_layout(config.run.threads, len(groups))
    job = Job(config, inputs.write(folder), inputs.chemistry, folder, layout.threads, config.run.device)
    LOG.info(
        "%d contigs in %d groups, %s; %d worker(s) x %d thread(s) on %s",
        len(inputs.tasks), len(groups), inputs.chemistry or "no signal", *layout, config.run.device,
    )  # fmt: skip
    header = merged_header(
        inputs.samples[0].bam[0],
        inputs.reference.lengths_bp,
        {sample.name: sample.is_native for sample in inputs.samples},
    )
    with _ended_by_signals():
        steps = _Steps(job, groups, layout)
        steps.score()
        model = steps.fit()
        for warning in model.warnings():
            LOG.warning("warning: %s", warning)
        steps.call(model, header)
        sites = merge_sites(
            request.output_dir / SITES_NAME, steps.slices(CALLS), _table_comments(parameters, inputs)
        )
        if config.output.read_bam:
            merge_bams(steps.slices(READS), header, request.output_dir / READS_NAME)
    summary = RunSummary(
        output_dir=request.output_dir,
        n_contigs=len(inputs.tasks) - len(steps.failed),
        sites=sites,
        read_status=_read_status(inputs, steps.read_status),
        failed=steps.failed,
    )
    facts = {
        **dataclasses.asdict(summary),
        "sites": sites._asdict(),
        "skipped_contigs": inputs.skipped_contigs,
        "command": sys.argv,
        "layout": layout._asdict(),
        "device": config.run.device,
        "stage_seconds": {stage: round(seconds, 3) for stage, seconds in sorted(steps.seconds.items())},
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "wall_seconds": round(time.time() - started, 3),
        "model": model.to_json(),
        "parameters": parameters,
    }
    write_run(request.output_dir, facts, config)
    if not (config.output.keep_intermediate or summary.failed):
        shutil.rmtree(folder)
    return summary


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


def group_tasks(tasks: Sequence[ContigTask]) -> list[Group]:
    """Join neighbouring small contigs into groups that share a slice.

    Depends on the tasks alone, so that slices fit together whatever the number of threads.
    """
    groups: list[Group] = []
    members: list[ContigTask] = []
    filled = 0.0
    for task in tasks:
        work = float(sum(task.n_reads)) * task.length_bp
        if members and filled + work > GROUP_WORK:
            groups.append(Group(len(groups), tuple(members), filled))
            members, filled = [], 0.0
        members.append(task)
        filled += work
    if members:
        groups.append(Group(len(groups), tuple(members), filled))
    return groups


class _Steps:
    """The three steps over all groups, and what they report."""

    def __init__(self, job: Job, groups: Sequence[Group], layout: Layout) -> None:
        self.job, self.groups, self.layout = job, groups, layout
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.read_status: Counter[str] = Counter()

    def score(self) -> None:
        """Score every group that has no whole slice yet; retry those with failed contigs."""
        waiting = [group for group in self.groups if not self._is_scored(group)]
        self._run("scoring", partial(score_group, self.job), waiting)

    def fit(self) -> RunModel:
        """Learn across contigs what the calls need."""
        summaries = []
        for path in self.slices(EVIDENCE):
            evidence = Slice(path)
            self.failed.update(evidence.meta["failed"])
            self.read_status.update(evidence.meta["read_status"])
            summaries += [
                calling.summarise(Evidence.from_arrays(evidence.table(name))) for name in evidence.tables()
            ]
            evidence.close()
        model = calling.fit_run(summaries, self.job.config.calling)
        with complete_file(self.job.folder / ".model.json") as part:
            part.write_text(json.dumps(model.to_json(), indent=1) + "\n")
        return model

    def call(self, model: RunModel, header: pysam.AlignmentHeader) -> None:
        """Call every group that was scored."""
        scored = [g for g in self.groups if slice_path(self.job.folder, g.index, EVIDENCE).exists()]
        self._run("calling", partial(call_group, self.job, model, str(header)), scored)

    def slices(self, kind: str) -> list[Path]:
        """Return the slices of a kind that there are, in the order of the reference."""
        paths = [slice_path(self.job.folder, group.index, kind) for group in self.groups]
        return [path for path in paths if path.exists()]

    def _is_scored(self, group: Group) -> bool:
        path = slice_path(self.job.folder, group.index, EVIDENCE)
        if not path.exists():
            return False
        evidence = Slice(path)
        failed = evidence.meta["failed"]
        evidence.close()
        return not failed

    def _run(self, label: str, function: Callable[[Group], GroupOutcome], groups: Sequence[Group]) -> None:
        largest_first = sorted(groups, key=lambda group: (-group.work, group.index))
        with Progress(label, sum(group.work for group in groups)) as progress:
            for group, outcome in run_items(function, largest_first, self.layout.processes):
                if isinstance(outcome, Lost):
                    self.failed.update({task.contig: outcome.reason for task in group.tasks})
                else:
                    for stage, seconds in outcome.seconds.items():
                        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
                progress.advance(group.work)


def _table_comments(parameters: Mapping[str, Any], inputs: RunInputs) -> list[str]:
    """Return facts that hold for any number of threads, order, interruption or machine."""
    reference = next(one for one in parameters["inputs"] if one["path"] == str(inputs.reference.path))
    return [
        f"baleen {__version__}",
        f"reference digest {reference['digest']}",
        f"chemistry {inputs.chemistry or 'unknown'}",
        f"parameters {parameter_hash(parameters)}",
        "position is 0-based",
    ]


def _read_status(inputs: RunInputs, placed: Mapping[str, int]) -> dict[str, int]:
    """Count every read once: as the inputs left it, or, if it was placed, as the placing left it."""
    total: Counter[str] = Counter()
    for counts in inputs.status_counts.values():
        total.update({status.name.lower(): n for status, n in counts.items()})
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
