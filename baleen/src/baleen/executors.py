"""Where work items run: in this process, or in spawned worker processes that may die."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from baleen.console import LOG

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

_MAX_DEATHS = 2


class Lost(NamedTuple):
    """A work item whose worker died each time it was tried."""

    reason: str


class Layout(NamedTuple):
    """Worker processes, and threads of the engine in each."""

    processes: int
    threads: int


def usable_cores() -> int:
    """Return the cores this job may use: its affinity, cut by the cgroup's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Path("/sys/fs/cgroup/cpu.max")
    if quota.is_file():
        limit, _, period = quota.read_text().strip().partition(" ")
        if limit != "max":
            cores = min(cores, max(1, round(int(limit) / int(period))))
    return cores


def plan_layout(threads: int, n_items: int) -> Layout:
    """Share ``threads`` cores (0 = all usable) among processes; few items get many threads each."""
    cores = threads or usable_cores()
    processes = max(1, min(cores, n_items))
    return Layout(processes, max(1, cores // processes))


def run_items(
    function: Callable[[Item], Outcome], items: Sequence[Item], processes: int
) -> Iterator[tuple[Item, Outcome | Lost]]:
    """Yield ``(item, outcome)`` as items finish.

    With one process the work is done here. Otherwise workers are spawned (never forked: the
    engine's and the signal libraries' threads do not survive a fork). If a worker dies, the pool
    is rebuilt, unfinished items are submitted again, and those that were running are tried one at
    a time, so that the one at fault is found: it is given up after two deaths.
    """
    if processes == 1 or len(items) <= 1:
        for item in items:
            yield item, function(item)
        return
    yield from _Pool(function, processes).run(items)


class _Pool(Generic[Item, Outcome]):
    """A process pool that outlives its workers."""

    def __init__(self, function: Callable[[Item], Outcome], processes: int) -> None:
        self.function, self.processes = function, processes

    def run(self, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome | Lost]]:
        """Yield outcomes; while workers die, go on with what is left."""
        waiting = list(items)
        while waiting:
            suspects: list[Item] = []
            settled: set[int] = set()
            for item, outcome in self._run_together(waiting, suspects):
                settled.add(id(item))
                yield item, outcome
            yield from self._run_alone(suspects)
            settled.update(id(item) for item in suspects)
            waiting = [item for item in waiting if id(item) not in settled]

    def _run_together(self, items: Sequence[Item], suspects: list[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Yield outcomes until all are done or a worker dies; then fill ``suspects``."""
        with self._executor(self.processes) as executor:
            queue = iter(items)
            running: dict[Future[Outcome], Item] = {}
            try:
                for item in queue:
                    running[executor.submit(self.function, item)] = item
                    if len(running) > self.processes:
                        yield from self._collect(running)
                while running:
                    yield from self._collect(running)
            except BrokenProcessPool:
                suspects.extend(running.values())
                LOG.warning("a worker process died; %d work items are tried again alone", len(suspects))
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise

    @staticmethod
    def _collect(running: "dict[Future[Outcome], Item]") -> Iterator[tuple[Item, Outcome]]:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            if isinstance(future.exception(), BrokenProcessPool):
                continue
            item = running.pop(future)
            yield item, future.result()
        if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
            message = "a worker died"
            raise BrokenProcessPool(message)

    def _run_alone(self, suspects: Sequence[Item]) -> Iterator[tuple[Item, Outcome | Lost]]:
        for item in suspects:
            deaths = 1
            while True:
                try:
                    with self._executor(1) as executor:
                        outcome = executor.submit(self.function, item).result()
                except BrokenProcessPool:
                    deaths += 1
                    if deaths <= _MAX_DEATHS:
                        continue
                    yield item, Lost(f"its worker process died {deaths} times (out of memory, or a crash)")
                    break
                yield item, outcome
                break

    def _executor(self, processes: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            processes, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
        )


def _end_with_parent() -> None:
    """End this worker when the main process ends, however that ended.

    A worker that outlives a killed run would hold its memory and go on writing slices.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
