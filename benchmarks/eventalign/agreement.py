"""Real reads have no truth: agreement with the moves, and reads that a wrong reference takes."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

import krill
from benchmarks.eventalign.data import reference_of_bases
from krill import PoreModel, ReadBatch, ReadStatus

REGISTERS = range(-6, 7)
"""Bases by which a table may be off."""

WITHIN = 15
"""Samples."""

FEWEST_BOUNDARIES = 10


def without_moves(batch: ReadBatch) -> ReadBatch:
    """Return the batch as a basecaller without move tables had left it."""
    return replace(batch, move_stride=np.zeros_like(batch.move_stride))


def move_agreement(
    batch: ReadBatch, reference: npt.NDArray[np.uint8], model: PoreModel
) -> dict[int, list[float]]:
    """Return by register, for every placed read, the share of boundaries within 15 samples of their moves.

    The reads are placed without their moves; each read's median difference is taken off.
    """
    found = krill.align(without_moves(batch), reference, model)
    shares: dict[int, list[float]] = {register: [] for register in REGISTERS}
    for i in np.flatnonzero(found.status == ReadStatus.OK):
        rows = slice(found.read_offsets[i], found.read_offsets[i + 1])
        moved_at = _moves_by_position(batch, int(i), len(reference))
        for register in REGISTERS:
            at = np.clip(found.position[rows] + register, 0, len(reference) - 1)
            difference = found.sample_start[rows] - moved_at[at]
            difference = difference[np.isfinite(difference)]
            if len(difference) >= FEWEST_BOUNDARIES:
                near = np.abs(difference - np.median(difference)) <= WITHIN
                shares[register].append(float(near.mean()))
    return shares


def _moves_by_position(batch: ReadBatch, read: int, n_positions: int) -> npt.NDArray[np.float64]:
    """Return the sample at which each reference base was called, NaN where none was."""
    moved_at = np.full(n_positions, np.nan)
    base = reference_of_bases(int(batch.ref_start[read]), batch.cigar[read])
    begin = max(int(batch.trimmed_samples[read]), 0)
    samples = begin + np.flatnonzero(batch.moves[read])[::-1] * int(batch.move_stride[read])
    if len(samples) == len(base):
        moved_at[base[base >= 0]] = samples[base >= 0]
    return moved_at


def wrongly_placed(batch: ReadBatch, reference: npt.NDArray[np.uint8], model: PoreModel) -> int:
    """Return how many reads the reversed reference takes."""
    found = krill.align(batch, reference[::-1], model)
    return int(np.sum(found.status == ReadStatus.OK))
