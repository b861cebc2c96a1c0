"""Pictures of scaling results: what is drawn can be told apart."""

import pytest
from matplotlib.figure import Figure

from baleen.scaling.pictures import draw
from baleen.scaling.result import Cell, Point, Series, Trial


def many_curves(n: int, *, is_simulated: bool) -> Series:
    """A series of ``n`` curves of two points, each measured or simulated in another way."""
    trial = Trial(1000, 1.0, 1.0, 0.0, 0.0)
    cells = [Cell(1, threads, "K", f"lock {i}") for i in range(n) for threads in (1, 2)]
    points = tuple(Point(cell, (trial,), is_simulated=is_simulated) for cell in cells)
    return Series(stage="pump", engine="krill", item="reads", mode="strong", points=points)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """Figures that were saved."""
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    return figures


def test_no_two_of_twenty_four_curves_look_alike(tmp_path, drawn) -> None:
    draw(tmp_path / "x.png", [many_curves(24, is_simulated=False), many_curves(24, is_simulated=True)])
    throughput, efficiency, _, _ = range(4)
    for row in (0, 4):
        for panel in (throughput, efficiency):
            lines = [line for line in drawn[0].axes[row + panel].lines if "lock" in str(line.get_label())]
            looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
            assert len(lines) == len(looks) == 24
            assert {line.get_linestyle() for line in lines} == {"-" if row == 0 else "--"}


def test_the_names_of_many_curves_stand_outside_the_panel(tmp_path, drawn) -> None:
    draw(tmp_path / "x.png", [many_curves(24, is_simulated=False)])
    axes = drawn[0].axes[0]
    assert axes.get_legend().get_window_extent().y1 < axes.get_window_extent().y0
