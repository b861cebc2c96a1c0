"""Fit the simulator's two constants to the paper's peaks, and show every cell.

``python -m benchmarks.scaling.paper_fit [-o FILE] [--search]``: without ``--search`` the shipped constants
are used; with it a grid around them is tried: fewest cells outside 20 %, then least squares.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from baleen.scaling import paper
from baleen.scaling.lock_models import LOCK_MODELS, SPIN_DRAG
from baleen.scaling.paper import CALIBRATION, IN_LOCK_FACTOR, STRATEGIES, Peak, simulated_curve
from benchmarks import machine

FACTORS = (3.9, 4.0, 4.1, 4.2, 4.3)
DRAGS = (0.11, 0.12, 0.13, 0.14)
WITHIN = 0.2


@contextmanager
def constants(factor: float, drag: float) -> Iterator[None]:
    """Simulate with other constants for a while."""
    before = paper.IN_LOCK_FACTOR, LOCK_MODELS["ttas"]
    paper.IN_LOCK_FACTOR = factor
    LOCK_MODELS["ttas"] = dataclasses.replace(LOCK_MODELS["ttas"], drag=drag)
    try:
        yield
    finally:
        paper.IN_LOCK_FACTOR, LOCK_MODELS["ttas"] = before


def cells(*, spinning: bool | None = None) -> Iterator[tuple[Peak, Peak]]:
    """Yield table and simulation, of all strategies or those with or without a spinning lock."""
    for peak in paper.paper_peaks():
        if spinning is None or (STRATEGIES[peak.strategy].lock == "ttas") == spinning:
            yield peak, paper.simulated_peak(peak.machine, peak.tool, peak.strategy)


def errors(pairs: Iterator[tuple[Peak, Peak]]) -> list[float]:
    """Return the log ratios of the cells that prove something."""
    return [
        math.log(simulated.kreads_per_s / measured.kreads_per_s)
        for measured, simulated in pairs
        if measured.strategy != CALIBRATION
    ]


def search() -> list[dict[str, float]]:
    """Return the cells outside and the root mean square log ratio of all 30 on a grid, best first."""
    found = []
    queued = {}
    for factor, drag in product(FACTORS, DRAGS):
        with constants(factor, drag):
            if factor not in queued:
                queued[factor] = errors(cells(spinning=False))
            ratios = [*queued[factor], *errors(cells(spinning=True))]
        rms = math.sqrt(sum(ratio**2 for ratio in ratios) / len(ratios))
        outside = sum(abs(math.exp(ratio) - 1) > WITHIN for ratio in ratios)
        found.append({"in_lock_factor": factor, "spin_drag": drag, "rms": rms, "outside": outside})
        print(
            f"factor {factor:.2f} drag {drag:.2f}: rms {rms:.4f}, {outside} of {len(ratios)} outside",
            flush=True,
        )
    return sorted(found, key=lambda row: (row["outside"], row["rms"]))


def table() -> list[dict[str, Any]]:
    """Return every cell with its simulation, printed on the way."""
    rows = []
    for measured, simulated in cells():
        ratio = simulated.kreads_per_s / measured.kreads_per_s
        rows.append(
            {
                **dataclasses.asdict(measured),
                "simulated_kreads_per_s": round(simulated.kreads_per_s, 1),
                "simulated_threads": simulated.threads,
                "ratio": round(ratio, 3),
            }
        )
        told = "" if measured.threads is None else f"@{measured.threads}"
        mark = "" if abs(ratio - 1) <= WITHIN else "outside 20 %"
        print(
            f"{measured.machine:<10} {measured.tool:<8} {measured.strategy:<13}"
            f" {measured.kreads_per_s:6.0f}{told:<4}"
            f" {simulated.kreads_per_s:7.0f}@{simulated.threads:<4} {ratio:5.2f}  {mark}",
            flush=True,
        )
    return rows


def draw(path: Path, rows: list[dict[str, Any]], curves: dict[str, list[tuple[int, float]]]) -> None:
    """Draw the curves of one machine and tool with the paper's peaks, and all cells against the paper."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    colours = dict(
        zip(
            STRATEGIES,
            ("#D55E00", "#E69F00", "#CC79A7", "#0072B2", "#56B4E9", "#009E73", "#000000"),
            strict=True,
        )
    )
    marks = {"skylake": "o", "broadwell": "s", "knl": "^"}
    figure = Figure(figsize=(11, 4.6), dpi=90, layout="constrained")
    left, right = figure.subplots(1, 2)
    for strategy, curve in curves.items():
        left.plot(
            *zip(*curve, strict=True),
            "--" if len(curve) > 1 else "x",
            color=colours[strategy],
            label=strategy,
        )
    for row in rows:
        colour = colours[row["strategy"]]
        if (row["machine"], row["tool"]) == ("skylake", "bowtie"):
            left.plot(row["threads"], row["kreads_per_s"], "o", color=colour, ms=7, mec="white")
        face = colour if row["strategy"] != CALIBRATION else "none"
        right.plot(
            row["kreads_per_s"], row["simulated_kreads_per_s"], marks[row["machine"]], mec=colour, mfc=face
        )
    left.set(
        xlabel="threads", ylabel="thousand reads per second", title="Bowtie, Skylake: simulated, dots = paper"
    )
    left.legend(fontsize=8, frameon=False)
    ends = [35, 2200]
    right.plot(ends, ends, "-", color="#999999", lw=1)
    right.fill_between(ends, [0.8 * e for e in ends], [1.2 * e for e in ends], color="#EEEEEE")
    right.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    right.set(xlabel="paper, thousand reads per second", ylabel="simulated")
    right.set_title("All peaks; band = 20 %; open = sets the work")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.hashsalt": "baleen"}):
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Search if asked to, show the table, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--picture", type=Path, help="SVG to draw")
    arguments = parser.parse_args()
    shipped = {"in_lock_factor": IN_LOCK_FACTOR, "spin_drag": SPIN_DRAG}
    rows = table()
    curves = {name: simulated_curve("skylake", "bowtie", name) for name in STRATEGIES}
    tried = search() if arguments.search else []
    result = {"machine": machine.describe(), "constants": shipped, "cells": rows, "search": tried}
    result["skylake_bowtie_curves"] = curves
    output = arguments.output or machine.result_path("scaling-paper")
    if arguments.picture:
        draw(arguments.picture, rows, curves)
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(output)


if __name__ == "__main__":
    main()
