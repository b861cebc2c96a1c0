"""Reads and a reference to align: made with a seed, seconds of work."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ReadSet:
    """Files: a reference, direct RNA reads, and the mates of short pairs."""

    reference: Path
    rna: Path
    pairs: tuple[Path, Path]


def simulate(folder: Path) -> ReadSet:
    """Direct RNA reads of about 1 kb with 8 % errors, and 2 x 100 pairs with 1 %."""
    rng = np.random.default_rng(11)
    letters = np.frombuffer(b"ACGT", np.uint8)
    complement = np.zeros(256, np.uint8)
    complement[letters] = letters[::-1]
    contigs = [letters[rng.integers(0, 4, 150_000)] for _ in range(4)]
    data = ReadSet(folder / "ref.fa", folder / "rna.fq", (folder / "1.fq", folder / "2.fq"))
    data.reference.write_bytes(b"".join(b">c%d\n%s\n" % (i, c.tobytes()) for i, c in enumerate(contigs)))

    def sequenced(bases: np.ndarray, rate: float) -> bytes:
        changed = np.where(rng.random(len(bases)) < rate / 2, letters[rng.integers(0, 4, len(bases))], bases)
        return changed[rng.random(len(bases)) >= rate / 2].tobytes()

    with data.rna.open("wb") as file:
        for i in range(3000):
            contig, length = contigs[rng.integers(4)], int(rng.integers(500, 1500))
            start = int(rng.integers(0, len(contig) - length))
            bases = sequenced(contig[start : start + length], 0.08)
            file.write(b"@rna%d\n%s\n+\n%s\n" % (i, bases.replace(b"T", b"U"), b"5" * len(bases)))
    with data.pairs[0].open("wb") as first, data.pairs[1].open("wb") as second:
        for i in range(30_000):
            contig, start = contigs[rng.integers(4)], int(rng.integers(0, 149_600))
            fragment = contig[start : start + int(rng.integers(200, 400))]
            ends = [fragment[:100], complement[fragment[::-1][:100]]]
            for mate, (file, bases) in enumerate(
                zip((first, second), ends[:: rng.choice([-1, 1])], strict=True)
            ):
                called = np.where(rng.random(100) < 0.01, letters[rng.integers(0, 4, 100)], bases).tobytes()
                file.write(b"@p%d/%d\n%s\n+\n%s\n" % (i, mate + 1, called, b"I" * 100))
    return data
