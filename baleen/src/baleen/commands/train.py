"""`baleen train`: fit the HMM to labels."""

from pathlib import Path
from typing import Any

import click

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("train", short_help="fit the HMM to labelled sites or reads")
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--labels",
    type=_FILE,
    required=True,
    help="Table of labels: contig position label, or contig position read_id label.",
)
@click.option("-o", "--output", type=_FILE, required=True, help="Parameters for --hmm-params (JSON).")
@click.option(
    "--states",
    type=click.Choice(["2", "3"]),
    default="2",
    show_default=True,
    help="States of the chain: unmodified, modified; 3: a flank between them.",
)
def command(**given: Any) -> None:
    """Fit chain and emissions of the HMM to labels, on the arrays of RUN_DIR.

    RUN_DIR is the output of `baleen run --keep-intermediate`. With a column read_id the training is
    supervised, by labelled reads; without it semi-supervised, by labelled sites. At least 20 labels
    are needed, 10 of each class. Labels held out say whether the result is better than the default.
    """
    from baleen.console import LOG, start_logging
    from baleen.training import train_run

    start_logging()
    for line in train_run(given["run_dir"], given["labels"], given["output"], int(given["states"])):
        LOG.info("%s", line)
