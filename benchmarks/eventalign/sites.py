"""Does the level of a modified base survive the placement? Single-read AUC within each site."""

import csv
from pathlib import Path

import numpy as np

from benchmarks.eventalign.measure import Placed

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
