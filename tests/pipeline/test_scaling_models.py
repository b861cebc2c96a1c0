"""The law, the simulator, and what is made of results: closed forms, the paper's table, known files."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from baleen.commands.scaling import command
from baleen.errors import BaleenError, UsageError
from baleen.scaling.events import Costs, Crew, simulate
from baleen.scaling.law import fit
from baleen.scaling.lock_models import LOCK_MODELS
from baleen.scaling.machines import PAPER_MACHINES, MachineModel, machine_named
from baleen.scaling.paper import CALIBRATION, Peak, paper_peaks, simulated_peak, thread_grid
from baleen.scaling.prediction import measured_costs
from baleen.scaling.result import Cell, LockCost, Point, Result, Series, Trial

FLAT = MachineModel(nodes=1, cores_per_node=64, line_ns=0, far_line_ns=0, wake_ns=0)


def run(*words: object) -> str:
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=True)
    if isinstance(result.exception, BaleenError):
        raise result.exception
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def throughput(costs: Costs, machine: MachineModel, threads: int, lock: str = "mcs", procs: int = 1) -> float:
    return simulate(costs, machine, Crew(procs=procs, threads=threads, lock=LOCK_MODELS[lock])).throughput


def law_points(rate: float, sigma: float, kappa: float, noise: float, seed: int = 3) -> list[Point]:
    rng = np.random.default_rng(seed)
    points = []
    for n in (1, 2, 4, 8, 16, 32):
        true = rate * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))
        trials = (Trial(1000, 1000 / (true * f), 1.0, 0.0, 0.0) for f in 1 + noise * rng.standard_normal(4))
        points.append(Point(Cell(1, n), tuple(trials)))
    return points


@pytest.mark.parametrize("lock", LOCK_MODELS)
@pytest.mark.parametrize("threads", [1, 7, 64])
def test_without_locks_throughput_is_linear(lock: str, threads: int) -> None:
    costs = Costs(work_ns=1000, input_ns=0, output_ns=0, batch_reads=10, work_spread=0.001)
    assert throughput(costs, FLAT, threads, lock) == pytest.approx(threads * 1e6, rel=0.02)


@pytest.mark.parametrize("lock", ["mcs", "ticket", "ttas", "cohort"])
def test_one_thread_pays_work_and_lock(lock: str) -> None:
    costs = Costs(work_ns=900, input_ns=60, output_ns=40, batch_reads=10, work_spread=0.001)
    assert throughput(costs, FLAT, 1, lock) == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize("lock", ["mcs", "cohort", "os"])
def test_a_full_lock_passes_one_read_per_critical_section(lock: str) -> None:
    costs = Costs(work_ns=1000, input_ns=200, output_ns=0, batch_reads=4)
    assert throughput(costs, FLAT, 64, lock) == pytest.approx(1e9 / 200, rel=0.01)


def test_passing_a_queue_lock_costs_one_line() -> None:
    machine = MachineModel(nodes=1, cores_per_node=64, line_ns=100)
    costs = Costs(work_ns=1000, input_ns=200, output_ns=0, batch_reads=1)
    assert throughput(costs, machine, 64) == pytest.approx(1e9 / 300, rel=0.01)


def test_what_a_lock_protects_moves_with_it() -> None:
    machine = MachineModel(nodes=1, cores_per_node=64, line_ns=100)
    costs = Costs(work_ns=1000, input_ns=200, output_ns=0, batch_reads=1, input_lines=3)
    assert throughput(costs, machine, 64) == pytest.approx(1e9 / (200 + 100 + 300), rel=0.01)
    alone = throughput(costs, machine, 1)  # everything is where it was
    assert alone == pytest.approx(throughput(costs, FLAT, 1), rel=1e-6)


def test_waiters_of_a_short_section_do_not_sleep() -> None:
    slow, fast = (MachineModel(nodes=1, cores_per_node=2, wake_ns=ns) for ns in (1e6, 0))
    short, long = (
        Costs(work_ns=2 * ns, input_ns=ns, output_ns=0, batch_reads=1, work_spread=0.1)
        for ns in (400, 50_000)
    )
    for lock in ("os", "mcs-park"):
        assert throughput(short, slow, 2, lock) == throughput(short, fast, 2, lock)
        assert throughput(long, slow, 2, lock) < 0.9 * throughput(long, fast, 2, lock)


def test_a_sleeper_of_a_queue_is_handed_the_lock() -> None:
    machine = MachineModel(nodes=1, cores_per_node=8, line_ns=0, wake_ns=30_000)
    costs = Costs(work_ns=1000, input_ns=20_000, output_ns=0, batch_reads=1)
    assert throughput(costs, machine, 8, "mcs-park") == pytest.approx(1e9 / 50_000, rel=0.01)
    assert throughput(costs, machine, 8, "os") > 1e9 / 50_000  # whoever is awake takes it meanwhile


def test_striped_outputs_multiply_what_the_output_passes() -> None:
    costs = Costs(work_ns=100, input_ns=0, output_ns=200, batch_reads=1)
    one, four = (
        simulate(costs, FLAT, Crew(procs=1, threads=64, lock=LOCK_MODELS["mcs"], outputs=n)).throughput
        for n in (1, 4)
    )
    assert four / one == pytest.approx(4, rel=0.02)


def test_processes_share_no_lock() -> None:
    costs = Costs(work_ns=1000, input_ns=200, output_ns=0, batch_reads=1)
    assert throughput(costs, FLAT, 32, procs=2) == pytest.approx(2 * throughput(costs, FLAT, 32), rel=0.01)


def test_two_threads_of_a_core_gain_what_the_machine_says() -> None:
    machine = MachineModel(nodes=2, cores_per_node=4, threads_per_core=2, smt_gain=1.3)
    costs = Costs(work_ns=1000, input_ns=0, output_ns=0, batch_reads=10, work_spread=0.001)
    assert throughput(costs, machine, 16) / throughput(costs, machine, 8) == pytest.approx(1.3, rel=0.02)


def test_spinning_waiters_cost_throughput_and_queues_do_not() -> None:
    costs = Costs(work_ns=2000, input_ns=200, output_ns=0, batch_reads=1)
    queue, spin = ([throughput(costs, FLAT, n, lock) for n in (16, 64)] for lock in ("mcs", "ttas"))
    assert queue[1] == pytest.approx(queue[0], rel=0.01)
    assert spin[1] < 0.6 * spin[0] < 0.6 * queue[0]


def test_a_cohort_lock_stays_on_its_node() -> None:
    machine = MachineModel(nodes=4, cores_per_node=16)
    costs = Costs(work_ns=1000, input_ns=100, output_ns=0, batch_reads=1)
    assert throughput(costs, machine, 64, "cohort") > 1.5 * throughput(costs, machine, 64, "mcs")


def test_a_seed_gives_one_result() -> None:
    costs = Costs(work_ns=1000, input_ns=100, output_ns=50, batch_reads=1)
    crew = Crew(procs=1, threads=24, lock=LOCK_MODELS["ttas"])
    first, second, other = (simulate(costs, PAPER_MACHINES["skylake"], crew, seed) for seed in (1, 1, 2))
    assert first == second != other


def test_threads_time_is_running_waiting_or_in_the_lock() -> None:
    costs = Costs(work_ns=1000, input_ns=100, output_ns=0, batch_reads=1)
    found = simulate(costs, FLAT, Crew(procs=1, threads=32, lock=LOCK_MODELS["mcs"]))
    assert found.in_lock_s == pytest.approx(found.seconds, rel=0.02)  # the lock is never free
    assert found.running_s / 32 == pytest.approx(found.seconds * 10 / 32, rel=0.05)
    assert found.waiting_s > found.running_s


def test_more_threads_than_the_machine_runs_are_refused() -> None:
    with pytest.raises(UsageError, match="runs 96 at once"):
        PAPER_MACHINES["skylake"].places(97)
    with pytest.raises(UsageError, match="NODESxCORESxTHREADS"):
        machine_named("2x24")


def test_the_law_is_found_again_with_intervals_around_it() -> None:
    law = fit(law_points(1000, 0.05, 0.001, 0.01))
    assert law.rate == pytest.approx(1000, rel=0.03)
    assert law.sigma == pytest.approx(0.05, rel=0.2)
    assert law.kappa == pytest.approx(0.001, rel=0.1)
    assert law.peak == pytest.approx(math.sqrt(0.95 / 0.001), rel=0.05)
    for value, interval in (
        (0.05, law.sigma_interval),
        (0.001, law.kappa_interval),
        (1000, law.rate_interval),
    ):
        assert interval is not None
        assert interval[0] < value < interval[1]


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(15):
        interval = fit(law_points(1000, 0.05, 0.001, 0.03, seed)).sigma_interval
        assert interval is not None
        held += interval[0] <= 0.05 <= interval[1]
    assert held >= 12  # of 15; fewer has a chance below 1 in 100 if the share is 95 %


def test_the_law_says_nothing_beyond_twice_the_largest_measured() -> None:
    law = fit(law_points(1000, 0.001, 0, 0.0))
    assert law.throughput(64) == pytest.approx(64_000 / 1.063, rel=0.01)
    with pytest.raises(UsageError, match="measured up to 32"):
        law.throughput(65)
    assert "not claimed" in law.lines()[-1]


def test_two_numbers_of_workers_tell_no_coherence() -> None:
    law = fit([p for p in law_points(1000, 0.1, 0, 0.0) if p.cell.workers < 3])
    assert law.sigma == pytest.approx(0.1)
    assert not law.has_kappa
    with pytest.raises(UsageError, match="at least two"):
        fit(law_points(1000, 0.1, 0, 0.0)[:1])


def test_costs_are_those_of_the_measured_thread() -> None:
    locks = {"input": LockCost(20, 0.1, 0.0), "output": LockCost(20, 0.02, 0.0)}
    point = Point(Cell(1, 1, "B", "os", "single"), (Trial(1000, 1.0, 0.88, 0.0, 0.12, locks),))
    costs = measured_costs(Series("pump", "-", "reads", "weak", (point,)), point.cell)
    assert (costs.input_ns, costs.output_ns, costs.batch_reads) == pytest.approx((1e5, 2e4, 50))
    assert costs.work_ns == pytest.approx(8.8e5)
    engine = Series("align", "bowtie2", "reads", "weak", (point,))
    with pytest.raises(UsageError, match="cannot be seen"):
        measured_costs(engine, point.cell)


def test_the_simulator_meets_the_papers_peaks_their_places_and_their_order() -> None:
    row = [peak for peak in paper_peaks() if (peak.machine, peak.tool) == ("skylake", "bowtie")]
    found = [simulated_peak(peak.machine, peak.tool, peak.strategy) for peak in row]
    grid = thread_grid("skylake")
    for measured, simulated in zip(row, found, strict=True):
        assert simulated.kreads_per_s == pytest.approx(measured.kreads_per_s, rel=0.2)
        assert measured.threads is not None
        assert simulated.threads is not None
        assert abs(grid.index(simulated.threads) - grid.index(measured.threads)) <= 1

    def order(peaks: Sequence[Peak]) -> list[str]:
        return [peak.strategy for peak in sorted(peaks, key=lambda peak: peak.kreads_per_s)]

    assert order(found) == order(row)


@pytest.mark.parametrize(
    ("machine", "tool", "strategy"),
    [
        ("skylake", "hisat", "spin O"),
        ("broadwell", "hisat", "queue B"),
        ("broadwell", "bowtie2", "spin O"),
        ("knl", "bowtie2", "spin O"),
        ("knl", "hisat", "spin O"),
        ("knl", "hisat", "MP"),
    ],
)
def test_the_simulator_meets_peaks_of_other_machines(machine: str, tool: str, strategy: str) -> None:
    (measured,) = [p for p in paper_peaks() if (p.machine, p.tool, p.strategy) == (machine, tool, strategy)]
    found = simulated_peak(machine, tool, strategy)
    assert found.kreads_per_s == pytest.approx(measured.kreads_per_s, rel=0.2)


def test_processes_that_map_their_index_are_slower_than_threads() -> None:
    for machine, tool in (("skylake", "bowtie2"), ("knl", "bowtie")):
        threads, processes = (simulated_peak(machine, tool, name) for name in (CALIBRATION, "MP"))
        assert processes.kreads_per_s < 0.97 * threads.kreads_per_s


def test_the_papers_table_is_whole() -> None:
    peaks = paper_peaks()
    assert len(peaks) == 39
    assert sum(peak.strategy == CALIBRATION for peak in peaks) == 9
    assert {peak.machine for peak in peaks} == set(PAPER_MACHINES)


def test_a_simulation_prints_its_constants_and_labels_its_points(tmp_path: Path) -> None:
    output, picture = tmp_path / "sim.json", tmp_path / "sim.svg"
    words = ["--work-ns", 1000, "--input-ns", 100, "--machine", "2x4x2", "--lock", "ttas", "--procs", "1,2"]
    shown = run("simulate", *words, "--threads", "1,8", "-o", output)
    for constant in (
        "work_ns           1000",
        "far_line_ns       600",
        "spin_drag",
        "seed",
        "smt_gain          1.3",
    ):
        assert constant in shown
    (series,) = Result.read(output).series
    assert all(point.is_simulated for point in series.points)
    assert series.settings["wake_ns"] == 1500
    run("plot", output, "-o", picture)
    assert "simulated" in picture.read_text()
    with pytest.raises(UsageError, match="prediction"):
        run("fit", output)


def test_a_prediction_uses_what_a_line_took_where_it_was_measured(tmp_path: Path) -> None:
    locks = {"input": LockCost(1000, 4e-5, 0.0), "output": LockCost(0, 0.0, 0.0)}
    trial = Trial(1000, 1e-3, 9.6e-4, 0.0, 4e-5, locks)
    series = Series("pump", "-", "reads", "weak", (Point(Cell(1, 1, "O", "mcs"), (trial,)),))
    file, output = tmp_path / "measured.json", tmp_path / "sim.json"
    Result({"date": "2026-01-01", "version": "1"}, {"line_ns": 61.0}, (series,)).write(file)
    for machine, line_ns in (("1x8x1", 61), ("skylake", 150)):
        words = ["--stage", "pump", "--machine", machine, "--threads", 8, "--force"]
        run("simulate", file, *words, "-o", output)
        (simulated,) = Result.read(output).series
        assert simulated.settings["line_ns"] == line_ns
        assert simulated.settings["input_lines"] == 3
        assert simulated.settings["work_ns"] == pytest.approx(960)


def test_results_are_compared_cell_by_cell(tmp_path: Path) -> None:
    for name, rate in (("a", 1000.0), ("b", 1500.0)):
        series = Series("dtw", "-", "positions", "weak", tuple(law_points(rate, 0.01, 0, 0.0)))
        made = {"date": "2026-01-01", "version": "1"}
        Result(made, {"processor": name}, (series,)).write(tmp_path / name)
    shown = run("compare", tmp_path / "a", tmp_path / "b").splitlines()
    assert [line.split()[4] for line in shown if line.split()[:1] == ["1"]] == ["1.50"] * 6
    assert "at 64" not in run("fit", tmp_path / "a")
    assert "at 64" in run("fit", tmp_path / "a", "--at", "64")
    with pytest.raises(UsageError, match="beyond 64"):
        run("fit", tmp_path / "a", "--at", "65")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_pictures_are_drawn(suffix: str, tmp_path: Path) -> None:
    series = Series("dtw", "-", "positions", "weak", tuple(law_points(1000, 0.01, 0, 0.0)))
    Result({"date": "", "version": ""}, {}, (series,)).write(tmp_path / "r.json")
    picture = tmp_path / f"p.{suffix}"
    run("plot", tmp_path / "r.json", "-o", picture)
    assert picture.read_bytes()[:5] in {b"\x89PNG\r", b"<?xml"}
    with pytest.raises(UsageError, match="ends in"):
        run("plot", tmp_path / "r.json", "-o", tmp_path / "p.jpeg")
