"""Dynamic time warping between many short signals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from krill import _krill
from krill.devices import GpuShare, Place, gpu_ordinals
from krill.ragged import Ragged

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Signals = Ragged | Sequence[npt.ArrayLike]


@dataclass(frozen=True, kw_only=True)
class DtwOptions:
    """Which distance is wanted.

    Parameters
    ----------
    cost
        ``squared``: square root of the summed squared differences along the best path;
        ``absolute``: sum of the absolute differences.
    normalised
        Divide the sum (under the root) by the two lengths together.
    open_start, open_end
        The first signal may begin, or end, anywhere in the second at no cost.

    Notes
    -----
    ``D[i, j] = cost(a[i], b[j]) + min(D[i-1, j], D[i, j-1], D[i-1, j-1])``, closed at both ends
    unless opened, no band. Sums are float32, float64 if a signal has more than 1,000 samples.
    """

    cost: Literal["squared", "absolute"] = "squared"
    normalised: bool = False
    open_start: bool = False
    open_end: bool = False

    def _setup(self, threads: int, device: Place) -> _krill.DtwSetup:
        share = GpuShare(device) if isinstance(device, str) else device
        ordinals = gpu_ordinals(share.name)
        place = (ordinals, share.memory_limit, share.sharers) if ordinals else None
        flags = (self.normalised, self.open_start, self.open_end)
        return _krill.DtwSetup(threads, self.cost, flags, place)


CLOSED = DtwOptions()


@dataclass(frozen=True)
class SignalWindows:
    """Windows of many positions as intervals of one signal, so that none is copied.

    ``p`` positions, ``w`` windows, ``s`` samples.

    Parameters
    ----------
    signal
        Samples that all windows lie in, float32, shape ``(s,)``.
    start, end
        Interval of each window, int64, shape ``(w,)``.
    position_offsets
        Windows of position ``i`` are rows ``position_offsets[i]:position_offsets[i + 1]``,
        int64, shape ``(p + 1,)``.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """

    signal: F32
    start: I64
    end: I64
    position_offsets: I64

    def __post_init__(self) -> None:
        object.__setattr__(self, "signal", np.ascontiguousarray(self.signal, np.float32))
        for name in ("start", "end", "position_offsets"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), np.int64))
        if self.start.ndim != 1 or self.start.shape != self.end.shape or self.signal.ndim != 1:
            msg = f"start {self.start.shape} and end {self.end.shape} must be of one length, all arrays 1-D"
            raise ValueError(msg)
        Ragged(self.start, self.position_offsets)  # refuses offsets that do not describe the windows

    def __len__(self) -> int:
        return len(self.start)

    def _intervals(self) -> tuple[I64, I64, I64]:
        return self.start, self.end, self.position_offsets


def dtw_distance(a: npt.ArrayLike, b: npt.ArrayLike, *, options: DtwOptions = CLOSED) -> float:
    """Return the distance of two signals.

    Parameters
    ----------
    a, b
        Samples, 1-D, taken as float32; finite, at least one.
    options
        Which distance.

    Raises
    ------
    ValueError
        If a signal is empty or has a sample that is not finite.
    """
    return float(dtw_cross([a], [b], options=options)[0, 0])


def dtw_pairwise(
    signals: Signals, *, threads: int = 1, device: Place = "cpu", options: DtwOptions = CLOSED
) -> F32:
    """Return the distances of all pairs of ``n`` signals.

    Parameters
    ----------
    signals
        Arrays of samples, taken as float32, or a `Ragged`; each finite, with at least one sample.
    threads
        Cores to use; changes no bit of the result.
    device
        Name of one of `devices`, several GPUs as ``cuda:0,1`` or ``cuda:all``, or a `GpuShare`;
        changes no bit either.
    options
        Which distance; closed at both ends, or it would depend on the order of a pair.

    Returns
    -------
    numpy.ndarray
        Condensed, float32, shape ``(n * (n - 1) / 2,)``: pairs ``i < j``, row by row.

    Raises
    ------
    ValueError
        If a signal is empty or has a sample that is not finite; names its index.
    DeviceError
        If the device cannot be had; `DeviceMemoryError` if its memory is too small.
    """
    _refuse_open_ends(options)
    return _krill.dtw_pairwise(*_arrays("signals", signals), options._setup(threads, device))


def dtw_cross(
    a: Signals, b: Signals, *, threads: int = 1, device: Place = "cpu", options: DtwOptions = CLOSED
) -> F32:
    """Return the distance of every signal of ``a`` from every signal of ``b``.

    Parameters
    ----------
    a, b
        ``n`` and ``m`` signals, as in `dtw_pairwise`.
    threads, device, options
        As in `dtw_pairwise`; ends may be open.

    Returns
    -------
    numpy.ndarray
        float32, shape ``(n, m)``.

    Raises
    ------
    ValueError
        If a signal is empty or has a sample that is not finite; names its index.
    DeviceError
        If the device cannot be had; `DeviceMemoryError` if its memory is too small.
    """
    left, right = _arrays("a", a), _arrays("b", b)
    distances = _krill.dtw_cross(left, right, options._setup(threads, device))
    return distances.reshape(len(left[1]) - 1, len(right[1]) - 1)


def dtw_coordinate(
    windows: SignalWindows, is_landmark: npt.NDArray[np.bool_], *, threads: int = 1, device: Place = "cpu"
) -> F32:
    """Return where each window lies along the main direction of its position's distances.

    Parameters
    ----------
    windows
        ``w`` windows.
    is_landmark
        Windows that span the space, bool, shape ``(w,)``; the others are placed among them.
    threads, device
        As in `dtw_pairwise`.

    Returns
    -------
    numpy.ndarray
        float32, shape ``(w,)``, in the unit of the signal: it rises with the landmarks' mean.
        NaN where a position has fewer than three landmarks, or landmarks all alike.

    Raises
    ------
    ValueError
        If a window is empty, outside the signal, or has a sample that is not finite; names it.
    DeviceError
        If the device cannot be had; `DeviceMemoryError` if its memory is too small.

    Notes
    -----
    First coordinate of classical scaling (Torgerson 1952) of the normalised distances between the
    landmarks; other windows by Gower's (1968) projection.
    """
    mask = np.ascontiguousarray(is_landmark, np.bool_)
    _check_labels("is_landmark", mask, windows)
    setup = DtwOptions(normalised=True)._setup(threads, device)
    return _krill.dtw_coordinate(windows.signal, windows._intervals(), mask, setup)


@dataclass(frozen=True)
class WindowRoles:
    """Which windows are described, and by their distances to which others.

    Natives as queries and controls as both give native x control and control x control and
    nothing else; all windows as both give every pair.

    Parameters
    ----------
    is_query, is_reference
        bool, shape ``(w,)``.
    fold
        Windows of one fold are no references to each other, int64, shape ``(w,)``;
        ``numpy.arange(w)`` leaves out the window itself alone.
    """

    is_query: npt.NDArray[np.bool_]
    is_reference: npt.NDArray[np.bool_]
    fold: I64


@dataclass(frozen=True)
class DtwSummary:
    """Each window's distances to the references of its position outside its fold.

    Parameters
    ----------
    mean, median
        float32, shape ``(w,)``; NaN without references and for windows that are no queries.
    count
        Number of distances, int32, shape ``(w,)``; 0 for windows that are no queries.
    nearest
        The smallest distances, rising, float32, shape ``(w, n_nearest)``; NaN where there are fewer.
    """

    mean: F32
    median: F32
    count: npt.NDArray[np.int32]
    nearest: F32


def dtw_summary(
    windows: SignalWindows,
    roles: WindowRoles,
    *,
    n_nearest: int = 5,
    threads: int = 1,
    device: Place = "cpu",
    options: DtwOptions = CLOSED,
) -> DtwSummary:
    """Return what each window's distances to others of its position amount to.

    No matrix leaves the engine; a pair is computed once, and only if it is needed.

    Parameters
    ----------
    windows
        ``w`` windows.
    roles
        Which pairs are wanted.
    n_nearest
        How many of the smallest distances to keep.
    threads, device, options
        As in `dtw_pairwise`.

    Raises
    ------
    ValueError
        If a window is empty, outside the signal, or has a sample that is not finite; names it.
    DeviceError
        If the device cannot be had; `DeviceMemoryError` if its memory is too small.
    """
    _refuse_open_ends(options)
    flags = [np.ascontiguousarray(x, np.bool_) for x in (roles.is_query, roles.is_reference)]
    fold = np.ascontiguousarray(roles.fold, np.int64)
    for name, labels in (("is_query", flags[0]), ("is_reference", flags[1]), ("fold", fold)):
        _check_labels(name, labels, windows)
    rows = _krill.dtw_summary(
        windows.signal,
        windows._intervals(),
        (flags[0], flags[1], fold),
        n_nearest,
        options._setup(threads, device),
    ).reshape(len(windows), 3 + n_nearest)
    count = np.nan_to_num(rows[:, 2]).astype(np.int32)
    return DtwSummary(rows[:, 0].copy(), rows[:, 1].copy(), count, rows[:, 3:].copy())


def _refuse_open_ends(options: DtwOptions) -> None:
    if options.open_start or options.open_end:
        msg = "open ends make the distance depend on the order of a pair; use dtw_cross"
        raise ValueError(msg)


def _check_labels(name: str, labels: npt.NDArray[np.generic], windows: SignalWindows) -> None:
    if labels.shape != windows.start.shape:
        msg = f"{name} has shape {labels.shape}; there are {len(windows)} windows"
        raise ValueError(msg)


def _arrays(name: str, signals: Signals) -> tuple[F32, I64]:
    """Return values and offsets of signals given in either form."""
    if isinstance(signals, Ragged):
        return np.ascontiguousarray(signals.values, np.float32), signals.offsets
    rows = [np.asarray(row, np.float32) for row in signals]
    for i, row in enumerate(rows):
        if row.ndim != 1:
            msg = f"{name}[{i}] has {row.ndim} dimensions; a signal has one"
            raise ValueError(msg)
    ragged = Ragged.from_rows(rows, np.float32)
    return ragged.values, ragged.offsets
