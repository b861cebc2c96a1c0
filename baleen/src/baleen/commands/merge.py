"""`baleen merge`: finish a run whose shards are done."""

from pathlib import Path
from typing import Any

import click

from baleen.commands.run import report


@click.command("merge", short_help="finish a run whose shards are done")
@click.argument("output_dir", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--threads", type=int, default=0, show_default=True, help="Cores to use; 0 = all.")
def command(**given: Any) -> None:
    """Finish the run in OUTPUT_DIR after every `baleen run --shard I/N` of it.

    The results are the same bytes as those of one undivided run, but for the command that the BAM's
    header names.
    """
    from baleen.console import start_logging
    from baleen.pipeline import merge

    start_logging()
    report(merge(given["output_dir"], given["threads"]))
