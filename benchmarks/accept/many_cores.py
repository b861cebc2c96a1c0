"""Figures that want sixteen cores; where a job may use fewer, each row says so.

The number of cores is an argument everywhere, so that two cores can show that it runs.
"""

import math
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from baleen.engines import AlignRequest, ProcessPlan, align_reads, build_index, pump_settings
from baleen.executors import usable_cores
from baleen.scaling.grid import Experiment, measure, preset_experiments
from baleen.scaling.result import Series
from benchmarks.accept.rows import Row
from benchmarks.align.data import ReadSet
from benchmarks.align.scaling import LOOP, align_s, slowest_s
from krill.map import AlignOptions
from krill.pump import PumpSettings

CORES = 16
_ROUNDS = 3
_RNA_COPIES, _PAIR_COPIES = 24, 32
"""Times the reads are repeated: two seconds and more for all cores."""


def why_not(cores: int = CORES) -> str | None:
    """Return why so many cores cannot be had, None if they can."""
    usable = usable_cores()
    return None if usable >= cores else f"needs {cores} cores, this machine gives {usable}"


def align_rows(folder: Path, data: ReadSet, minimap2: Path | None, cores: int = CORES) -> Iterator[Row]:
    """Row 7: all cores over one, over minimap2 with samtools, and HISAT2 in processes over threads alone.

    Parameters
    ----------
    folder
        For what is made on the way.
    data
        Reads.
    minimap2
        Its command line, if there is one.
    cores
        How many.
    """
    figures = {
        f"{cores} threads over 1, over a {cores}th of the loop's speed-up": (13 / CORES * cores, _gain),
        f"{cores} threads over `minimap2 -ax sr -t {cores} | samtools sort`": (1.5, _over_minimap2),
        f"hisat2 as processes x threads over `hisat2 -p {cores}`": (1.3, _over_hisat2),
    }
    needs = {_over_minimap2: "samtools", _over_hisat2: "hisat2"}
    for figure, (must, ratio) in figures.items():
        why = why_not(cores)
        program = needs.get(ratio)
        if program and shutil.which(program) is None:
            why = why or f"{program} is not installed"
        if ratio is _over_minimap2 and minimap2 is None:
            why = why or "minimap2's command line does not build here"
        if why:
            yield Row.not_measurable(figure, f">= {must:g}", why)
        else:
            yield Row.at_least(figure, ratio(folder, data, minimap2, cores), must)


def _gain(folder: Path, data: ReadSet, _: Path | None, cores: int) -> float:
    reads, bam = _repeated(data.rna, folder, _RNA_COPIES), folder / "many.bam"
    ratios = []
    for _round in range(_ROUNDS):
        loop = slowest_s(1, [LOOP]) / slowest_s(cores, [LOOP])
        (one, _), (all_, _) = (align_s(reads, data.reference, bam, n) for n in (1, cores))
        ratios.append(one / all_ / loop)
    return statistics.median(ratios)


def _over_minimap2(folder: Path, data: ReadSet, minimap2: Path | None, cores: int) -> float:
    mates = tuple(_repeated(path, folder, _PAIR_COPIES) for path in data.pairs)
    bam, ratios = folder / "many.bam", []
    ours = AlignRequest(
        reads=mates,
        reference=data.reference,
        output=bam,
        options=AlignOptions(preset="sr"),
        pump=PumpSettings(threads=cores),
    )
    theirs = [str(word) for word in (minimap2, "-ax", "sr", "-t", cores, data.reference, *mates)]
    for _round in range(_ROUNDS):
        start = time.perf_counter()
        with subprocess.Popen(theirs, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as mapping:
            sort = ["samtools", "sort", "-@", str(cores), "-o", str(bam), "-"]
            subprocess.run(sort, stdin=mapping.stdout, stderr=subprocess.DEVNULL, check=True)
        if mapping.returncode:
            raise subprocess.CalledProcessError(mapping.returncode, theirs)
        their_s, start = time.perf_counter() - start, time.perf_counter()
        align_reads(ours)
        ratios.append(their_s / (time.perf_counter() - start))
    return statistics.median(ratios)


def _over_hisat2(folder: Path, data: ReadSet, _: Path | None, cores: int) -> float:
    """Ours also sorts, and writes a BAM."""
    reads = _repeated(data.pairs[0], folder, _PAIR_COPIES)
    index, sam, ratios = build_index("hisat2", data.reference, folder), folder / "many.sam", []
    processes = math.isqrt(cores)
    ours = AlignRequest(
        reads=(reads,),
        reference=data.reference,
        output=folder / "many.bam",
        engine="hisat2",
        pump=pump_settings(cores // processes, processes),
        plan=ProcessPlan(processes=processes, index=index),
    )
    theirs = ["hisat2", "-p", cores, "--no-temp-splicesite", "-x", index, "-U", reads, "-S", sam]
    for _round in range(_ROUNDS):
        start = time.perf_counter()
        subprocess.run([str(word) for word in theirs], stderr=subprocess.DEVNULL, check=True)
        their_s, start = time.perf_counter() - start, time.perf_counter()
        align_reads(ours)
        ratios.append(their_s / (time.perf_counter() - start))
    return statistics.median(ratios)


def _repeated(reads: Path, folder: Path, copies: int) -> Path:
    path = folder / f"many-{reads.name}"
    if not path.exists():
        path.write_bytes(reads.read_bytes() * copies)
    return path


def pure_threads_rows(folder: Path, cores: int = CORES) -> Iterator[Row]:
    """Row 9: threads alone beside every mix of processes and threads; a whole run's interpreter lock."""
    stages = ("align", "eventalign", "dtw")
    figures = {stage: f"{cores} cores: pure threads of {stage} over the best mix" for stage in stages}
    locked = f"{cores} cores: share of a whole run under the interpreter's lock at most, %"
    why = why_not(cores)
    if why:
        for figure in figures.values():
            yield Row.not_measurable(figure, ">= 0.95", why)
        yield Row.not_measurable(locked, "reported", why)
        return
    made = folder / "preset"
    made.mkdir()
    for experiment in preset_experiments(f"ci{cores}", made):
        request = experiment.request
        if request.stage in stages and request.engine in {"-", "minimap2"}:
            series = _measured(experiment, made)
            full = [point for point in series.points if point.cell.workers == cores]
            (threads,) = [point for point in full if point.cell.procs == 1]
            best = max(point.best.throughput for point in full)
            yield Row.at_least(figures[request.stage], threads.best.throughput / best, 0.95)
        elif request.stage == "run":
            grid = replace(experiment.grid, procs=(1,), threads=(cores,))
            (point,) = _measured(replace(experiment, grid=grid), made).points
            trial = point.best
            share = 100 * trial.in_lock_s / (trial.running_s + trial.in_lock_s)
            yield Row(locked, "", "", f"{share:.3g}", None, share)


def _measured(experiment: Experiment, folder: Path) -> Series:
    (series,) = measure([experiment], folder).series
    return series
