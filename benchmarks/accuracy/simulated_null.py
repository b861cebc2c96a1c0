"""P-values where nothing differs, at several depths: levels simulated as arrays, without files."""

from collections.abc import Sequence

import numpy as np

from baleen import calling
from baleen.config import CallingConfig
from baleen.data import ReadIndex, SignalPileup, SiteCalls
from krill import PoreModel

DEPTHS = (30, 100, 300)
CONTIGS, LENGTH = 40, 150
COVERED = 0.8
MIXED = ((25, 20), (50, 12), (100, 12), (300, 8))  # reads of either label, contigs


def pileup(n_native: int, n_control: int, n_positions: int, seed: int) -> SignalPileup:
    """Return levels of reads that are all alike: the pore's own spread, and each read's offset.

    Reads cover a random stretch of the contig, on average `COVERED` of it; levels of neighbours
    share a part of their noise, as placed boundaries make them do.
    """
    rng = np.random.default_rng([seed, n_native])
    n = n_native + n_control
    sequence = rng.choice(np.frombuffer(b"ACGT", np.uint8), n_positions + 8)
    position = np.arange(4, n_positions + 4, dtype=np.int32)
    model = PoreModel.shipped("rna004")
    code = np.full(len(sequence), -1)
    inner = model.kmer_codes(sequence)
    code[model.center : model.center + len(inner)] = inner
    expected, spread = model.level_mean[code[position]], model.level_stdv[code[position]]
    noise = rng.standard_t(6, (n_positions, n))
    noise[1:] += 0.3 * noise[:-1]
    level = expected[:, None] + spread[:, None] * noise + rng.normal(0, 0.5, n)
    start = rng.integers(0, max(1, int(2 * (1 - COVERED) * n_positions)), n)
    row, read = np.nonzero(np.arange(n_positions)[:, None] >= start)
    m = len(row)
    zeros = np.zeros(m, np.int64)
    is_native = np.arange(n) < n_native
    return SignalPileup(
        contig=f"null{seed}",
        sequence=sequence,
        position=position,
        window_offsets=np.searchsorted(row, np.arange(n_positions + 1)).astype(np.int64),
        read=read.astype(np.int32),
        level_pa=level[row, read].astype(np.float32),
        level_stdv_pa=np.ones(m, np.float32),
        confidence=np.ones(m, np.float32),
        dwell_samples=rng.gamma(2, 15, m).astype(np.int32),
        signal=np.zeros(1, np.float32),
        base_start=zeros,
        base_end=zeros,
        window_start=zeros,
        window_end=zeros,
        reads=ReadIndex(
            tuple(str(i) for i in range(n)),
            is_native,
            (~is_native).astype(np.uint8),
            np.zeros(n, np.uint8),
            ("native", "control"),
        ),
    )


def shares(n_native: int, n_control: int) -> dict[str, float]:
    """Return the share of positions with p below usual thresholds, over `CONTIGS` contigs."""
    sites = _sites([(n_native, n_control)] * CONTIGS)
    p = np.concatenate([one["pvalue"] for one in sites])
    padj = np.concatenate([one["padj"] for one in sites])
    p = p[~np.isnan(p)]
    return {
        "p < .05": float((p < 0.05).mean()),
        "p < .01": float((p < 0.01).mean()),
        "padj < .05": float((np.nan_to_num(padj, nan=1.0) < 0.05).mean()),
    }


def shares_by_depth() -> dict[int, float]:
    """Return the share of positions with p < .5 at each depth of a run of shallow and deep contigs."""
    depths = [depth for depth, n in MIXED for _ in range(n)]
    sites = _sites([(depth, depth) for depth in depths])
    shares = {}
    for depth, _ in MIXED:
        p = np.concatenate([one["pvalue"] for one, d in zip(sites, depths, strict=True) if d == depth])
        shares[depth] = float((p[~np.isnan(p)] < 0.5).mean())
    return shares


def _sites(reads: Sequence[tuple[int, int]]) -> list[SiteCalls]:
    """Call one contig per pair of native and control reads, as one run."""
    config = CallingConfig(channels=("level",))
    evidence = [
        calling.score_contig(pileup(n_native, n_control, LENGTH, seed), None, None, config, seed)
        for seed, (n_native, n_control) in enumerate(reads)
    ]
    model = calling.fit_run([calling.summarise(one) for one in evidence], config)
    return calling.finish_sites([calling.call_contig(one, model, config).sites for one in evidence])
