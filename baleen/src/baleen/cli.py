"""The command line: finds subcommands, turns errors into exit codes. Heavy imports stay inside."""

import importlib
import os
import sys
from typing import NoReturn

import click

COMMANDS = {
    "run": "call modifications: native against control",
    "demo": "simulate a small pair, call it, compare with the truth",
    "merge": "finish a run whose shards are done",
    "aggregate": "call again, with other settings, from the arrays a run kept",
    "train": "fit the HMM to labelled sites or reads",
    "panel": "place control samples once, for many runs",
    "check": "check input files and count the reads that meet",
    "eventalign": "place signal on the reference: an event table as f5c writes it",
    "simulate": "make a native/control pair with known modifications",
    "align": "align FASTQ or unaligned BAM: minimap2, bowtie, bowtie2, hisat2",
    "fastq": "pad, unpad and check FASTQ for parsing L",
    "scaling": "measure and explain what processes and threads gain",
    "devices": "list what this installation can compute on",
}


class _LazyGroup(click.Group):
    """Import a subcommand's module only when it is used, so that --help is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"baleen.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="baleen-rna", prog_name="baleen")
def baleen() -> None:
    """Which bases of native RNA are modified, in which molecules, how often, and how sure it is.

    Compares native nanopore direct-RNA reads with an unmodified (IVT) control.
    """


def main() -> NoReturn:
    """Run the command line; exit 0, or with the exit code of the error."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # cores are given out by --threads, not by BLAS
    try:
        baleen.main(prog_name="baleen", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as stop:
        kept = "; finished contigs are kept: the same command with --resume goes on"
        click.echo("stopped" + (kept if sys.argv[1:2] == ["run"] else ""), err=True)
        sys.exit(_signalled(stop))
    except BrokenPipeError:
        sys.exit(141)  # the reader of our stdout went away: say nothing, as every filter does
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(code)
    sys.exit(0)


def _exit_code(error: Exception) -> int | None:
    """Return the exit code of an error that is meant for the user, None for a bug."""
    from baleen.errors import BaleenError
    from krill.errors import DeviceError, FormatError, KrillError

    if isinstance(error, BaleenError):
        return error.exit_code
    codes = {FormatError: 3, DeviceError: 2, KrillError: 1}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), None)


def _signalled(stop: BaseException) -> int:
    """Return the exit code of a run that was told to end; click makes an Abort of Ctrl-C and of SIGTERM."""
    from baleen.errors import Terminated

    return 143 if isinstance(stop.__cause__ or stop, Terminated) else 130
