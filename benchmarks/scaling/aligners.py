"""Where each aligner's serial share ends its scaling, simulated from measured costs.

``python -m benchmarks.scaling.aligners READERS.json [-o FILE] [--picture SVG]``: READERS.json is what
``python -m benchmarks.scaling.readers`` wrote. The machine is one of two nodes of 24 cores of two threads.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baleen.scaling.events import Costs, Crew, simulate
from baleen.scaling.lock_models import LOCK_MODELS, SPIN_DRAG
from baleen.scaling.machines import PAPER_MACHINES
from benchmarks import machine

MACHINE = PAPER_MACHINES["skylake"]
THREADS = (1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96)
LAYOUTS = ((1, 96), (2, 48), (4, 24), (6, 16), (12, 8), (24, 4), (48, 2), (96, 1))


@dataclass(frozen=True)
class How:
    """How a program reads: reads per passage of its lock, and the lock's kind; output locks."""

    batch_reads: int
    lock: str
    outputs: int = 1


# HISAT2 parses one read inside a spin lock; Bowtie and Bowtie 2 take 16 reads; minimap2's steps take
# huge batches, which is no more than a long queue; ours takes about 1000 reads of 100 bases.
PROGRAMS = {
    "bowtie": How(16, "mcs"),
    "bowtie2": How(16, "mcs"),
    "hisat2": How(1, "ttas"),
    "minimap2": How(256, "mcs"),
    "baleen align (in locks)": How(1000, "mcs"),
}


def curves(readers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return simulated reads per second over threads, and over processes x threads on the full machine."""
    found = []
    for reader in readers:
        how = PROGRAMS[reader["program"]]
        costs = Costs(
            work_ns=reader["whole_ns"] - reader["reading_ns"] - reader["printing_ns"],
            input_ns=reader["reading_ns"],
            output_ns=reader["printing_ns"],
            batch_reads=how.batch_reads,
        )

        def per_s(procs: int, threads: int, costs: Costs = costs, how: How = how) -> float:
            crew = Crew(procs=procs, threads=threads, lock=LOCK_MODELS[how.lock], outputs=how.outputs)
            return simulate(costs, MACHINE, crew).throughput

        found.append(
            {
                "program": reader["program"],
                "how": asdict(how),
                "costs": asdict(costs),
                "threads": [[n, per_s(1, n)] for n in THREADS],
                "layouts": [[procs, threads, per_s(procs, threads)] for procs, threads in LAYOUTS],
            }
        )
    return found


def draw(path: Path, found: Sequence[dict[str, Any]]) -> None:
    """Draw gain over threads, and the layouts of the full machine."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colours = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
    figure = Figure(figsize=(11, 4.2), dpi=90, layout="constrained")
    gain, mix = figure.subplots(1, 2)
    for colour, one in zip(colours, found, strict=False):
        first = one["threads"][0][1]
        label = one["program"].removesuffix(" (in locks)")
        gain.plot(
            *zip(*((n, x / first) for n, x in one["threads"]), strict=True),
            "o--",
            ms=3,
            color=colour,
            label=label,
        )
        best = max(x for *_, x in one["layouts"])
        mix.plot(
            [p for p, *_ in one["layouts"]], [x / best for *_, x in one["layouts"]], "o--", ms=3, color=colour
        )
    gain.set(xlabel="threads of one process", ylabel="gain over one thread", title="Threads (simulated)")
    gain.legend(fontsize=8, frameon=False)
    mix.set_xscale("log", base=2)
    mix.set_xticks([p for p, _ in LAYOUTS], [f"{p}x{t}" for p, t in LAYOUTS], fontsize=8)
    mix.minorticks_off()
    mix.set(
        xlabel="processes x threads",
        ylabel="of the best layout",
        title="96 threads (simulated)",
        ylim=(0, 1.05),
    )
    for axes in (gain, mix):
        axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.hashsalt": "baleen"}):
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Simulate, show, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    found = curves(json.loads(arguments.readers.read_text())["readers"])
    for one in found:
        first = one["threads"][0][1]
        best_n, best = max(one["threads"], key=lambda pair: pair[1])
        procs, threads, mixed = max(one["layouts"], key=lambda row: row[2])
        print(
            f"{one['program']:<24} best {best / first:5.1f} x at {best_n:>3} threads;"
            f" 1 x 96 {one['layouts'][0][2] / first:5.1f} x;"
            f" best layout {procs} x {threads}: {mixed / first:5.1f} x"
        )
    constants = {**asdict(MACHINE), "spin_drag": SPIN_DRAG}
    result = {"machine": machine.describe(), "simulated": True, "constants": constants, "programs": found}
    output = arguments.output or machine.result_path("scaling-aligners")
    output.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.picture:
        draw(arguments.picture, found)
    print(output)


if __name__ == "__main__":
    main()
