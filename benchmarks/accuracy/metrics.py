"""Figures of merit, and the two conventions in which sites are counted.

EX: label 1 iff the position is a true site; every position counts.
W2: per true site the best score within 2; negatives are the best of non-overlapping 5-nt windows
at least 5 nt from any true site. A missing position scores lowest.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

LOWEST = -1e9
NEAR, WINDOW = 2, 5


def average_precision(label: Bool, score: F64) -> float:
    """Area under the precision-recall curve, ties counted together."""
    precision, recall = precision_recall(label, score)
    return float((np.diff(recall, prepend=0) * precision).sum())


def precision_recall(label: Bool, score: F64) -> tuple[F64, F64]:
    """Precision and recall at every distinct score, best first."""
    order = np.argsort(-score, kind="stable")
    label, score = label[order], score[order]
    last = np.append(score[1:] != score[:-1], True)
    found, taken = np.cumsum(label)[last], np.arange(1, len(label) + 1)[last]
    return found / taken, found / max(int(label.sum()), 1)


def auroc(label: Bool, score: F64) -> float:
    """Area under the receiver operating curve; NaN without both classes."""
    n_true = int(label.sum())
    n_false = len(label) - n_true
    if n_true == 0 or n_false == 0:
        return float("nan")
    return float((rankdata(score)[label].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def reliability(label: Bool, p: F64, bins: int = 10) -> tuple[F64, F64, npt.NDArray[np.int64]]:
    """Mean probability, share of true labels and size of each of even bins; NaN for empty ones."""
    cell = np.minimum((p * bins).astype(np.int64), bins - 1)
    size = np.bincount(cell, minlength=bins)
    safe = np.where(size > 0, size, np.nan)
    return np.bincount(cell, p, bins) / safe, np.bincount(cell, label, bins) / safe, size


def calibration_error(label: Bool, p: F64) -> float:
    """Mean distance of probability and share of true labels over bins, weighted by their size."""
    mean, share, size = reliability(label, p)
    return float(np.nansum(np.abs(mean - share) * size) / max(int(size.sum()), 1))


def exact(length: int, sites: npt.NDArray[np.int64], position: F64, score: F64) -> tuple[Bool, F64]:
    """Return labels and scores of every position of a contig."""
    label, scores = np.zeros(length, bool), _everywhere(length, position, score)
    label[sites] = True
    return label, scores


def windows(length: int, sites: npt.NDArray[np.int64], position: F64, score: F64) -> tuple[Bool, F64]:
    """Return labels and scores of sites and of windows far from them."""
    scores = _everywhere(length, position, score)
    best = [scores[max(0, site - NEAR) : site + NEAR + 1].max() for site in sites]
    distance = np.full(length, WINDOW)
    if len(sites):
        distance = np.abs(np.arange(length)[:, None] - sites).min(axis=1)
    starts = range(0, length - WINDOW + 1, WINDOW)
    far = [scores[i : i + WINDOW].max() for i in starts if distance[i : i + WINDOW].min() >= WINDOW]
    label = np.arange(len(best) + len(far)) < len(best)
    return label, np.array(best + far)


def _everywhere(length: int, position: F64, score: F64) -> F64:
    scores = np.full(length, LOWEST)
    scores[position.astype(np.int64)] = np.nan_to_num(score, nan=LOWEST)
    return scores
