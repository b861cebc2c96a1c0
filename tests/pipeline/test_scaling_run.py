"""`baleen scaling run`: what it measures, writes and refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from baleen.commands.scaling import command
from baleen.errors import BaleenError, InputError, OutputError, UsageError
from baleen.inputs.samples import SampleFiles
from baleen.outputs.merge import SiteCounts
from baleen.results import RunSummary
from baleen.scaling.crowd import LOOP, Crowd, Part
from baleen.scaling.made_inputs import make_pair, make_short_reads
from baleen.scaling.result import Cell, LockCost, Point, Result, Series, Trial
from baleen.scaling.signal_tasks import eventalign_task


def run(*words: object) -> str:
    """Run a subcommand in this process; its own errors come through."""
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=True)
    if isinstance(result.exception, BaleenError):
        raise result.exception
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def trial(n_items: int, seconds: float) -> Trial:
    return Trial(n_items, seconds, seconds, 0.0, 0.0, {"input": LockCost(3, 0.25, 0.5)})


def series(throughputs: dict[tuple[int, int], float], loop_s: dict[int, list[float]]) -> Series:
    points = tuple(Point(Cell(*cell), (trial(1000, 1000 / per_s),)) for cell, per_s in throughputs.items())
    return Series("dtw", "-", "positions", "weak", points, loop_s)


@pytest.fixture(scope="module")
def short_reads(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_short_reads(tmp_path_factory.mktemp("short"), 300, 5000)


def test_every_cell_works_on_constant_reads_per_thread(
    short_reads: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "result.json"
    words = ["--threads", "1,2", "--procs", "1,2", "--max-workers", 2, "--repeats", 2, "--reads", "sr"]
    run("run", "--stage", "align", *short_reads, "-o", output, *words)
    (found,) = Result.read(output).series
    assert {p.cell[:2]: [t.n_items for t in p.trials] for p in found.points} == {
        (1, 1): [150, 150],
        (1, 2): [300, 300],
        (2, 1): [300, 300],
    }
    assert sorted(found.loop_s) == [1, 2]
    for point in found.points:
        for one in point.trials:
            total = one.running_s + one.waiting_s + one.in_lock_s
            assert one.seconds * 0.9 <= total <= one.seconds * point.cell.workers * 1.1
            assert one.locks["input"].acquisitions > 0


def test_strong_scaling_shares_out_all_reads_under_every_parsing(
    short_reads: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "result.json"
    words = ["--parsing", "O,L,K", "--procs", 2, "--threads", 1, "--mode", "strong", "--work-ns", 10]
    run("run", "--stage", "pump", short_reads[0], "-o", output, "--repeats", 1, *words)
    (found,) = Result.read(output).series
    assert [(p.cell.parsing, p.trials[0].n_items) for p in found.points] == [
        ("O", 300),
        ("L", 300),
        ("K", 300),
    ]


def test_stages_on_signal_and_whole_runs_are_measured(tmp_path: Path) -> None:
    files = make_pair(tmp_path / "pair", 2, 150, 20)
    for stage, mode, item in (
        ("eventalign", "weak", "reads"),
        ("dtw", "weak", "positions"),
        ("call", "strong", "reads"),
    ):
        output = tmp_path / f"{stage}.json"
        words = ["--threads", 1, "--repeats", 1, "--mode", mode, "-o", output]
        run("run", "--stage", stage, *files, *words)
        (found,) = Result.read(output).series
        assert (found.stage, found.item) == (stage, item)
        assert found.points[0].best.running_s > 0


def test_every_share_of_the_reads_has_long_and_short_ones(tmp_path: Path) -> None:
    native_bam, native_signal, control_bam, control_signal, reference = make_pair(tmp_path, 1, 600, 40)
    samples = (
        SampleFiles("native", is_native=True, bam=(native_bam,), signal=(native_signal,)),
        SampleFiles("control", is_native=False, bam=(control_bam,), signal=(control_signal,)),
    )
    size = np.diff(eventalign_task(samples, reference).batch.signal.offsets)
    first, second = size[: len(size) // 2].sum(), size[len(size) // 2 :].sum()
    assert first == pytest.approx(second, rel=0.1)


def test_a_run_without_contigs_or_with_failed_ones_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_pair(tmp_path / "pair", 1, 150, 5)
    words = ["--stage", "run", "--mode", "strong", "--threads", 1, "-o", tmp_path / "out.json"]
    with pytest.raises(BaleenError, match="no contig passes the filters"):
        run("run", *words, *files)
    failed = RunSummary(tmp_path, 1, SiteCounts(0, 0, 0), {}, {"tx0": "AttributeError: gone"})
    monkeypatch.setattr("baleen.scaling.stages.run", lambda request: failed)
    with pytest.raises(
        BaleenError, match="1 contigs failed, so nothing can be measured; tx0: AttributeError"
    ):
        run("run", *words, *files)


def test_processes_that_work_together_count_by_the_slowest() -> None:
    with Crowd(2) as crowd:
        parts = [Part(0, 3, Cell(2, 1)), Part(3, 10, Cell(2, 1))]
        found = crowd.measure(LOOP, parts)
    assert found.n_items == 10
    assert found.seconds < found.running_s < 2 * found.seconds + 1e-9


def test_efficiency_divides_by_what_the_machine_gives_a_loop() -> None:
    found = series({(1, 1): 100.0, (1, 2): 150.0}, {1: [1.0, 1.2], 2: [1.3, 1.25]})
    assert found.loop_speed_up(2) == pytest.approx(1.6)
    assert found.efficiency(found.points[1]) == pytest.approx(1.5 / 1.6)


def test_curves_keep_threads_processes_and_mixes_apart() -> None:
    found = series({(1, 1): 1.0, (1, 2): 2.0, (2, 1): 2.0, (2, 2): 3.0, (4, 2): 5.0}, {})
    shown = {name: [p.cell[:2] for p in points] for name, points in found.curves()}
    assert shown == {"MT": [(1, 1), (1, 2)], "MP": [(1, 1), (2, 1)], "MP x 2": [(1, 2), (2, 2), (4, 2)]}


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    written = Result({"version": "x"}, {"cores": 2}, (series({(1, 1): 5.0}, {1: [0.5]}),))
    written.write(tmp_path / "r.json")
    assert Result.read(tmp_path / "r.json") == written


@pytest.mark.parametrize(
    "text", ["{}", "[1]", "not json", json.dumps({"format": "baleen-scaling", "format_version": 9})]
)
def test_a_file_that_is_no_result_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"r\.json"):
        Result.read(path)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--work-ns", "-1", "--input-ns", "5"], "-1.0 is not in the range x>=0"),
        (["--work-ns", "nan", "--input-ns", "5"], "'nan' is not a number"),
        (["--work-ns", "5", "--input-ns", "inf"], "'inf' is not a number"),
        (["--work-ns", "5", "--input-ns", "5", "--batch-reads", "0"], "0.0 is not in the range x>=1"),
        (["--work-ns", "0", "--input-ns", "0"], "reads that cost nothing have no throughput"),
    ],
)
def test_costs_that_cannot_be_are_refused(words: list[str], problem: str, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    result = CliRunner().invoke(command, ["simulate", "--machine", "skylake", *words, "-o", str(output)])
    said = result.output + str(result.exception)
    assert (result.exit_code != 0, problem in said, output.exists()) == (True, True, False), said


def test_inputs_beside_a_preset_are_refused(short_reads: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["run", "--preset", "ci2", str(short_reads[0]), "-o", str(tmp_path / "result.json")]
    result = CliRunner().invoke(command, words)
    assert (result.exit_code, "--preset makes its own INPUTS" in result.output) == (2, True)


def test_what_cannot_be_measured_is_refused(
    short_reads: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "result.json"
    with pytest.raises(UsageError, match="fixed size"):
        run("run", "--stage", "run", *short_reads, "-o", output)
    with pytest.raises(UsageError, match="5 expected"):
        run("run", "--stage", "dtw", *short_reads, "-o", output)
    with pytest.raises(UsageError, match="Z"):
        run("run", "--stage", "pump", short_reads[0], "-o", output, "--parsing", "Z")
    with pytest.raises(InputError, match=r"none\.fq: does not exist"):
        run("run", "--stage", "pump", tmp_path / "none.fq", "-o", output)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt-get install hisat2"):
        run("run", "--stage", "align", "--engine", "hisat2", *short_reads, "-o", output)
    output.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        run("run", "--stage", "pump", short_reads[0], "-o", output)
    assert output.read_text() == "precious"
