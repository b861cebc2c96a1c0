"""Inputs made for the presets: short reads of a random genome, a simulated native/control pair."""

from pathlib import Path

import numpy as np

from baleen.data import U8
from baleen.simulate import SimulationConfig
from baleen.simulated_pair import random_contigs, write_pair

_LETTERS = np.frombuffer(b"ACGT", np.uint8)
_ERROR_RATE = 0.01
_READ_BP = 100
_LINE = b"\n%s\n+\n" + b"I" * _READ_BP + b"\n"


def make_short_reads(folder: Path, n_reads: int, genome_bp: int, seed: int = 1) -> tuple[Path, Path]:
    """Write reads of 100 bases with 1 % errors, and the genome they come from.

    Returns
    -------
    FASTQ of the reads, FASTA of the genome.
    """
    rng = np.random.default_rng(seed)
    genome = _LETTERS[rng.integers(0, 4, genome_bp)]
    reads, reference = folder / "short.fq", folder / "genome.fa"
    reference.write_bytes(b">genome\n" + genome.tobytes() + b"\n")
    with reads.open("wb") as file:
        for first in range(0, n_reads, 10_000):
            n = min(10_000, n_reads - first)
            file.write(_short_reads(genome, first, n, rng))
    return reads, reference


def _short_reads(genome: U8, first: int, n: int, rng: np.random.Generator) -> bytes:
    starts = rng.integers(0, len(genome) - _READ_BP, n)
    bases = genome[starts[:, None] + np.arange(_READ_BP)]
    is_reverse = rng.random(n) < 0.5
    complement = np.zeros(256, np.uint8)
    complement[_LETTERS] = _LETTERS[::-1]
    bases[is_reverse] = complement[bases[is_reverse]][:, ::-1]
    wrong = rng.random(bases.shape) < _ERROR_RATE
    bases[wrong] = _LETTERS[rng.integers(0, 4, int(wrong.sum()))]
    return b"".join(b"@r%d" % (first + i) + _LINE % row.tobytes() for i, row in enumerate(bases))


def make_pair(folder: Path, n_contigs: int, length_bp: int, n_reads: int) -> tuple[Path, ...]:
    """Write a native/control pair of random transcripts, ``n_reads`` each per transcript.

    Returns
    -------
    BAM and signal of the native reads, of the control, and the reference.
    """
    config = SimulationConfig(reads=n_reads)
    pair = write_pair(folder, random_contigs(n_contigs, length_bp, config), config, force=False)
    signals = [path for name in ("native", "ivt") for path in (pair.bam(name), pair.signal(name))]
    return (*signals, pair.reference)
