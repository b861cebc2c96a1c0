"""Dynamic time warping between many short signals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from krill import _krill
from krill.devices import require_device
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

    def _setup(self, threads: int) -> _krill.DtwSetup:
        return _krill.DtwSetup(threads, self.cost, (self.normalised, self.open_start, self.open_end))


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
    signals: Signals, *, threads: int = 1, device: str = "cpu", options: DtwOptions = CLOSED
) -> F32:
    """Return the distances of all pairs of ``n`` signals.

    Parameters
    ----------
    signals
        Arrays of samples, taken as float32, or a `Ragged`; each finite, with at least one sample.
    threads
        Cores to use; changes no bit of the result.
    device
        Name of one of `devices`.
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
        If the device cannot be had.
    """
    require_device(device)
    if options.open_start or options.open_end:
        msg = "open ends make the distance depend on the order of a pair; use dtw_cross"
        raise ValueError(msg)
    return _krill.dtw_pairwise(*_arrays("signals", signals), options._setup(threads))


def dtw_cross(
    a: Signals, b: Signals, *, threads: int = 1, device: str = "cpu", options: DtwOptions = CLOSED
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
        If the device cannot be had.
    """
    require_device(device)
    left, right = _arrays("a", a), _arrays("b", b)
    distances = _krill.dtw_cross(left, right, options._setup(threads))
    return distances.reshape(len(left[1]) - 1, len(right[1]) - 1)


def dtw_coordinate(
    windows: SignalWindows, is_landmark: npt.NDArray[np.bool_], *, threads: int = 1, device: str = "cpu"
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
        If the device cannot be had.

    Notes
    -----
    First coordinate of classical scaling (Torgerson 1952) of the normalised distances between the
    landmarks; other windows by Gower's (1968) projection.
    """
    require_device(device)
    mask = np.ascontiguousarray(is_landmark, np.bool_)
    if mask.shape != windows.start.shape:
        msg = f"is_landmark has shape {mask.shape}; there are {len(windows)} windows"
        raise ValueError(msg)
    intervals = (windows.start, windows.end, windows.position_offsets)
    return _krill.dtw_coordinate(windows.signal, intervals, mask, DtwOptions(normalised=True)._setup(threads))


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
