"""Dynamic time warping: speed against libraries and ports, threads, exactness, and inside a run."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import krill
from benchmarks.accept.rows import Row
from benchmarks.kernels import dtw
from benchmarks.kernels.clock import oracle, run_chain
from benchmarks.machine import SHARED_DATA

AGAINST_OTHERS = {
    ("1 base", "avx512"): (50, 70),
    ("3 bases", "avx512"): (60, 70),
    ("1 base", "avx2"): (35, None),
}
PER_CYCLE = {
    ("1 base", "avx512"): (6.2, 7.2),
    ("3 bases", "avx512"): (7.0, 7.6),
    ("1 base", "avx2"): (3.5, 4.5),
}


def rows() -> Iterator[Row]:
    """Measure the rows one by one."""
    warnings.filterwarnings("ignore", module="aeon")
    present = krill.devices()[0].instruction_sets
    yield from _speed(present)
    yield _thread_efficiency()
    yield from _exactness()
    yield _same_bits(present)
    yield _in_a_run()


def _speed(present: tuple[str, ...]) -> Iterator[Row]:
    for case in dtw.CASES:
        table = dtw.measure(case, dtw.SHALLOW, rounds=9, with_peers=True)
        for isa in ("avx512", "avx2"):
            if (case, isa) not in AGAINST_OTHERS:
                continue
            must, goal = AGAINST_OTHERS[case, isa]
            figure = f"{case}, {dtw.SHALLOW} signals, {isa}: times the best other library"
            if isa not in present:
                yield Row.not_measurable(figure, f">= {must}", f"this processor has no {isa}")
                continue
            yield Row.at_least(figure, dtw.speed_ups(table, isa)[0], must, goal)
        deep = {m.library: m for m in dtw.measure(case, dtw.DEEP, rounds=15, with_peers=False)}
        for isa in present:
            if (case, isa) in PER_CYCLE:
                figure = f"{case}, {dtw.DEEP} signals, {isa}: useful cells per cycle"
                yield Row.at_least(figure, deep[f"krill {isa}"].cells_per_cycle, *PER_CYCLE[case, isa])


def _thread_efficiency() -> Row:
    """Two threads over positions, divided by what two threads gain on plain arithmetic.

    Every round measures the four of them in turn, in short pieces, and gives one ratio; their
    median counts, because other work on the machine disturbs single rounds either way.
    """
    rng = np.random.default_rng(1)
    lengths = np.clip(np.exp(rng.normal(np.log(38), 0.5, 16 * 200)).round(), 10, 150).astype(int)
    end = np.cumsum(lengths)
    signal = rng.normal(90, 10, end[-1]).astype(np.float32)
    windows = krill.SignalWindows(signal, end - lengths, end, np.arange(17) * 200)
    everyone = np.ones(len(lengths), bool)
    roles = krill.WindowRoles(everyone, everyone, np.arange(len(lengths)))
    chains = 40_000_000

    def both_chains() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run_chain, [chains, chains]))

    jobs: dict[str, Callable[[], object]] = {
        "one thread": lambda: krill.dtw_summary(windows, roles),
        "two threads": lambda: krill.dtw_summary(windows, roles, threads=2),
        "one chain": lambda: run_chain(chains),
        "two chains": both_chains,
    }
    shares = []
    for _ in range(41):
        seconds = {}
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name] = time.perf_counter() - start
        gained = seconds["one thread"] / seconds["two threads"]
        shares.append(gained * seconds["two chains"] / (2 * seconds["one chain"]))
    figure = "threads over positions: share of the possible speed-up, median of 41 rounds"
    return Row.at_least(figure, statistics.median(shares), 0.95, 0.98)


def _exactness() -> Iterator[Row]:
    rng = np.random.default_rng(2)
    for lengths, bound in (((20, 100, 500, 1000, 1001, 2000), 1e-6), ((20_000, 100_000), 1e-5)):
        worst = 0.0
        for length in lengths:
            plateaus = np.repeat(rng.normal(90, 10, 1 + length // 40), 40)[:length]
            a = (plateaus + rng.normal(0, 1, length)).astype(np.float32)
            b = (plateaus[: length - 7] + 0.37 + rng.normal(0, 1, length - 7)).astype(np.float32)
            for x, y in ((a, b), (plateaus.astype(np.float32), plateaus.astype(np.float32)[5:] + 0.37)):
                worst = max(worst, abs(krill.dtw_distance(x, y) / oracle(x, y) - 1))
        yield Row.at_most(f"largest relative error up to {lengths[-1]} samples", worst, bound)


def _same_bits(present: tuple[str, ...]) -> Row:
    signals = dtw.make_signals("1 base", 200)
    order = np.random.default_rng(3).permutation(len(signals))
    upper = np.triu_indices(len(signals), 1)
    found = []
    for isa in (name for name in present if name != "portable"):
        with dtw.forced(isa):
            matrix = np.zeros((len(signals), len(signals)), np.float32)
            matrix[upper] = krill.dtw_pairwise(signals)
            permuted = krill.dtw_pairwise([signals[i] for i in order], threads=2)
        matrix += matrix.T
        found += [matrix[upper], matrix[np.ix_(order, order)][upper]]
        if not np.array_equal(found[-1], permuted):
            return Row.holds("same bits", "all orders, threads", ok=False, got=f"{isa}: order changes a bit")
    ok = all(np.array_equal(found[0], other) for other in found[::2])
    seen = f"{', '.join(present[:-1])}; permuted, 1 and 2 threads"
    return Row.holds("same bits over instruction sets with FMA, order, threads", "equal", ok=ok, got=seen)


def _in_a_run() -> Row:
    figure = "CPU seconds in DTW of `baleen run --threads 2` on sim/rna002_small, both workers together"
    data = SHARED_DATA / "sim" / "rna002_small"
    if not data.is_dir():
        return Row.not_measurable(figure, "<= 15", "the data folder is absent")
    with tempfile.TemporaryDirectory(prefix="baleen-accept-") as folder:
        inputs: list[str | Path] = []
        for name in ("native", "ivt"):
            stem = data / name / "reads"
            inputs += [f"--{name}-bam", f"{stem}.bam", f"--{name}-blow5", f"{stem}.blow5"]
        command = [sys.executable, "-m", "baleen", "run", *inputs, "--ref", data / "ref.fa"]
        subprocess.run([*command, "--threads", "2", "-o", f"{folder}/out"], check=True, capture_output=True)
        stages = json.loads((Path(folder) / "out" / "run.json").read_text())["stage_seconds"]
    return Row.at_most(figure, stages["dtw"]["running"], 15)
