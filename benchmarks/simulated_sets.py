"""Simulated pairs to measure the caller on: `python -m benchmarks.simulated_sets --out FOLDER [NAME ...]`.

A set that is there with the same settings is not made again. Without --out they go to the
system's folder of temporary files. Names, reads and sites: `SETS`.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from baleen.simulate import SimulationConfig
from baleen.simulated_pair import Contig, PairFiles, random_contigs, shipped_contigs, write_pair


@dataclass(frozen=True)
class SimulatedSet:
    """What a set consists of; ``contigs`` 0 = E. coli rRNA, else random ones of ``contig_bp``."""

    why: str
    config: SimulationConfig
    contigs: int = 0
    contig_bp: int = 0

    def sequences(self) -> list[Contig]:
        """Return the contigs."""
        if self.contigs:
            return random_contigs(self.contigs, self.contig_bp, self.config)
        return shipped_contigs()


def _sets() -> dict[str, SimulatedSet]:
    sets = {}
    for pore in ("rna002", "rna004"):
        medium = SimulationConfig(pore=pore, seed=21, reads=300, sites=50, moves=False)
        sets[f"{pore}_medium"] = SimulatedSet("depth about 150 to 300, 100 sites", medium)
        null = dataclasses.replace(medium, sites=0)
        sets[f"{pore}_null"] = SimulatedSet("the same control; native is a second control", null)
        small = dataclasses.replace(medium, seed=22, reads=60)
        sets[f"{pore}_small"] = SimulatedSet("depth about 30 to 60, other sites", small)
        moves = dataclasses.replace(small, moves=True)
        sets[f"{pore}_moves"] = SimulatedSet("the small set with move tables", moves)
        hard = dataclasses.replace(small, noise_correlation=0.5, event_jitter=1.0, shift_max_pa=5.0)
        sets[f"{pore}_hard"] = SimulatedSet("coloured noise, more jitter, weak sites", hard)
        errors = dataclasses.replace(small, shift_min_pa=0.0, shift_max_pa=2.0, mod_error_rate=0.4)
        sets[f"{pore}_errors"] = SimulatedSet("little in the signal, much in the basecalls", errors)
        many = SimulationConfig(pore=pore, seed=23, reads=25, sites=3, tail_bp=30, adapter_s=0.4, moves=False)
        sets[f"{pore}_transcripts"] = SimulatedSet("40 random transcripts of 600 bases", many, 40, 600)
    return sets


SETS = _sets()


def make(name: str, folder: Path) -> PairFiles:
    """Return the files of a set, simulated unless they are there with the same settings."""
    wanted = SETS[name]
    target = folder / name
    params = target / "params.json"
    if params.exists():
        held = json.loads(params.read_text())
        settings = json.loads(json.dumps(dataclasses.asdict(wanted.config)))
        if settings.items() <= held.items():
            return PairFiles(target, "blow5")
    return write_pair(target, wanted.sequences(), wanted.config, force=True)


def default_folder() -> Path:
    """Return where sets are kept between calls."""
    return Path(tempfile.gettempdir()) / "baleen-simulated-sets"


def main() -> None:
    """Make the sets named on the command line, or list them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SETS, []], metavar="NAME")
    parser.add_argument("--out", type=Path, default=default_folder())
    given = parser.parse_args()
    if not given.names:
        for name, one in SETS.items():
            print(f"{name:<20} {one.config.reads:>4} reads per contig and condition; {one.why}")
    for name in given.names:
        started = time.process_time()
        pair = make(name, given.out)
        print(pair.folder)
        print(f"{name}: {time.process_time() - started:.1f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
