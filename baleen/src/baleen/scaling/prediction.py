"""From a measured point to predicted ones: what the simulator is told, and what it makes of it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from baleen.errors import UsageError
from baleen.scaling.events import Costs, Crew, simulate
from baleen.scaling.grid import Grid, cell_workers
from baleen.scaling.lock_models import LOCK_MODELS, SPIN_DRAG
from baleen.scaling.machines import MachineModel
from baleen.scaling.result import Cell, Point, Series

_SLICES = "slices"

_READER_LINES = 3.0
"""Cache lines of the pump's reader that follow its lock: its cursor, its buffer's bounds, and the text, of
which the core fetches the rest ahead."""


def measured_costs(series: Series, cell: Cell) -> Costs:
    """Return what the point with one thread says of a way of sharing out.

    Raises
    ------
    UsageError
        If that point was not measured, or the stage has no locks that can be seen.
    """
    points = [
        p for p in series.points if p.cell.workers == 1 and p.cell.way == cell.way and not p.is_simulated
    ]
    if not points:
        message = f"{series.title}: no measured point of one thread to predict from"
        raise UsageError(message, hint="baleen scaling run --threads 1,2 --procs 1")
    locks = points[0].best.locks
    if "input" not in locks or series.engine not in {"-", "minimap2"}:
        message = f"{series.title}: its locks cannot be seen from outside, so nothing can be predicted"
        raise UsageError(message, hint="stage pump, or align with minimap2; or give the costs yourself")
    return costs_of(points[0])


def costs_of(point: Point) -> Costs:
    """Return the costs per read of a point of one thread."""
    best = point.best
    taken = best.locks["input"]
    output = best.locks["output"].inside_s if point.cell.output != _SLICES else 0.0
    per_read = 1e9 / best.n_items
    return Costs(
        work_ns=(best.running_s + best.in_lock_s - taken.inside_s - output) * per_read,
        input_ns=taken.inside_s * per_read,
        output_ns=output * per_read,
        batch_reads=best.n_items / max(1, taken.acquisitions),
        input_lines=_READER_LINES,
    )


@dataclass(frozen=True)
class Prediction:
    """What to predict.

    Parameters
    ----------
    costs
        Of one thread.
    machine
        Where.
    lock
        Kind of lock: a key of `LOCK_MODELS`.
    outputs
        Output locks of each process.
    parsing
        Only a name for the points.
    """

    costs: Costs
    machine: MachineModel
    lock: str
    outputs: int = 1
    parsing: str = "-"

    def points(self, grid: Grid, seed: int) -> Iterator[Point]:
        """Yield a simulated point per cell of the grid.

        Raises
        ------
        UsageError
            If there is no model of the lock, or the machine is too small for a cell.
        """
        if self.lock not in LOCK_MODELS:
            message = f"--lock: there is no model of {self.lock!r}, only of {', '.join(LOCK_MODELS)}"
            raise UsageError(message)
        self.machine.places(max(cell_workers(grid)))  # refused before anything is computed
        for procs in grid.procs:
            for threads in grid.threads:
                if grid.most_workers and procs * threads > grid.most_workers:
                    continue
                crew = Crew(procs=procs, threads=threads, lock=LOCK_MODELS[self.lock], outputs=self.outputs)
                trial = simulate(self.costs, self.machine, crew, seed)
                cell = Cell(procs, threads, self.parsing, self.lock, f"striped:{self.outputs}")
                yield Point(cell, (trial,), is_simulated=True)

    def constants(self) -> dict[str, float]:
        """Return every number that the prediction rests on."""
        spinning = {"spin_drag": SPIN_DRAG} if LOCK_MODELS[self.lock].drag else {}
        return {**asdict(self.costs), **asdict(self.machine), **spinning, "outputs": self.outputs}


def outputs_of(cell: Cell, threads: int) -> int:
    """Return the output locks of a process: one, N stripes, or one per thread."""
    if cell.output.startswith("striped:"):
        return int(cell.output.removeprefix("striped:"))
    return threads if cell.output == _SLICES else 1
