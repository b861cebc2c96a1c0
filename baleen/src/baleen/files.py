"""Files that are complete or absent: written as ``.part``, flushed to disk, then renamed."""

import errno
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import krill
from baleen.errors import OutputError, UsageError
from krill.reads.bgzf import lacks_end


@contextmanager
def complete_file(path: Path, *, is_resumable: bool = True, is_scratch: bool = False) -> Iterator[Path]:
    """Yield the path to write to; on success it becomes ``path``, on failure it is removed.

    Parameters
    ----------
    path
        The file.
    is_resumable
        Whether ``--resume`` could go on after a failure, for the message.
    is_scratch
        Whether the file is written anew before it is read after a power cut: it need not survive one,
        and the disk is not waited for.

    Raises
    ------
    OutputError
        If the file cannot be written (disk full, no permission).
    """
    # unique, so that shards that write the same file at the same time do not meet in it
    part = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.part")
    try:
        yield part
        if is_scratch:
            part.replace(path)
            return
        with part.open("rb+") as handle, krill.aside():
            os.fsync(handle.fileno())
        part.replace(path)
        with krill.aside():
            _sync_folder(path.parent)
    except OSError as error:
        _remove(part)
        raise as_output_error(path, error, is_resumable=is_resumable) from error
    except BaseException:
        _remove(part)
        raise


def check_output(output: Path, inputs: Iterable[Path], *, is_forced: bool) -> None:
    """Raise unless a file may be written: it is no input, and is not there or may be replaced.

    Raises
    ------
    UsageError
        If it is one of the inputs, by whatever path.
    OutputError
        If it is a folder, or exists and ``is_forced`` is not set.
    """
    if not output.exists():
        return
    for path in inputs:
        if path.exists() and path.samefile(output):
            message = f"{output}: is read, and would be overwritten"
            raise UsageError(message, hint="-o FILE: another one for the output")
    if output.is_dir():
        message = f"{output}: is a folder"
        raise OutputError(message, hint="-o FILE: a file")
    if not is_forced:
        message = f"{output}: exists"
        raise OutputError(message, hint="--force replaces it")


def _remove(part: Path) -> None:
    with suppress(OSError):  # what went wrong first is what is reported
        part.unlink()


@contextmanager
def named_output_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors into ``OutputError`` that names what could not be made."""
    try:
        yield
    except OSError as error:
        raise as_output_error(path, error, is_resumable=False) from error


def as_output_error(path: Path, error: OSError, *, is_resumable: bool = True) -> OutputError:
    """Say what could not be written, what is kept and how to go on."""
    again = "give the same command with --resume" if is_resumable else "give the same command again"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        kept = "; finished contigs are kept" if is_resumable else ""
        return OutputError(f"{path}: the disk is full{kept}", hint=f"free some space, then {again}")
    return OutputError(
        f"{path}: cannot be written: {error.strerror or error}",
        hint=f"check the folder's permissions, then {again}",
    )


def cut_short_warnings(paths: Iterable[Path]) -> Iterator[str]:
    """Say of which files the end may be missing: of bgzip that was cut between two blocks.

    Files that cannot be read are left to whoever reads them.
    """
    for path in paths:
        with suppress(OSError):
            if lacks_end(path):
                yield (
                    f"{path}: may be cut short: the empty block that ends a bgzip file is missing; "
                    "compare its size with the original's, or compress it again with bgzip"
                )


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
