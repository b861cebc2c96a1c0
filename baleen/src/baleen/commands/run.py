"""`baleen run`: native against control, from files to calls."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from baleen.commands.input_options import given_samples, input_options, output_option
from baleen.commands.options import Shard, requested_device, settings_options

if TYPE_CHECKING:
    from baleen.results import RunSummary


@click.command("run", short_help="call modifications: native against control")
@input_options
@output_option
@click.option(
    "--control-panel",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of `baleen panel build`, in place of (or beside) control files.",
)
@click.option("--no-subsample", is_flag=True, help="Use all reads; the same as --subsample-n 0.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run; leave a finished one as it is.")
@click.option("--force", is_flag=True, help="Replace the results in the output folder.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, write nothing.")
@click.option("--shard", type=Shard(), metavar="I/N", help="Score one share alone; see `baleen merge`.")
@click.option("--cuda", metavar="0|0,1|all", help="GPUs to use.")
@click.option("--no-cuda", is_flag=True, help="Use the CPU even where there is a GPU.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How messages are written.",
)
@settings_options("reads", "pileup", "calling", "output", "run")
def command(**given: Any) -> None:
    """Call modifications of native RNA against an unmodified control.

    Writes site_results.tsv, read_results.bam and run.json to the output folder.
    """
    given["device"] = requested_device(given["cuda"], no_cuda=given["no_cuda"])
    if given["device"] not in {"auto", "cpu"}:
        import krill

        krill.open_early()  # while the modules load
    from baleen.config import Config
    from baleen.console import start_logging
    from baleen.pipeline import RunRequest, dry_run, run

    start_logging(given["log_format"])
    if given["shard"] is not None and given["force"]:
        message = "--force with --shard would delete what other shards have done; remove the folder first"
        raise click.UsageError(message)
    if given["no_subsample"]:
        given["subsample_n"] = 0
    request = RunRequest(
        samples=given_samples(given),
        control_panel=given["control_panel"],
        reference=given["reference"],
        output_dir=given["output_dir"],
        config=Config.from_settings(given),
        is_resumed=given["resume"],
        is_forced=given["force"],
        may_index=given["may_index"] and not given["dry_run"],
        shard=given["shard"],
    )
    if given["dry_run"]:
        click.echo("\n".join(dry_run(request)))
        return
    summary = run(request)
    if summary is not None:
        report(summary)


def report(summary: "RunSummary") -> None:
    """Tell what a run made.

    Raises
    ------
    PartialError
        If contigs failed.
    """
    from baleen.console import LOG
    from baleen.errors import PartialError
    from baleen.results import unused_warning

    for line in summary.lines():
        LOG.info("%s", line)
    if (warning := unused_warning(summary.read_status)) is not None:
        LOG.warning("warning: %s", warning)
    if summary.failed:
        listed = "\n".join(f"  {contig}: {reason}" for contig, reason in sorted(summary.failed.items()))
        message = f"{len(summary.failed)} contigs failed; all others are in the results\n{listed}"
        raise PartialError(message, hint="the same command with --resume tries these contigs again")
