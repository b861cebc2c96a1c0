"""How a lock passes from thread to thread, by kind: who is next, and what the passing costs."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from baleen.scaling.machines import MachineModel

SPIN_DRAG = 0.13
"""How much longer each spinning waiter makes the holder stay inside; see `paper` for how it was fitted."""

_LONGEST_COHORT = 64
"""Passings within a node before a cohort lock must look elsewhere."""


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
    sleeps
        Waiters sleep and must be woken; whoever comes meanwhile takes the lock.
    prefers_node
        Waiters of the holder's node come first.
    """

    name: str
    drag: float = 0.0
    is_fair: bool = True
    sleeps: bool = False
    prefers_node: bool = False


LOCK_MODELS = {
    "ttas": LockModel("ttas", drag=SPIN_DRAG, is_fair=False),
    # waiters of a ticket lock re-read the word, but only one of them writes it
    "ticket": LockModel("ticket", drag=SPIN_DRAG / 2),
    "mcs": LockModel("mcs"),
    "os": LockModel("os", sleeps=True),
    "cohort": LockModel("cohort", prefers_node=True),
}


class SimulatedLock:
    """One lock of a simulation."""

    def __init__(self, model: LockModel, machine: MachineModel, rng: np.random.Generator) -> None:
        self._model, self._machine = model, machine
        self._random = rng.integers  # only unfair locks draw
        self._waiters: deque[tuple[int, int]] = deque()
        self._is_held = False
        self._last_node = 0
        self._in_node = 0

    @property
    def slowing(self) -> float:
        """How much longer than alone whoever holds the lock stays inside."""
        return 1 + self._model.drag * len(self._waiters)

    def ask(self, now: float, thread: int, node: int, *, is_woken: bool = False) -> float | None:
        """Return when the lock is taken, or None if the thread has to wait."""
        if self._is_held:
            if is_woken:  # somebody was faster
                self._waiters.appendleft((thread, node))
            else:
                self._waiters.append((thread, node))
            return None
        return self._take(now, node)

    def _take(self, now: float, node: int) -> float:
        self._is_held = True
        moved = self._machine.move_ns(self._last_node, node)
        self._last_node = node
        return now + moved

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
        thread, next_node = self._next(node)
        if self._model.sleeps:
            return now + self._machine.wake_ns, thread, False
        return self._take(now, next_node), thread, True

    def _next(self, node: int) -> tuple[int, int]:
        waiters = self._waiters
        if not self._model.is_fair:
            chosen = int(self._random(len(waiters)))
        elif self._model.prefers_node:
            chosen = self._next_of_cohort(node)
        else:
            chosen = 0
        waiters.rotate(-chosen)
        found = waiters.popleft()
        waiters.rotate(chosen)
        return found

    def _next_of_cohort(self, node: int) -> int:
        if self._in_node < _LONGEST_COHORT:
            for i, (_, other) in enumerate(self._waiters):
                if other == node:
                    self._in_node += 1
                    return i
        self._in_node = 0
        return 0
