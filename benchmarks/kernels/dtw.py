"""Pairwise DTW against other libraries: one process, interleaved, CPU time of one core, useful cells.

A useful cell is a cell of the matrix of a distinct pair; padding, sorting and copying count against us.
"""

import json
import os
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import krill
from benchmarks import machine
from benchmarks.kernels.clock import clock_hz
from benchmarks.kernels.dtw_peers import Peer, Signals, peers

LIMITS = {"avx512": 8.0, "avx2": 5.33}
"""Cells per cycle that the ports allow: 4 operations (subtract, multiply-add, two minima) per vector of
16 cells on two ports; of 8 cells with three of the four bound to two ports."""

CASES = {"1 base": (38, 0.5, 10, 150), "3 bases": (110, 0.3, 30, 450)}
"""Median length, spread of its logarithm, bounds: dwell of RNA002."""


SHALLOW, DEEP = 200, 600
"""Signals of a position: against other libraries; 300 natives + 300 controls, ours alone."""


@dataclass(frozen=True)
class Measured:
    """One library on one case: rates over the rounds, in useful cells."""

    case: str
    n_signals: int
    library: str
    gcells_per_s: float
    cells_per_cycle: float
    share_of_limit: float | None
    rounds: list[float]


def make_signals(case: str, n: int, seed: int = 1) -> Signals:
    """Return ``n`` signals around 90 pA whose lengths are spread as those of a position are."""
    median, spread, shortest, longest = CASES[case]
    rng = np.random.default_rng(seed)
    lengths = np.clip(np.exp(rng.normal(np.log(median), spread, n)).round(), shortest, longest).astype(int)
    return [(90 + 10 * rng.standard_normal(length)).astype(np.float32) for length in lengths]


def equal_signals(case: str, n: int) -> Signals:
    """Return signals all of the median length, for libraries that take no others."""
    median = CASES[case][0]
    return [np.resize(signal, median) for signal in make_signals(case, n)]


def n_cells(signals: Signals) -> int:
    """Return the cells of all pairs' matrices."""
    lengths = np.array([len(signal) for signal in signals])
    return int(lengths.sum() ** 2 - (lengths**2).sum()) // 2


@contextmanager
def forced(isa: str) -> Iterator[None]:
    """Let the engine use this instruction set."""
    before = os.environ.get("KRILL_ISA")
    os.environ["KRILL_ISA"] = isa
    try:
        yield
    finally:
        if before is None:
            del os.environ["KRILL_ISA"]
        else:
            os.environ["KRILL_ISA"] = before


@dataclass
class Runner:
    """Something that computes all pairs, how often per round, and what it measured."""

    name: str
    isa: str | None
    peer: Peer | None
    signals: Signals
    data: object
    repeats: int
    rates: list[float]
    per_cycle: list[float]

    def once(self) -> np.ndarray[Any, np.dtype[Any]]:
        """Compute all pairs."""
        if self.peer is not None:
            return self.peer.pairwise(self.data)
        with forced(self.isa or ""):
            return krill.dtw_pairwise(self.data)  # type: ignore[arg-type]  # ours takes a Ragged

    def round(self) -> None:
        """Measure once; the clock is measured directly before and after."""
        before = clock_hz()
        start = time.process_time()
        for _ in range(self.repeats):
            self.once()
        seconds = (time.process_time() - start) / self.repeats
        hz = max(before, clock_hz())  # a disturbed clock reads too low, and would flatter
        self.rates.append(n_cells(self.signals) / seconds)
        self.per_cycle.append(n_cells(self.signals) / seconds / hz)

    def result(self, case: str) -> Measured:
        """Sum up. The fastest round is the least disturbed one."""
        best = max(self.per_cycle)
        limit = LIMITS.get(self.isa or "")
        rates = [round(rate / 1e9, 4) for rate in self.rates]
        share = best / limit if limit else None
        return Measured(case, len(self.signals), self.name, max(rates), best, share, rates)


def our_runners(signals: Signals, seconds: float) -> list[Runner]:
    """Return ours, once per instruction set, about so long per round."""
    data = krill.Ragged.from_rows(signals, np.float32)
    runners = []
    for isa in krill.devices()[0].instruction_sets:
        repeats = max(1, round(seconds * 15e9 / n_cells(signals)))
        runners.append(Runner(f"krill {isa}", isa, None, signals, data, repeats, [], []))
    return runners


def peer_runners(case: str, n: int) -> list[Runner]:
    """Return the peers, each after it has given the same distances as ours."""
    runners = []
    for peer in peers():
        signals = make_signals(case, n) if peer.takes_unequal else equal_signals(case, n)
        signals = signals[: peer.most_signals]
        runner = Runner(f"{peer.name} {peer.version}", None, peer, signals, peer.prepare(signals), 1, [], [])
        np.testing.assert_allclose(runner.once(), krill.dtw_pairwise(signals), rtol=1e-5, err_msg=peer.name)
        runners.append(runner)
    return runners


def measure(case: str, n: int, *, rounds: int, with_peers: bool) -> list[Measured]:
    """Return every library's rates on one case, measured turn by turn."""
    signals = make_signals(case, n)
    runners = our_runners(signals, 0.05)
    if with_peers:
        runners += peer_runners(case, n)
    for _ in range(rounds):
        for runner in runners:
            runner.round()
    return [runner.result(case) for runner in runners]


def speed_ups(measured: list[Measured], isa: str = "avx512") -> tuple[float, float]:
    """Return ours over the best library: of the fastest rounds, and the median over the rounds."""
    ours = next(m for m in measured if m.library == f"krill {isa}")
    others = [m for m in measured if not m.library.startswith("krill")]
    fastest = max(ours.rounds) / max(max(m.rounds) for m in others)
    by_round = zip(ours.rounds, *(m.rounds for m in others), strict=True)
    return fastest, statistics.median(first / max(rest) for first, *rest in by_round)


def all_cases(rounds: int = 9) -> list[Measured]:
    """Return the whole table: N = 200 with the other libraries, 300 + 300 ours alone."""
    warnings.filterwarnings("ignore", module="aeon")
    table = []
    for case in CASES:
        table += measure(case, SHALLOW, rounds=rounds, with_peers=True)
        table += measure(case, DEEP, rounds=rounds, with_peers=False)
    return table


def format_table(table: list[Measured]) -> str:
    """Return the table as Markdown."""
    lines = [
        "| case | signals | library | Gcells/s | cells/cycle | of the limit |",
        "|---|---|---|---|---|---|",
    ]
    for m in table:
        share = f"{m.share_of_limit:.0%}" if m.share_of_limit else ""
        rates = f"{m.gcells_per_s:.3g} | {m.cells_per_cycle:.3g} | {share}"
        lines.append(f"| {m.case} | {m.n_signals} | {m.library} | {rates} |")
    return "\n".join(lines)


def plot(table: list[Measured]) -> None:
    """Draw the rates at N = 200 for the documentation."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharex=True, sharey=True, layout="constrained")
    for axis, case in zip(axes, CASES, strict=True):
        rows = [m for m in table if m.case == case and m.n_signals != DEEP]
        rows.sort(key=lambda m: m.gcells_per_s)
        colours = ["tab:blue" if m.library.startswith("krill") else "0.6" for m in rows]
        bars = axis.barh(
            [m.library.split()[0 if "krill" not in m.library else 1] for m in rows],
            [m.gcells_per_s for m in rows],
            color=colours,
        )
        axis.bar_label(bars, fmt="%.2g", padding=2, fontsize=8)
        axis.set(xscale="log", xlim=(0.005, 100), title=case, xlabel="useful Gcells/s, one core")
    target = machine.ROOT / "docs" / "concepts" / "dtw.svg"
    figure.savefig(target, metadata={"Date": None})
    print(f"drawn: {target}")


def main() -> None:
    """Measure, print, write JSON and the plot."""
    table = all_cases()
    print(format_table(table))
    for case in CASES:
        rows = [m for m in table if m.case == case and m.n_signals != DEEP]
        for isa in LIMITS:
            fastest, median = speed_ups(rows, isa)
            print(
                f"{case}, {isa}: {fastest:.0f} times the best other library (median of rounds {median:.0f})"
            )
    output = machine.result_path("dtw")
    output.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine.describe(), "limits": LIMITS, "table": [asdict(m) for m in table]}
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {output}")
    plot(table)
