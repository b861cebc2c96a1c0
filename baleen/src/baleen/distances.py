"""Windows of a contig to what the scorer asks of dynamic time warping."""

import hashlib

import numpy as np

import krill
from baleen.crew import Each
from baleen.data import F32, I64, Bool, Distances, SignalPileup

MOST_LANDMARKS = 128
"""Windows of a position that span its space; more cost time and hardly move the axis."""


BLOCK_WINDOWS = 10_000
"""Windows that are computed as one piece of work, whole positions: tens of milliseconds on a core."""


def distances(pileup: SignalPileup, *, device: krill.GpuShare | str = "cpu", each: Each = map) -> Distances:
    """Return where each window lies along the main direction of its position's DTW distances.

    Parameters
    ----------
    pileup
        Windows of one contig; every window has at least one sample.
    device
        Where to compute.
    each
        Carries out the blocks of positions. Neither changes the result.

    Returns
    -------
    Distances
        Two coordinates per window: of the tested base alone, of the padded window.

    Notes
    -----
    Nothing here looks at ``is_native`` or ``fold``: relabelled reads keep their coordinates.
    """
    landmarks = choose_landmarks(pileup)
    n_positions, n_windows = len(pileup.position), max(1, len(pileup.read))
    step = max(1, BLOCK_WINDOWS * n_positions // n_windows)
    starts = range(0, n_positions, step)
    blocks = [pileup.window_offsets[start : start + step + 1] for start in starts]

    def coordinates(block: I64) -> tuple[F32, F32]:
        rows = slice(block[0], block[-1])

        def along(start: I64, end: I64) -> F32:
            windows = krill.SignalWindows(pileup.signal, start[rows], end[rows], block - block[0])
            return krill.dtw_coordinate(windows, landmarks[rows], device=device)

        return along(pileup.base_start, pileup.base_end), along(pileup.window_start, pileup.window_end)

    none = np.zeros(0, np.float32)
    base, window = zip((none, none), *each(coordinates, blocks), strict=True)
    return Distances(base_coordinate=np.concatenate(base), window_coordinate=np.concatenate(window))


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
