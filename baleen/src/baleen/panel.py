"""Build a control panel: place control samples once, for any number of native ones."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pysam

from baleen import __version__
from baleen.cluster import open_workers
from baleen.config import Config
from baleen.console import LOG
from baleen.crew import Clock, crew_of
from baleen.errors import InputError, OutputError
from baleen.finish import run_groups
from baleen.inputs import (
    ReadSource,
    RunInputs,
    SampleFiles,
    copy_records,
    open_samples,
    read_contig,
    read_reference,
)
from baleen.manifest import file_digest
from baleen.outputs.slices import Arrays, slice_path, write_slice
from baleen.panel_files import MANIFEST_NAME, PLACED, panel_settings, table_arrays, write_manifest
from baleen.pileup import join_placed
from baleen.plan import Group, Plan
from baleen.scoring import PlacedBatch, place
from baleen.termination import ended_by_signals
from baleen.worker import GroupOutcome, Job


@dataclass(frozen=True, kw_only=True)
class PanelRequest:
    """What the user asked for.

    Parameters
    ----------
    samples, reference
        Control samples; FASTA they are aligned to.
    output_dir
        Folder of the panel.
    config
        Settings.
    is_forced
        Replace what the folder holds.
    may_index
        Make missing BAM indices.
    """

    samples: tuple[SampleFiles, ...]
    reference: Path
    output_dir: Path
    config: Config
    is_forced: bool = False
    may_index: bool = False


def build_panel(request: PanelRequest) -> list[str]:
    """Place the reads of control samples and keep them; return what was made as text.

    Raises
    ------
    BaleenError
        Of the kind whose exit code says what went wrong.
    """
    output = request.output_dir
    is_panel = (output / MANIFEST_NAME).exists()
    if output.is_dir() and any(output.iterdir()) and not (request.is_forced and is_panel):
        message = f"{output}: is not empty"
        raise OutputError(message, hint="--force replaces a panel" if is_panel else None)
    config = request.config
    inputs = open_samples(request.samples, request.reference, config, index_bams=request.may_index)
    for line in (*inputs.funnel_lines(), *inputs.warnings):
        LOG.info("%s", line)
    if not inputs.tasks:
        raise InputError(request.samples[0].bam[0], "has no read that can be used")
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        plan = Plan.of(inputs)
        source = inputs.write(part)
        with ended_by_signals(), open_workers(config.run, len(plan.groups)) as workers:
            job = Job(config, source, inputs.chemistry, part, part, workers.threads, config.run.device)
            run_groups("placing", partial(place_group, job), plan.groups, workers)
        _write_rest(part, inputs, plan, source, request)
        shutil.rmtree(output, ignore_errors=True)
        part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    counts = ", ".join(
        f"{s.name} {sum(t.n_reads[i] for t in inputs.tasks)}" for i, s in enumerate(inputs.samples)
    )
    return [f"{plan.n_contigs} contigs, reads: {counts}", f"panel: {output}"]


def place_group(job: Job, group: Group) -> GroupOutcome:
    """Place the reads of a group of contigs and write them as one slice."""
    clock = Clock(crew_of(job.threads))
    tables = {}
    for number, task in enumerate(group.tasks):
        with clock.stage("reading"):
            reference = read_reference(task, job.source)
            batches = list(
                clock.each(
                    partial(place, job, reference), read_contig(task, job.source, job.config), "eventalign"
                )
            )
        for sample in range(len(job.source.samples)):
            tables[f"{number:06d}.{sample}"] = _table([one for one in batches if one.sample == sample])
    with clock.stage("writing"):
        write_slice(slice_path(job.folder, group.index, PLACED), tables, {})
    return GroupOutcome(clock.seconds)


def _table(batches: Sequence[PlacedBatch]) -> Arrays:
    placed = [batch.placed for batch in batches if batch.placed is not None]
    read_ids = [read_id for batch in batches for read_id in batch.reads.read_ids]
    joined, status = join_placed(placed, [batch.status for batch in batches])
    return table_arrays(joined, read_ids, status)


def _write_rest(part: Path, inputs: RunInputs, plan: Plan, source: ReadSource, request: PanelRequest) -> None:
    """Copy the alignments and write the manifest."""
    samples = []
    for number, sample in enumerate(source.samples):
        names = [f"{number:03d}.{i}.bam" for i in range(len(sample.bam))]
        for i, name in enumerate(names):
            copy_records(source, (number, i), part / name)
            pysam.index(str(part / name))
        samples.append({"name": sample.name, "bam": names})
    slices = {group.index: slice_path(part, group.index, PLACED) for group in plan.groups}
    facts = {
        "program": f"baleen {__version__}",
        "chemistry": inputs.chemistry,
        "reference": file_digest(request.reference),
        "settings": panel_settings(request.config),
        "samples": samples,
        "contigs": {task.contig: (g.index, i) for g in plan.groups for i, task in enumerate(g.tasks)},
        "placed": {path.name: file_digest(path) for path in slices.values()},
        "made_from": {role: str(path) for role, path in inputs.files().items()},
    }
    source.table.unlink()
    source.sequences.unlink()
    write_manifest(part, facts)
