"""Processes that measure: each does its share of a stage when all are told to go."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from baleen.errors import BaleenError
from baleen.scaling.result import Cell, LockCost, Trial


class Part(NamedTuple):
    """Items ``first`` to ``last`` of a stage, for one process."""

    first: int
    last: int
    cell: Cell


class Task(Protocol):
    """A stage's computation; picklable, sent to every process once."""

    def prepare(self, part: Part) -> Callable[[], Trial]:
        """Make ready, untimed; return the work, which times itself."""


class Crowd:
    """Spawned processes that live as long as the context.

    Processes are started beforehand, so that neither their start nor their imports are measured,
    and all begin at one signal.
    """

    def __init__(self, n: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes = []
        for _ in range(n):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)
        self._tasks: list[Task] = [LOOP]  # as every process knows them, by number

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join()

    def measure(self, task: Task, parts: Sequence[Part]) -> Trial:
        """Let one process per part do it at once; seconds are those of the slowest."""
        if all(task is not known for known in self._tasks):
            for connection in self._connections:
                connection.send(task)
            self._tasks.append(task)
        number = next(i for i, known in enumerate(self._tasks) if known is task)
        chosen = self._connections[: len(parts)]
        for connection, part in zip(chosen, parts, strict=True):
            connection.send((number, part))
        for connection in chosen:
            _receive(connection)  # all are ready
        for connection in chosen:
            connection.send(None)  # go
        return together([_receive(connection) for connection in chosen])

    def loop_s(self, n: int) -> float:
        """Return the seconds of a plain arithmetic loop that ``n`` processes run at once."""
        return self.measure(LOOP, [Part(0, 1, Cell(n, 1))] * n).seconds


def together(trials: Sequence[Trial]) -> Trial:
    """Add what processes did at the same time; the slowest one's seconds count."""
    locks: dict[str, LockCost] = {}
    for trial in trials:
        for name, cost in trial.locks.items():
            locks[name] = cost.plus(locks[name]) if name in locks else cost
    return Trial(
        n_items=sum(trial.n_items for trial in trials),
        seconds=max(trial.seconds for trial in trials),
        running_s=sum(trial.running_s for trial in trials),
        waiting_s=sum(trial.waiting_s for trial in trials),
        in_lock_s=sum(trial.in_lock_s for trial in trials),
        locks=locks,
    )


class Loop:
    """Arithmetic that shares nothing: what the machine itself gains from more cores."""

    steps = 1_500_000

    def prepare(self, part: Part) -> Callable[[], Trial]:
        """Nothing to prepare."""
        steps = self.steps

        def work() -> Trial:
            start, value = time.perf_counter(), 1
            for _ in range(steps):
                value = value * 3 & 0xFFFF
            seconds = time.perf_counter() - start
            return Trial(part.last - part.first, seconds, seconds, 0.0, 0.0)

        return work


LOOP = Loop()


def _receive(connection: Connection) -> Any:
    try:
        answer = connection.recv()
    except EOFError as error:
        message = "a measuring process died (out of memory, or a crash)"
        raise BaleenError(message) from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def _serve(connection: Connection) -> None:
    """Carry out parts until the main process closes the connection, or is gone."""
    tasks: list[Task] = [LOOP]
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            message = connection.recv()
            if not isinstance(message, tuple):
                tasks.append(message)
                continue
            number, part = message
            try:
                work = tasks[number].prepare(part)
            except Exception as error:  # noqa: BLE001  # raised in the main process
                connection.send(error)
                continue
            connection.send(None)
            connection.recv()
            try:
                connection.send(work())
            except Exception as error:  # noqa: BLE001  # raised in the main process
                connection.send(error)
