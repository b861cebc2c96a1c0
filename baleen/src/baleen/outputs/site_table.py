"""The site table: one line per tested position, tab-separated."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import krill
from baleen.files import complete_file


def write_site_table(
    path: Path,
    columns: Sequence[str],
    contigs: Iterable[Mapping[str, npt.NDArray[Any]]],
    comments: Sequence[str],
) -> int:
    """Write the table; return its number of sites.

    Parameters
    ----------
    path
        File to write.
    columns
        Names of the columns, in order.
    contigs
        ``{column -> array}`` of each contig, in the order of the table.
    comments
        Facts that hold for the whole table, written as ``##`` lines before the header.
    """
    n_sites = 0
    with complete_file(path) as part, part.open("wb") as table:
        table.writelines(f"##{comment}\n".encode() for comment in comments)
        table.write(("\t".join(columns) + "\n").encode())
        for arrays in contigs:
            table.write(krill.table_lines([arrays[name] for name in columns]))
            n_sites += len(arrays[columns[0]])
    return n_sites


def read_site_table(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read a table back: text columns as str, all others as float64 with NaN for missing values."""
    with path.open(encoding="utf-8") as table:
        lines = [line.rstrip("\n") for line in table if not line.startswith("##")]
    names = lines[0].split("\t")
    rows = [line.split("\t") for line in lines[1:]]
    out: dict[str, npt.NDArray[Any]] = {}
    for i, name in enumerate(names):
        cells = [row[i] for row in rows]
        try:
            out[name] = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            out[name] = np.array(cells, dtype=str)
    return out
