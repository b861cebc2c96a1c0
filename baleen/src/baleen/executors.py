"""Where work items run: in this process, or in worker processes that may die."""

import multiprocessing
import os
import pickle
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_connections
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from baleen.console import LOG
from baleen.crew import stop_crews
from baleen.errors import UsageError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

IN_HAND = 2
"""Items that a process of several threads has in hand: while one is in a serial part, the other is not."""

THREADS_PER_PROCESS = 4
"""More share one interpreter lock to no use, unless there are too few items for more processes."""

MAX_DEATHS = 3
_STOP_S = 5.0


class Lost(NamedTuple):
    """A work item whose worker died each time it was tried."""

    reason: str


class Workers(Protocol):
    """Whatever carries out work items."""

    @property
    def threads(self) -> int:
        """Threads of the engine in each process."""

    @property
    def per_machine(self) -> int:
        """Processes that share a machine, and its GPUs."""

    @property
    def description(self) -> str:
        """What they are, for the record."""

    def run(
        self, function: Callable[[Item], Outcome], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Outcome | Lost]]:
        """Yield ``(item, outcome)`` as items finish; an exception of the work is raised here."""


class Layout(NamedTuple):
    """Worker processes, 0 = the work is done in the main process; threads in each."""

    processes: int
    threads: int

    @property
    def cores(self) -> int:
        """Cores in use."""
        return max(1, self.processes) * self.threads

    @property
    def in_hand(self) -> int:
        """Items that each process has in hand."""
        return min(self.threads, IN_HAND)

    @property
    def text(self) -> str:
        """What to tell the user."""
        where = f"{self.processes} worker(s) of" if self.processes else "no workers,"
        return f"{where} {self.threads} thread(s)"


def usable_cores() -> int:
    """Return the cores this job may use: its affinity, cut by the cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        limit, _, period = quota.read_text().strip().partition(" ")
        if limit != "max":
            cores = min(cores, max(1, round(int(limit) / int(period))))
    return cores


def plan_layout(asked: str, threads: int, n_items: int) -> Layout:
    """Return the layout that was asked for (``PxT``), or choose one (``auto``).

    Parameters
    ----------
    asked
        ``auto`` or ``PxT``.
    threads
        Cores to share out by ``auto``; 0 = all usable.
    n_items
        Work items there are: a process without one would idle, so few items get many threads each.

    Raises
    ------
    UsageError
        If the layout cannot be read.
    """
    if asked != "auto":
        numbers = re.fullmatch(r"(\d+)x([1-9]\d*)", asked)
        if numbers is None:
            message = f"--layout: {asked!r} is neither auto nor PxT, P processes of T threads"
            raise UsageError(message, hint="--layout 4x4; 0x4 works in the main process alone")
        return Layout(int(numbers[1]), int(numbers[2]))
    cores = threads or usable_cores()
    if cores == 1:
        return Layout(0, 1)
    processes = max(1, min(cores // THREADS_PER_PROCESS, n_items))
    return Layout(processes, cores // processes)


class LocalWorkers:
    """Processes and threads of the machine; a context, at whose end they are gone.

    Workers are spawned, never forked: the engine's and the signal libraries' threads do not survive
    a fork. If one dies, its items are tried again alone at the end, so that the one at fault is
    found and given up; the others go on.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._processes: list[_Process] = []

    @property
    def threads(self) -> int:
        """Threads of the engine in each process."""
        return self.layout.threads

    @property
    def per_machine(self) -> int:
        """All of them."""
        return max(1, self.layout.processes)

    @property
    def description(self) -> str:
        """The layout."""
        return self.layout.text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.stop()
        for process in self._processes:
            process.join()

    def run(
        self, function: Callable[[Item], Outcome], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Outcome | Lost]]:
        """Yield ``(item, outcome)`` as items finish; an exception of the work is raised here."""
        if self.layout.processes:
            return self._run_in_processes(function, items)
        if self.layout.threads == 1:
            return ((item, function(item)) for item in items)
        return self._run_in_threads(function, items)

    def _run_in_threads(
        self, function: Callable[[Item], Outcome], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Outcome]]:
        with ThreadPoolExecutor(self.layout.in_hand, "items") as drivers:
            running = {drivers.submit(function, item): item for item in items}
            try:
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        yield running.pop(future), future.result()
            except BaseException:
                drivers.shutdown(wait=False, cancel_futures=True)
                stop_crews()
                raise

    def _run_in_processes(
        self, function: Callable[[Item], Outcome], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Outcome | Lost]]:
        suspects: list[Item] = []
        yield from self._run_together(function, deque(items), suspects)
        for item in suspects:
            yield item, self._run_alone(function, item)

    def _run_together(
        self, function: Callable[[Item], Outcome], waiting: "deque[Item]", suspects: list[Item]
    ) -> Iterator[tuple[Item, Outcome]]:
        """Yield outcomes; items whose worker died go to ``suspects``."""
        while waiting or any(process.in_hand for process in self._processes):
            self._hand_out(function, waiting)
            busy = {process.connection: process for process in self._processes if process.in_hand}
            for connection in wait_for_connections(list(busy)):
                process = busy[connection]  # type: ignore[index]  # only connections were given
                try:
                    yield process.receive()
                except _DeathError:
                    suspects.extend(process.in_hand.values())
                    LOG.warning(
                        "a worker process died; %d work items are tried again alone", len(process.in_hand)
                    )
                    self._remove(process)

    def _hand_out(self, function: Callable[[Item], Outcome], waiting: "deque[Item]") -> None:
        while len(self._processes) < min(self.layout.processes, len(waiting)):
            self._processes.append(_Process(self.layout.in_hand))
        for depth in range(self.layout.in_hand):
            for process in self._processes:
                if waiting and len(process.in_hand) <= depth:
                    process.give(function, waiting.popleft())

    def _run_alone(self, function: Callable[[Item], Outcome], item: Item) -> Outcome | Lost:
        for _ in range(MAX_DEATHS - 1):
            process = _Process(1)
            self._processes.append(process)
            process.give(function, item)
            try:
                return process.receive()[1]  # type: ignore[no-any-return]  # of this very item
            except _DeathError:
                continue
            finally:
                self._remove(process)
        return Lost(f"its worker process died {MAX_DEATHS} times (out of memory, or a crash)")

    def _remove(self, process: "_Process") -> None:
        self._processes.remove(process)
        process.stop()
        process.join()


class _DeathError(Exception):
    """A worker process ended before its work did."""


class _Process:
    """A worker process, seen from the main process."""

    def __init__(self, in_hand: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.in_hand: dict[int, Any] = {}
        self._number = 0
        self._function: Callable[[Any], Any] | None = None
        self._process = context.Process(target=_serve, args=(theirs, in_hand), daemon=True)
        self._process.start()
        theirs.close()  # so that the worker's end closes with the worker

    def give(self, function: Callable[[Any], Any], item: Any) -> None:
        """Send an item, and the function where it is another than before: it may hold much."""
        self._number += 1
        self.in_hand[self._number] = item
        with suppress(OSError):  # it has died: `receive` says so
            self.connection.send((self._number, None if function is self._function else function, item))
        self._function = function

    def receive(self) -> tuple[Any, Any]:
        """Return an item and its outcome; raise the exception of the work, or `_DeathError`."""
        try:
            number, outcome, error = self.connection.recv()
        except (EOFError, OSError) as death:
            raise _DeathError from death
        item = self.in_hand.pop(number)
        if error is not None:
            raise error
        return item, outcome

    def stop(self) -> None:
        """Tell it to end."""
        self.connection.close()

    def join(self) -> None:
        """Wait until it has ended; not for long."""
        self._process.join(_STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(connection: Connection, in_hand: int) -> None:
    """Carry out items until the main process closes the connection, or is gone, however that ended."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole job; the main process decides
        signal.signal(number, signal.SIG_IGN)
    lock = threading.Lock()

    def work(number: int, function: Callable[[Any], Any], item: Any) -> None:
        outcome = error = None
        try:
            outcome = function(item)
        except KeyboardInterrupt:
            return  # told to end
        except BaseException as caught:  # noqa: BLE001  # raised in the main process
            error = _picklable(caught)
        with lock:
            connection.send((number, outcome, error))

    drivers = ThreadPoolExecutor(in_hand, "items")
    function: Any = None
    try:
        while True:
            number, another, item = connection.recv()
            function = function if another is None else another
            drivers.submit(work, number, function, item)
    except (EOFError, OSError):
        stop_crews()
        drivers.shutdown(cancel_futures=True)


def _picklable(error: BaseException) -> BaseException:
    """Return the error, or one that says the same and survives the way to the main process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  # whatever a constructor raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
