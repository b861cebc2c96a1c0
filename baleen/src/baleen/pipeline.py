"""The whole run: open the inputs, score contigs in workers, fit, call, merge."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType

import pysam

from baleen import __version__, calling
from baleen.calling import RunModel
from baleen.config import Config
from baleen.console import LOG, Progress
from baleen.data import SITE_COLUMNS, SiteCalls
from baleen.errors import BaleenError, UsageError
from baleen.executors import Layout, Lost, plan_layout, run_items
from baleen.files import complete_file
from baleen.inputs import ContigTask, RunInputs, SampleFiles, open_run
from baleen.outputs.mod_bam import merge_bams
from baleen.outputs.site_table import write_site_table
from baleen.outputs.slices import Slice, slice_path
from baleen.worker import CALLS, EVIDENCE, READS, Group, GroupOutcome, Job, call_group, score_group

GROUP_WORK = 2_000_000
"""Aligned bases a group is filled up to: seconds of work, so that a slice is worth its file."""

SITES_NAME, READS_NAME, RUN_NAME, FOLDER_NAME = (
    "site_results.tsv",
    "read_results.bam",
    "run.json",
    "per_contig",
)


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
    n_contigs, n_sites, n_significant, n_peaks
        Contigs called; rows of the site table; rows and events with padj < .05.
    read_status
        Reads per status and sample.
    failed
        Contigs that failed, with the reason.
    """

    output_dir: Path
    n_contigs: int
    n_sites: int
    n_significant: int
    n_peaks: int
    read_status: dict[str, dict[str, int]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return what to tell the user."""
        return [
            f"{self.n_contigs} contigs, {self.n_sites} positions tested; "
            f"{self.n_peaks} events at padj < 0.05 ({self.n_significant} positions)",
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
        "%d contigs in %d groups, %s; workers x threads: %d x %d on %s",
        len(inputs.tasks), len(groups), inputs.chemistry or "no signal", *layout, config.run.device,
    )  # fmt: skip
    with _ended_by_signals():
        progress = _Steps(job, groups, layout)
        progress.score()
        model = progress.fit()
        header = merged_header(inputs)
        progress.call(model, header)
        summary = _merge(request, inputs, groups, header, progress, parameters)
    _write_run_json(request, inputs, parameters, progress, summary, started)
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
    krill.require_device(asked)
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

    def score(self) -> None:
        """Score every group that has no whole slice yet; retry those with failed contigs."""
        waiting = [group for group in self.groups if not self._is_scored(group)]
        self._run("scoring", partial(score_group, self.job), waiting)

    def fit(self) -> RunModel:
        """Learn across contigs what the calls need."""
        summaries = []
        for group in self.groups:
            path = slice_path(self.job.folder, group.index, EVIDENCE)
            if not path.exists():  # its worker died; the contigs are among the failed
                continue
            evidence = Slice(path)
            self.failed.update(evidence.meta["failed"])
            summaries += [
                calling.Summary.from_arrays(evidence.table(f"summary{number}"))
                for number, task in enumerate(group.tasks)
                if task.contig not in evidence.meta["failed"]
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


def merged_header(inputs: RunInputs) -> pysam.AlignmentHeader:
    """Return the header of the merged BAM: all contigs, one read group per sample, the programs so far."""
    with pysam.AlignmentFile(str(inputs.samples[0].bam[0]), "rb") as first:
        programs = list(first.header.to_dict().get("PG", []))
    names = {program["ID"] for program in programs}
    own = {"ID": "baleen", "PN": "baleen", "VN": __version__, "CL": " ".join(sys.argv)}
    while own["ID"] in names:
        own["ID"] += "_"
    if programs:
        own["PP"] = programs[-1]["ID"]
    return pysam.AlignmentHeader.from_dict(
        {
            "HD": {"VN": "1.6", "SO": "coordinate"},
            "SQ": [{"SN": name, "LN": length} for name, length in inputs.reference.lengths_bp.items()],
            "RG": [
                {"ID": sample.name, "SM": sample.name, "DS": "native" if sample.is_native else "control"}
                for sample in inputs.samples
            ],
            "PG": [*programs, own],
        }
    )


def _call_slices(folder: Path, groups: Sequence[Group]) -> Iterator[Slice]:
    for group in groups:
        path = slice_path(folder, group.index, CALLS)
        if path.exists():
            yield Slice(path)


def _sites(folder: Path, groups: Sequence[Group]) -> Iterator[SiteCalls]:
    """Yield the sites of each contig, in the order of the reference; one contig in memory."""
    for piece in _call_slices(folder, groups):
        for name in piece.tables():
            yield SiteCalls(piece.table(name))
        piece.close()


def _merge(
    request: RunRequest,
    inputs: RunInputs,
    groups: Sequence[Group],
    header: pysam.AlignmentHeader,
    parameters: Mapping[str, Any],
) -> RunSummary:
    """Stream the slices into the result files, adding what needs the whole run."""
    folder = request.output_dir / FOLDER_NAME
    pvalues = np.concatenate([np.zeros(0), *(sites["pvalue"] for sites in _sites(folder, groups))])
    finished = calling.finish_sites(pvalues)
    raise NotImplementedError
