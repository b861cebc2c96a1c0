"""`baleen eventalign`: one sample's signal, placed on the reference, as an event table."""

from pathlib import Path
from typing import Any

import click

from baleen.commands.options import chosen_settings

_FILE = click.Path(path_type=Path)


@click.command("eventalign", short_help="place signal on the reference: an event table as f5c writes it")
@click.option(
    "--bam",
    type=_FILE,
    multiple=True,
    required=True,
    help="Aligned reads (sorted, indexed BAM); may be repeated.",
)
@click.option(
    "--signal",
    type=_FILE,
    multiple=True,
    required=True,
    help="BLOW5 or POD5 files or folders; may be repeated.",
)
@click.option("--ref", "reference", type=_FILE, required=True, help="Reference FASTA the BAM was made with.")
@click.option(
    "-o", "--output", type=_FILE, required=True, help="Table to write; compressed if it ends in .gz."
)
@click.option("--index", "may_index", is_flag=True, help="Index BAM files that have no index.")
@click.option("--force", is_flag=True, help="Replace the output.")
@chosen_settings(
    "min_mapq", "primary_only", "target", "pore", "kmer_model", "align_mode", "moves", "threads"
)  # fmt: skip
def command(**given: Any) -> None:
    """Write where the signal of each read lies on the reference.

    One line per read and position, with the columns of f5c eventalign and the interval of samples.
    """
    from baleen.config import Config
    from baleen.console import LOG, start_logging
    from baleen.eventalign import EventalignRequest, write_events
    from baleen.files import check_output
    from baleen.inputs import SampleFiles
    from baleen.results import unused_warning

    start_logging()
    output: Path = given["output"]
    read = (*given["bam"], *given["signal"], given["reference"])
    check_output(output, read, is_forced=given["force"])
    files = SampleFiles(name="reads", is_native=True, bam=given["bam"], signal=given["signal"])
    request = EventalignRequest(
        sample=files,
        reference=given["reference"],
        output=output,
        config=Config.from_settings({**given, "subsample_n": 0}),
        may_index=given["may_index"],
    )
    summary = write_events(request)
    LOG.info("reads: %s", ", ".join(f"{n} {name}" for name, n in summary.read_status.items()))
    LOG.info("%s: %d rows", output, summary.n_rows)
    if (warning := unused_warning(summary.read_status)) is not None:
        LOG.warning("warning: %s", warning)
