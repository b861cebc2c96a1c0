"""What a scaling experiment found, and its file: documented, versioned JSON."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from baleen.errors import InputError
from baleen.files import complete_file

FORMAT, FORMAT_VERSION = "baleen-scaling", 1


class Cell(NamedTuple):
    """One way to share out the work.

    Parameters
    ----------
    procs, threads
        Processes, and threads in each.
    parsing, lock, output
        As `krill.pump.PumpSettings`; ``-`` where a stage has no pump.
    split
        ``dynamic``: whoever has room is fed; ``static``: equal shares are cut beforehand.
    """

    procs: int
    threads: int
    parsing: str = "-"
    lock: str = "-"
    output: str = "-"
    split: str = "-"

    @property
    def workers(self) -> int:
        """Threads of all processes together."""
        return self.procs * self.threads

    @property
    def way(self) -> tuple[str, str, str, str]:
        """Everything but the numbers: cells of one curve share it."""
        return self.parsing, self.lock, self.output, self.split

    @property
    def shape(self) -> str:
        """``MT`` for one process, ``MP`` for one thread in each of several, ``MP+MT`` for a mix."""
        if self.procs == 1:
            return "MT"
        return "MP" if self.threads == 1 else "MP+MT"


class LockCost(NamedTuple):
    """Use of one kind of lock, summed over threads."""

    acquisitions: int
    inside_s: float
    waiting_s: float

    def plus(self, other: "LockCost") -> "LockCost":
        """Return the sum."""
        return LockCost(
            self.acquisitions + other.acquisitions,
            self.inside_s + other.inside_s,
            self.waiting_s + other.waiting_s,
        )


@dataclass(frozen=True)
class Trial:
    """One measurement of a cell.

    Parameters
    ----------
    n_items
        Reads or positions worked on.
    seconds
        Of the slowest thread or, where threads cannot be told apart, of the slowest process.
    running_s, waiting_s, in_lock_s
        Where the time of all threads went, thread-seconds: computing; waiting for a lock, a file or
        a core; inside a lock. For whole runs the last is the time at most under the interpreter's lock.
    locks
        Use by name: input, output, relay.
    """

    n_items: int
    seconds: float
    running_s: float
    waiting_s: float
    in_lock_s: float
    locks: Mapping[str, LockCost] = field(default_factory=dict)

    @property
    def throughput(self) -> float:
        """Items per second."""
        return self.n_items / self.seconds


@dataclass(frozen=True)
class Point:
    """A cell and its trials."""

    cell: Cell
    trials: tuple[Trial, ...]
    is_simulated: bool = False

    @property
    def best(self) -> Trial:
        """The trial that was disturbed least."""
        return max(self.trials, key=lambda trial: trial.throughput)


@dataclass(frozen=True)
class Series:
    """One stage measured, or simulated, over a grid.

    Parameters
    ----------
    stage, engine, item, mode
        What was done with what; the unit of throughput; ``strong`` or ``weak``.
    points
        One per cell.
    loop_s
        Seconds of a plain arithmetic loop by number of processes that run it at once, a list per
        number: what the machine itself gains. Measured in turn with the points.
    settings
        Everything else that was chosen.
    """

    stage: str
    engine: str
    item: str
    mode: str
    points: tuple[Point, ...]
    loop_s: Mapping[int, Sequence[float]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Stage and engine."""
        return self.stage if self.engine == "-" else f"{self.stage} {self.engine}"

    def loop_speed_up(self, workers: int) -> float:
        """Return how many times more arithmetic so many processes do per second than one."""
        return workers * min(self.loop_s[1]) / min(self.loop_s[workers])

    def base(self, point: Point) -> Point:
        """Return the point of the same curve with the fewest workers."""
        same = [other for other in self.points if other.cell.way == point.cell.way]
        return min(same, key=lambda other: (other.cell.workers, other.cell.procs))

    def speed_up(self, point: Point) -> float:
        """Return throughput over that of the base."""
        return point.best.throughput / self.base(point).best.throughput

    def efficiency(self, point: Point) -> float | None:
        """Return the speed-up over what the machine gave a plain loop; None where none was measured."""
        workers, base = point.cell.workers, self.base(point).cell.workers
        if not {1, workers, base} <= set(self.loop_s):
            return None
        return self.speed_up(point) / (self.loop_speed_up(workers) / self.loop_speed_up(base))

    def curves(self) -> Iterator[tuple[str, list[Point]]]:
        """Yield name and points of every curve: threads, processes, and mixes by threads per process."""
        for way in dict.fromkeys(point.cell.way for point in self.points):
            points = [point for point in self.points if point.cell.way == way]
            named = " ".join(word for word in way if word != "-")
            for shape, chosen in _shapes(points):
                if len(chosen) > 1 or shape == "MT":
                    yield f"{shape} {named}".strip(), sorted(chosen, key=lambda p: p.cell.workers)


def _shapes(points: Sequence[Point]) -> Iterator[tuple[str, list[Point]]]:
    yield "MT", [point for point in points if point.cell.procs == 1]
    for threads in sorted({point.cell.threads for point in points if point.cell.procs > 1}):
        chosen = [point for point in points if point.cell.threads == threads]
        yield "MP" if threads == 1 else f"MP x {threads}", chosen


@dataclass(frozen=True)
class Result:
    """A result file.

    Parameters
    ----------
    made
        Date, version of Baleen, command.
    machine
        Where it was measured, or what was simulated.
    series
        The experiments.
    """

    made: Mapping[str, str]
    machine: Mapping[str, Any]
    series: tuple[Series, ...]

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, **_plain(self)}
        with complete_file(path) as part:
            part.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises
        ------
        InputError
            If it cannot be read or is not such a file.
        """
        try:
            content = json.loads(path.read_text())
            if content["format"] != FORMAT or content["format_version"] != FORMAT_VERSION:
                problem = f"is {content['format']} {content['format_version']}, not {FORMAT} {FORMAT_VERSION}"
                raise InputError(path, problem)
            return cls(content["made"], content["machine"], tuple(_series(s) for s in content["series"]))
        except OSError as error:
            raise InputError(path, f"cannot be read: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "baleen scaling run -o FILE.json makes one"
            raise InputError(path, f"is not a result of `baleen scaling` ({error!r})", hint=hint) from error


def _plain(value: Any) -> Any:
    """Turn dataclasses and named tuples into JSON types."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return round(value, 9) if isinstance(value, float) else value


def _series(content: dict[str, Any]) -> Series:
    points = tuple(
        Point(Cell(**p["cell"]), tuple(_trial(t) for t in p["trials"]), p["is_simulated"])
        for p in content["points"]
    )
    loop_s = {int(workers): seconds for workers, seconds in content["loop_s"].items()}
    return Series(**{**content, "points": points, "loop_s": loop_s})


def _trial(content: dict[str, Any]) -> Trial:
    locks = {name: LockCost(**lock) for name, lock in content["locks"].items()}
    return Trial(**{**content, "locks": locks})
