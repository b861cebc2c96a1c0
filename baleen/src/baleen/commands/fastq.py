"""`baleen fastq`: write and check padded FASTQ, which parsing L reads block by block."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import click

_FILE = click.Path(path_type=Path)


@click.group("fastq", short_help="pad, unpad and check FASTQ for parsing L")
def command() -> None:
    """Write and check padded FASTQ.

    In padded FASTQ every block of so many bytes holds the same number of whole reads, so that a
    block can be taken without looking at it. Padding is spaces at the end of a name line; any
    program that ignores what follows a read's name can read the file.
    """


@command.command()
@click.argument("inputs", metavar="READS [MATES]", type=_FILE, nargs=-1, required=True)
@click.option(
    "-o", "--output", "outputs", type=_FILE, multiple=True, required=True, help="Once per input file."
)
@click.option(
    "--block-bytes", type=click.IntRange(1), default=12288, show_default=True, help="Bytes of a block."
)
@click.option("--force", is_flag=True, help="Replace the outputs.")
def pad(inputs: tuple[Path, ...], outputs: tuple[Path, ...], block_bytes: int, *, force: bool) -> None:
    """Pad READS (and MATES alike); a sidecar .fqi is written beside each output."""
    from krill.pump import pad as pad_files

    _check(inputs, outputs, force=force)
    with _named_errors(outputs):
        layout = pad_files(inputs, outputs, block_bytes)
    click.echo(
        f"{layout.n_reads} reads, {layout.reads_per_block} in each block of {layout.block_bytes} bytes"
    )


@command.command()
@click.argument("inputs", metavar="READS [MATES]", type=_FILE, nargs=-1, required=True)
@click.option(
    "-o", "--output", "outputs", type=_FILE, multiple=True, required=True, help="Once per input file."
)
@click.option("--force", is_flag=True, help="Replace the outputs.")
def unpad(inputs: tuple[Path, ...], outputs: tuple[Path, ...], *, force: bool) -> None:
    """Take the padding out again."""
    from krill.pump import unpad as unpad_files

    _check(inputs, outputs, force=force)
    with _named_errors(outputs):
        n_reads = unpad_files(inputs, outputs)
    click.echo(f"{n_reads} reads")


@command.command()
@click.argument("files", metavar="FILE...", type=_FILE, nargs=-1, required=True)
def check(files: tuple[Path, ...]) -> None:
    """Check padded files against their sidecars, block by block."""
    from krill.pump import check as check_file

    for path in files:
        with _named_errors():
            layout = check_file(path)
        click.echo(f"{path}: {layout.n_reads} reads, {layout.reads_per_block} in each block, as it should be")


def _check(inputs: tuple[Path, ...], outputs: tuple[Path, ...], *, force: bool) -> None:
    from baleen.console import LOG, start_logging
    from baleen.errors import UsageError
    from baleen.files import check_output, cut_short_warnings

    if len(inputs) != len(outputs) or len(inputs) > 2:
        message = f"{len(inputs)} input and {len(outputs)} output files given; 1 or 2 of each expected"
        raise UsageError(message)
    for output in outputs:
        check_output(output, inputs, is_forced=force)
    start_logging()
    for warning in cut_short_warnings(inputs):
        LOG.warning("warning: %s", warning)


@contextmanager
def _named_errors(outputs: Sequence[Path] = ()) -> Iterator[None]:
    """Turn plain errors into ours; leave nothing half-made."""
    from baleen.errors import InputError, UsageError
    from baleen.files import as_output_error

    parts = {f"{path}.part": path for path in outputs}
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        output = parts.get(str(error.filename))
        if output is not None:
            raise as_output_error(output, error, is_resumable=False) from error
        raise InputError(error.filename or "FASTQ", error.strerror or str(error)) from error
    finally:
        for part in parts:
            with suppress(OSError):  # gone after success; what went wrong first is what is reported
                Path(part).unlink()
