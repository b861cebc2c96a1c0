"""Simple tests on the mean levels of the same alignments."""

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from baleen.data import SignalPileup

MIN_READS = 4


def _welch(native: npt.NDArray[np.float64], control: npt.NDArray[np.float64]) -> float:
    return float(abs(stats.ttest_ind(native, control, equal_var=False).statistic))


def _kolmogorov(native: npt.NDArray[np.float64], control: npt.NDArray[np.float64]) -> float:
    return -float(np.log(stats.ks_2samp(native, control, method="asymp").pvalue + 1e-300))


def _mann_whitney(native: npt.NDArray[np.float64], control: npt.NDArray[np.float64]) -> float:
    return -float(np.log(stats.mannwhitneyu(native, control, method="asymptotic").pvalue + 1e-300))


_TESTS: dict[str, Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], float]] = {
    "Welch t": _welch,
    "Kolmogorov-Smirnov": _kolmogorov,
    "Mann-Whitney": _mann_whitney,
}


def scores(pileup: SignalPileup) -> dict[str, npt.NDArray[np.float64]]:
    """Return the scores of every position of a pileup, NaN where there are too few reads."""
    table = {name: np.full(len(pileup.position), np.nan) for name in _TESTS}
    native = pileup.reads.is_native[pileup.read]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # constant levels have no t
        for i in range(len(pileup.position)):
            rows = slice(pileup.window_offsets[i], pileup.window_offsets[i + 1])
            level = pileup.level_pa[rows].astype(np.float64)
            groups = level[native[rows]], level[~native[rows]]
            if min(map(len, groups)) >= MIN_READS:
                for name, test in _TESTS.items():
                    table[name][i] = test(*groups)
    welch = np.nan_to_num(table["Welch t"])
    summed = np.convolve(welch, np.ones(3), mode="same")
    table["t over three"] = np.where(np.isnan(table["Welch t"]), np.nan, summed)
    return table
