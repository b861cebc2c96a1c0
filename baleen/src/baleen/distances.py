"""Windows of a contig to what the scorer asks of dynamic time warping."""

import hashlib

import numpy as np

import krill
from baleen.data import F32, I64, Bool, Distances, SignalPileup

MOST_LANDMARKS = 128
"""Windows of a position that span its space; more cost time and hardly move the axis."""


def distances(pileup: SignalPileup, *, threads: int = 1, device: str = "cpu") -> Distances:
    """Return where each window lies along the main direction of its position's DTW distances.

    Parameters
    ----------
    pileup
        Windows of one contig; every window has at least one sample.
    threads, device
        Where to compute; neither changes the result.

    Returns
    -------
    Distances
        Two coordinates per window: of the tested base alone, of the padded window.

    Notes
    -----
    Nothing here looks at ``is_native`` or ``fold``: relabelled reads keep their coordinates. The
    engine holds one position per thread in memory, so a contig needs no cutting into blocks.
    """
    landmarks = choose_landmarks(pileup)

    def coordinate(start: I64, end: I64) -> F32:
        windows = krill.SignalWindows(pileup.signal, start, end, pileup.window_offsets)
        return krill.dtw_coordinate(windows, landmarks, threads=threads, device=device)

    return Distances(
        base_coordinate=coordinate(pileup.base_start, pileup.base_end),
        window_coordinate=coordinate(pileup.window_start, pileup.window_end),
    )


def choose_landmarks(pileup: SignalPileup) -> Bool:
    """Return which windows are landmarks, shape ``(w,)``: at most ``MOST_LANDMARKS`` per position.

    Reads come by the hash of their name, so the choice depends neither on their order nor on
    which of them are native.
    """
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in pileup.reads.read_ids]
    turn = np.frombuffer(b"".join(digests), ">u8")[pileup.read]
    counts = np.diff(pileup.window_offsets)
    position = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((turn, position))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(pileup.window_offsets[:-1], counts)
    return rank < MOST_LANDMARKS
