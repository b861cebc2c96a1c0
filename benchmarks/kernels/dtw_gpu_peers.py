"""All-pairs DTW on a GPU by others: the usual wavefront kernel, and what users might write."""

import ctypes
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.kernels.cuda.driver import Array, Gpu
from benchmarks.kernels.dtw_peers import Signals

F32 = npt.NDArray[np.float32]
Timed = tuple[F32, float]
"""Condensed distances, and the seconds they took without copies to the device."""

WAVEFRONT_THREADS = 1024


def flat(signals: Signals) -> tuple[F32, npt.NDArray[np.int32]]:
    """Return the samples of all signals and where each begins."""
    offsets = np.concatenate([[0], np.cumsum([len(signal) for signal in signals])]).astype(np.int32)
    return np.concatenate(signals), offsets


def wavefront(gpu: Gpu, signals: Signals) -> Timed:
    """One block per pair, a barrier per anti-diagonal."""
    kernel = gpu.kernel("wavefront", "wavefront")
    first, second = (side.astype(np.int32) for side in np.triu_indices(len(signals), 1))
    values, offsets = flat(signals)
    with (
        Array(gpu, values) as signal,
        Array(gpu, offsets) as bounds,
        Array(gpu, first) as a,
        Array(gpu, second) as b,
        Array(gpu, np.zeros(len(first), np.float32)) as out,
    ):
        arguments = [array.address for array in (signal, bounds, a, b, out)]
        seconds = min(gpu.seconds(kernel, len(first), WAVEFRONT_THREADS, arguments) for _ in range(5))
        return out.fetch(), seconds


def cells_per_s(gpu: Gpu, name: str, per_round: int = 16, rounds: int = 200_000) -> float:
    """Return the rate of a kernel of ``issue_rate.cu``: cells, or minima."""
    kernel, threads, blocks = gpu.kernel("issue_rate", name), 256, 8 * gpu.multiprocessors
    with Array(gpu, np.ones(threads * blocks, np.float32)) as out:
        arguments = [out.address, ctypes.c_int(rounds)]
        gpu.seconds(kernel, blocks, threads, [out.address, ctypes.c_int(100)])
        seconds = min(gpu.seconds(kernel, blocks, threads, arguments) for _ in range(5))
    return per_round * rounds * threads * blocks / seconds


def numba_kernel() -> Any:
    """Return a kernel of one thread per pair, its row of the matrix in global memory."""
    from numba import cuda

    @cuda.jit
    def pairs(signal, offsets, first, second, rows, out):  # type: ignore[no-untyped-def]  # Numba's
        pair = cuda.grid(1)
        if pair >= out.size:
            return
        a, b = first[pair], second[pair]
        n, m = offsets[a + 1] - offsets[a], offsets[b + 1] - offsets[b]
        for j in range(m):
            rows[j, pair] = np.inf
        for i in range(n):
            diagonal = np.float32(0.0 if i == 0 else np.inf)
            left = np.float32(np.inf)
            for j in range(m):
                difference = signal[offsets[a] + i] - signal[offsets[b] + j]
                best = min(left, min(diagonal, rows[j, pair]))
                diagonal = rows[j, pair]
                left = difference * difference + best
                rows[j, pair] = left
        out[pair] = rows[m - 1, pair] ** np.float32(0.5)

    return pairs


def numba_pairs(signals: Signals) -> Timed:
    """One thread per pair."""
    from numba import cuda

    kernel = numba_kernel()
    first, second = (side.astype(np.int32) for side in np.triu_indices(len(signals), 1))
    values, offsets = flat(signals)
    longest = max(len(signal) for signal in signals)
    rows = cuda.device_array((longest, len(first)), np.float32)
    out = cuda.device_array(len(first), np.float32)
    inputs = [cuda.to_device(array) for array in (values, offsets, first, second)]
    best = np.inf
    for _ in range(3):  # the first one compiles
        start = time.perf_counter()
        kernel[-(-len(first) // 128), 128](*inputs, rows, out)
        cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return out.copy_to_host(), best


def diagonal_pairs(xp: Any, signals: Signals) -> Any:
    """Return all pairs' distances by array operations, one anti-diagonal of all pairs at a time.

    ``xp`` is CuPy, or NumPy to test it. Shorter signals are padded, so that all have one matrix.
    """
    lengths = xp.asarray([len(signal) for signal in signals])
    longest = max(len(signal) for signal in signals)
    padded = xp.asarray(np.stack([np.pad(signal, (0, longest - len(signal))) for signal in signals]))
    first, second = (xp.asarray(side) for side in np.triu_indices(len(signals), 1))
    a, b = padded[first], padded[second]
    before = xp.full((len(first), longest + 1), xp.inf, np.float32)
    last = before.copy()
    before[:, 0] = 0
    ends = lengths[first] + lengths[second] - 2
    sums = xp.zeros(len(first), np.float32)
    for diagonal in range(2 * longest - 1):
        rows = slice(max(0, diagonal - longest + 1), min(longest, diagonal + 1))
        columns = diagonal - xp.arange(rows.start, rows.stop)
        following = xp.full_like(before, xp.inf)
        best = xp.minimum(xp.minimum(last[:, rows.start + 1 : rows.stop + 1], last[:, rows]), before[:, rows])
        following[:, rows.start + 1 : rows.stop + 1] = (a[:, rows] - b[:, columns]) ** 2 + best
        own = xp.nonzero(ends == diagonal)[0]
        sums[own] = following[own, lengths[first][own]]
        before, last = last, following
    return xp.sqrt(sums)


def cupy_pairs(signals: Signals) -> Timed:
    """Array operations on all pairs at once."""
    import cupy

    best = np.inf
    for _ in range(3):  # the first one compiles
        start = time.perf_counter()
        out = diagonal_pairs(cupy, signals)
        cupy.cuda.Device().synchronize()
        best = min(best, time.perf_counter() - start)
    return cupy.asnumpy(out), best


def installed() -> dict[str, Callable[[Signals], Timed]]:
    """Return the users' kernels whose library is installed."""
    users = {"numba": numba_pairs, "cupy": cupy_pairs}
    return {name: pairs for name, pairs in users.items() if importlib.util.find_spec(name)}
