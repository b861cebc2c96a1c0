"""Draw one site: its native and control signal, its levels, its reads' probabilities."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from baleen.data import F32, I32, SignalPileup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F64 = npt.NDArray[np.float64]

_POINTS_PER_BASE = 12
_NATIVE, _CONTROL, _INK = "#D55E00", "#0072B2", "#333333"  # told apart by colour-blind eyes too


@dataclass(frozen=True)
class SitePicture:
    """What is drawn.

    Parameters
    ----------
    title, subtitle
        Above the picture.
    position
        The site.
    flank_bp
        Bases shown on either side.
    p_mod
        Probability by read id at the site.
    modified
        Read ids that are modified in truth; None = unknown.
    """

    title: str
    subtitle: str
    position: int
    flank_bp: int
    p_mod: dict[str, float]
    modified: frozenset[str] | None


def draw_site(path: Path, pileup: SignalPileup, picture: SitePicture) -> None:
    """Write a PNG of one site.

    Parameters
    ----------
    path
        File to write.
    pileup
        Placed signal of the site's contig.
    picture
        What to show.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from PIL import Image

    figure = Figure(figsize=(9, 6.2), dpi=110, layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.1))
    grid = figure.add_gridspec(2, 2, height_ratios=(1.25, 1))
    figure.suptitle(picture.title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=_INK)
    _draw_signal(figure.add_subplot(grid[0, :]), pileup, picture)
    _draw_levels(figure.add_subplot(grid[1, 0]), pileup, picture)
    _draw_reads(figure.add_subplot(grid[1, 1]), pileup, picture)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    # a palette takes a third of the bytes; nobody sees the difference
    Image.open(drawn).convert("RGB").quantize(128).save(path, format="png", optimize=True)


def warped_signal(pileup: SignalPileup, first: int, last: int) -> tuple[F32, I32]:
    """Stretch every read's bases to one width, so that reads can be laid over each other.

    Parameters
    ----------
    pileup
        Placed signal.
    first, last
        Positions shown, half-open.

    Returns
    -------
    float32 of shape ``(reads, (last - first) * 12)``, NaN where a read has no base, running 5' to 3';
    and the rows of ``pileup.reads``.
    """
    reads = np.arange(len(pileup.reads), dtype=np.int32)
    out = np.full((len(reads), (last - first) * _POINTS_PER_BASE), np.nan, np.float32)
    for i in np.flatnonzero((pileup.position >= first) & (pileup.position < last)):
        column = (int(pileup.position[i]) - first) * _POINTS_PER_BASE
        for row in range(pileup.window_offsets[i], pileup.window_offsets[i + 1]):
            # RNA passes 3' first: backwards in time is forwards along the reference
            samples = pileup.signal[pileup.base_start[row] : pileup.base_end[row]][::-1]
            edges = np.linspace(0, len(samples), _POINTS_PER_BASE + 1)
            starts = np.minimum(edges[:-1].astype(int), len(samples) - 1)
            ends = np.maximum(np.ceil(edges[1:]).astype(int), starts + 1)
            total = np.concatenate(([0.0], np.cumsum(samples, dtype=np.float64)))
            means = (total[ends] - total[starts]) / (ends - starts)
            out[pileup.read[row], column : column + _POINTS_PER_BASE] = means
    seen = ~np.isnan(out).all(axis=1)
    return out[seen], reads[seen]


def _draw_signal(axes: "Axes", pileup: SignalPileup, picture: SitePicture) -> None:
    first = max(picture.position - picture.flank_bp, 0)
    last = min(picture.position + picture.flank_bp + 1, len(pileup.sequence))
    lines, reads = warped_signal(pileup, first, last)
    x = first - 0.5 + (np.arange(lines.shape[1]) + 0.5) / _POINTS_PER_BASE
    axes.axvspan(picture.position - 0.5, picture.position + 0.5, color="#F0E442", alpha=0.35, lw=0)
    is_native = pileup.reads.is_native[reads]
    for group, colour, label in ((~is_native, _CONTROL, "control"), (is_native, _NATIVE, "native")):
        axes.plot(x, lines[group].T, color=colour, alpha=0.14, lw=0.6)
        covered = ~np.isnan(lines[group]).all(axis=0)
        middle = np.full(lines.shape[1], np.nan)
        middle[covered] = np.nanmedian(lines[group][:, covered], axis=0)
        axes.plot(x, middle, color="white", lw=3.6)
        axes.plot(x, middle, color=colour, lw=2, label=f"{label}, median of {int(group.sum())} reads")
    low, high = np.nanquantile(lines, (0.005, 0.995))
    axes.set_ylim(low - 2, high + 2)
    axes.set_xlim(first - 0.5, last - 0.5)
    bases = pileup.sequence[first:last].tobytes().decode("ascii").replace("T", "U")
    ticks = [
        f"{base}\n{position}" if position == picture.position or position % 5 == 0 else base
        for position, base in enumerate(bases, start=first)
    ]
    axes.set_xticks(range(first, last), ticks)
    axes.set_ylabel("current, pA")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.99), ncols=2, frameon=False, fontsize=9, borderpad=0)
    _finish(axes, picture.subtitle)


def _draw_levels(axes: "Axes", pileup: SignalPileup, picture: SitePicture) -> None:
    from scipy.stats import gaussian_kde

    i = int(np.searchsorted(pileup.position, picture.position))
    rows = slice(pileup.window_offsets[i], pileup.window_offsets[i + 1])
    level = pileup.level_pa[rows]
    is_native = pileup.reads.is_native[pileup.read[rows]]
    low, high = np.quantile(level, (0.05, 0.95)) + np.array((-6, 6))
    x = np.linspace(low, high, 300)
    is_inside = (level > low) & (level < high)
    for group, colour, height in ((~is_native, _CONTROL, -0.07), (is_native, _NATIVE, -0.03)):
        shown = level[group & is_inside]
        if len(np.unique(shown)) > 2:  # fewer have no density
            density = gaussian_kde(shown)(x)
            axes.fill_between(x, density, color=colour, alpha=0.25, lw=0)
            axes.plot(x, density, color=colour, lw=1.8)
        axes.plot(
            shown,
            np.full(len(shown), height),
            "|",
            color=colour,
            alpha=0.6,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            markersize=4,
        )
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    axes.tick_params(axis="x", pad=10)
    axes.set_xlabel("level of the base, pA")
    _finish(axes, "One value per read at the marked base")


def _draw_reads(axes: "Axes", pileup: SignalPileup, picture: SitePicture) -> None:
    groups: dict[str, list[float]] = {"control": []}
    if picture.modified is None:
        groups["native"] = []
    else:
        groups |= {"native,\nnot modified": [], "native,\nmodified": []}
    for read_id, is_native in zip(pileup.reads.read_ids, pileup.reads.is_native, strict=True):
        if read_id in picture.p_mod:
            name = "control"
            if is_native:
                is_modified = picture.modified is not None and read_id in picture.modified
                name = list(groups)[2 if is_modified else 1]
            groups[name].append(picture.p_mod[read_id])
    for x, (name, values) in enumerate(groups.items()):
        colour = _CONTROL if name == "control" else _NATIVE
        place, value = spread_out(values)
        face = "white" if name.endswith("not modified") else colour
        axes.scatter(x + place, value, s=17, facecolor=face, edgecolor=colour, lw=1, alpha=0.9, clip_on=False)
    axes.set_xticks(range(len(groups)), [f"{name}\n{len(values)} reads" for name, values in groups.items()])
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability modified")
    title = "Each read's call" + (" against the truth" if picture.modified is not None else "")
    _finish(axes, title)


def spread_out(values: list[float]) -> tuple[F64, F64]:
    """Sort values; return sideways places at which nearly equal ones lie side by side, and the values."""
    value = np.sort(np.array(values))
    bins = np.floor(value / 0.035).astype(int)
    place = np.zeros(len(value))
    for one in np.unique(bins):
        rows = np.flatnonzero(bins == one)
        place[rows] = (np.arange(len(rows)) - (len(rows) - 1) / 2) * min(0.055, 0.8 / len(rows))
    return place, value


def _finish(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9, length=3)
