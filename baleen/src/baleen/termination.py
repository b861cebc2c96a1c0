"""End a command that is told to (SIGTERM) as Ctrl-C does, so that it cleans up after itself."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from baleen.errors import Terminated


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` as Ctrl-C raises its parent; outside the main thread do nothing."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
