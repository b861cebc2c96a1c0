"""What the user sees while a command works: log lines and one progress bar, on stderr only."""

import json
import logging
import sys
import time
from types import TracebackType
from typing import Self

LOG = logging.getLogger("baleen")

_SECONDS_BETWEEN_LINES = 30.0


class _JsonFormatter(logging.Formatter):
    """One JSON object per line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return json.dumps({"time": moment, "level": record.levelname.lower(), "message": record.getMessage()})


def start_logging(log_format: str = "text") -> None:
    """Send the log to stderr as ``text`` or ``json`` lines."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False


class Progress:
    """Progress over known work: a bar on a terminal, otherwise a line every 30 seconds.

    Parameters
    ----------
    label
        What is being done.
    total
        Amount of work, in any unit.
    """

    def __init__(self, label: str, total: float) -> None:
        self.label, self.total, self.done = label, max(total, 1e-9), 0.0
        self._started = self._last_shown = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def advance(self, amount: float) -> None:
        """Count ``amount`` as done."""
        self.done += amount
        now = time.monotonic()
        wait = 0.1 if self._is_terminal else _SECONDS_BETWEEN_LINES
        if now - self._last_shown < wait:
            return
        self._last_shown = now
        share = min(1.0, self.done / self.total)
        left_s = (now - self._started) * (1 - share) / max(share, 1e-9)
        text = f"{self.label} {100 * share:3.0f} %, about {_duration(left_s)} left"
        if self._is_terminal:
            filled = round(30 * share)
            sys.stderr.write(f"\r\x1b[K[{'#' * filled}{'.' * (30 - filled)}] {text}")
            sys.stderr.flush()
        else:
            LOG.info("%s", text)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
