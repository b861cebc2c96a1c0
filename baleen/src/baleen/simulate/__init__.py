"""Reads whose modifications are known: signal, basecalls and truth, as arrays, from a seed.

Shares nothing with the caller but the table of levels (``krill.PoreModel``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from baleen.data import I32, I64, U8, Bool
from baleen.simulate.basecalls import align_calls, call_bases, move_table
from baleen.simulate.current import FOOTPRINT, Bases, Distortion, extended_codes, measure, pass_pore
from baleen.simulate.molecules import SITE_DISTANCE_BP, Sites, draw_molecules, plan_sites, random_transcript
from baleen.simulate.settings import CHEMISTRY, Chemistry, SimulationConfig
from krill import PoreModel, Ragged, ReadBatch

__all__ = [
    "CHEMISTRY",
    "FOOTPRINT",
    "SITE_DISTANCE_BP",
    "Chemistry",
    "SimulatedReads",
    "SimulationConfig",
    "Sites",
    "Truth",
    "contig_sites",
    "random_contig",
    "simulate_reads",
]

_READS_PER_BATCH = 64  # part of what a seed means: another size gives other reads
_SITES, _CONTROL, _NATIVE, _SEQUENCE = range(4)  # streams of random numbers of one contig


@dataclass(frozen=True)
class Truth:
    """What is true of simulated reads. ``n`` reads, ``m`` placed bases, ``s`` sites.

    Parameters
    ----------
    offsets
        Rows of each read, int64, shape ``(n + 1,)``; a read's rows are its transcript's bases by
        rising position, without the tail.
    position
        Tested base, int32, shape ``(m,)``.
    sample_start, sample_end
        Its samples in the read's signal, int32, shape ``(m,)``.
    is_covered, is_modified
        Whether the read reaches the site; whether it is modified there; bool, shape ``(n, s)``.
    gain, offset_pa, drift_pa
        measured = gain * level + offset + drift * (t / T - .5) + slow waves, float64, ``(n,)``.
    """

    offsets: I64
    position: I32
    sample_start: I32
    sample_end: I32
    is_covered: Bool
    is_modified: Bool
    distortion: Distortion


@dataclass(frozen=True)
class SimulatedReads:
    """A batch of reads as a run would deliver them, with their truth."""

    reads: ReadBatch
    truth: Truth


def _random(config: SimulationConfig, contig_index: int, stream: int, batch: int = 0) -> np.random.Generator:
    return np.random.default_rng([config.seed, contig_index, stream, batch])


def random_contig(length_bp: int, contig_index: int, config: SimulationConfig) -> U8:
    """Return the random transcript of this number, ASCII, uint8, shape ``(length_bp,)``."""
    return random_transcript(length_bp, _random(config, contig_index, _SEQUENCE))


def contig_sites(length_bp: int, contig_index: int, config: SimulationConfig) -> Sites:
    """Return the modified sites of the contig of this number."""
    return plan_sites(length_bp, config, _random(config, contig_index, _SITES))


def simulate_reads(
    contig: str, contig_index: int, sequence: U8, sites: Sites | None, config: SimulationConfig
) -> Iterator[SimulatedReads]:
    """Yield the reads of one contig and condition, in batches.

    Parameters
    ----------
    contig, contig_index
        Name and number of the contig; with the seed, the number decides the reads.
    sequence
        ASCII bases A, C, G, T, uint8.
    sites
        Modified sites of native reads; None for the control. The control does not depend on them.

    Raises
    ------
    ValueError
        If the sequence holds other letters, or the settings make reads that cannot be placed.
    """
    stream = _CONTROL if sites is None else _NATIVE
    for batch, first in enumerate(range(0, config.reads, _READS_PER_BATCH)):
        n = min(_READS_PER_BATCH, config.reads - first)
        rng = _random(config, contig_index, stream, batch)
        yield _simulate_batch(contig, sequence, sites, n, config, rng)


def _simulate_batch(
    contig: str,
    sequence: U8,
    sites: Sites | None,
    n: int,
    config: SimulationConfig,
    rng: np.random.Generator,
) -> SimulatedReads:
    length_bp = len(sequence)
    read_ids = tuple(_read_id(row) for row in rng.integers(0, 256, (n, 16), np.uint8))
    molecules = draw_molecules(length_bp, n, sites, config, rng)
    sites = sites or _NO_SITES
    bases = pass_pore(molecules, sites, length_bp, config, rng)
    codes = extended_codes(sequence, int(molecules.tail_bp.max()), PoreModel.shipped(config.pore))
    signal, distortion, offset_adc = measure(bases, molecules, sites, codes, config, rng)
    calls = call_bases(bases, molecules, sites, sequence, config, rng)
    placed = align_calls(bases, calls, length_bp)
    moves = move_table(bases, calls, signal.lengths, config, rng)
    chemistry = config.chemistry
    has_moves = config.moves
    reads = ReadBatch(
        contig=contig,
        read_ids=read_ids,
        ref_start=placed.ref_start,
        ref_end=placed.ref_end,
        is_reverse=np.zeros(n, np.bool_),
        mapq=np.full(n, 60, np.uint8),
        cigar=placed.cigar,
        sequence=Ragged(calls.letter, calls.offsets),
        quality=Ragged(calls.quality, calls.offsets),
        moves=moves if has_moves else Ragged(np.zeros(0, np.uint8), np.zeros(n + 1, np.int64)),
        move_stride=np.full(n, chemistry.move_stride if has_moves else 0, np.int32),
        signal=signal,
        signal_start=np.zeros(n, np.int64),
        trimmed_samples=(bases.adapter_end if has_moves else np.full(n, -1)).astype(np.int32),
        offset_adc=offset_adc.astype(np.float32),
        scale_pa=np.full(n, chemistry.range_pa / chemistry.digitisation, np.float32),
        sampling_rate_hz=float(chemistry.sampling_rate_hz),
    )
    return SimulatedReads(reads, _truth(bases, molecules.is_modified, sites, distortion, length_bp))


def _truth(bases: Bases, is_modified: Bool, sites: Sites, distortion: Distortion, length_bp: int) -> Truth:
    is_transcript = bases.position < length_bp
    counts = np.bincount(bases.read[is_transcript], minlength=len(is_modified))
    first = bases.position[bases.offsets[:-1]]
    return Truth(
        offsets=np.concatenate(([0], np.cumsum(counts))),
        position=bases.position[is_transcript].astype(np.int32),
        sample_start=bases.sample_start[is_transcript].astype(np.int32),
        sample_end=(bases.sample_start + bases.dwell_samples)[is_transcript].astype(np.int32),
        is_covered=first[:, None] <= sites.position,
        is_modified=is_modified,
        distortion=distortion,
    )


def _read_id(random_bytes: U8) -> str:
    """Return a UUID (version 4) made of these 16 bytes."""
    value = random_bytes.copy()
    value[6] = value[6] & 0x0F | 0x40
    value[8] = value[8] & 0x3F | 0x80
    text = value.tobytes().hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


_NO_SITES = Sites(np.zeros(0, np.int32), np.zeros(0), np.zeros(0), np.zeros(0))
