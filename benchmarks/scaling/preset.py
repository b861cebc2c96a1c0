"""Measure a preset of `baleen scaling run` and put its curves on the page of thread scaling.

``python -m benchmarks.scaling.preset [--preset ci2] [--from RESULT.json]``: runs the command as a person
types it, keeps its result with the seconds it took under ``benchmarks/results``, draws
``docs/images/scaling-<preset>.svg`` and writes the table between the marks of ``docs/concepts/scaling.md``.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from baleen.scaling.pictures import draw
from baleen.scaling.result import Point, Result, Series
from benchmarks import machine

PAGE = machine.ROOT / "docs/concepts/scaling.md"
DRAWN = ("pump", "align minimap2", "eventalign", "run")  # all of them make a picture too long to look at
_HEAD = "| stage | one thread, per second | {t} threads | {t} processes | a plain loop gains | in locks |"


def measure(preset: str) -> Path:
    """Run the preset; return its result."""
    output = machine.result_path(f"scaling-{preset}")
    command = [sys.executable, "-m", "baleen", "scaling", "run", "--preset", preset, "--force"]
    started = time.perf_counter()
    subprocess.run([*command, "-o", str(output)], check=True)
    seconds = time.perf_counter() - started
    result = Result.read(output)
    made = {**result.made, "seconds": f"{seconds:.1f}"}
    facts = {**result.machine, "load_at_end": round(os.getloadavg()[0], 2)}
    replace(result, made=made, machine=facts).write(output)
    return output


def section(preset: str, path: Path, result: Result) -> str:
    """Return what stands between the marks: where and when, the table, the picture."""
    facts = result.machine
    most = max(point.cell.workers for series in result.series for point in series.points)
    lines = [
        f"`python -m benchmarks.scaling.preset --preset {preset}` "
        f"(`{path.name}`, {result.made['date'][:10]}) "
        f"took {float(result.made['seconds']):.0f} s on {facts['cores_usable']} shared cores "
        f"({facts['processor']}) with a load of {facts['load_at_start']:g} at its start "
        f"and {facts['load_at_end']:g} at its end.",
        "",
        _HEAD.format(t=most),
        "| --- | --- | --- | --- | --- | --- |",
        *(row for series in result.series for row in _rows(series, most)),
        "",
        f"![Throughput, efficiency, time split, processes and threads](../images/scaling-{preset}.svg)",
    ]
    return "\n".join(lines)


def _rows(series: Series, most: int) -> Iterator[str]:
    """Yield a line per parsing, or the only one."""
    for way in dict.fromkeys(point.cell.way for point in series.points):
        found = {point.cell[:2]: point for point in series.points if point.cell.way == way}
        alone, threads, processes = (found.get(cell) for cell in ((1, 1), (1, most), (most, 1)))
        if alone is None or threads is None:
            continue
        parsing = f", parsing {alone.cell.parsing}" if series.stage == "pump" else ""
        cells = [
            series.title + parsing,
            f"{alone.best.throughput:,.0f} {series.item}",
            *(_gain(series, point) for point in (threads, processes)),
            f"{series.loop_speed_up(most):.2f} x",
            f"{100 * _in_lock(threads):.2f} %",
        ]
        yield "| " + " | ".join(cells) + " |"


def _gain(series: Series, point: Point | None) -> str:
    return "" if point is None else f"{series.speed_up(point):.2f} x"


def _in_lock(point: Point) -> float:
    best = point.best
    return best.in_lock_s / (best.running_s + best.waiting_s + best.in_lock_s)


def show(preset: str, path: Path, page: Path = PAGE) -> None:
    """Draw the curves and write the table into the page."""
    result = Result.read(path)
    drawn = [series for series in result.series if series.title in DRAWN]
    draw(page.parents[1] / f"images/scaling-{preset}.svg", drawn)
    begin, end = f"<!-- {preset}: begin -->\n", f"\n<!-- {preset}: end -->"
    before, _, rest = page.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        message = f"{page}: lacks the marks of {preset}"
        raise SystemExit(message)
    page.write_text(before + begin + section(preset, path, result) + end + after)


def main() -> None:
    """Measure unless a result is given, then show it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="ci2")
    parser.add_argument("--from", dest="result", type=Path, help="a result of before, instead of measuring")
    arguments = parser.parse_args()
    path = arguments.result or measure(arguments.preset)
    show(arguments.preset, path)
    print(path)


if __name__ == "__main__":
    main()
