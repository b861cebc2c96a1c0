"""How a lock passes from thread to thread, by kind: who is next, and what the passing costs."""

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from baleen.scaling.machines import MachineModel

SPIN_DRAG = 0.13
"""How much longer each spinning waiter makes the holder stay inside; see `paper` for how it was fitted."""

_LONGEST_COHORT = 64
"""Passings within a node before a cohort lock must look elsewhere."""

_PAUSE_NS = 45.0
"""A spin: the pause instruction, 140 cycles on Intel's cores since Skylake."""


@dataclass(frozen=True)
class LockModel:
    """A kind of lock.

    Parameters
    ----------
    name
        As in `krill.pump.LOCKS`.
    drag
        Lengthening of the holder's time inside by each waiter: all of them pull at its cache lines.
    is_fair
        First come, first served; otherwise anyone who waits.
    spins_ns
        How long a waiter spins before it sleeps. A sleeper of a fair lock is handed it and wakes; of
        another lock it wakes first, and whoever comes meanwhile takes the lock.
    prefers_node
        Waiters of the holder's node come first.
    """

    name: str
    drag: float = 0.0
    is_fair: bool = True
    spins_ns: float = math.inf
    prefers_node: bool = False


LOCK_MODELS = {
    # the mutex of Rust's standard library spins 100 times
    "os": LockModel("os", is_fair=False, spins_ns=100 * _PAUSE_NS),
    "ttas": LockModel("ttas", drag=SPIN_DRAG, is_fair=False),
    # waiters of a ticket lock re-read the word, but only one of them writes it
    "ticket": LockModel("ticket", drag=SPIN_DRAG / 2),
    "mcs": LockModel("mcs"),
    "mcs-park": LockModel("mcs-park", spins_ns=128 * _PAUSE_NS),
    "cohort": LockModel("cohort", prefers_node=True),
}


class _Waiter(NamedTuple):
    thread: int
    node: int
    sleeps_at: float


class SimulatedLock:
    """One lock of a simulation.

    Parameters
    ----------
    model, machine
        Its kind, and where.
    lines
        Cache lines of what it protects, which follow it from core to core.
    rng
        For what is left to chance.
    """

    def __init__(
        self, model: LockModel, machine: MachineModel, lines: float, rng: np.random.Generator
    ) -> None:
        self._model, self._machine, self._lines = model, machine, lines
        self._random = rng.integers  # only unfair locks draw
        self._waiters: deque[_Waiter] = deque()
        self._is_held = False
        self._last_thread, self._last_node = -1, 0
        self._in_node = 0
        self._fetching_ns = 0.0

    def inside_ns(self, alone_ns: float) -> float:
        """Return how long whoever took the lock just now stays inside, from how long it would alone."""
        return alone_ns * (1 + self._model.drag * len(self._waiters)) + self._fetching_ns

    def ask(self, now: float, thread: int, node: int, *, is_woken: bool = False) -> float | None:
        """Return when the lock is taken, or None if the thread has to wait."""
        if not self._is_held:
            return self._take(now, thread, node)
        if is_woken:  # somebody was faster
            self._waiters.appendleft(_Waiter(thread, node, now + self._model.spins_ns))
        else:
            # nobody spins where somebody sleeps: whoever gives the lock back wakes a sleeper
            is_slept_for = self._sleeps and any(waiter.sleeps_at <= now for waiter in self._waiters)
            self._waiters.append(_Waiter(thread, node, now if is_slept_for else now + self._model.spins_ns))
        return None

    @property
    def _sleeps(self) -> bool:
        return self._model.spins_ns < math.inf

    def _take(self, now: float, thread: int, node: int) -> float:
        self._is_held = True
        is_own = thread == self._last_thread
        moving_ns = 0.0 if is_own else self._machine.move_ns(self._last_node, node)
        self._fetching_ns = self._lines * moving_ns
        self._last_thread, self._last_node = thread, node
        return now + moving_ns

    def leave(self, now: float, node: int) -> tuple[float, int, bool] | None:
        """Give the lock back.

        Returns
        -------
        Time, the thread that is next, and whether it has the lock then or only wakes; None if
        nobody waits.
        """
        self._is_held = False
        if not self._waiters:
            return None
        following = self._next(now, node)
        if following.sleeps_at > now:
            return self._take(now, following.thread, following.node), following.thread, True
        woken = now + self._machine.wake_ns
        if self._model.is_fair:
            return self._take(woken, following.thread, following.node), following.thread, True
        return woken, following.thread, False

    def _next(self, now: float, node: int) -> _Waiter:
        waiters = self._waiters
        if not self._model.is_fair:
            chosen = self._next_by_chance(now)
        elif self._model.prefers_node:
            chosen = self._next_of_cohort(node)
        else:
            chosen = 0
        waiters.rotate(-chosen)
        found = waiters.popleft()
        waiters.rotate(chosen)
        return found

    def _next_by_chance(self, now: float) -> int:
        """Any of those that spin; if all sleep, the first."""
        if not self._sleeps:
            return int(self._random(len(self._waiters)))
        spinning = [i for i, waiter in enumerate(self._waiters) if waiter.sleeps_at > now]
        return spinning[int(self._random(len(spinning)))] if spinning else 0

    def _next_of_cohort(self, node: int) -> int:
        if self._in_node < _LONGEST_COHORT:
            for i, waiter in enumerate(self._waiters):
                if waiter.node == node:
                    self._in_node += 1
                    return i
        self._in_node = 0
        return 0
