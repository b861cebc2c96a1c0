"""Threads that work on small arrays side by side: one at a time in the interpreter."""

from collections.abc import Iterator
from contextlib import contextmanager

from krill import _krill


@contextmanager
def turn() -> Iterator[None]:
    """Wait for the turn of this thread; during its calls of the engine another may go on.

    NumPy lets go of the interpreter's lock for every operation on more than 500 numbers. Threads that
    work on many small arrays stop each other at each of these moments; threads that take turns meet
    only where the engine works, which is where side by side pays.

    Raises
    ------
    RuntimeError
        If this thread has the turn already.

    Notes
    -----
    Who has the turn must not wait for a thread that needs it: no lock held across a call of the engine,
    no outcome of another thread.
    """
    _krill.turn_take()
    try:
        yield
    finally:
        _krill.turn_end()


@contextmanager
def aside() -> Iterator[None]:
    """Let another thread have the turn during what takes long outside the interpreter, as the disk does.

    Nothing where this thread does not have the turn.
    """
    had_it = _krill.turn_is_mine()
    if had_it:
        _krill.turn_end()
    try:
        yield
    finally:
        if had_it:
            _krill.turn_take()
