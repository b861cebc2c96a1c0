"""What the main process hands to workers: one task per contig, and where the tables lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from baleen.data import U8
from baleen.files import complete_file
from baleen.inputs.samples import SampleFiles
from baleen.inputs.selection import Rows

TABLE_NAME, SEQUENCES_NAME = ".reads.npy", ".sequences.npy"


@dataclass(frozen=True, slots=True)
class ContigTask:
    """One contig's share of the work: small, picklable, enough for a worker to find its reads.

    Parameters
    ----------
    contig, index, length_bp
        Name, place in the reference FASTA, length.
    n_reads
        Reads per sample.
    first_row, last_row
        Its rows of the reads table, half-open.
    sequence_start
        Where its bases begin in the file of sequences.
    """

    contig: str
    index: int
    length_bp: int
    n_reads: tuple[int, ...]
    first_row: int
    last_row: int
    sequence_start: int


@dataclass(frozen=True)
class ReadSource:
    """The files from which a worker reads; picklable.

    Parameters
    ----------
    table
        Reads table: `ROW` records ordered by contig, sample and place in the BAM. It is memory
        mapped, so that a worker holds its own rows alone.
    sequences
        Bases of the called contigs, one after another, uint8.
    samples
        Files of each sample.
    """

    table: Path
    sequences: Path
    samples: tuple[SampleFiles, ...]

    @classmethod
    def write(
        cls,
        folder: Path,
        samples: Sequence[SampleFiles],
        table: Rows,
        sequences: Mapping[str, U8],
        tasks: Sequence[ContigTask],
    ) -> "ReadSource":
        """Write both tables into a folder."""
        bases = [sequences[task.contig] for task in tasks]
        joined = np.concatenate(bases) if bases else np.zeros(0, np.uint8)
        for name, array in ((TABLE_NAME, table), (SEQUENCES_NAME, joined)):
            with complete_file(folder / name) as part, part.open("wb") as handle:
                np.save(handle, array, allow_pickle=False)
        return cls.of(folder, samples)

    @classmethod
    def of(cls, folder: Path, samples: Sequence[SampleFiles]) -> "ReadSource":
        """Return the tables that were written into a folder."""
        return cls(folder / TABLE_NAME, folder / SEQUENCES_NAME, tuple(samples))
