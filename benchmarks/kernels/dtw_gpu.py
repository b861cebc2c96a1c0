"""DTW on a GPU: useful cells per second of whole calls, against the issue limit and other kernels.

The limit is measured first: the inner loop in registers alone, with each kind of minimum.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

import krill
from baleen.executors import usable_cores
from benchmarks import machine
from benchmarks.kernels import dtw_gpu_peers as peers
from benchmarks.kernels.cuda.driver import Gpu
from benchmarks.kernels.dtw import CASES, DEEP, SHALLOW, make_signals, n_cells

N_POSITIONS = 256
"""A contig of so many bases."""

HOST_THREADS = min(8, usable_cores())
"""That plan and pack."""
ISSUE = {
    "cells_min3": "cells, integer minimum of three",
    "cells_fmin": "cells, two float minima",
    "min3": "integer minima of three",
    "fmin1": "float minima",
}


@dataclass(frozen=True)
class Rate:
    """Useful cells (or minima) per second."""

    case: str
    signals: str
    what: str
    tera_per_s: float
    share_of_limit: float | None = None


def issue_rates(gpu: Gpu) -> list[Rate]:
    """Return what the instructions allow."""
    rates = {name: peers.cells_per_s(gpu, name) for name in ISSUE}
    return [Rate("registers alone", "", text, rates[name] / 1e12) for name, text in ISSUE.items()]


def deep_positions(case: str) -> tuple[krill.SignalWindows, krill.WindowRoles, int]:
    """Return positions of 300 + 300 windows, everyone against everyone, and their useful cells."""
    positions = [make_signals(case, DEEP, seed) for seed in range(N_POSITIONS)]
    signals = [signal for position in positions for signal in position]
    values, offsets = peers.flat(signals)
    windows = krill.SignalWindows(
        values, offsets[:-1].astype(np.int64), offsets[1:].astype(np.int64), np.arange(N_POSITIONS + 1) * DEEP
    )
    everyone = np.ones(len(signals), bool)
    roles = krill.WindowRoles(everyone, everyone, np.arange(len(signals)))
    return windows, roles, sum(n_cells(position) for position in positions)


def ours(case: str, device: str, rounds: int = 7) -> float:
    """Return useful cells per second of `krill.dtw_summary`, everything included, after one warm call.

    The bits are those of the processor, or the benchmark fails.
    """
    import time

    windows, roles, cells = deep_positions(case)
    one = slice(0, DEEP)
    first = krill.SignalWindows(windows.signal, windows.start[one], windows.end[one], [0, DEEP])  # type: ignore[arg-type]  # taken as int64
    roles_of_one = krill.WindowRoles(roles.is_query[one], roles.is_reference[one], roles.fold[one])
    expected = krill.dtw_summary(first, roles_of_one).mean
    if not np.array_equal(expected, krill.dtw_summary(first, roles_of_one, device=device).mean):
        msg = f"{device} does not give the processor's bits"
        raise RuntimeError(msg)
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        krill.dtw_summary(windows, roles, device=device, threads=HOST_THREADS)
        best = min(best, time.perf_counter() - start)
    return cells / best


def others(case: str, gpu: Gpu) -> Iterator[tuple[str, float]]:
    """Yield every other kernel's useful cells per second, after it gave the same distances."""
    signals = make_signals(case, SHALLOW)
    expected = krill.dtw_pairwise(signals)
    kernels = {"wavefront": lambda signals: peers.wavefront(gpu, signals), **peers.installed()}
    for name, pairs in kernels.items():
        try:
            distances, seconds = pairs(signals)
        except Exception as error:  # a user's library that does not fit this driver or NumPy
            if name == "wavefront":
                raise
            print(f"{name} does not run here: {type(error).__name__}: {error}")
            continue
        np.testing.assert_allclose(distances, expected, rtol=1e-5, err_msg=name)
        yield name, n_cells(signals) / seconds


def measure(device: str) -> list[Rate]:
    """Return the whole table."""
    name = krill.require_device(device)
    gpu = Gpu(int(name.removeprefix("cuda:").split(",")[0]))
    table = issue_rates(gpu)
    limit = max(rate.tera_per_s for rate in table if rate.what.startswith("cells"))
    for case in CASES:
        rate = ours(case, name) / 1e12
        table.append(Rate(case, f"{N_POSITIONS} x {DEEP}", "krill", rate, rate / limit))
        table += [Rate(case, str(SHALLOW), other, rate / 1e12) for other, rate in others(case, gpu)]
    return table


def format_table(table: list[Rate]) -> str:
    """Return the table as Markdown."""
    lines = ["| case | signals | what | T/s | of the limit |", "|---|---|---|---|---|"]
    for rate in table:
        share = f"{rate.share_of_limit:.0%}" if rate.share_of_limit else ""
        lines.append(f"| {rate.case} | {rate.signals} | {rate.what} | {rate.tera_per_s:.3g} | {share} |")
    return "\n".join(lines)


def main(device: str) -> None:
    """Measure, print, write JSON."""
    table = measure(device)
    print(format_table(table))
    gpus = [asdict(one) for one in krill.devices() if one.model]
    result = {"machine": machine.describe(), "gpus": gpus, "table": [asdict(rate) for rate in table]}
    output = machine.result_path("dtw-gpu")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {output}")
