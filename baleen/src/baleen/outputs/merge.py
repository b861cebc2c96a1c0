"""Slices to result files: streamed, one contig in memory, with what needs the whole run added."""

import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from baleen.calling import SIGNIFICANT, EventRate, candidates, finish_contig
from baleen.calling.splits import EmpiricalRate, count_p_values, total_counts
from baleen.columns import CONTRAST_COLUMNS, SITE_COLUMNS, Column
from baleen.data import SiteCalls
from baleen.outputs.adjusting import Adjustment
from baleen.outputs.site_table import write_site_table
from baleen.outputs.slices import Slice, slice_tables


class SiteCounts(NamedTuple):
    """Rows of the site table; those with padj below .05; events among them."""

    n_sites: int
    n_significant: int
    n_peaks: int


def merge_sites(path: Path, slices: Sequence[Path], comments: Sequence[str]) -> SiteCounts:
    """Write the site table from slices of calls, in their order.

    Parameters
    ----------
    path
        The table.
    slices
        Slices of calls, in the order of the reference; their tables are contigs.
    comments
        Facts that hold for the whole table.
    """
    candidate_p = array.array("d")
    observed, of_splits = total_counts([]), total_counts([])

    def p_values() -> Iterator[npt.NDArray[np.float64]]:
        nonlocal observed
        for path in slices:
            with closing(Slice(path)) as piece:
                split_bin, split_count = (
                    np.array(piece.meta[k], np.int64) for k in ("split_bin", "split_count")
                )
                of_splits[split_bin] += split_count  # a slice may have none
                for sites in map(SiteCalls, map(piece.table, piece.tables())):
                    candidate_p.frombytes(sites["pvalue"][candidates(sites)].tobytes())
                    observed += count_p_values(sites["pvalue"])
                    yield sites["pvalue"]

    adjust = Adjustment.over(p_values(), path.parent)
    of_events = EventRate.of(np.array(candidate_p), adjust.n_tested)
    rate = EmpiricalRate.of(observed, of_splits)
    n_significant = n_peaks = 0

    def finished() -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        nonlocal n_significant, n_peaks
        for sites in map(SiteCalls, slice_tables(slices)):
            p = sites["pvalue"]
            complete = finish_contig(sites, adjust(p), rate(p), of_events)
            n_significant += int(np.sum(complete["padj"] < SIGNIFICANT))
            n_peaks += int(complete["is_peak"].sum())
            yield complete.columns

    columns = [column.name for column in SITE_COLUMNS]
    n_sites = write_site_table(path, columns, finished(), comments)
    return SiteCounts(n_sites, n_significant, n_peaks)


def merge_tables(
    path: Path, columns: Sequence[Column], slices: Sequence[Path], comments: Sequence[str]
) -> None:
    """Write a table from slices that hold its columns, in their order."""
    write_site_table(path, [column.name for column in columns], slice_tables(slices), comments)


def merge_contrasts(path: Path, slices: Sequence[Path], comments: Sequence[str]) -> int:
    """Write the table of contrasts, p-values adjusted over all its rows; return how many are below .05."""
    adjust = Adjustment.over((table["pvalue"] for table in slice_tables(slices)), path.parent)
    n_significant = 0

    def contigs() -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        nonlocal n_significant
        for table in slice_tables(slices):
            padj = adjust(table["pvalue"])
            n_significant += int(np.sum(padj < SIGNIFICANT))
            yield {**table, "padj": padj}

    write_site_table(path, [column.name for column in CONTRAST_COLUMNS], contigs(), comments)
    return n_significant


def split_header(split_p: Sequence[npt.NDArray[np.float64]]) -> dict[str, Any]:
    """Return what a slice of calls says of the split controls of its contigs."""
    counts = total_counts(map(count_p_values, split_p))
    bins = np.flatnonzero(counts)
    return {"split_bin": bins.tolist(), "split_count": counts[bins].tolist()}
