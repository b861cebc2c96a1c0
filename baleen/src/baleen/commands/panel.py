"""`baleen panel`: control samples that are placed once and used by many runs."""

from pathlib import Path
from typing import Any

import click

from baleen.commands.input_options import control_options, given_controls, output_option
from baleen.commands.options import chosen_settings


@click.group("panel", short_help="place control samples once, for many runs")
def command() -> None:
    """Keep a control for `baleen run --control-panel FOLDER`."""


@command.command("build", short_help="place the reads of control samples and keep them")
@control_options
@output_option
@click.option("--no-subsample", is_flag=True, help="Keep all reads; the same as --subsample-n 0.")
@click.option("--force", is_flag=True, help="Replace the panel in the output folder.")
@chosen_settings(
    "min_mapq", "primary_only", "read_intersection", "subsample_n", "target", "seed", "pore", "kmer_model",
    "align_mode", "moves", "padding", "threads", "layout",
)  # fmt: skip
def build(**given: Any) -> None:
    """Place the reads of control samples on the reference and keep them in a folder.

    Runs with --control-panel FOLDER give the results of runs with the control's own files, without
    aligning its signal again. The folder holds alignments, placed signal and the settings it was
    made with; reference and settings of a run must be the same.
    """
    from baleen.config import Config
    from baleen.console import LOG, start_logging
    from baleen.panel import PanelRequest, build_panel

    start_logging()
    if given["no_subsample"]:
        given["subsample_n"] = 0
    output: Path = given["output_dir"]
    request = PanelRequest(
        samples=given_controls(given),
        reference=given["reference"],
        output_dir=output,
        config=Config.from_settings({**given, "device": "cpu"}),
        is_forced=given["force"],
        may_index=given["may_index"],
    )
    for line in build_panel(request):
        LOG.info("%s", line)
