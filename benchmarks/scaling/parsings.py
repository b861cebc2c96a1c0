"""What each way of parsing spends inside the input lock, and where that ends scaling.

``python -m benchmarks.scaling.parsings [-o FILE] [--picture SVG] [--costs RESULT.json]``: one thread, many
short trials, the least disturbed counts (or what a result of before measured); then simulated threads
with the work of a short read in minimap2, under a queue lock and a spinning one, on two nodes of 24 cores
of two threads.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from baleen.scaling.events import Costs, Crew, simulate
from baleen.scaling.grid import Experiment, Grid, measure
from baleen.scaling.lock_models import LOCK_MODELS
from baleen.scaling.machines import PAPER_MACHINES
from baleen.scaling.made_inputs import make_short_reads
from baleen.scaling.prediction import measured_costs
from baleen.scaling.stages import StageRequest
from benchmarks import machine
from krill.pump import PumpSettings, copy

MACHINE = PAPER_MACHINES["skylake"]
THREADS = (1, 4, 8, 16, 24, 32, 40, 48, 64, 80, 96)
LOCKS = ("mcs", "ttas")
_N_READS, _REPEATS = 5000, 60
_WORK_NS = 8000.0  # minimap2's of a read of 100 bases: benchmarks.scaling.readers
_BATCH_32 = 32 * 215  # bytes


def in_lock(folder: Path) -> dict[str, Costs]:
    """Return the measured costs of every parsing."""
    reads, _ = make_short_reads(folder, _N_READS, 10_000)
    costs = {}
    for parsings, batch_bytes in (("ODLKA", None), ("B", _BATCH_32)):
        request = StageRequest("pump", (reads,), work_ns=0, batch_bytes=batch_bytes)
        grid = Grid(threads=(1,), parsing=tuple(parsings))
        (series,) = measure([Experiment(request=request, grid=grid, repeats=_REPEATS)]).series
        for point in series.points:
            least = min(point.trials, key=lambda trial: trial.locks["input"].inside_s)
            alone = replace(series, points=(replace(point, trials=(least,)),))
            costs[point.cell.parsing] = measured_costs(alone, point.cell)
    return {parsing: costs[parsing] for parsing in "ODBLKA"}


def output_ns(folder: Path) -> float:
    """Return the least time inside a single output lock per read, pieces of 12 kB."""
    reads, target = folder / "short.fq", folder / "copy.fq"
    way = PumpSettings(threads=1, parsing="K", output="single", batch_bytes=12_288)
    reports = [copy([reads], target, way) for _ in range(_REPEATS)]
    return min(1e9 * use.inside_s / r.n_reads for r in reports for use in r.locks if use.name == "output")


def curves(costs: dict[str, Costs]) -> dict[str, dict[str, list[list[float]]]]:
    """Return simulated reads per second by lock and parsing."""
    return {
        lock: {
            parsing: [[n, _per_s(replace(cost, work_ns=_WORK_NS), n, lock)] for n in THREADS]
            for parsing, cost in costs.items()
        }
        for lock in LOCKS
    }


def _per_s(cost: Costs, threads: int, lock: str) -> float:
    batch = min(cost.batch_reads, 1000.0)  # as of a large file: batches shrink only towards its end
    crew = Crew(procs=1, threads=threads, lock=LOCK_MODELS[lock])
    return simulate(replace(cost, batch_reads=batch), MACHINE, crew).throughput


def draw(path: Path, found: dict[str, dict[str, list[list[float]]]]) -> None:
    """Draw both locks side by side."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colours = ("#D55E00", "#E69F00", "#0072B2", "#56B4E9", "#009E73", "#000000")
    figure = Figure(figsize=(11, 4.2), dpi=90, layout="constrained")
    for axes, (lock, by_parsing) in zip(figure.subplots(1, 2, sharey=True), found.items(), strict=True):
        for colour, (parsing, curve) in zip(colours, by_parsing.items(), strict=True):
            x, y = zip(*curve, strict=True)
            axes.plot(x, [per_s / 1e6 for per_s in y], "o--", ms=3, color=colour, label=parsing)
        name = {"mcs": "queue lock", "ttas": "spinning lock"}[lock]
        axes.set(xlabel="threads", title=f"{name} (simulated)")
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("million reads per second")
    figure.axes[0].legend(fontsize=8, frameon=False, title="parsing")
    with rc_context({"svg.hashsalt": "baleen"}):
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, simulate, show, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--costs", type=Path, help="an earlier result, instead of measuring")
    arguments = parser.parse_args()
    if arguments.costs:
        before = json.loads(arguments.costs.read_text())
        costs = {parsing: Costs(**cost) for parsing, cost in before["measured_costs"].items()}
        facts, written_ns = before["machine"], before["measured_output_ns"]
    else:
        with tempfile.TemporaryDirectory(prefix="bench-parsings-") as folder:
            costs, written_ns = in_lock(Path(folder)), output_ns(Path(folder))
        facts = machine.describe()
    found = curves(costs)
    for parsing, cost in costs.items():
        peaks = []
        for lock in LOCKS:
            n, best = max(found[lock][parsing], key=lambda pair: pair[1])
            peaks.append(f"{lock} {best / 1e3:7.0f} k/s @{n:.0f}")
        print(f"{parsing}: {cost.input_ns:7.2f} ns per read in the lock; simulated peak {', '.join(peaks)}")
    print(f"{written_ns:.1f} ns per read inside a single output lock")
    result: dict[str, Any] = {
        "machine": facts,
        "measured_output_ns": written_ns,
        "measured_costs": {parsing: asdict(cost) for parsing, cost in costs.items()},
        "simulated_work_ns": _WORK_NS,
        "simulated_machine": asdict(MACHINE),
        "simulated": found,
    }
    output = arguments.output or machine.result_path("scaling-parsings")
    output.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.picture:
        draw(arguments.picture, found)
    print(output)


if __name__ == "__main__":
    main()
