"""Hold the simulator against the peaks that Langmead et al. 2019 measured on three machines.

Two constants are fitted to that table: how much more the paper's programs spend copying inside a lock than
ours do (`IN_LOCK_FACTOR`), and how much the waiters of a spinning lock slow its holder
(`lock_models.SPIN_DRAG`). A read's work is taken from the last column of each row (L with 16 outputs, where
next to nothing is serial); so that column proves nothing, and the others do. How the programs were run is
told by the authors' scripts, https://github.com/BenLangmead/bowtie-scaling (thread_scaling/scripts).
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files

from baleen.scaling.events import Costs, Crew, simulate
from baleen.scaling.lock_models import LOCK_MODELS
from baleen.scaling.machines import PAPER_MACHINES, MachineModel

IN_LOCK_FACTOR = 4.0
"""Time that the paper's programs copy inside locks, over ours: fitted."""

IN_LOCK_NS = {"D": 271.0, "B": 246.0, "L": 33.0}
"""Ours per read of 100 nt, one idle AVX-512 core; `python -m benchmarks.scaling.parsings` measures them."""

DECODE_NS = 9.5
"""What O also does inside, per base: HISAT2's reading (1351 ns for 100) less Bowtie's, which decodes outside
(404 ns); `python -m benchmarks.scaling.readers` measures them."""

OUTPUT_NS = 96.0
"""Ours inside the output lock per read, pieces of 12 kB: `benchmarks.scaling.parsings`."""

READ_BASES = {"bowtie": 50, "bowtie2": 100, "hisat": 100}
READS_PER_BLOCK = {"bowtie": 70, "bowtie2": 44, "hisat": 44}
"""Reads of the paper's experiments, and how many a padded block of 12,288 bytes holds."""

_XEON_MAPPED = {"bowtie": 1.101, "bowtie2": 1.065, "hisat": 1.083}
MAPPED_INDEX = {
    "skylake": _XEON_MAPPED,
    "broadwell": _XEON_MAPPED,
    "knl": {"bowtie": 1.263, "bowtie2": 1.054, "hisat": 1.285},
}
"""Work of a process that maps its index (``--mm``, as the paper's MP did), over that with one of its own:
four processes of one thread over four threads, in the authors' results/marcc_langmead_bigmem and
stampede_knl. There are none for Skylake, so Broadwell's are taken."""

BATCH_READS = {"O": 1, "D": 1, "B": 32}
THREADS_PER_PROCESS = 16
CALIBRATION = "L 16 outputs"
_REFERENCE = "skylake"  # where time inside locks is what the constants say
_SCALAR_TOOLS = ("bowtie", "hisat")  # their work is, like parsing, no vector code


@dataclass(frozen=True)
class Strategy:
    """A column of the table: parsing, kind of lock, output locks, one or many processes."""

    parsing: str
    lock: str
    outputs: int = 1
    is_split: bool = False


STRATEGIES = {
    "spin O": Strategy("O", "ttas"),
    "queue O": Strategy("O", "mcs"),
    "queue D": Strategy("D", "mcs"),
    "queue B": Strategy("B", "mcs"),
    "L 1 output": Strategy("L", "mcs", 1),
    "L 16 outputs": Strategy("L", "mcs", 16),
    "MP": Strategy("B", "mcs", is_split=True),
}


@dataclass(frozen=True)
class Peak:
    """A cell of the table.

    Parameters
    ----------
    machine, tool, strategy
        Which one.
    kreads_per_s
        Highest throughput.
    threads
        Where; None = not told.
    """

    machine: str
    tool: str
    strategy: str
    kreads_per_s: float
    threads: int | None


@lru_cache(maxsize=1)
def paper_peaks() -> tuple[Peak, ...]:
    """Return the paper's table."""
    text = (files("baleen.scaling") / "paper_peaks.csv").read_text()
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Peak(
            row["machine"],
            row["tool"],
            row["strategy"],
            float(row["kreads_per_s"]),
            int(row["threads"]) if row["threads"] else None,
        )
        for row in rows
    )


def thread_grid(machine: str) -> list[int]:
    """Return the numbers of threads that are simulated: up to all, in steps of 8."""
    return [1, *range(8, PAPER_MACHINES[machine].most_threads + 1, 8)]


def work_ns(machine: str, tool: str) -> float:
    """Return a read's work on a core of its own, from the column in which all cores only work."""
    model = PAPER_MACHINES[machine]
    (peak,) = [p for p in paper_peaks() if (p.machine, p.tool, p.strategy) == (machine, tool, CALIBRATION)]
    return model.cores * model.core_gain(model.threads_per_core) / peak.kreads_per_s * 1e6


def paper_machine(machine: str) -> MachineModel:
    """Return a machine that is as much slower inside locks as at work without vector instructions."""
    ratios = [work_ns(machine, tool) / work_ns(_REFERENCE, tool) for tool in _SCALAR_TOOLS]
    return replace(PAPER_MACHINES[machine], slowness=math.prod(ratios) ** (1 / len(ratios)))


def paper_costs(machine: str, tool: str, parsing: str) -> Costs:
    """Return what a read costs a program of the paper."""
    if parsing == "O":
        input_ns = IN_LOCK_NS["D"] * IN_LOCK_FACTOR + DECODE_NS * READ_BASES[tool]
    else:
        input_ns = IN_LOCK_NS[parsing] * IN_LOCK_FACTOR
    return Costs(
        work_ns=work_ns(machine, tool),
        input_ns=input_ns,
        output_ns=OUTPUT_NS * IN_LOCK_FACTOR,
        batch_reads=READS_PER_BLOCK[tool] if parsing == "L" else BATCH_READS[parsing],
    )


def simulated_peak(machine: str, tool: str, strategy: str, seed: int = 1) -> Peak:
    """Return the highest simulated throughput of a cell, and where it is."""
    curve = simulated_curve(machine, tool, strategy, seed)
    threads, best = max(curve, key=lambda pair: pair[1])
    return Peak(machine, tool, strategy, best, threads)


def simulated_curve(machine: str, tool: str, strategy: str, seed: int = 1) -> list[tuple[int, float]]:
    """Return threads and thousand reads per second over the grid; for processes the full machine alone."""
    how = STRATEGIES[strategy]
    model = paper_machine(machine)
    costs = paper_costs(machine, tool, how.parsing)
    lock = LOCK_MODELS[how.lock]
    if how.is_split:
        costs = replace(costs, work_ns=costs.work_ns * MAPPED_INDEX[machine][tool])
        crews = [
            Crew(procs=model.most_threads // THREADS_PER_PROCESS, threads=THREADS_PER_PROCESS, lock=lock)
        ]
    else:
        crews = [Crew(procs=1, threads=n, lock=lock, outputs=how.outputs) for n in thread_grid(machine)]
    return [
        (crew.procs * crew.threads, simulate(costs, model, crew, seed).throughput / 1e3) for crew in crews
    ]


def against_paper(seed: int = 1) -> Iterator[tuple[Peak, Peak]]:
    """Yield every cell of the table and its simulation."""
    for peak in paper_peaks():
        yield peak, simulated_peak(peak.machine, peak.tool, peak.strategy, seed)
