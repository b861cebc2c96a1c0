"""`baleen scaling`: how each stage gains from processes and threads."""

from pathlib import Path
from typing import Any

import click

from baleen.commands.options import Bytes, CommaList

_FILE = click.Path(path_type=Path)
_STAGES = ("align", "eventalign", "dtw", "call", "run", "pump")
_ENGINES = ("minimap2", "bowtie", "bowtie2", "hisat2")
_PRESETS = ("rna", "rna-transcripts", "splice", "map-ont", "sr")


class Numbers(click.ParamType[tuple[int, ...]]):
    """Numbers from 1, separated by commas."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in str(value).split(",") if word.strip()]
        if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
            self.fail(f"{value!r} is not a list of numbers from 1, such as 1,2,4", param, ctx)
        return tuple(dict.fromkeys(map(int, words)))


def _output_options(command: Any) -> Any:
    command = click.option("--force", is_flag=True, help="Replace the output.")(command)
    return click.option("-o", "--output", "output", metavar="FILE", type=_FILE, required=True)(command)


@click.group("scaling", short_help="measure and explain what processes and threads gain")
def command() -> None:
    """Measure, describe, predict and draw how stages scale with processes and threads."""


@command.command("run")
@click.argument("inputs", metavar="[INPUTS]...", type=_FILE, nargs=-1)
@click.option("--preset", type=click.Choice(["ci2", "ci16"]), help="All stages, on inputs it makes itself.")
@click.option("--stage", type=click.Choice(_STAGES), help="What to measure.")
@click.option("--engine", type=click.Choice(_ENGINES), default="minimap2", show_default=True, help="Aligner.")
@click.option("--reads", type=click.Choice(_PRESETS), default="rna", show_default=True, help="For minimap2.")
@click.option("--threads", type=Numbers(), default="1,2", show_default=True, help="Of each process.")
@click.option("--procs", type=Numbers(), default="1", show_default=True, help="Numbers of processes.")
@click.option("--max-workers", type=click.IntRange(0), default=0, help="Most threads of a cell; 0 = any.")
@click.option("--parsing", type=CommaList(), default="auto", show_default=True, help="O, D, B, L, K, A.")
@click.option("--lock", type=CommaList(), default="auto", show_default=True, help="As in baleen align.")
@click.option("--sink", type=CommaList(), default="slices", show_default=True, help="align's --output.")
@click.option("--split", type=CommaList(), default="dynamic", show_default=True, help="dynamic, static.")
@click.option("--mode", type=click.Choice(["weak", "strong"]), default="weak", show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--work-ns", type=click.IntRange(0), default=2000, show_default=True, help="Stage pump: per read."
)
@click.option("--batch", type=Bytes(), help="Longest batch of the pump.  [default: the pump's own]")
@_output_options
def run_command(**given: Any) -> None:
    """Measure throughput over a grid of processes x threads, in turn, several times.

    INPUTS are READS [MATES] REF for align, READS [MATES] for pump, and NATIVE_BAM NATIVE_SIGNAL
    CONTROL_BAM CONTROL_SIGNAL REF for eventalign, dtw, call and run.
    Weak scaling (the paper's) gives every thread the same number of reads and takes the slowest
    thread's time; strong scaling shares out a fixed number. Whole runs scale strongly only.
    """
    import tempfile

    from baleen.console import start_logging
    from baleen.scaling.grid import measure, preset_experiments
    from baleen.scaling.tables import result_lines

    start_logging()
    _check_output(given)
    if (given["preset"] is None) == (given["stage"] is None):
        message = "give either --preset or --stage"
        raise click.UsageError(message)
    with tempfile.TemporaryDirectory(prefix="baleen-scaling-") as folder:
        chosen = given["preset"]
        experiments = preset_experiments(chosen, Path(folder)) if chosen else [_experiment(given)]
        result = measure(experiments)
    result.write(given["output"])
    click.echo("\n".join(result_lines(result)))


def _experiment(given: dict[str, Any]) -> Any:
    from baleen.errors import UsageError
    from baleen.scaling.grid import Experiment, Grid
    from baleen.scaling.stages import StageRequest

    is_whole = given["stage"] in {"call", "run"}
    if is_whole and given["mode"] == "weak":
        message = f"--mode weak: stage {given['stage']} has a fixed size"
        raise UsageError(message, hint="--mode strong")
    wrong = [word for word in given["split"] if word not in {"dynamic", "static"}]
    if wrong:
        message = f"--split: {wrong[0]!r} is neither dynamic nor static"
        raise UsageError(message)
    request = StageRequest(
        stage=given["stage"],
        inputs=given["inputs"],
        engine=given["engine"] if given["stage"] == "align" else "-",
        preset=given["reads"],
        work_ns=given["work_ns"],
        batch_bytes=given["batch"],
    )
    grid = Grid(
        procs=given["procs"],
        threads=given["threads"],
        parsing=given["parsing"],
        lock=given["lock"],
        output=given["sink"],
        split=given["split"],
        most_workers=given["max_workers"],
    )
    return Experiment(request=request, grid=grid, mode=given["mode"], repeats=given["repeats"])


def _check_output(given: dict[str, Any]) -> None:
    from baleen.errors import OutputError

    output: Path = given["output"]
    if output.exists() and not given["force"]:
        message = f"{output}: exists"
        raise OutputError(message, hint="--force replaces it")
    if not output.parent.is_dir():
        message = f"{output.parent}: is not a folder"
        raise OutputError(message, hint=f"mkdir -p {output.parent}")
