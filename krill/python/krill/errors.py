"""What can go wrong in the engine, as a tree of exceptions."""

from pathlib import Path


class KrillError(Exception):
    """Root of the engine's errors."""


class FormatError(KrillError):
    """A file is not what it should be.

    Parameters
    ----------
    path
        The file.
    problem
        What is wrong with it.
    hint
        The command or setting that mends it, if there is one.
    """

    def __init__(self, path: str | Path, problem: str, *, hint: str | None = None) -> None:
        self.path, self.problem, self.hint = Path(path), problem, hint
        super().__init__(f"{path}: {problem}" + (f"\nhint: {hint}" if hint else ""))


class DeviceError(KrillError):
    """A device was asked for that cannot be had; the message says why."""


class DeviceMemoryError(DeviceError):
    """A batch does not fit into the device's memory, even halved."""
