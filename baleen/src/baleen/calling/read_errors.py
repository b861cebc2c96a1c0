"""Which reads carry a position's modified error profile: log-likelihood ratios per read."""

import numpy as np
import numpy.typing as npt
from scipy import special

from baleen.calling.basecalls import ABSENT, ErrorTable
from baleen.data import DELETION, F32, MISMATCH, U8, Bool

REACH = 2
"""A modified base changes the calls of this many neighbours on either side."""

N_CATEGORIES = 6
"""Match of high, middle, low quality; mismatch; deletion; match with an insertion next to it."""

_HIGH_QUALITY, _LOW_QUALITY, _NO_QUALITY = 16, 8, 255

CONTROL_PRIOR, MODIFIED_PRIOR = 2.0, 4.0
"""Pseudo-reads: of the contig's composition in the control's rates, of those in the modified ones."""

SHARE_PRIOR = 3.0
"""The share has the prior Beta(1, 1 + SHARE_PRIOR)."""

ITERATIONS = 60
BLOCK_POSITIONS = 64


def categorise(table: ErrorTable) -> U8:
    """Return the category of every call, N_CATEGORIES where a read is absent."""
    quality = np.where(table.quality >= _HIGH_QUALITY, 0, np.where(table.quality >= _LOW_QUALITY, 1, 2))
    category = np.where(table.errors > 0, 5, quality)
    category = np.where(table.errors & DELETION, 4, category)
    category = np.where(table.errors & MISMATCH, 3, category)
    return np.where(table.errors == ABSENT, N_CATEGORIES, category).astype(np.uint8)


def read_ratios(table: ErrorTable, is_native: Bool, rows: npt.NDArray[np.int64]) -> tuple[F32, F32]:
    """Return share and log-likelihood ratio of every read at the given rows.

    Parameters
    ----------
    table
        Calls of the contig.
    is_native
        Shape ``(r,)``.
    rows
        Positions whose site test found something: elsewhere a share has no meaning.

    Returns
    -------
    share
        Native share of reads with the modified profile, shape ``(len(rows),)``.
    ratios
        ln P(calls | modified) - ln P(calls | control), shape ``(len(rows), r)``, 0 where absent.

    Notes
    -----
    The modified rates of each category are fitted by EM on the native reads, anchored on the
    control's: without evidence they stay equal and every ratio is 0. The first weights are the
    ranks of the reads' surprise under the control.
    """
    category = categorise(table)
    counts = np.stack([(category[:, ~is_native] == c).sum(axis=1) for c in range(N_CATEGORIES)], axis=1)
    composition = (counts.sum(axis=0) + 1) / (counts.sum() + N_CATEGORIES)
    padded = np.pad(category, ((REACH, REACH), (0, 0)), constant_values=N_CATEGORIES)
    share = np.zeros(len(rows), np.float32)
    ratios = np.zeros((len(rows), len(is_native)), np.float32)
    for start in range(0, len(rows), BLOCK_POSITIONS):
        block = rows[start : start + BLOCK_POSITIONS]
        around = np.stack([padded[block + k] for k in range(2 * REACH + 1)], axis=1)
        here = slice(start, start + len(block))
        share[here], ratios[here] = _fit(around, composition, is_native)
    return share, ratios


def _fit(around: U8, composition: npt.NDArray[np.float64], is_native: Bool) -> tuple[F32, F32]:
    """Fit a block: ``around`` holds the categories of each position's surroundings ``(s, 5, r)``."""
    member = (around[:, :, None, :] == np.arange(N_CATEGORIES)[:, None]).astype(np.float32)
    native, control = member[..., is_native], member[..., ~is_native]
    counts = control.sum(axis=-1)
    theta = _rates(counts, composition)
    covers = (around[:, REACH] < N_CATEGORIES)[:, is_native]
    surprise = -np.einsum("skcr,skc->sr", native, np.log(theta))
    rank = _ranks(np.where(covers, surprise, -np.inf)) - (~covers).sum(axis=1)[:, None]
    n = covers.sum(axis=1)
    w = np.clip(rank / np.maximum(n, 1)[:, None], 0.1, 0.9) * covers
    for _ in range(ITERATIONS):
        weighted = np.einsum("skcr,sr->skc", native, w.astype(np.float32))
        total = weighted.sum(axis=2, keepdims=True)
        modified = (weighted + MODIFIED_PRIOR * theta) / (total + MODIFIED_PRIOR)
        log_ratio = np.log(modified / theta)
        share = (w.sum(axis=1) / (n + SHARE_PRIOR)).clip(1e-4, 1 - 1e-4)
        llr = np.einsum("skcr,skc->sr", native, log_ratio)
        w = special.expit(llr + special.logit(share)[:, None]) * covers
    ratios = np.zeros((len(around), len(is_native)), np.float32)
    ratios[:, is_native] = llr * covers
    ratios[:, ~is_native] = _control_ratios(control, counts, composition, modified)
    ratios[around[:, REACH] == N_CATEGORIES] = 0
    return (w.sum(axis=1) / np.maximum(n, 1)).astype(np.float32), ratios


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ranks from 1 within each row, ties at their mean."""
    out = np.empty(values.shape)
    for row, ordered, ranks in zip(values, np.sort(values, axis=1), out, strict=True):
        below, upto = (np.searchsorted(ordered, row, side=side) for side in ("left", "right"))
        ranks[:] = (below + upto + 1) / 2
    return out


def _rates(counts: F32, composition: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray((counts + CONTROL_PRIOR * composition) / (total + CONTROL_PRIOR))


def _control_ratios(
    control: F32, counts: F32, composition: npt.NDArray[np.float64], modified: npt.NDArray[np.float64]
) -> F32:
    """Hold each control read against the other controls: its own calls must not vouch for it."""
    total = counts.sum(axis=-1, keepdims=True)
    others = (counts - 1 + CONTROL_PRIOR * composition) / np.maximum(total - 1 + CONTROL_PRIOR, 1)
    log_ratio = np.where(counts > 0, np.log(modified / np.maximum(others, 1e-9)), 0)
    return np.asarray(np.einsum("skcr,skc->sr", control, log_ratio), np.float32)
