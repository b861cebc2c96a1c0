"""Evidence for a second component in groups of weighted measurements, row by row."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from krill import _krill

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Places on which the marginal likelihood is summed, and their priors.

    Parameters
    ----------
    shifts
        Shifts of the second component, in units of the values.
    shares
        Shares of the second component, in [0, 1).
    first_prior, second_prior
        Weights of the shares in either group; normalised here.
    center_steps
        Places of the unshifted mean in units of its standard deviation, weight exp(-t^2 / 2).
    outlier_share, outlier_sd
        Share of outliers in either component, and their relative standard deviation.
    shifted_variance
        Variance of the shifted component relative to the measurement's own.
    shift_spread
        Standard deviation of the shift between measurements, relative to the shift.
    temper
        Exponent of the likelihood in ``MixtureEvidence.share_tempered``.
    """

    shifts: tuple[float, ...]
    shares: tuple[float, ...]
    first_prior: tuple[float, ...]
    second_prior: tuple[float, ...]
    center_steps: tuple[float, ...] = (-1.5, -0.75, 0.0, 0.75, 1.5)
    outlier_share: float = 0.02
    outlier_sd: float = 4.0
    shifted_variance: float = 1.3
    shift_spread: float = 0.0
    temper: float = 0.3


@dataclass(frozen=True)
class MixtureEvidence:
    """What is known of each of ``n`` rows; without details all but ``log_ratio`` have no columns.

    Parameters
    ----------
    log_ratio
        ln P(data | shares of the groups free) - ln P(data | one share), float64, shape ``(n,)``.
    share, share_tempered
        Posterior of the first group's share, float32, shape ``(n, shares)``.
    shift
        Posterior of the shift, float32, shape ``(n, shifts)``.
    members
        Probability that a measurement is of the shifted component, float32, shape
        ``(n, columns)``, 0 where absent.
    """

    log_ratio: npt.NDArray[np.float64]
    share: F32
    share_tempered: F32
    shift: F32
    members: F32


def mixture_evidence(  # noqa: PLR0913  # flat arrays at the native edge
    values: F32,
    precision: F32,
    is_first: npt.NDArray[np.bool_],
    center: tuple[F32, F32],
    grid: Grid,
    *,
    details: bool = False,
    threads: int = 1,
) -> MixtureEvidence:
    """Compare two groups of measurements per row: each its own share of shifted ones, or one.

    Parameters
    ----------
    values, precision
        Measurements and 1 / variance, float32, shape ``(n, columns)``; precision 0 = absent.
    is_first
        Group of each column, shape ``(columns,)``.
    center
        Unshifted mean of each row and its standard deviation, shape ``(n,)`` each.
    grid
        Where the likelihood is summed.
    details
        Whether to return more than ``log_ratio``.
    threads
        Threads of this call.

    Raises
    ------
    ValueError
        If shapes disagree or a value is not finite.

    Notes
    -----
    A measurement has density ``f0 = (1 - e) N(m, v) + e N(m, s^2 v)`` or, shifted by ``a``,
    ``f1 = (1 - e) N(m + a, k v) + e N(m, s^2 v)``; a group with share ``pi`` has
    ``prod f0 (1 + pi (f1 / f0 - 1))``. The sum over center, shift and share has no local optimum.
    """
    values, precision, is_first = _checked(values, precision, is_first)
    mean, sd = (np.ascontiguousarray(c, np.float32) for c in center)
    if not np.isfinite(mean).all():
        msg = "center must be finite"
        raise ValueError(msg)
    log_ratio, share, tempered, shift, probabilities = _krill.mixture_evidence(
        values.ravel(),
        precision.ravel(),
        is_first,
        mean,
        sd,
        *flat_grid(grid),
        details,
        threads,
    )
    n, columns = values.shape
    return MixtureEvidence(
        log_ratio=log_ratio,
        share=share.reshape(n, len(grid.shares) if details else 0),
        share_tempered=tempered.reshape(n, len(grid.shares) if details else 0),
        shift=shift.reshape(n, len(grid.shifts) if details else 0),
        members=probabilities.reshape(n, columns if details else 0),
    )


@dataclass(frozen=True, kw_only=True)
class Starts:
    """Where the EM of `mixture_gain` starts.

    Parameters
    ----------
    shifts
        First shift of each start, in standard deviations of the first group.
    shares
        First share of each start.
    shift_variance
        Of the shift's normal prior with mean 0, in squared units of the values.
    steps
        EM steps from each start.
    """

    shifts: tuple[float, ...] = (2.5, 1.7, 1.0, -2.5, -1.7, -1.0)
    shares: tuple[float, ...] = (0.12, 0.4, 0.85, 0.12, 0.4, 0.85)
    shift_variance: float = 9.0
    steps: int = 12


def mixture_gain(
    values: F32,
    precision: F32,
    is_first: npt.NDArray[np.bool_],
    starts: Starts,
    *,
    threads: int = 1,
) -> npt.NDArray[np.float64]:
    """Return the log likelihood that shifted members of the first group gain, by row.

    Arguments are as for `mixture_evidence`. The second group is never shifted, and there is no
    outlier term: a plain gain over one common mean, comparable between rows that share samples.

    Raises
    ------
    ValueError
        If shapes disagree or a value is not finite.
    """
    values, precision, is_first = _checked(values, precision, is_first)
    setup = (starts.shifts, starts.shares, starts.shift_variance, starts.steps)
    return _krill.mixture_gain(values.ravel(), precision.ravel(), is_first, len(values), setup, threads)


def _checked(
    values: F32, precision: F32, is_first: npt.NDArray[np.bool_]
) -> tuple[F32, F32, npt.NDArray[np.bool_]]:
    values = np.ascontiguousarray(values, np.float32)
    precision = np.ascontiguousarray(precision, np.float32)
    if values.ndim != 2 or values.shape != precision.shape or values.shape[1] != len(is_first):
        msg = f"values {values.shape}, precision {precision.shape} and {len(is_first)} columns disagree"
        raise ValueError(msg)
    for name, array in (("values", values), ("precision", precision)):
        if not np.isfinite(array).all():
            msg = f"{name} must be finite; absent measurements have precision 0"
            raise ValueError(msg)
    return values, precision, np.ascontiguousarray(is_first, np.bool_)


FlatGrid = tuple[tuple[F32, F32, F32, F32, F32], tuple[float, float, float, float, float]]


def flat_grid(grid: Grid) -> FlatGrid:
    """Return a grid as the engine takes it: its axes with normalised priors, its numbers."""
    first = np.asarray(grid.first_prior, np.float32)
    second = np.asarray(grid.second_prior, np.float32)
    axes = (
        np.asarray(grid.shifts, np.float32),
        np.asarray(grid.shares, np.float32),
        first / first.sum(),
        second / second.sum(),
        np.asarray(grid.center_steps, np.float32),
    )
    numbers = (grid.outlier_share, grid.outlier_sd, grid.shifted_variance, grid.shift_spread, grid.temper)
    return axes, numbers
