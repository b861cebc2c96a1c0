"""Events where nothing is modified: `python -m benchmarks.accuracy.false_events FIRST LAST`.

Pairs like the demonstration's, one per seed, called and held against their truth at several limits
of `event_padj`. A false discovery rate that means what it says stays below every one of them.
"""

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from baleen.demo import DEMO_SIMULATION, found_and_truth, run_demo
from baleen.simulated_pair import PairFiles

BESIDE_BP = 6  # beyond this no k-mer of a site is felt
LIMITS = (0.01, 0.05, 0.2)


class Counted(NamedTuple):
    """Sites found; events 3 to 6 bases from a site; events farther from any."""

    found: int = 0
    beside: int = 0
    far: int = 0

    @property
    def false_share(self) -> float:
        """Share of the events that are no site's."""
        return (self.beside + self.far) / max(sum(self), 1)


def count(seeds: Iterable[int]) -> dict[float, Counted]:
    """Simulate and call a pair per seed, and count its events up to each of `LIMITS`."""
    total = dict.fromkeys(LIMITS, Counted())
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            run_demo(Path(folder), force=True, simulation=replace(DEMO_SIMULATION, seed=seed))
            for limit, so_far in total.items():
                counted = count_pair(Path(folder), limit)
                total[limit] = Counted(*(a + b for a, b in zip(so_far, counted, strict=True)))
    return total


def count_pair(demo: Path, limit: float) -> Counted:
    """Count the events of one demonstration whose ``event_padj`` is below a limit."""
    pair = PairFiles(demo / "reads", "blow5")
    sites, others = found_and_truth(pair, demo / "results" / "site_results.tsv", limit)
    beside = 0
    for event in others:
        away = [abs(event.position - site.position) for site in sites if site.contig == event.contig]
        beside += min(away) <= BESIDE_BP
    return Counted(sum(site.called is not None for site in sites), beside, len(others) - beside)


def main() -> None:
    """Print the counts of the pairs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    given = parser.parse_args()
    for limit, one in count(range(given.first, given.last + 1)).items():
        print(
            f"event_padj < {limit}: {one.found} sites found; {one.beside} events 3 to 6 bases from a site, "
            f"{one.far} farther: {one.false_share:.3f} of all"
        )


if __name__ == "__main__":
    main()
