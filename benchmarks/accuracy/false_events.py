"""Events where nothing is modified, beside strong sites: pairs like the demonstration's, other seeds."""

import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from baleen.demo import DEMO_SIMULATION, run_demo

BESIDE_BP = 6  # beyond this no k-mer of a site is felt


class Counted(NamedTuple):
    """Sites found; events 3 to 6 bases from a site; events farther from any."""

    found: int
    beside: int
    far: int


def count(seeds: Iterable[int]) -> Counted:
    """Simulate and call a pair per seed, and count its events."""
    found = beside = far = 0
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            demo = run_demo(Path(folder), force=True, simulation=replace(DEMO_SIMULATION, seed=seed))
        found += sum(site.called is not None for site in demo.sites)
        for event in demo.others:
            sites = [site.position for site in demo.sites if site.contig == event.contig]
            is_beside = min(abs(event.position - position) for position in sites) <= BESIDE_BP
            beside, far = beside + is_beside, far + (not is_beside)
    return Counted(found, beside, far)
