"""Does the level of a modified base survive the placement? Single-read AUC within each site."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.eventalign.data import Truth
from benchmarks.eventalign.measure import Placed, true_intervals
from krill.reads.batch import Alignments, ReadBatch

FEWEST_READS = 3


def site_auc(folder: Path, found: dict[str, Placed | None], center: int) -> float:
    """Return the AUC of the signed level, modified against unmodified reads of one site.

    AUCs of sites are averaged with the number of pairs as weight. Sites with fewer than
    ``FEWEST_READS`` placed reads of either kind are left out.
    """
    with (folder / "truth_sites.tsv").open() as handle:
        sign = {
            (row["contig"], int(row["pos0"])): np.sign(float(row["delta_pA"]))
            for row in csv.DictReader(handle, delimiter="\t")
            if float(row["stoich"]) > 0
        }
    levels: dict[tuple[str, int], tuple[list[float], list[float]]] = {site: ([], []) for site in sign}
    with (folder / "truth_reads.tsv").open() as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            site, read = (row["contig"], int(row["pos0"])), found.get(row["read_id"])
            if site not in sign or read is None:
                continue
            at = np.flatnonzero(read.kmer == site[1] - center)
            if len(at):
                levels[site][int(row["modified"])].append(sign[site] * read.level[at[0]])
    total = pairs = 0.0
    for unmodified, modified in levels.values():
        if min(len(unmodified), len(modified)) < FEWEST_READS:
            continue
        difference = np.subtract.outer(modified, unmodified)
        total += float(np.sum(difference > 0) + 0.5 * np.sum(difference == 0))
        pairs += difference.size
    return total / pairs


def only(
    found: dict[str, Placed | None], keep: Callable[[str, Placed], npt.NDArray[np.bool_]]
) -> dict[str, Placed | None]:
    """Return the placements without the positions that ``keep`` masks out."""
    kept: dict[str, Placed | None] = {}
    for read_id, read in found.items():
        if read is not None:
            mask = keep(read_id, read)
            kept[read_id] = replace(read, **{name: values[mask] for name, values in vars(read).items()})
    return kept


def at_true_boundaries(
    batch: ReadBatch, scaled_by: Alignments, truths: dict[str, Truth], kmer_size: int
) -> dict[str, Placed | None]:
    """Return levels between the true boundaries: what no placement can surpass, scaling as it is."""
    found: dict[str, Placed | None] = {}
    for i, read_id in enumerate(batch.read_ids):
        kmer, start, end = true_intervals(truths[read_id], kmer_size)
        signal_pa = (batch.signal[i].astype(np.float64) + batch.offset_adc[i]) * batch.scale_pa[i]
        sums = np.concatenate([[0], np.cumsum(signal_pa)])
        drift = scaled_by.drift_pa[i] * ((start + end) / 2 / len(signal_pa) - 0.5)
        level = (sums[end] - sums[start]) / (end - start) - scaled_by.shift_pa[i] - drift
        found[read_id] = Placed(kmer, start, end, level / scaled_by.scale[i], np.ones(len(kmer)))
    return found
