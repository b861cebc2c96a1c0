"""What a user gets from simulated sets: `python -m benchmarks.called_events NAME ...`.

Runs `baleen run` on sets of `benchmarks.simulated_sets` and prints, per set: events found and false,
their place, their shares, the reads' probabilities, and p-values far from any site. Writes JSON with --json.
"""

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from baleen.demo import read_probabilities
from baleen.outputs.site_table import read_site_table
from baleen.simulated_pair import PairFiles
from benchmarks.machine import describe
from benchmarks.simulated_sets import SETS, default_folder, make

NEAR_BP = 2  # an event this close to a site is the site's
FAR_BP = 6  # beyond this no k-mer of a site is felt


@dataclass(frozen=True)
class Figures:
    """Figures of one set; NaN where there is nothing to measure.

    Parameters
    ----------
    sites, found, exact
        Simulated sites; those with an event within 2 bases; those with one on the base itself.
    beside, false
        Events 3 to 6 bases from a site; events farther from any.
    recall
        Share found, by stoichiometry.
    share_error, coverage
        Mean absolute error of ``mod_ratio`` against the truth at events; how often its interval holds it.
    read_auroc
        Of ``p_mod``, modified against unmodified native reads, mean over found sites with 3 of each.
    null_05, null_001
        Share of positions farther than 6 bases from any site with p < .05, p < .001.
    """

    sites: int
    found: int
    exact: int
    beside: int
    false: int
    recall: dict[str, float]
    share_error: float
    coverage: float
    read_auroc: float
    null_05: float
    null_001: float


@dataclass(frozen=True)
class _Site:
    contig: str
    position: int
    stoichiometry: float
    share: float


def call(pair: PairFiles, results: Path, options: list[str]) -> None:
    """Run the caller on a pair."""
    command = [
        sys.executable,
        "-m",
        "baleen",
        "run",
        "--ref",
        str(pair.reference),
        "-o",
        str(results),
        "--force",
    ]
    for name in ("native", "ivt"):
        command += [f"--{name}-bam", str(pair.bam(name)), f"--{name}-blow5", str(pair.signal(name))]
    subprocess.run([*command, *options], check=True)


def measure(pair: PairFiles, results: Path) -> Figures:
    """Hold the results of a run against the truth of its reads."""
    table = read_site_table(results / "site_results.tsv")
    sites = _sites(pair.truth_sites)
    distance = _distances(table, sites)
    is_event = table["is_peak"] == 1
    tested = np.isfinite(table["pvalue"]) & (distance > FAR_BP)
    p = table["pvalue"][tested]
    hits = {site: _event_of(site, table, is_event) for site in sites}
    found = {site: row for site, row in hits.items() if row is not None}
    shares = np.array([site.share for site in found])
    rows = np.array(list(found.values()), int)
    low, high = table["ci_low"][rows], table["ci_high"][rows]
    by_share: dict[str, list[bool]] = {}
    for site, row in hits.items():
        by_share.setdefault(f"{site.stoichiometry:g}", []).append(row is not None)
    return Figures(
        sites=len(sites),
        found=len(found),
        exact=sum(int(table["position"][row]) == site.position for site, row in found.items()),
        beside=int((is_event & (distance > NEAR_BP) & (distance <= FAR_BP)).sum()),
        false=int((is_event & (distance > FAR_BP)).sum()),
        recall={share: float(np.mean(seen)) for share, seen in sorted(by_share.items())},
        share_error=_mean(np.abs(table["mod_ratio"][rows] - shares)),
        # no interval of a share can reach 0 or 1 itself
        coverage=_mean((low - 0.01 <= shares) & (shares <= high + 0.01)),
        read_auroc=_mean(np.array(_read_aurocs(pair, results / "read_results.bam", found, table))),
        null_05=_mean(p < 0.05),
        null_001=_mean(p < 0.001),
    )


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _sites(path: Path) -> list[_Site]:
    with path.open(newline="") as handle:
        return [
            _Site(
                row["contig"],
                int(row["pos0"]),
                float(row["stoichiometry"]),
                int(row["n_modified"]) / max(int(row["n_native"]), 1),
            )
            for row in csv.DictReader(handle, delimiter="\t")
        ]


def _distances(table: dict[str, np.ndarray], sites: list[_Site]) -> np.ndarray:
    """Return each row's distance to the nearest site of its contig."""
    distance = np.full(len(table["position"]), np.inf)
    for site in sites:
        rows = np.flatnonzero(table["contig"] == site.contig)
        distance[rows] = np.minimum(distance[rows], np.abs(table["position"][rows] - site.position))
    return distance


def _event_of(site: _Site, table: dict[str, np.ndarray], is_event: np.ndarray) -> int | None:
    away = np.abs(table["position"] - site.position)
    rows = np.flatnonzero(is_event & (table["contig"] == site.contig) & (away <= NEAR_BP))
    return int(rows[np.argmin(table["pvalue"][rows])]) if len(rows) else None


def _read_aurocs(
    pair: PairFiles, bam: Path, found: dict[_Site, int], table: dict[str, np.ndarray]
) -> list[float]:
    truth: dict[tuple[str, int], dict[str, bool]] = {}
    with pair.truth_reads.open(newline="") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            reads = truth.setdefault((row["contig"], int(row["pos0"])), {})
            reads[row["read_id"]] = row["modified"] == "1"
    aurocs = []
    for site, row in found.items():
        is_modified = truth[site.contig, site.position]
        p_mod = read_probabilities(bam, site.contig, int(table["position"][row]))
        called = [read for read in is_modified if read in p_mod]
        yes = np.array([p_mod[read] for read in called if is_modified[read]])
        no = np.array([p_mod[read] for read in called if not is_modified[read]])
        if min(len(yes), len(no)) >= 3:
            wins = (yes[:, None] > no).mean() + 0.5 * (yes[:, None] == no).mean()
            aurocs.append(float(wins))
    return aurocs


def _print(name: str, figures: Figures) -> None:
    recall = " ".join(f"{share}:{value:.2f}" for share, value in figures.recall.items())
    print(
        f"{name}: {figures.found}/{figures.sites} sites ({recall}), {figures.exact} exact, "
        f"{figures.beside} beside, {figures.false} false\n"
        f"  share: error {figures.share_error:.3f}, interval holds it {figures.coverage:.2f}; "
        f"reads: AUROC {figures.read_auroc:.3f}\n"
        f"  far from sites: p < .05 {figures.null_05:.4f}, p < .001 {figures.null_001:.4f}"
    )


def main() -> None:
    """Simulate, call and measure the sets named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=SETS, metavar="NAME")
    parser.add_argument("--out", type=Path, default=default_folder())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--options", default="", help="options for baleen run, in one word")
    given = parser.parse_args()
    measured = {}
    for name in given.names:
        pair = make(name, given.out)
        results = given.out / f"{name}.results"
        call(pair, results, given.options.split())
        figures = measure(pair, results)
        measured[name] = asdict(figures)
        _print(name, figures)
    if given.json:
        given.json.write_text(json.dumps({"machine": describe(), "sets": measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()
