"""Made pileups of one contig with one site, for the tests of calling."""

import numpy as np

from baleen import calling
from baleen.config import CallingConfig
from baleen.data import ErrorPileup, ReadIndex, SignalPileup
from krill import PoreModel

CONFIG = CallingConfig(channels=("level",), permutations=2)
FOOTPRINT = {-1: 0.4, 0: 0.8, 1: 1.0, 2: 0.2}
LENGTH, SITE, SHIFT_PA = 150, 70, 9.0


def read_index(n_native, n_control):
    is_native = np.arange(n_native + n_control) < n_native
    return ReadIndex(
        read_ids=tuple(f"read-{i}" for i in range(n_native + n_control)),
        is_native=is_native,
        sample=(~is_native).astype(np.uint8),
        fold=(np.arange(len(is_native)) % 5).astype(np.uint8),
        sample_names=("native", "control"),
    )


def signal_pileup(n_native=30, n_control=30, modified=0.5, seed=0, level=None):
    """Reads over the whole contig; the first ``modified`` share of natives is shifted at SITE."""
    rng = np.random.default_rng(seed)
    sequence = rng.choice(np.frombuffer(b"ACGT", np.uint8), LENGTH)
    n, p = n_native + n_control, LENGTH - 4
    position = np.arange(2, LENGTH - 2, dtype=np.int32)
    if level is None:
        model = PoreModel.shipped("rna002")
        expected = model.level_mean[model.kmer_codes(sequence)]
        level = expected[:, None] + rng.normal(0, 2.5, (p, n))
        for offset, weight in FOOTPRINT.items():
            level[SITE - 2 + offset, : int(modified * n_native)] += SHIFT_PA * weight
    windows = np.arange(p * n, dtype=np.int64)
    return SignalPileup(
        contig="contig",
        sequence=sequence,
        position=position,
        window_offsets=np.arange(0, p * n + 1, n, dtype=np.int64),
        read=np.tile(np.arange(n, dtype=np.int32), p),
        level_pa=level.astype(np.float32).ravel(),
        level_stdv_pa=np.ones(p * n, np.float32),
        confidence=np.ones(p * n, np.float32),
        dwell_samples=rng.integers(4, 60, p * n).astype(np.int32),
        signal=np.zeros(p * n, np.float32),
        base_start=windows,
        base_end=windows + 1,
        window_start=windows,
        window_end=windows + 1,
        reads=read_index(n_native, n_control),
    )


def error_pileup(n_native=60, n_control=60, rate=0.6, seed=0, length=500, spread=()):
    """Reads over the whole contig with 5 % errors; native ones have more of them at SITE.

    ``spread`` are the rates 1, 2, ... bases away over that at SITE.
    """
    rng = np.random.default_rng(seed)
    n = n_native + n_control
    wrong = rng.random((length, n)) < 0.05
    wrong[SITE, :n_native] |= rng.random(n_native) < rate
    for distance, share in enumerate(spread, 1):
        for row in (SITE - distance, SITE + distance):
            wrong[row, :n_native] |= rng.random(n_native) < rate * share
    return ErrorPileup(
        contig="contig",
        sequence=rng.choice(np.frombuffer(b"ACGT", np.uint8), length),
        position=np.repeat(np.arange(length, dtype=np.int32), n),
        read=np.tile(np.arange(n, dtype=np.int32), length),
        errors=wrong.astype(np.uint8).ravel(),
        quality=np.full(length * n, 20, np.uint8),
        reads=read_index(n_native, n_control),
    )


def call(*evidence, config=CONFIG):
    model = calling.fit_run([calling.summarise(one) for one in evidence], config)
    calls = [calling.call_contig(one, model, config) for one in evidence]
    return [c.reads for c in calls], calling.finish_sites([c.sites for c in calls])
