"""Signal of molecules whose boundaries are known, for tests of the alignment."""

import numpy as np
import numpy.typing as npt

from krill import PoreModel, Ragged, ReadBatch

RNA004 = PoreModel.shipped("rna004")
MATCH, INSERTION, DELETION, SKIP, SOFT_CLIP, HARD_CLIP = range(6)


def random_bases(rng: np.random.Generator, n: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, n)]


def simulate_signal(
    rng: np.random.Generator,
    molecule: npt.NDArray[np.uint8],
    dwell: npt.NDArray[np.int64] | None = None,
    shift_pa: float | npt.NDArray[np.float64] = 0.0,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64], int]:
    """Return signal (tenths of pA), samples per k-mer in signal order, first sample of the molecule.

    ``shift_pa`` is added to the levels of the k-mers, by rising start.
    """
    levels = (RNA004.level_mean[RNA004.kmer_codes(molecule)] + shift_pa)[::-1]
    if dwell is None:
        dwell = 1 + rng.gamma(3, 10, len(levels)).astype(np.int64)
    adapter = np.repeat(rng.normal(62, 6, 60), 40)
    tail = np.full(1500, RNA004.level_mean[0])
    clean = np.concatenate([adapter, tail, np.repeat(levels + rng.normal(0, 1.5, len(levels)), dwell)])
    signal = 1.05 * clean - 4 + rng.normal(0, 2.5, len(clean))
    return np.round(10 * signal).astype(np.int16), dwell, len(adapter) + len(tail)


def make_batch(
    signals: list[npt.NDArray[np.int16]],
    *,
    cigars: list[list[tuple[int, int]]],
    sequences: list[npt.NDArray[np.uint8]],
    ref_start: int = 0,
) -> ReadBatch:
    n = len(signals)
    return ReadBatch(
        contig="c",
        read_ids=tuple(f"read{i}" for i in range(n)),
        ref_start=np.full(n, ref_start, np.int32),
        ref_end=np.full(n, ref_start, np.int32),
        is_reverse=np.zeros(n, bool),
        mapq=np.full(n, 60, np.uint8),
        cigar=Ragged.from_rows([[length << 4 | op for op, length in cigar] for cigar in cigars], np.uint32),
        sequence=Ragged.from_rows(sequences, np.uint8),
        quality=Ragged.from_rows([np.full(len(s), 20) for s in sequences], np.uint8),
        moves=Ragged.from_rows([[] for _ in range(n)], np.uint8),
        move_stride=np.zeros(n, np.int32),
        signal=Ragged.from_rows(signals, np.int16),
        signal_start=np.zeros(n, np.int64),
        trimmed_samples=np.full(n, -1, np.int32),
        offset_adc=np.zeros(n, np.float32),
        scale_pa=np.full(n, 0.1, np.float32),
        sampling_rate_hz=4000.0,
    )
