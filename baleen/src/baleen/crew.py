"""The threads of a process: parts of a contig side by side, and what each stage of the work costs."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple, Protocol, Self, TypeVar

from krill import detached_seconds

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Each(Protocol):
    """Like the builtin ``map``, which is one: outcomes in the order of the items."""

    def __call__(self, function: Callable[[Item], Outcome], items: Iterable[Item], /) -> Iterator[Outcome]:
        """Yield ``function(item)`` for every item; calls may run side by side."""


FILE_STAGES = frozenset({"reading", "writing", "read BAM", "merging"})
"""Stages that read or write files."""

_SCHEDULER = "/proc/thread-self/schedstat"


class Seconds(NamedTuple):
    """Time of one stage, summed over threads.

    Parameters
    ----------
    running
        On a CPU.
    waiting
        For a CPU, a file, or the interpreter's lock.
    gil_at_most
        On a CPU outside the engine: no more than this was under the interpreter's lock, which
        NumPy and the standard library also release at times.
    io_at_most
        Neither on a CPU nor ready for one, in a stage that reads or writes files: no more than
        this was for files; waits for the interpreter's lock are among it.
    """

    running: float = 0.0
    waiting: float = 0.0
    gil_at_most: float = 0.0
    io_at_most: float = 0.0

    def plus(self, other: "Seconds") -> "Seconds":
        """Return the sum."""
        return Seconds(*(a + b for a, b in zip(self, other, strict=True)))


class _Moment(NamedTuple):
    """Clocks of the calling thread."""

    wall: float
    cpu: float
    engine: float
    ready: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.perf_counter(), time.thread_time(), detached_seconds(), _ready_seconds())

    def until(self, end: "_Moment", *, is_file_stage: bool) -> Seconds:
        wall, cpu, engine, ready = (b - a for a, b in zip(self, end, strict=True))
        blocked = max(0.0, wall - cpu - ready) if is_file_stage else 0.0
        return Seconds(cpu, max(0.0, wall - cpu), max(0.0, cpu - engine), blocked)


def _ready_seconds() -> float:
    """Return how long the calling thread was ready to run and had no CPU; 0 where the system does not say."""
    try:
        file = os.open(_SCHEDULER, os.O_RDONLY)  # a few microseconds; dozens of times per contig
    except OSError:
        return 0.0
    try:
        return int(os.read(file, 100).split()[1]) / 1e9
    finally:
        os.close(file)


class Crew:
    """Threads that all contigs in hand share, so that none idles while another has work.

    Parameters
    ----------
    threads
        How many; with one, work is done by whoever asks for it.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.is_stopped = False
        self._pool = ThreadPoolExecutor(threads, "crew") if threads > 1 else None

    @property
    def has_threads(self) -> bool:
        """Whether work can be handed over."""
        return self._pool is not None

    def start(self, function: Callable[..., Outcome], *arguments: object) -> "Future[Outcome]":
        """Hand over a piece of work that hands over none itself."""
        if self._pool is None:
            message = "a crew of one has no threads"
            raise ValueError(message)
        try:
            return self._pool.submit(function, *arguments)
        except RuntimeError:
            self.raise_if_stopped()
            raise

    def raise_if_stopped(self) -> None:
        """Raise `KeyboardInterrupt` if the work shall end."""
        if self.is_stopped:
            raise KeyboardInterrupt

    def stop(self) -> None:
        """Let the work in hand end early, by `KeyboardInterrupt`, where it would hand over more."""
        self.is_stopped = True
        if self._pool is not None:
            self._pool.shutdown(wait=False)


_CREWS: dict[int, Crew] = {}
_CREWS_LOCK = threading.Lock()


def crew_of(threads: int) -> Crew:
    """Return this process's crew of so many threads."""
    with _CREWS_LOCK:
        return _CREWS.setdefault(threads, Crew(threads))


def stop_crews() -> None:
    """End the work that is in hand; who asks for a crew afterwards gets a fresh one."""
    with _CREWS_LOCK:
        while _CREWS:
            _CREWS.popitem()[1].stop()


class Clock:
    """Hands the parts of one item of work to a crew and counts the seconds of its stages.

    Used by one thread, the one that has the item in hand.

    Parameters
    ----------
    crew
        Threads to use.
    """

    def __init__(self, crew: Crew) -> None:
        self.seconds: dict[str, Seconds] = {}
        self._crew = crew
        self._lock = threading.Lock()
        self._stage: str | None = None
        self._since = _Moment.now()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done meanwhile, here and by the crew, as this stage."""
        outer = self._enter(name)
        try:
            yield
        finally:
            self._enter(outer)

    def add(self, seconds: dict[str, Seconds]) -> None:
        """Count what another clock has counted."""
        with self._lock:
            for stage, spent in seconds.items():
                self.seconds[stage] = self.seconds.get(stage, Seconds()).plus(spent)

    def each(
        self, function: Callable[[Item], Outcome], items: Iterable[Item], stage: str | None = None
    ) -> Iterator[Outcome]:
        """Return ``function(item)`` in the order of the items; calls run side by side.

        Items are made here, a few ahead of the crew; calls are counted as ``stage``, by default
        the present one.
        """
        stage = stage or self._stage
        pending = iter(items)
        if not self._crew.has_threads:
            return self._each_here(stage, function, pending)

        def start(item: Item) -> "Future[Outcome]":
            return self._crew.start(self._timed, stage, function, item)

        ahead = deque(map(start, islice(pending, 2 * self._crew.threads)))  # before any is asked for
        return self._each_of_crew(start, pending, ahead)

    def _each_here(
        self, stage: str | None, function: Callable[[Item], Outcome], items: Iterator[Item]
    ) -> Iterator[Outcome]:
        for item in items:
            self._crew.raise_if_stopped()
            outer = self._enter(stage)
            try:
                outcome = function(item)
            finally:
                self._enter(outer)
            yield outcome

    def _each_of_crew(
        self,
        start: "Callable[[Item], Future[Outcome]]",
        items: Iterator[Item],
        started: "deque[Future[Outcome]]",
    ) -> Iterator[Outcome]:
        try:
            while started:
                started.extend(map(start, islice(items, 1)))
                yield self._outcome(started.popleft())
        finally:
            for future in started:
                future.cancel()

    def _outcome(self, future: "Future[Outcome]") -> Outcome:
        stage = self._enter(None)  # what the crew does meanwhile is counted there
        try:
            return future.result()
        finally:
            self._enter(stage)

    def _timed(self, stage: str | None, function: Callable[[Item], Outcome], item: Item) -> Outcome:
        start = _Moment.now()
        try:
            return function(item)
        finally:
            self._count(stage, start, _Moment.now())

    def _enter(self, stage: str | None) -> str | None:
        """Begin a stage; return the one that it interrupts."""
        now = _Moment.now()
        self._count(self._stage, self._since, now)
        before, self._stage, self._since = self._stage, stage, now
        return before

    def _count(self, stage: str | None, start: _Moment, end: _Moment) -> None:
        if stage is not None:
            with self._lock:
                spent = start.until(end, is_file_stage=stage in FILE_STAGES)
                self.seconds[stage] = self.seconds.get(stage, Seconds()).plus(spent)
