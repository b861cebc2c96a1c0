"""Images: p-values of the null sets, reliability of reads, stoichiometry, precision and recall."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.accuracy import metrics
from benchmarks.accuracy.sets import Measured


def draw(results: Mapping[str, Measured], folder: Path) -> None:
    """Write one image per kind."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / "null_p_values.png", "expected -log10 p", "observed -log10 p", results, _quantiles)
    _save(folder / "reliability.png", "mean p_mod", "share modified", results, _reliability)
    _save(folder / "stoichiometry.png", "true share", "mod_ratio", results, _shares)
    _save(folder / "precision_recall.png", "recall", "precision", results, _curves)


def _save(path, x_label, y_label, results, plot):  # type: ignore[no-untyped-def]
    figure, axes = plt.subplots(figsize=(5, 4.5), layout="constrained")
    for name, measured in results.items():
        plot(axes, name, measured.series)
    axes.set(xlabel=x_label, ylabel=y_label)
    if plot is not _curves:
        axes.axline((0, 0), slope=1, color="0.7", linewidth=0.8)
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _quantiles(axes, name, series):  # type: ignore[no-untyped-def]
    if "p" in series and ("null" in name or name.endswith("0.0")):
        p = np.sort(series["p"][~np.isnan(series["p"])])
        expected = (np.arange(len(p)) + 0.5) / len(p)
        axes.plot(-np.log10(expected), -np.log10(p), ".", markersize=2, label=name)


def _reliability(axes, name, series):  # type: ignore[no-untyped-def]
    if "reads" in series:
        label, p = series["reads"]
        mean, share, size = metrics.reliability(label, p)
        axes.plot(mean[size >= 20], share[size >= 20], "o-", label=name)


def _shares(axes, name, series):  # type: ignore[no-untyped-def]
    if "shares" in series:
        axes.plot(*series["shares"], ".", label=name)


def _curves(axes, name, series):  # type: ignore[no-untyped-def]
    if "curves" in series and not name.endswith("0.0"):  # nothing is there to be recalled
        precision, recall = series["curves"]["W2, statistic"]
        axes.plot(recall, precision, label=name)
