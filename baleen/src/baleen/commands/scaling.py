"""`baleen scaling`: how each stage gains from processes and threads."""

import math
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


class Finite(click.FloatRange):
    """A number from a least one on; neither infinite nor no number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


_COST = Finite(min=0)


def _output_options(command: Any) -> Any:
    command = click.option("--force", is_flag=True, help="Replace the output.")(command)
    return click.option(
        "-o", "--output", "output", metavar="FILE", type=_FILE, required=True, help="File to write."
    )(command)


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
@click.option(
    "--mode",
    type=click.Choice(["weak", "strong"]),
    default="weak",
    show_default=True,
    help="The same work for every thread, or one amount of work for all.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Trials of each cell; the best counts.",
)
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
    from baleen.termination import ended_by_signals

    start_logging()
    _check_output(given)
    if (given["preset"] is None) == (given["stage"] is None):
        message = "give either --preset or --stage"
        raise click.UsageError(message)
    if given["preset"] and given["inputs"]:
        message = "--preset makes its own INPUTS; --stage measures those given"
        raise click.UsageError(message)
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="baleen-scaling-") as folder:
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


@command.command()
@click.argument("file", type=_FILE)
@click.option("--stage", help="Only this stage.")
@click.option("--engine", help="Only this engine.")
@click.option("--at", type=Numbers(), default=(), help="Numbers of workers to give the fitted throughput of.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the intervals.")
def fit(file: Path, stage: str | None, engine: str | None, at: tuple[int, ...], seed: int) -> None:
    """Describe every curve of FILE by the Universal Scalability Law.

    Prints the serial share sigma, the cost of coherence kappa and the peak, with 95 % intervals.
    Refuses to say anything beyond twice the largest number of workers measured.
    """
    from baleen.scaling.law import fit as fit_law

    for series in _chosen(file, stage, engine):
        for name, points in series.curves():
            if len({point.cell.workers for point in points}) < 2:
                continue
            law = fit_law(points, seed)
            click.echo(f"{series.title}, {name}, measured on 1 to {law.largest} workers")
            for line in law.lines():
                click.echo(f"  {line}")
            for workers in at:
                click.echo(f"  at {workers:<4} workers {law.throughput(workers):12.1f} per second")


def _chosen(file: Path, stage: str | None, engine: str | None) -> Any:
    from baleen.errors import UsageError
    from baleen.scaling.result import Result

    series = [
        one for one in Result.read(file).series if stage in {None, one.stage} and engine in {None, one.engine}
    ]
    if not series:
        held = sorted({f"--stage {one.stage} --engine {one.engine}" for one in Result.read(file).series})
        message = f"{file}: holds no such series"
        raise UsageError(message, hint=f"it holds {'; '.join(held)}")
    return series


@command.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--stage", default="align", show_default=True, help="Of FILE.")
@click.option("--parsing", help="Of FILE, if it holds several; otherwise a name.")
@click.option("--work-ns", type=_COST, help="Instead of FILE: per read outside the locks.")
@click.option("--input-ns", type=_COST, help="Per read inside the input lock.")
@click.option("--output-ns", type=_COST, default=0.0, show_default=True, help="Inside the output lock.")
@click.option(
    "--batch-reads", type=Finite(min=1), default=1.0, show_default=True, help="Reads taken at once."
)
@click.option(
    "--input-lines", type=_COST, default=0.0, show_default=True, help="Cache lines the input lock protects."
)
@click.option("--outputs", type=click.IntRange(1), default=1, show_default=True, help="Output locks.")
@click.option(
    "--machine", required=True, help="skylake, broadwell, knl, or NODESxCORESxTHREADS such as 2x24x2."
)
@click.option("--lock", default="mcs", show_default=True, help="os, ttas, ticket, mcs, mcs-park or cohort.")
@click.option("--threads", type=Numbers(), default="1,2,4,8,16", show_default=True, help="Of each process.")
@click.option("--procs", type=Numbers(), default="1", show_default=True, help="Numbers of processes.")
@click.option("--max-workers", type=click.IntRange(0), default=0, help="Most threads of a cell; 0 = any.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of chance.")
@_output_options
def simulate(**given: Any) -> None:
    """Predict throughput on a large machine from the costs measured with one thread.

    The costs are those of FILE (stage pump, or align with minimap2), or are given. So is the time a
    cache line takes from core to core, unless the machine is one of the three with a name. Prints
    every constant; the points of the result are labelled simulated.
    """
    from baleen.scaling.grid import Grid
    from baleen.scaling.machine import describe_making
    from baleen.scaling.machines import machine_named
    from baleen.scaling.prediction import Prediction
    from baleen.scaling.result import Result, Series
    from baleen.scaling.tables import series_lines

    _check_output(given)
    costs, parsing = _costs(given)
    measured_on = Result.read(given["file"]).machine if given["file"] else {}
    machine = machine_named(given["machine"], measured_on.get("line_ns"))
    asked = Prediction(costs, machine, given["lock"], given["outputs"], parsing)
    grid = Grid(procs=given["procs"], threads=given["threads"], most_workers=given["max_workers"])
    points = tuple(asked.points(grid, given["seed"]))
    constants = {**asked.constants(), "seed": given["seed"]}
    series = Series(given["stage"], "-", "reads", "weak", points, settings=constants)
    Result(describe_making(), {"simulated": given["machine"]}, (series,)).write(given["output"])
    click.echo("\n".join(f"{name:<17} {value:g}" for name, value in constants.items()))
    click.echo("\n".join(series_lines(series)))


def _costs(given: dict[str, Any]) -> Any:
    """Return the costs and a name for the parsing: from the file, or as given."""
    from baleen.errors import UsageError
    from baleen.scaling.events import Costs
    from baleen.scaling.prediction import measured_costs

    if (given["file"] is None) == (given["work_ns"] is None or given["input_ns"] is None):
        message = "give either FILE, or --work-ns and --input-ns"
        raise UsageError(message)
    if given["file"] is None:
        if given["work_ns"] + given["input_ns"] + given["output_ns"] == 0:
            message = "--work-ns, --input-ns: reads that cost nothing have no throughput"
            raise UsageError(message)
        costs = Costs(
            work_ns=given["work_ns"],
            input_ns=given["input_ns"],
            output_ns=given["output_ns"],
            batch_reads=given["batch_reads"],
            input_lines=given["input_lines"],
        )
        return costs, given["parsing"] or "-"
    series = next(iter(_chosen(given["file"], given["stage"], None)))
    names = list(dict.fromkeys(point.cell.parsing for point in series.points))
    parsing = given["parsing"] or names[0]
    cells = [point.cell for point in series.points if point.cell.parsing == parsing]
    if not cells:
        message = f"--parsing: {given['file']} holds {', '.join(names)}, not {parsing!r}"
        raise UsageError(message)
    return measured_costs(series, cells[0]), parsing


@command.command()
@click.argument("file", type=_FILE)
@click.option("--stage", help="Only this stage.")
@click.option("--engine", help="Only this engine.")
@_output_options
def plot(file: Path, stage: str | None, engine: str | None, output: Path, *, force: bool) -> None:
    """Draw throughput, efficiency, time split and the frontier of processes and threads.

    The picture's suffix chooses PNG, SVG or PDF.
    """
    from baleen.scaling.pictures import draw

    _check_output({"output": output, "force": force})
    draw(output, _chosen(file, stage, engine))
    click.echo(str(output))


@command.command()
@click.argument("first", metavar="A", type=_FILE)
@click.argument("second", metavar="B", type=_FILE)
def compare(first: Path, second: Path) -> None:
    """Put the cells of two results side by side, with the ratio B / A."""
    from baleen.scaling.comparison import comparison_lines
    from baleen.scaling.result import Result

    click.echo("\n".join(comparison_lines(Result.read(first), Result.read(second))))
