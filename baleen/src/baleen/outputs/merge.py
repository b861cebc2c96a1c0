"""Slices to result files: streamed, one contig in memory, with what needs the whole run added."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from baleen.calling import SIGNIFICANT, benjamini_hochberg, candidates, event_limit, finish_contig
from baleen.columns import CONTRAST_COLUMNS, SITE_COLUMNS, Column
from baleen.data import SiteCalls
from baleen.outputs.site_table import write_site_table
from baleen.outputs.slices import Slice


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
    p_values, candidate_p = [np.zeros(0)], [np.zeros(0)]
    for sites in _sites(slices):
        p_values.append(sites["pvalue"])
        candidate_p.append(sites["pvalue"][candidates(sites)])
    adjusted = benjamini_hochberg(np.concatenate(p_values))
    limit = event_limit(np.concatenate(candidate_p), int(np.sum(~np.isnan(adjusted))))
    ends = np.cumsum([len(p) for p in p_values[1:]], dtype=np.int64)
    n_peaks = 0

    def finished() -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        nonlocal n_peaks
        for sites, end in zip(_sites(slices), ends, strict=True):
            complete = finish_contig(sites, adjusted[end - len(sites) : end], limit)
            n_peaks += int(complete["is_peak"].sum())
            yield complete.columns

    columns = [column.name for column in SITE_COLUMNS]
    n_sites = write_site_table(path, columns, finished(), comments)
    is_significant = np.nan_to_num(adjusted, nan=1.0) < SIGNIFICANT
    return SiteCounts(n_sites, int(is_significant.sum()), n_peaks)


def merge_tables(
    path: Path, columns: Sequence[Column], slices: Sequence[Path], comments: Sequence[str]
) -> None:
    """Write a table from slices that hold its columns, in their order."""

    def contigs() -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        for piece in map(Slice, slices):
            yield from map(piece.table, piece.tables())
            piece.close()

    write_site_table(path, [column.name for column in columns], contigs(), comments)


def merge_contrasts(path: Path, slices: Sequence[Path], comments: Sequence[str]) -> int:
    """Write the table of contrasts, p-values adjusted over all its rows; return how many are below .05."""
    pieces = [*map(Slice, slices)]
    parts = [piece.table(name)["pvalue"] for piece in pieces for name in piece.tables()]
    adjusted = benjamini_hochberg(np.concatenate([np.zeros(0), *parts]))
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)

    def contigs() -> Iterator[Mapping[str, npt.NDArray[Any]]]:
        tables = (piece.table(name) for piece in pieces for name in piece.tables())
        for table, end in zip(tables, ends, strict=True):
            yield {**table, "padj": adjusted[end - len(table["pvalue"]) : end]}

    write_site_table(path, [column.name for column in CONTRAST_COLUMNS], contigs(), comments)
    for piece in pieces:
        piece.close()
    return int(np.sum(adjusted < SIGNIFICANT))


def _sites(slices: Sequence[Path]) -> Iterator[SiteCalls]:
    for path in slices:
        piece = Slice(path)
        for name in piece.tables():
            yield SiteCalls(piece.table(name))
        piece.close()
