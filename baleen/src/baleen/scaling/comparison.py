"""Two results side by side."""

from collections.abc import Iterator

from baleen.scaling.result import Point, Result, Series

_Key = tuple[str, str, str]


def comparison_lines(first: Result, second: Result) -> Iterator[str]:
    """Yield every cell that both have, with the ratio second / first; then what only one has."""
    for name, result in (("A", first), ("B", second)):
        machine = result.machine.get("processor", result.machine.get("simulated", "unknown"))
        yield f"{name}: {result.made['date']}, baleen {result.made['version']}, {machine}"
    ours, theirs = _by_key(first), _by_key(second)
    for key in ours:
        if key in theirs:
            yield ""
            yield from _series_lines(ours[key], theirs[key])
    for name, keys in (("A", ours.keys() - theirs.keys()), ("B", theirs.keys() - ours.keys())):
        if keys:
            yield ""
            yield f"only in {name}: " + ", ".join(
                sorted(" ".join(w for w in key if w != "-") for key in keys)
            )


def _by_key(result: Result) -> dict[_Key, Series]:
    return {(series.stage, series.engine, series.mode): series for series in result.series}


def _series_lines(first: Series, second: Series) -> Iterator[str]:
    yield f"{first.title}, {first.item} per second, {first.mode} scaling"
    yield f"{'P':>4} {'T':>4}  {'way':<28} {'A':>11} {'B':>11} {'B / A':>6} {'eff. A':>7} {'eff. B':>7}"
    theirs = {point.cell: point for point in second.points}
    shared = [point for point in first.points if point.cell in theirs]
    for point in shared:
        yield _line(first, point, second, theirs[point.cell])
    missing = len(first.points) + len(second.points) - 2 * len(shared)
    if missing:
        yield f"{missing} cells are in one of the two only"


def _line(first: Series, ours: Point, second: Series, theirs: Point) -> str:
    a, b = ours.best.throughput, theirs.best.throughput
    efficiencies = [
        "-" if value is None else f"{value:.2f}"
        for value in (first.efficiency(ours), second.efficiency(theirs))
    ]
    way = " ".join(word for word in ours.cell.way if word != "-")
    simulated = "".join(" sim. " + name for name, p in (("A", ours), ("B", theirs)) if p.is_simulated)
    return (
        f"{ours.cell.procs:>4} {ours.cell.threads:>4}  {way:<28} {a:>11.1f} {b:>11.1f} {b / a:>6.2f} "
        f"{efficiencies[0]:>7} {efficiencies[1]:>7}{simulated}"
    )
