"""One thread against two, threads against processes, too many threads: beside a plain loop, round by round.

A round takes every measure once, each beside the same loop, so that what else the machine does falls
on all of them; a figure is the median over the rounds of its ratio. Rounds in which the loop itself
did not get two cores say nothing of us and are left out.
"""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.accept.rows import Row
from benchmarks.align.data import ReadSet
from krill.map import AlignJob, AlignReport, align_reads
from krill.pump import PumpSettings

_ROUNDS = 7
_NEEDED_ROUNDS = 3
_VAIN_ROUNDS = 4
"""Rounds without two cores after which the machine is taken to be busy."""
_COPIES = 3
"""Times the reads are repeated: two seconds for a thread."""
_IDLE_SPEED_UP = 1.6  # of the loop: below this another job had one of the cores
LOOP = (
    "import time\nstart, x = time.perf_counter(), 1\n"
    "for i in range(8_000_000): x = x * 3 & 0xFFFF\nprint(time.perf_counter() - start)"
)
_PROCESS = """
import sys
from pathlib import Path
from benchmarks.align.scaling import align_s
print(align_s(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), 1)[0])
"""
_FIGURES = {
    "1 to 2 threads, over half the loop's speed-up": 1.85,
    "2 threads over 2 processes": 0.95,
    "8 threads on 2 cores over 2 threads": 0.9,
}


def align_s(reads: Path, reference: Path, bam: Path, threads: int) -> tuple[float, float]:
    """Return seconds of mapping and merging, and those of the busiest thread on a core."""
    report = align_reads(AlignJob([reads], reference, bam), PumpSettings(threads=threads))
    return report.mapping.wall_s + report.merging.wall_s, _busiest_s(report)


def _busiest_s(report: AlignReport) -> float:
    return sum(max(worker.on_cpu_s for worker in stage.workers) for stage in (report.mapping, report.merging))


def scaling_rows(folder: Path, data: ReadSet) -> Iterator[Row]:
    """Yield the speed-up of the loop, then the figures that are divided by it."""
    reads = folder / "scaling.fq"
    reads.write_bytes(data.rna.read_bytes() * _COPIES)
    halves = _halves(reads, folder)
    rounds: list[dict[str, float]] = []
    idle: list[dict[str, float]] = []
    while len(rounds) < (_ROUNDS if idle else _VAIN_ROUNDS):
        rounds.append(_round(folder, data, (reads, *halves)))
        idle = [one for one in rounds if one["loop"] >= _IDLE_SPEED_UP]
    seen = statistics.median(one["loop"] for one in rounds)
    shown = f"{seen:.3f} (median; {len(idle)} of {len(rounds)} rounds with two cores)"
    yield Row("speed-up of a pure-arithmetic loop on 2 cores", "", "", shown, None, seen)
    for figure, must in _FIGURES.items():
        if len(idle) >= _NEEDED_ROUNDS:
            yield Row.at_least(figure, statistics.median(one[figure] for one in idle), must)
        else:
            value = statistics.median(one[figure] for one in rounds)
            why = f"the machine is busy, in {len(idle)} rounds only a loop had two cores (seen: {value:.3f})"
            yield Row.not_measurable(figure, f">= {must}", why)
    balance = statistics.median(one["on a core"] for one in rounds)
    figure = "1 to 2 threads: the one over the busiest of two, time on a core alone"
    yield Row(figure, "", "", f"{balance:.3f} (whatever else runs)", None, balance)


def _round(folder: Path, data: ReadSet, files: tuple[Path, Path, Path]) -> dict[str, float]:
    reads, *halves = files
    bams = [folder / "scaling0.bam", folder / "scaling1.bam"]
    one_loop, two_loops = slowest_s(1, [LOOP]), slowest_s(2, [LOOP])
    one, one_on_core = align_s(reads, data.reference, bams[0], 1)
    two, two_on_core = align_s(reads, data.reference, bams[0], 2)
    eight, _ = align_s(reads, data.reference, bams[0], 8)
    arguments = [[str(half), str(data.reference), str(bam)] for half, bam in zip(halves, bams, strict=True)]
    processes = slowest_s(2, [_PROCESS], arguments)
    loop = 2 * one_loop / two_loops
    ratios = [one / two / (loop / 2), processes / two, two / eight]
    return {**dict(zip(_FIGURES, ratios, strict=True)), "loop": loop, "on a core": one_on_core / two_on_core}


def slowest_s(n: int, code: list[str], arguments: list[list[str]] | None = None) -> float:
    """Run Python code in ``n`` processes at a time, each of which prints its seconds; return the most."""
    words = [[sys.executable, "-c", *code, *more] for more in arguments or [[]] * n]
    running = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for line in words]
    return max(float(process.communicate()[0]) for process in running)


def _halves(reads: Path, folder: Path) -> tuple[Path, Path]:
    lines = reads.read_bytes().splitlines(keepends=True)
    middle = len(lines) // 8 * 4
    halves = folder / "half1.fq", folder / "half2.fq"
    for path, part in zip(halves, (lines[:middle], lines[middle:]), strict=True):
        path.write_bytes(b"".join(part))
    return halves
