"""Measure stages over a grid of processes x threads: rounds in which every cell has its turn."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from baleen.console import LOG
from baleen.errors import UsageError
from baleen.executors import usable_cores
from baleen.scaling.crowd import Crowd
from baleen.scaling.machine import describe_machine, describe_making
from baleen.scaling.made_inputs import make_pair, make_short_reads
from baleen.scaling.result import Cell, Point, Result, Series, Trial
from baleen.scaling.stages import Stage, StageRequest, is_installed, open_stage

MODES = ("strong", "weak")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The ways of sharing out that are measured: every combination.

    Parameters
    ----------
    procs, threads
        Numbers of processes and of threads in each.
    parsing, lock, output, split
        As in `Cell`.
    most_workers
        Combinations of more threads than this, all processes together, are left out; 0 = none.
    """

    procs: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1, 2)
    parsing: tuple[str, ...] = ("auto",)
    lock: tuple[str, ...] = ("auto",)
    output: tuple[str, ...] = ("slices",)
    split: tuple[str, ...] = ("dynamic",)
    most_workers: int = 0

    def cells(self, stage: Stage) -> list[Cell]:
        """Return the cells as the stage knows them, each once."""
        cells = [
            stage.check(Cell(p, t, *way))
            for p, t in product(self.procs, self.threads)
            if not self.most_workers or p * t <= self.most_workers
            for way in product(self.parsing, self.lock, self.output, self.split)
        ]
        return list(dict.fromkeys(cells))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A stage, its grid, and how often everything is measured."""

    request: StageRequest
    grid: Grid
    mode: str = "weak"
    repeats: int = 3


def measure(experiments: Sequence[Experiment], folder: Path | None = None) -> Result:
    """Carry out experiments one after the other.

    Parameters
    ----------
    experiments
        What to measure.
    folder
        Where files that are made on the way lie; None = a temporary folder.

    Raises
    ------
    UsageError
        If an experiment asks for what cannot be had.
    """
    machine, series = describe_machine(), []
    most = max(max(cell_workers(e.grid)) for e in experiments)
    with tempfile.TemporaryDirectory(prefix="baleen-scaling-", dir=folder) as name, Crowd(most) as crowd:
        for number, experiment in enumerate(experiments):
            place = Path(name) / str(number)
            series.append(_measure(experiment, crowd, place))
            shutil.rmtree(place)
    return Result(describe_making(), machine, tuple(series))


def cell_workers(grid: Grid) -> list[int]:
    """Return the numbers of workers of a grid's cells.

    Raises
    ------
    UsageError
        If no cell is left.
    """
    limit = grid.most_workers
    workers = [p * t for p, t in product(grid.procs, grid.threads) if not limit or p * t <= limit]
    if not workers or min(workers) < 1:
        message = "--procs, --threads: no combination is left to measure"
        raise UsageError(message)
    return workers


def _measure(experiment: Experiment, crowd: Crowd, place: Path) -> Series:
    request = experiment.request
    stage = open_stage(request, crowd, place)
    cells = experiment.grid.cells(stage)
    most = max(cell.workers for cell in cells)
    if experiment.mode == "weak" and stage.n_items < most:
        message = f"--mode weak: {stage.n_items} {stage.item} are too few for {most} threads"
        raise UsageError(message)
    per_worker = stage.n_items // most
    LOG.info("%s %s: %d ways, %d times each", request.stage, request.engine, len(cells), experiment.repeats)
    trials: dict[Cell, list[Trial]] = {cell: [] for cell in cells}
    loop_s: dict[int, list[float]] = {n: [] for n in sorted({1, *(cell.workers for cell in cells)})}
    for turn in range(experiment.repeats):
        for n, seconds in loop_s.items():
            seconds.append(crowd.loop_s(n))
        # every other round runs backwards: a drift of the machine favours no cell
        for cell in cells if turn % 2 == 0 else reversed(cells):
            n_items = per_worker * cell.workers if experiment.mode == "weak" else stage.n_items
            trials[cell].append(stage.measure(cell, n_items))
    return Series(
        stage=request.stage,
        engine=request.engine,
        item=stage.item,
        mode=experiment.mode,
        points=tuple(Point(cell, tuple(found)) for cell, found in trials.items()),
        loop_s=loop_s,
        settings=_settings(experiment, stage.n_items),
    )


def _settings(experiment: Experiment, n_items: int) -> dict[str, Any]:
    request = experiment.request
    return {
        "inputs": [path.name for path in request.inputs],
        "n_items": n_items,
        "repeats": experiment.repeats,
        "preset": request.preset if request.engine == "minimap2" else None,
        "work_ns": request.work_ns if request.stage == "pump" else None,
        "batch_bytes": request.batch_bytes,
        "channels": list(request.channels) or None,
    }


@dataclass(frozen=True)
class Preset:
    """Sizes of a preset, so that it fits its machine and a few minutes.

    Parameters
    ----------
    cores, repeats
        Most workers; how often everything is measured.
    short_reads
        For the pump and the aligners.
    pair
        Contigs, their length, reads per contig and condition, for stage run.
    large_pair
        The same for stages eventalign, dtw and call, which are through with those in no time.
    """

    cores: int
    repeats: int
    short_reads: int
    pair: tuple[int, int, int]
    large_pair: tuple[int, int, int]


PRESETS = {
    "ci2": Preset(cores=2, repeats=3, short_reads=40_000, pair=(4, 400, 30), large_pair=(12, 1500, 60)),
    "ci16": Preset(cores=16, repeats=3, short_reads=320_000, pair=(16, 800, 40), large_pair=(48, 1500, 60)),
}
_CALL_CHANNELS = ("level", "errors")
"""Those whose arrays are made quickly: stage call measures what is done with them."""
_GENOME_BP = 1_000_000


def preset_experiments(name: str, folder: Path) -> list[Experiment]:
    """Make a preset's inputs and return its experiments.

    Raises
    ------
    UsageError
        If there is no such preset, or this job has too few cores.
    """
    preset = PRESETS[name]
    if usable_cores() < preset.cores:
        message = f"--preset {name}: needs {preset.cores} cores, this job may use {usable_cores()}"
        raise UsageError(message, hint="--preset ci2, or choose --threads and --procs")
    reads, genome = make_short_reads(folder, preset.short_reads, _GENOME_BP)
    pair_files = make_pair(folder / "pair", *preset.pair)
    large_files = make_pair(folder / "large", *preset.large_pair)
    powers = tuple(2**i for i in range(preset.cores.bit_length()))
    grid = Grid(procs=powers, threads=powers, most_workers=preset.cores)
    threads = replace(grid, procs=(1,))
    parsings = replace(threads, parsing=tuple("ODBLKA"), threads=(1, preset.cores))

    def experiment(stage: str, inputs: tuple[Path, ...], grid: Grid, **more: Any) -> Experiment:
        repeats, mode = more.pop("repeats", preset.repeats), more.pop("mode", "weak")
        request = StageRequest(stage, inputs, **more)
        return Experiment(request=request, grid=grid, mode=mode, repeats=repeats)

    engines = [engine for engine in ("bowtie", "bowtie2", "hisat2") if is_installed(engine)]
    return [
        experiment("pump", (reads,), parsings),
        experiment("align", (reads, genome), grid, engine="minimap2", preset="sr"),
        *(experiment("align", (reads, genome), grid, engine=engine) for engine in engines),
        experiment("eventalign", large_files, grid),
        experiment("dtw", large_files, grid),
        experiment("call", large_files, grid, mode="strong", repeats=2, channels=_CALL_CHANNELS),
        experiment("run", pair_files, grid, mode="strong", repeats=2),
    ]
