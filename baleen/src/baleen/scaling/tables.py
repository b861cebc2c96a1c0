"""Scaling results as lines of text."""

from collections.abc import Iterator

from baleen.scaling.result import Point, Result, Series, Trial

_HEAD = (
    f"{'P':>4} {'T':>4}  {'way':<28} {'per s':>10} {'speed-up':>8} {'eff.':>6}   running  waiting  in lock"
)


def result_lines(result: Result) -> Iterator[str]:
    """Yield every series as a table."""
    machine = ", ".join(f"{name} {value}" for name, value in result.machine.items())
    yield f"made {result.made['date']} by baleen {result.made['version']}; {machine}"
    for series in result.series:
        yield ""
        yield from series_lines(series)


def series_lines(series: Series) -> Iterator[str]:
    """Yield one series as a table."""
    yield f"{series.title}: {series.item} per second, {series.mode} scaling" + _loop_text(series)
    yield _HEAD
    for point in series.points:
        yield _line(series, point)


def _loop_text(series: Series) -> str:
    gains = [f"{series.loop_speed_up(n):.2f} x on {n}" for n in sorted(series.loop_s) if n > 1]
    return f"; a plain loop gains {', '.join(gains)}" if gains else ""


def _line(series: Series, point: Point) -> str:
    cell, best = point.cell, point.best
    efficiency = series.efficiency(point)
    shown = "-" if efficiency is None else f"{efficiency:.2f}"
    way = " ".join(word for word in cell.way if word != "-") + (" simulated" if point.is_simulated else "")
    shares = "  ".join(f"{100 * share:6.2f}%" for share in time_split(best))
    return (
        f"{cell.procs:>4} {cell.threads:>4}  {way:<28} {best.throughput:>10.1f} "
        f"{series.speed_up(point):>8.2f} {shown:>6}   {shares}"
    )


def time_split(trial: Trial) -> tuple[float, float, float]:
    """Return the shares of all threads' time: running, waiting, in the lock."""
    total = trial.running_s + trial.waiting_s + trial.in_lock_s
    if total <= 0:
        return 0.0, 0.0, 0.0
    return trial.running_s / total, trial.waiting_s / total, trial.in_lock_s / total
