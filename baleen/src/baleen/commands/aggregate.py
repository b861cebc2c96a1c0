"""`baleen aggregate`: call again from the arrays that a run kept."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from baleen.commands.input_options import output_option
from baleen.commands.options import settings_options, without_options
from baleen.commands.run import report


@click.command("aggregate", short_help="call again, with other settings, from the arrays a run kept")
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False, exists=True))
@output_option
@click.option("--force", is_flag=True, help="Replace the results in the output folder.")
@without_options("keep_intermediate")  # the arrays stay where they are
@settings_options("calling", "output", "run")
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """Repeat everything after the scoring of RUN_DIR, made with --keep-intermediate.

    Settings that are not given are those of the run; no signal is read. Channels may be left out,
    not added; --permutations and --error-direction must be those of the run.
    """
    from baleen.console import start_logging
    from baleen.pipeline import aggregate, kept_config

    start_logging()
    asked = {
        name: value
        for name, value in given.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    config = kept_config(given["run_dir"], asked)
    report(aggregate(given["run_dir"], given["output_dir"], config, is_forced=given["force"]))
