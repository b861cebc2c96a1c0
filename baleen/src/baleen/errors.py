"""What can go wrong, as a tree: one class per exit code.

BaleenError 1 · UsageError 2 · InputError 3 (MismatchError 3) · ResumeError 4 · OutputError 5 ·
PartialError 6; ended from outside: KeyboardInterrupt 130 (Ctrl-C), Terminated 143
"""

from pathlib import Path


class BaleenError(Exception):
    """Root of the pipeline's errors.

    Parameters
    ----------
    message
        ``<file or setting>: <what is wrong>``.
    hint
        The command or flag that mends it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message, self.hint = message, hint
        super().__init__(message + (f"\nhint: {hint}" if hint else ""))


class UsageError(BaleenError):
    """A flag or setting has a value it cannot have."""

    exit_code = 2


class InputError(BaleenError):
    """A file is missing, damaged or not what it should be."""

    exit_code = 3

    def __init__(self, path: str | Path, problem: str, *, hint: str | None = None) -> None:
        self.path, self.problem = Path(path), problem
        super().__init__(f"{path}: {problem}", hint=hint)


class MismatchError(InputError):
    """Two inputs disagree; the message names both and shows examples."""


class ResumeError(BaleenError):
    """The output folder holds a run with other inputs or settings."""

    exit_code = 4


class OutputError(BaleenError):
    """A result cannot be written; the message says what is kept and how to go on."""

    exit_code = 5


class PartialError(BaleenError):
    """The run finished, but some contigs failed; the message lists them."""

    exit_code = 6


class Terminated(KeyboardInterrupt):  # not an error: somebody wants it
    """The run was told to end (SIGTERM), as batch systems do at the time limit."""
