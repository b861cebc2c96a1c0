"""The stages that can be measured: how each is opened from its inputs and shared out by a cell."""

import json
import logging
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from baleen.config import Config
from baleen.console import LOG
from baleen.crew import Seconds
from baleen.engines import (
    AlignRequest,
    ProcessPlan,
    align_reads,
    build_index,
    require,
    split_reads,
)
from baleen.engines import pump_settings as engine_settings
from baleen.errors import InputError, PartialError, UsageError
from baleen.inputs import SampleFiles
from baleen.outputs.slices import Slice
from baleen.pipeline import FOLDER_NAME, RunRequest, aggregate, kept_config, run
from baleen.results import RunSummary
from baleen.scaling.crowd import Crowd, Part, Task
from baleen.scaling.pump_tasks import Minimap2Task, PumpTask, ReadFiles, trial_of
from baleen.scaling.result import Cell, LockCost, Trial
from baleen.scaling.signal_tasks import dtw_task, eventalign_task
from baleen.worker import EVIDENCE
from krill.map import AlignOptions
from krill.map import split as split_files
from krill.pump import PARSINGS

STAGES = ("align", "eventalign", "dtw", "call", "run", "pump")


class Stage(Protocol):
    """Something to measure."""

    @property
    def item(self) -> str:
        """Unit of throughput."""

    @property
    def n_items(self) -> int:
        """How many there are."""

    def check(self, cell: Cell) -> Cell:
        """Return the cell as this stage knows it (``-`` for what it has not), or raise `UsageError`."""

    def measure(self, cell: Cell, n_items: int) -> Trial:
        """Work on the first ``n_items``, shared out as the cell says."""


@dataclass(frozen=True)
class StageRequest:
    """Which stage, with what.

    Parameters
    ----------
    stage, engine, preset
        One of ``STAGES``; aligner; minimap2's preset.
    inputs
        ``READS [MATES] REF`` for align and pump (which needs no REF); ``NATIVE_BAM NATIVE_SIGNAL
        CONTROL_BAM CONTROL_SIGNAL REF`` for the others.
    work_ns
        Of stage pump: time per read outside the locks.
    batch_bytes
        Longest batch of the pump; None = its own.
    channels
        Of stages call and run; empty = those of `baleen run`.
    """

    stage: str
    inputs: tuple[Path, ...]
    engine: str = "-"
    preset: str = "rna"
    work_ns: int = 2000
    batch_bytes: int | None = None
    channels: tuple[str, ...] = ()


def open_stage(request: StageRequest, crowd: Crowd, folder: Path) -> Stage:
    """Open a stage.

    Parameters
    ----------
    request
        What to measure.
    crowd
        Processes to measure with.
    folder
        Where files that are made on the way may lie.

    Raises
    ------
    UsageError
        If the number of inputs is wrong, or the engine is not installed.
    InputError
        If a file does not exist.
    BaleenError, FormatError
        If the inputs are damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if request.stage in {"align", "pump"}:
        return _open_reads(request, crowd, folder)
    if len(request.inputs) != 5:
        message = f"--stage {request.stage}: {len(request.inputs)} files given, 5 expected"
        hint = "NATIVE_BAM NATIVE_SIGNAL CONTROL_BAM CONTROL_SIGNAL REF"
        raise UsageError(message, hint=hint)
    native, native_signal, control, control_signal, reference = request.inputs
    samples = (
        SampleFiles("native", is_native=True, bam=(native,), signal=(native_signal,)),
        SampleFiles("control", is_native=False, bam=(control,), signal=(control_signal,)),
    )
    if request.stage in {"call", "run"}:
        config = Config()
        if request.channels:
            config = replace(config, calling=replace(config.calling, channels=request.channels))
        return PipelineStage(samples, reference, folder, config, is_call=request.stage == "call")
    if request.stage == "eventalign":
        reads = eventalign_task(samples, reference)
        return CrowdStage(crowd, reads, "reads", reads.n_items)
    positions = dtw_task(samples, reference)
    return CrowdStage(crowd, positions, "positions", positions.n_items)


def _open_reads(request: StageRequest, crowd: Crowd, folder: Path) -> Stage:
    *reads, reference = request.inputs if request.stage == "align" else (*request.inputs, Path())
    if len(reads) not in {1, 2}:
        message = f"--stage {request.stage}: {len(request.inputs)} files given"
        raise UsageError(message, hint="READS [MATES] REF for align, READS [MATES] for pump")
    if request.engine not in {"minimap2", "-"}:
        require(request.engine)
    for path in (*reads, reference):
        if not path.exists():
            raise InputError(path, "does not exist")
    plain = tuple(folder / f"reads.{i}.fq" for i in range(len(reads)))
    n_reads = split_files(reads, [plain])
    files = ReadFiles(plain, n_reads, folder)
    if request.stage == "pump":
        return CrowdStage(crowd, PumpTask(files, request.work_ns, request.batch_bytes), "reads", n_reads)
    if request.engine == "minimap2":
        task = Minimap2Task(files, reference, request.preset, request.batch_bytes)
        return CrowdStage(crowd, task, "reads", n_reads)
    return EngineStage(request.engine, files, reference, build_index(request.engine, reference, folder))


@dataclass(frozen=True)
class CrowdStage:
    """A stage in this program: one process of the crowd per process of the cell, equal shares."""

    crowd: Crowd
    task: Task
    item: str
    n_items: int

    def check(self, cell: Cell) -> Cell:
        """Pump settings count for stages that have a pump; shares of processes are cut beforehand."""
        if not isinstance(self.task, PumpTask | Minimap2Task):
            return Cell(cell.procs, cell.threads)
        if cell.parsing not in PARSINGS:
            message = f"--parsing: {cell.parsing!r} is not one of {', '.join(PARSINGS)}"
            raise UsageError(message)
        return cell._replace(split="-")

    def measure(self, cell: Cell, n_items: int) -> Trial:
        """Share out and measure."""
        bounds = [n_items * i // cell.procs for i in range(cell.procs + 1)]
        parts = [Part(first, last, cell) for first, last in pairwise(bounds)]
        return self.crowd.measure(self.task, parts)


@dataclass(frozen=True)
class EngineStage:
    """Bowtie, Bowtie 2 or HISAT2 as processes; start-up and merging of the BAM are counted."""

    engine: str
    reads: ReadFiles
    reference: Path
    index: Path
    item: str = "reads"

    @property
    def n_items(self) -> int:
        """Reads (pairs)."""
        return self.reads.n_reads

    def check(self, cell: Cell) -> Cell:
        """Leave the pump out of static shares: they are files that the engine reads itself."""
        if cell.split == "static":
            return cell._replace(parsing="-", lock="-", output="-")
        return cell

    def measure(self, cell: Cell, n_items: int) -> Trial:
        """Align; CPU time is that of the children."""
        paths, shares = self.reads.cut(0, n_items), None
        if cell.split == "static":
            cuts = self.reads.folder / f"static{n_items}of{cell.procs}"
            if not cuts.exists():
                cuts.mkdir()
                split_reads(paths, cell.procs, cuts)
            n = len(paths)
            shares = tuple(
                tuple(cuts / f"share{i}of{cell.procs}.{mate}.fq" for mate in range(1, n + 1))
                for i in range(cell.procs)
            )
        names = {} if cell.split == "static" else {"parsing": cell.parsing, "lock": cell.lock}
        request = AlignRequest(
            reads=paths,
            reference=self.reference,
            output=self.reads.folder / "engine.bam",
            engine=self.engine,
            options=AlignOptions(),
            pump=engine_settings(cell.threads, cell.procs, **names),
            plan=ProcessPlan(
                processes=cell.procs,
                index=self.index,
                is_static=cell.split == "static",
                shares=shares,
                is_spliced=False,
            ),
        )
        before, start = _children_s(), time.perf_counter()
        report = align_reads(request)
        seconds, running = time.perf_counter() - start, _children_s() - before
        pump = trial_of(n_items, (report.mapping, report.merging), cell.lock)
        waiting = max(0.0, cell.workers * seconds - running - pump.in_lock_s)
        return Trial(n_items, seconds, running, waiting, pump.in_lock_s, pump.locks)


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cpu_s() -> float:
    return time.process_time() + _children_s()


@dataclass(frozen=True)
class PipelineStage:
    """A whole `baleen run`, or the calling alone (`baleen aggregate`); one process = no workers."""

    samples: tuple[SampleFiles, ...]
    reference: Path
    folder: Path
    config: Config
    is_call: bool
    item: str = "reads"

    @property
    def n_items(self) -> int:
        """Reads that are called."""
        kept = self._kept()
        counts: dict[str, int] = json.loads((kept / "run.json").read_text())["read_status"]
        return counts["ok"]

    def check(self, cell: Cell) -> Cell:
        """There is no pump."""
        return Cell(cell.procs, cell.threads)

    def measure(self, cell: Cell, n_items: int) -> Trial:
        """Run and take the seconds of the stages from run.json."""
        if n_items != self.n_items:
            message = "--mode weak: whole runs and calling have a fixed size; use --mode strong"
            raise UsageError(message)
        layout = f"{cell.procs if cell.procs > 1 else 0}x{cell.threads}"
        config = replace(self.config, run=replace(self.config.run, layout=layout, device="cpu"))
        kept = self._kept()
        with tempfile.TemporaryDirectory(dir=self.folder) as name, _quiet():
            output = Path(name) / "out"
            start, cpu = time.perf_counter(), _cpu_s()
            if self.is_call:
                changes = {"layout": layout, "device": "cpu"}
                _check_whole(aggregate(kept, output, kept_config(kept, changes), is_forced=False))
            else:
                _check_whole(run(self._request(output, config)))
            seconds, cpu = time.perf_counter() - start, _cpu_s() - cpu
            stages = json.loads((output / "run.json").read_text())["stage_seconds"].values()
        locked = sum(stage["gil_at_most"] for stage in stages)
        if self.is_call:
            locked = max(0.0, locked - _scoring_gil_s(kept / FOLDER_NAME))
        locked = min(locked, cpu)
        waiting = max(0.0, cell.workers * seconds - cpu)
        locks = {"interpreter": LockCost(0, locked, 0.0)}
        return Trial(n_items, seconds, cpu - locked, waiting, locked, locks)

    def _kept(self) -> Path:
        """Return a finished run that kept its arrays; it also warms the file cache."""
        kept = self.folder / "kept"
        if not (kept / "run.json").exists():
            kept_arrays = replace(self.config.output, keep_intermediate=True)
            config = replace(self.config, output=kept_arrays)
            with _quiet():
                _check_whole(run(self._request(kept, config)))
        return kept

    def _request(self, output: Path, config: Config) -> RunRequest:
        return RunRequest(
            samples=self.samples, reference=self.reference, output_dir=output, config=config, may_index=True
        )


def _check_whole(summary: RunSummary | None) -> None:
    """Refuse to measure a run in which contigs failed, or that had none to call."""
    failed = summary.failed if summary else {}
    if failed:
        contig, reason = min(failed.items())
        message = f"{len(failed)} contigs failed, so nothing can be measured; {contig}: {reason}"
        raise PartialError(message)
    if summary is None or summary.n_contigs == 0:
        message = "no contig passes the filters, so there is nothing to measure"
        raise UsageError(message, hint="at least 15 reads per contig and condition")


def _scoring_gil_s(folder: Path) -> float:
    """Return what the kept run counted when it scored, which `aggregate` counts again in its own record."""
    total = 0.0
    for path in folder.glob(f"*.{EVIDENCE}"):
        evidence = Slice(path)
        total += sum(Seconds(*values).gil_at_most for values in evidence.meta["seconds"].values())
        evidence.close()
    return total


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the pipeline not tell of every run."""
    before = LOG.level
    LOG.setLevel(logging.ERROR)
    try:
        yield
    finally:
        LOG.setLevel(before)


def is_installed(engine: str) -> bool:
    """Say whether an engine can be used here."""
    return engine == "minimap2" or shutil.which(engine) is not None
