"""`baleen check`: would a run work with these files, and with how many reads."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from baleen.commands.input_options import given_samples, input_options
from baleen.commands.options import settings_options

if TYPE_CHECKING:
    from baleen.inputs import RunInputs

_SHOWN = 3


@click.command("check", short_help="check input files and count the reads that meet")
@input_options
@settings_options("reads", "pileup", "calling")
def command(**given: Any) -> None:
    """Check input files against each other and print where the reads go.

    Does what `baleen run` does before it starts to work, and writes nothing. Reads that are not
    aligned yet are aligned into a temporary folder.
    """
    from baleen.aligned_samples import aligned_in_passing
    from baleen.config import Config
    from baleen.console import LOG, start_logging
    from baleen.inputs import open_run

    start_logging()
    config, reference = Config.from_settings(given), given["reference"]
    with aligned_in_passing(given_samples(given), reference, needs_signal=config.calling.signal) as samples:
        run = open_run(samples, reference, config, index_bams=given["may_index"])
    for warning in run.warnings:
        LOG.warning("warning: %s", warning)
    for line in _report(run):
        click.echo(line)


def _report(run: "RunInputs") -> Iterator[str]:
    from baleen.inputs.funnel import printable

    yield from run.funnel_lines()
    rate = f", {run.sampling_rate_hz:g} samples per second" if run.sampling_rate_hz else ""
    yield f"chemistry: {run.chemistry or 'not needed'}{rate}"
    yield (
        f"contigs: {len(run.reference.lengths_bp)} in the reference, {len(run.tasks)} to call, "
        f"{len(run.skipped_contigs)} skipped"
    )
    yield from run.contig_lines()
    for kind, n in Counter(reason.split(":")[0] for reason in run.skipped_contigs.values()).items():
        yield f"  skipped {n}: {kind}"
        members = [(name, why) for name, why in run.skipped_contigs.items() if why.startswith(kind)]
        for name, why in members[:_SHOWN]:
            yield f"    {printable(name)}: {why.removeprefix(kind).removeprefix(': ')}"
