"""The whole run: open the inputs, score contigs in workers, fit, call, merge."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import krill
from baleen.aligned_samples import FOLDER_NAME as ALIGNED_NAME
from baleen.aligned_samples import (
    PRESET,
    align_samples,
    aligned_in_passing,
    needs_aligning,
    remove_alignments,
)
from baleen.cluster import open_workers
from baleen.config import CallingConfig, Config, RunConfig
from baleen.console import LOG
from baleen.errors import InputError, UsageError
from baleen.estimate import dtw_seconds, estimate
from baleen.executors import Workers, plan_layout, usable_cores
from baleen.finish import finish, run_groups
from baleen.finished import NOTHING_TO_DO, finished_run, merged_run, settled
from baleen.inputs import ReadSource, RunInputs, SampleFiles, open_run
from baleen.manifest import (
    check_folder,
    claim_folder,
    read_parameters,
    run_parameters,
    setting_parameters,
)
from baleen.outputs.slices import Slice, slice_path
from baleen.panel_files import check_chemistry, panel_samples
from baleen.plan import PLAN_NAME, Group, Plan, shard_groups
from baleen.results import RunSummary
from baleen.scorers import load_scorers
from baleen.scoring import score_group
from baleen.termination import ended_by_signals
from baleen.worker import EVIDENCE, Job, read_hmm

FOLDER_NAME = "per_contig"

GPU_WORTH_S = 0.5
"""Of time warping that all cores together would need; to open a GPU takes a third of a second."""


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
    control_panel
        Folder of a control panel whose samples join the others.
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
    control_panel: Path | None = None


def run(request: RunRequest) -> RunSummary | None:
    """Carry out a run from files to results; of a shard only the scoring, and return None.

    One that is to go on and is finished stays as it is.

    Raises
    ------
    BaleenError
        Of the kind whose exit code says what went wrong.
    """
    started = time.time()
    with ended_by_signals():
        choose_device(request.config.run, 0.0)  # one that is not there is refused at once
        request = _aligned(request)
    if (done := _finished(request)) is not None:
        LOG.info("%s", NOTHING_TO_DO.format(request.output_dir))
        return done
    config, inputs = _open(request)
    folder = request.output_dir / FOLDER_NAME
    claim_folder(
        request.output_dir,
        folder,
        run_parameters(
            config, inputs.files(), {"chemistry": inputs.chemistry, "reads": inputs.table_digest()}
        ),
        is_resumed=request.is_resumed or request.shard is not None,
        is_forced=request.is_forced,
    )
    plan = Plan.of(inputs)
    config = _placed(config, plan)
    plan.write(folder)
    groups = plan.groups if request.shard is None else shard_groups(plan.groups, *request.shard)
    source = inputs.write(folder)
    with ended_by_signals(), open_workers(config.run, len(groups)) as workers:
        LOG.info(
            "%d contigs in %d groups, %s; %s on %s",
            sum(len(group.tasks) for group in groups), len(groups), plan.chemistry or "no signal",
            workers.description, config.run.device,
        )  # fmt: skip
        device = _device(config.run, workers)
        job = Job(config, source, plan.chemistry, folder, folder, workers.threads, device)
        waiting = [group for group in groups if not _is_scored(folder, group)]
        run_groups("scoring", partial(score_group, job), waiting, workers)
        if request.shard is None:
            return finish(request.output_dir, job, plan, workers, started)
    LOG.info("shard %d of %d is done; when all are: baleen merge %s", *request.shard, request.output_dir)
    return None


def _aligned(request: RunRequest) -> RunRequest:
    """Align the samples that come as reads; their BAM files stay in the output folder."""
    if not needs_aligning(request.samples):
        return request
    if request.shard is not None:
        message = "--shard: every share would align all reads again"
        raise UsageError(
            message, hint=f"align them once with `baleen align --preset {PRESET}`, and give the BAM"
        )
    check_folder(request.output_dir, is_resumed=request.is_resumed, is_forced=request.is_forced)
    folder = request.output_dir / ALIGNED_NAME
    if request.is_forced:
        remove_alignments(folder)
    samples = align_samples(
        request.samples,
        request.reference,
        folder,
        needs_signal=request.config.calling.signal,
        threads=request.config.run.threads,
    )
    # The folder was looked at above; what is in it now is ours.
    return replace(request, samples=samples, is_resumed=not request.is_forced)


def _open(request: RunRequest) -> tuple[Config, RunInputs]:
    """Check the inputs and say what was found."""
    config = request.config
    load_scorers(config.calling)
    read_hmm(config.calling.hmm_params)  # a wrong file must not come to light after the scoring
    inputs = open_run(_all_samples(request), request.reference, config, index_bams=request.may_index)
    check_chemistry(inputs.samples, inputs.chemistry)
    config = replace(config, calling=settled(config.calling, inputs.samples, inputs.chemistry))
    for line in inputs.funnel_lines():
        LOG.info("%s", line)
    for warning in inputs.warnings:
        LOG.warning("warning: %s", warning)
    return config, inputs


def _all_samples(request: RunRequest) -> tuple[SampleFiles, ...]:
    """Return the samples with those of the control panel."""
    if request.control_panel is None:
        return request.samples
    return (*request.samples, *panel_samples(request.control_panel, request.reference, request.config))


def _finished(request: RunRequest) -> RunSummary | None:
    """Return what the run made, if it may go on and there is nothing left to do."""
    if request.is_forced or not (request.is_resumed or request.shard):
        return None
    return finished_run(
        request.output_dir,
        request.output_dir / FOLDER_NAME,
        request.config,
        lambda: _all_samples(request),
        request.reference,
    )


def dry_run(request: RunRequest) -> list[str]:
    """Check everything that `run` would, write nothing, and return what it would do as text."""
    choose_device(request.config.run, 0.0)
    check_folder(request.output_dir, is_resumed=request.is_resumed, is_forced=request.is_forced)
    needs_signal = request.config.calling.signal
    with aligned_in_passing(request.samples, request.reference, needs_signal=needs_signal) as samples:
        request = replace(request, samples=samples)
        if (done := _finished(request)) is not None:
            return [NOTHING_TO_DO.format(request.output_dir), *done.lines()]
        config, inputs = _open(request)
    plan = Plan.of(inputs)
    groups = plan.groups if request.shard is None else shard_groups(plan.groups, *request.shard)
    plan = replace(plan, groups=tuple(groups))
    config = _placed(config, plan)
    layout = plan_layout(config.run.layout, config.run.threads, len(groups))
    return [
        f"contigs: {plan.n_contigs} to call in {len(groups)} groups, {len(plan.skipped_contigs)} skipped",
        *inputs.contig_lines(),
        f"chemistry: {plan.chemistry or 'not needed without signal'}",
        f"device: {config.run.device}; {layout.text}",
        *estimate(plan, layout, config.calling).lines(),
    ]


def merge(output_dir: Path, threads: int) -> RunSummary:
    """Finish a run whose shards are done; one that is finished stays as it is.

    Raises
    ------
    InputError
        If the folder holds no shards, or not all of them.
    """
    started = time.time()
    folder = output_dir / FOLDER_NAME
    if (done := merged_run(output_dir, folder)) is not None:
        LOG.info("%s", NOTHING_TO_DO.format(output_dir))
        return done
    plan, config = read_run(output_dir)
    absent = [group for group in plan.groups if not slice_path(folder, group.index, EVIDENCE).exists()]
    if absent:
        contigs = [task.contig for group in absent for task in group.tasks]
        problem = f"{len(contigs)} of {plan.n_contigs} contigs are not scored yet, such as {contigs[0]}"
        raise InputError(output_dir, problem, hint="run the missing shards: baleen run ... --shard i/n")
    config = replace(config, run=replace(config.run, threads=threads))
    source = ReadSource.of(folder, plan.samples)
    with ended_by_signals(), open_workers(config.run, len(plan.groups)) as workers:
        job = Job(config, source, plan.chemistry, folder, folder, workers.threads, "cpu")
        return finish(output_dir, job, plan, workers, started)


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
    UsageError
        If the settings ask for what the arrays do not hold, or the results would replace them.
    """
    started = time.time()
    plan, before = read_run(run_dir)
    _check_kept(before.calling, config.calling)
    if output_dir.resolve() == run_dir.resolve():
        message = f"{output_dir}: holds the arrays that are called from"
        raise UsageError(message, hint="-o FOLDER: another one for the results")
    check_folder(output_dir, is_resumed=False, is_forced=is_forced, hint="--force replaces the results in it")
    source_folder, folder = run_dir / FOLDER_NAME, output_dir / FOLDER_NAME
    config = replace(before, calling=config.calling, output=config.output, run=config.run)
    parameters = {**read_parameters(source_folder), **setting_parameters(config)}
    claim_folder(output_dir, folder, parameters, is_resumed=False, is_forced=is_forced)
    source = ReadSource.of(source_folder, plan.samples)
    with ended_by_signals(), open_workers(config.run, len(plan.groups)) as workers:
        job = Job(config, source, plan.chemistry, source_folder, folder, workers.threads, "cpu")
        return finish(output_dir, job, plan, workers, started)


SCORING_SETTINGS = ("permutations", "error_direction")
"""Settings of the calling that the arrays of a run depend on."""


def _check_kept(before: CallingConfig, now: CallingConfig) -> None:
    """Raise `UsageError` if settings ask for what a run with the settings of before did not score."""
    hint = "such a change needs the reads: baleen run"
    for name in SCORING_SETTINGS:
        then, asked = getattr(before, name), getattr(now, name)
        if then != asked:
            message = f"--{name.replace('_', '-')}: the arrays were made with {then}, not {asked}"
            raise UsageError(message, hint=hint)
    more = [name for name in now.channels if name not in before.channels]
    if more or (now.signal and not before.signal):
        asked = f"--channels {','.join(more)}" if more else "--signal"
        message = f"{asked}: the run did not measure it; it has {','.join(before.channels)}"
        message += "" if before.signal else " without signal"
        raise UsageError(message, hint=hint)


def kept_config(run_dir: Path, changes: Mapping[str, Any]) -> Config:
    """Return the settings of a run that kept its arrays, with some changed."""
    _, config = read_run(run_dir)
    settings = {
        name: value
        for section in config.result_settings().values()
        for name, value in section.items()
        if name != "keep_intermediate"  # the run's arrays stay where they are
    }
    return Config.from_settings({**settings, **changes})


def read_run(output_dir: Path) -> tuple[Plan, Config]:
    """Return plan and settings of a run whose arrays are there.

    Raises
    ------
    InputError
        If they are not.
    """
    folder = output_dir / FOLDER_NAME
    if not (folder / PLAN_NAME).exists():
        hint = "baleen run --keep-intermediate keeps the arrays of a run; --shard i/n makes them for merge"
        raise InputError(folder, "holds no scored contigs", hint=hint)
    return Plan.read(folder), Config.from_result_settings(read_parameters(folder)["settings"])


def choose_device(config: RunConfig, dtw_s: float) -> str:
    """Return the device of a run whose time warping takes one core ``dtw_s`` seconds.

    ``auto`` is the first GPU, if there is one and this much work is worth opening it.

    Raises
    ------
    krill.DeviceError
        If a device was asked for and cannot be had.
    """
    if config.device != "auto":
        return krill.require_device(config.device)
    if dtw_s < GPU_WORTH_S * (config.threads or usable_cores()):
        return "cpu"
    gpus = [device.name for device in krill.devices() if device.name.startswith("cuda")]
    return gpus[0] if gpus else "cpu"


def _placed(config: Config, plan: Plan) -> Config:
    device = choose_device(config.run, dtw_seconds(plan, config.calling))
    return replace(config, run=replace(config.run, device=device))


def _device(config: RunConfig, workers: Workers) -> krill.GpuShare | str:
    """Return the device with each worker's share of its memory."""
    if config.device == "cpu":
        return config.device
    return krill.GpuShare(config.device, config.gpu_memory_limit, workers.per_machine)


def _is_scored(folder: Path, group: Group) -> bool:
    """Say whether the group has a whole slice in which no contig failed."""
    path = slice_path(folder, group.index, EVIDENCE)
    if not path.exists():
        return False
    evidence = Slice(path)
    evidence.close()
    return not evidence.meta["failed"]
