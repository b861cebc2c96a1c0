"""Thread scaling: short locks, small serial shares, gains, a simulator that can be believed."""

import tempfile
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

from baleen.executors import plan_layout, usable_cores
from baleen.scaling.grid import Experiment, Grid, measure
from baleen.scaling.machines import MachineModel, machine_named
from baleen.scaling.made_inputs import make_short_reads
from baleen.scaling.paper import CALIBRATION, Peak, against_paper, thread_grid
from baleen.scaling.prediction import Prediction, measured_costs
from baleen.scaling.stages import StageRequest
from benchmarks.accept import align, layout
from benchmarks.accept.many_cores import pure_threads_rows, why_not
from benchmarks.accept.rows import Row
from benchmarks.align.data import simulate
from benchmarks.align.scaling import scaling_rows

_WITHIN = 0.2
_ALIKE = 0.05  # two strategies of the table that differ by less have no order to reproduce
_PREDICTED_WITHIN = 0.15
_THREADS = (1, 2, 4, 8, 16)


def rows() -> Iterator[Row]:
    """Yield the figures of rows 3, 5, 6, 8 and 9 of the design."""
    with tempfile.TemporaryDirectory(prefix="accept-scaling-") as name:
        folder = Path(name)
        yield from align.in_lock_costs(folder)
        reads = simulate(folder)
        yield from align.serial_share(folder, reads)
        yield from scaling_rows(folder, reads)
        yield from _paper()
        yield from _predicted_from_one(folder)
        yield from layout.speed(folder, layout.SHAPES[0])
        yield from pure_threads_rows(folder)
    yield _auto_layout()


def _paper() -> Iterator[Row]:
    """Row 8: the paper's table against its simulation."""
    cells = list(against_paper())
    tested = [(measured, found) for measured, found in cells if measured.strategy != CALIBRATION]
    for machine in ("skylake", "broadwell", "knl"):
        chosen = [(m, f) for m, f in tested if m.machine == machine]
        outside = [(m, f) for m, f in chosen if abs(_ratio(m, f) - 1) > _WITHIN]
        missed = ", ".join(f"{m.tool} {m.strategy} {_ratio(m, f):.2f} x" for m, f in outside)
        got = f"{len(chosen) - len(outside)} of {len(chosen)} cells" + (
            f"; outside: {missed}" if missed else ""
        )
        figure = f"simulated throughput of the paper's peaks within 20 % ({machine})"
        yield Row.holds(figure, "every cell", ok=not outside, got=got)
    told = [(m, f) for m, f in cells if m.threads is not None]
    far = [f"{m.tool} {m.strategy} @{f.threads} not @{m.threads}" for m, f in told if _steps(m, f) > 1]
    got = f"{len(told) - len(far)} of {len(told)}" + (f"; {', '.join(far)}" if far else "")
    yield Row.holds("simulated peaks within one step of threads", "every one told", ok=not far, got=got)
    yield _order(cells)


def _ratio(measured: Peak, found: Peak) -> float:
    return found.kreads_per_s / measured.kreads_per_s


def _steps(measured: Peak, found: Peak) -> int:
    grid = thread_grid(measured.machine)
    return abs(grid.index(found.threads or 0) - grid.index(measured.threads or 0))


def _order(cells: list[tuple[Peak, Peak]]) -> Row:
    """Compare the order of every two strategies of a machine and tool that the paper tells apart."""
    pairs, wrong = 0, []
    for (a, sim_a), (b, sim_b) in combinations(cells, 2):
        if (a.machine, a.tool) != (b.machine, b.tool) or abs(_ratio(a, b) - 1) <= _ALIKE:
            continue
        pairs += 1
        if (a.kreads_per_s < b.kreads_per_s) != (sim_a.kreads_per_s < sim_b.kreads_per_s):
            wrong.append(f"{a.machine} {a.tool}: {a.strategy}, {b.strategy}")
    got = f"{pairs - len(wrong)} of {pairs} pairs" + (f"; wrong: {'; '.join(wrong)}" if wrong else "")
    figure = "order of the strategies that differ by more than 5 %"
    return Row.holds(figure, "every pair", ok=not wrong, got=got)


def _predicted_from_one(folder: Path) -> Iterator[Row]:
    """Row 8: what threads gain, predicted from one, for locks that are held a quarter of its time."""
    figure = "gain of {} threads over the gain predicted from 1 (pump, {}, {})"
    must = f"{1 - _PREDICTED_WITHIN} to {1 + _PREDICTED_WITHIN}"
    reads, _ = make_short_reads(folder, 60_000, 10_000)
    request = StageRequest("pump", (reads,), work_ns=1000)
    counts = [n for n in _THREADS if n <= usable_cores()]
    grid = Grid(threads=tuple(counts), parsing=("O", "D", "K"), lock=("os", "ttas", "mcs"))
    result = measure([Experiment(request=request, grid=grid, repeats=7)])
    (series,) = result.series
    machine = _modelled(result.machine)
    for lock, parsing in product(grid.lock, grid.parsing):
        points = [p for p in series.points if (p.cell.parsing, p.cell.lock) == (parsing, lock)]
        asked = Prediction(measured_costs(series, points[0].cell), machine, lock, 1, parsing)
        simulated = list(asked.points(Grid(threads=grid.threads), seed=1))
        for point, predicted in zip(points[1:], simulated[1:], strict=True):
            n, loop = point.cell.threads, series.loop_speed_up(point.cell.threads)
            named = figure.format(n, parsing, lock)
            gain, predicted_gain = (
                p.best.throughput / first.best.throughput
                for p, first in ((point, points[0]), (predicted, simulated[0]))
            )
            got = gain / predicted_gain
            if loop < layout.IDLE_SPEED_UP / 2 * n:
                why = f"a plain loop gains {loop:.2f} on {n} cores (seen: {got:.3f})"
                yield Row.not_measurable(named, must, why)
            else:
                yield Row.within(named, got, 1 - _PREDICTED_WITHIN, 1 + _PREDICTED_WITHIN)
    for n in sorted(set(_THREADS) - set(counts)):
        yield Row.not_measurable(figure.format(n, "O, D, K", "os, ttas, mcs"), must, str(why_not(n)))


def _modelled(machine: Mapping[str, Any]) -> MachineModel:
    """Return this machine as the simulator sees it."""
    nodes, per_core = machine["numa_nodes"], machine["threads_per_core"] or 1
    cores = -(-machine["cores_usable"] // (nodes * per_core))
    return machine_named(f"{nodes}x{cores}x{per_core}", machine["line_ns"])


def _auto_layout() -> Row:
    """Row 9: `auto` mixes processes and threads on 16 cores and stays with threads on 2."""
    chosen = {cores: plan_layout("auto", cores, 100) for cores in (2, 16)}
    ok = chosen[16].processes > 1 and chosen[16].threads > 1 and chosen[16].cores == 16
    got = "; ".join(f"{cores} cores: {plan.text}" for cores, plan in chosen.items())
    return Row.holds("`--layout auto` chooses P x T on 16 cores", "both above 1", ok=ok, got=got)
