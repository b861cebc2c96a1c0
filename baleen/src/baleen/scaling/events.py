"""Predict throughput by discrete events: threads that take batches, work, and hand results over.

Every thread goes round: input lock, work, output lock. Times come from measured costs; how a lock
passes from thread to thread comes from `lock_models`. Nothing else slows a thread: no memory
bandwidth, no disk.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from baleen.scaling.lock_models import LockModel, SimulatedLock
from baleen.scaling.machines import MachineModel
from baleen.scaling.result import Trial

_ROUNDS, _LEAST_ROUNDS = 80, 4000  # per thread; of all threads
_WARM_UP = 0.25  # of the rounds, not counted


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What one thread alone on a core spends.

    Parameters
    ----------
    work_ns
        Per read outside the locks.
    input_ns, output_ns
        Inside a lock per read; 0 = no such lock.
    batch_reads
        Reads taken at once; output is handed over as often.
    input_lines
        Cache lines of what the input lock protects: whoever takes it from another core fetches them.
    work_spread
        Standard deviation of a read's work over its mean.
    """

    work_ns: float
    input_ns: float
    output_ns: float
    batch_reads: float
    input_lines: float = 0.0
    work_spread: float = 0.7


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who works: processes of threads, their kind of lock, output locks of each process."""

    procs: int
    threads: int
    lock: LockModel
    outputs: int = 1


_ASK, _WAKE, _LEAVE = range(3)  # events
_INPUT, _OUTPUT = range(2)  # the step they belong to


def simulate(costs: Costs, machine: MachineModel, crew: Crew, seed: int = 1) -> Trial:
    """Return what so many threads would do; deterministic for a seed.

    Raises
    ------
    UsageError
        If the machine cannot run all threads at once.
    """
    return _Simulation(costs, machine, crew, seed).run()


class _Simulation:
    """Plain lists by thread, because this loop is all the time that a prediction takes."""

    def __init__(self, costs: Costs, machine: MachineModel, crew: Crew, seed: int) -> None:
        n = crew.procs * crew.threads
        places = machine.places(n)
        rng = np.random.default_rng(seed)
        self._n_threads, self._batch_reads = n, costs.batch_reads
        self._node = [place.node for place in places]
        self._speed = [place.speed for place in places]
        self._n_rounds = max(_LEAST_ROUNDS, _ROUNDS * n)
        self._work_ns = iter(_draw_work(costs, rng, self._n_rounds + 2 * n))
        inputs = [SimulatedLock(crew.lock, machine, costs.input_lines, rng) for _ in range(crew.procs)]
        outputs = [SimulatedLock(crew.lock, machine, 0.0, rng) for _ in range(crew.procs * crew.outputs)]
        process = [thread // crew.threads for thread in range(n)]
        self._locks = (
            [inputs[process[thread]] for thread in range(n)],
            [outputs[process[thread] * crew.outputs + thread % crew.outputs] for thread in range(n)],
        )
        self._alone_ns = tuple(
            [per_read * costs.batch_reads * machine.slowness / place.speed for place in places]
            for per_read in (costs.input_ns, costs.output_ns)
        )
        self._events: list[tuple[float, int, int, int, int]] = []
        self._order = 0
        self._asked = [0.0] * n
        self._done = 0
        self._inside_ns = self._waiting_ns = 0.0

    def run(self) -> Trial:
        n = self._n_threads
        for thread in range(n):  # as if they had been at it: somewhere within their work
            self._push(self._work(thread) * (thread + 0.5) / n, _ASK, thread, _OUTPUT)
        warm = int(self._n_rounds * _WARM_UP)
        self._go_to(warm)
        self._inside_ns = self._waiting_ns = 0.0
        started = self._events[0][0]
        seconds = (self._go_to(self._n_rounds) - started) * 1e-9
        inside, waiting = self._inside_ns * 1e-9, self._waiting_ns * 1e-9
        reads = round((self._n_rounds - warm) * self._batch_reads)
        return Trial(reads, seconds, max(0.0, n * seconds - inside - waiting), waiting, inside)

    def _go_to(self, rounds: int) -> float:
        """Let events happen until so many batches are done; return the time."""
        now = 0.0
        while self._done < rounds:
            now, _, event, thread, step = heapq.heappop(self._events)
            if event == _LEAVE:
                self._leave(now, thread, step)
                continue
            if event == _ASK:
                self._asked[thread] = now
                if self._alone_ns[step][thread] == 0:
                    self._go_on(now, thread, step)
                    continue
            taken = self._locks[step][thread].ask(now, thread, self._node[thread], is_woken=event == _WAKE)
            if taken is not None:
                self._enter(taken, thread, step)
        return now

    def _push(self, at: float, event: int, thread: int, step: int) -> None:
        self._order += 1  # ties in the order they were made: the same run every time
        heapq.heappush(self._events, (at, self._order, event, thread, step))

    def _work(self, thread: int) -> float:
        return next(self._work_ns) / self._speed[thread]

    def _enter(self, taken: float, thread: int, step: int) -> None:
        inside = self._locks[step][thread].inside_ns(self._alone_ns[step][thread])
        self._waiting_ns += taken - self._asked[thread]
        self._inside_ns += inside
        self._push(taken + inside, _LEAVE, thread, step)

    def _leave(self, now: float, thread: int, step: int) -> None:
        passed = self._locks[step][thread].leave(now, self._node[thread])
        if passed is not None:
            at, following, is_taken = passed
            if is_taken:
                self._enter(at, following, step)
            else:
                self._push(at, _WAKE, following, step)
        self._go_on(now, thread, step)

    def _go_on(self, now: float, thread: int, step: int) -> None:
        if step == _INPUT:
            self._push(now + self._work(thread), _ASK, thread, _OUTPUT)
        else:
            self._done += 1
            self._push(now, _ASK, thread, _INPUT)


def _draw_work(costs: Costs, rng: np.random.Generator, n: int) -> list[float]:
    """Return the work of batches: sums of reads whose work is gamma distributed."""
    shape = costs.batch_reads / max(costs.work_spread, 1e-3) ** 2
    drawn: list[float] = (rng.standard_gamma(shape, n) / shape * costs.batch_reads * costs.work_ns).tolist()
    return drawn
