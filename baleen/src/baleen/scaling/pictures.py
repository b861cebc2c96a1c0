"""Draw scaling results: throughput, efficiency, time split, the frontier of processes and threads."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baleen.errors import UsageError
from baleen.scaling.result import Point, Series
from baleen.scaling.tables import time_split

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")  # colour-blind safe
_MARKERS = ("o", "^", "s", "D", "v", "P")
_SPLIT_COLOURS = ("#009E73", "#DDDDDD", "#D55E00")
_INK = "#333333"
_MOST_BARS, _FEW_CURVES, _LEGEND_COLUMNS = 16, 12, 3
FORMATS = ("png", "svg", "pdf")


def draw(path: Path, series: Sequence[Series]) -> None:
    """Write a picture: one row of four panels per series.

    Parameters
    ----------
    path
        File to write; its suffix chooses PNG, SVG or PDF.
    series
        What to draw.

    Raises
    ------
    UsageError
        If the suffix is another one, or there is nothing to draw.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if path.suffix[1:] not in FORMATS:
        message = f"{path}: a picture ends in .{', .'.join(FORMATS)}"
        raise UsageError(message)
    if not series:
        message = "nothing to draw: no such series in the file"
        raise UsageError(message)
    heights = [_row_height_inch(one) for one in series]
    figure = Figure(figsize=(16, sum(heights)), dpi=90, layout="constrained")
    grid = figure.subplots(len(series), 4, squeeze=False, height_ratios=heights)
    for row, one in zip(grid, series, strict=True):
        throughput, efficiency, split, frontier = row
        _draw_throughput(throughput, one)
        _draw_efficiency(efficiency, one)
        _draw_split(split, one)
        _draw_frontier(frontier, one)
        for axes in row:
            axes.spines[["top", "right"]].set_visible(False)
            axes.title.set_color(_INK)
    with rc_context({"svg.hashsalt": "baleen"}):  # the same picture, the same bytes
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, metadata=metadata)


def curve_look(number: int, *, is_simulated: bool = False) -> dict[str, Any]:
    """Return how curve ``number`` of a panel is drawn: no two of the first 42 are alike.

    Colours come first; where they are used up, the next marker goes round with them, larger, since
    it alone tells the curves apart. Dashes say that a curve is simulated.
    """
    turn = number // len(_COLOURS)
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKERS[turn % len(_MARKERS)],
        "markersize": 4 if turn == 0 else 6.5,
        "linestyle": "--" if is_simulated else "-",
        "linewidth": 1.6,
        "markeredgecolor": "white",  # so that markers that lie on each other can be told apart
        "markeredgewidth": 0 if turn == 0 else 0.6,
    }


def _looks(series: Series) -> list[tuple[str, list[Point], dict[str, Any]]]:
    """Return name, points and look of every curve."""
    return [
        (name, points, curve_look(i, is_simulated=points[0].is_simulated))
        for i, (name, points) in enumerate(series.curves())
    ]


def _row_height_inch(series: Series) -> float:
    """Return the height of a row of panels: more where a legend stands below one."""
    n = len(list(series.curves())) + 1  # the straight line has a name too
    return 3.9 + (0.16 * -(-n // _LEGEND_COLUMNS) if n > _FEW_CURVES else 0)


def _draw_legend(axes: "Axes") -> None:
    """Name the curves: within the panel where they are few, else below it."""
    if len(axes.get_legend_handles_labels()[0]) <= _FEW_CURVES:
        axes.legend(fontsize=7.5, frameon=False)
    else:
        axes.legend(
            fontsize=7,
            frameon=False,
            ncols=_LEGEND_COLUMNS,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.17),
        )


def _draw_throughput(axes: "Axes", series: Series) -> None:
    most = max(point.cell.workers for point in series.points)
    for name, points, look in _looks(series):
        workers = [point.cell.workers for point in points]
        best = [point.best.throughput for point in points]
        label = f"{name} (simulated)" if points[0].is_simulated else name
        axes.plot(workers, best, **look, label=label)
        for point in points:
            trials = [trial.throughput for trial in point.trials]
            axes.plot([point.cell.workers] * len(trials), trials, "_", color=look["color"], ms=7, alpha=0.6)
    base = series.base(series.points[0])
    per_worker = base.best.throughput / base.cell.workers
    axes.plot([0, most], [0, most * per_worker], ":", color="#999999", lw=1, label="linear")
    axes.set_xlim(0, most * 1.05)
    _count_threads(axes)
    _say_per_second(axes, series)
    axes.set_title(f"{series.title} ({series.mode})", loc="left", fontweight="bold")
    _draw_legend(axes)


def _count_threads(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("threads, all processes")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _say_per_second(axes: "Axes", series: Series) -> None:
    from matplotlib.ticker import EngFormatter

    axes.set(ylim=(0, None), ylabel=f"{series.item} per second")
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_efficiency(axes: "Axes", series: Series) -> None:
    is_measured = False
    for name, points, look in _looks(series):
        known = [(p.cell.workers, e) for p in points if (e := series.efficiency(p)) is not None]
        if not known:  # simulated: there is no loop to divide by
            known = [
                (p.cell.workers, series.speed_up(p) * _base_workers(series, p) / p.cell.workers)
                for p in points
            ]
        else:
            is_measured = True
        axes.plot(*zip(*known, strict=True), **look, label=name)
    axes.axhline(1, color="#999999", lw=1, ls=":")
    axes.set_ylim(0, 1.25)
    _count_threads(axes)
    axes.set_title("Efficiency, over a plain loop's" if is_measured else "Efficiency", loc="left")


def _base_workers(series: Series, point: Point) -> int:
    return series.base(point).cell.workers


def _draw_split(axes: "Axes", series: Series) -> None:
    points = list(series.points)
    if len(points) > _MOST_BARS:  # as many as can be read, the ends among them
        step = (len(points) - 1) / (_MOST_BARS - 1)
        points = [points[round(i * step)] for i in range(_MOST_BARS)]
    labels = [_cell_label(point, series) for point in points]
    left = [0.0] * len(points)
    for i, name in enumerate(("running", "waiting", "in the lock")):
        shares = [100 * time_split(point.best)[i] for point in points]
        axes.barh(range(len(points)), shares, left=left, color=_SPLIT_COLOURS[i], label=name)
        left = [a + b for a, b in zip(left, shares, strict=True)]
    axes.set_yticks(range(len(points)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="% of all threads' time")
    axes.set_title("Where the time goes", loc="left")
    axes.legend(fontsize=7.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3)


def _cell_label(point: Point, series: Series) -> str:
    """Return P x T, and of the way what differs within the series."""
    ways = [other.cell.way for other in series.points]
    differing = [word for i, word in enumerate(point.cell.way) if len({way[i] for way in ways}) > 1]
    return " ".join([f"{point.cell.procs} x {point.cell.threads}", *differing])


def _draw_frontier(axes: "Axes", series: Series) -> None:
    """Draw throughput by the number of processes, a line per total: left is MT, right is MP."""
    if len({point.cell.procs for point in series.points}) == 1:
        axes.axis("off")  # nothing to choose between
        return
    totals = sorted({point.cell.workers for point in series.points})
    way = series.points[0].cell.way
    for i, total in enumerate(totals):
        chosen = sorted(
            (p.cell.procs, p.best.throughput)
            for p in series.points
            if p.cell.workers == total and p.cell.way == way
        )
        if chosen:
            axes.plot(
                *zip(*chosen, strict=True),
                **curve_look(i),
                label=f"{total} thread{'s' if total > 1 else ''}",
            )
    axes.set_xscale("log", base=2)
    procs = sorted({point.cell.procs for point in series.points})
    axes.set_xticks(procs, [str(n) for n in procs])
    axes.minorticks_off()
    axes.set(xlabel="processes (1 = threads alone)")
    _say_per_second(axes, series)
    axes.set_title("Processes or threads", loc="left")
    _draw_legend(axes)
